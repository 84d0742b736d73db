"""Azure AutoML's metric names for tables, and which way they point."""

from __future__ import annotations

from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.domain.job import Task

CLASSIFICATION = (
    "AUC_weighted",
    "AUC_macro",
    "AUC_micro",
    "accuracy",
    "average_precision_score_weighted",
    "average_precision_score_macro",
    "average_precision_score_micro",
    "balanced_accuracy",
    "f1_score_weighted",
    "f1_score_macro",
    "f1_score_micro",
    "log_loss",
    "matthews_correlation",
    "norm_macro_recall",
    "precision_score_weighted",
    "precision_score_macro",
    "precision_score_micro",
    "recall_score_weighted",
    "recall_score_macro",
    "recall_score_micro",
    "weighted_accuracy",
)
# Of the positive class; two classes only.
BINARY = (
    "AUC_binary",
    "average_precision_score_binary",
    "f1_score_binary",
    "precision_score_binary",
    "recall_score_binary",
)
REGRESSION = (
    "normalized_root_mean_squared_error",
    "normalized_mean_absolute_error",
    "normalized_median_absolute_error",
    "normalized_root_mean_squared_log_error",
    "root_mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "median_absolute_error",
    "root_mean_squared_log_error",
    "r2_score",
    "explained_variance",
    "spearman_correlation",
)
DEFAULT_METRIC = {Task.CLASSIFICATION: "AUC_weighted", Task.REGRESSION: "normalized_root_mean_squared_error"}
EVERY = (*CLASSIFICATION, *BINARY, *REGRESSION)


def higher_is_better(metric: str) -> bool:
    return metric != "log_loss" and not metric.endswith("_error")


def resolve(name: str | None, task: Task) -> str:
    """The metric in its own spelling, or the task's default; UsageError for an unknown one."""
    if name is None:
        return DEFAULT_METRIC[task]
    known = (*CLASSIFICATION, *BINARY) if task is Task.CLASSIFICATION else REGRESSION
    for metric in known:
        if metric.casefold() == name.casefold():
            return metric
    shown = known[: len(CLASSIFICATION)]
    raise UsageError(
        f"{name!r} is no metric for {task.value}",
        cause=did_you_mean(name, shown) or f"known are: {', '.join(shown)}",
        fix="--metric NAME",
    )
