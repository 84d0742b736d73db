"""Azure AutoML's names of algorithms for tables."""

from __future__ import annotations

from collections.abc import Sequence

from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.domain.job import Task

ALGORITHMS = {
    Task.CLASSIFICATION: (
        "LogisticRegression", "SGD", "MultinomialNaiveBayes", "BernoulliNaiveBayes", "SVM", "LinearSVM", "KNN", "DecisionTree",
        "RandomForest", "ExtremeRandomTrees", "LightGBM", "GradientBoosting", "XGBoostClassifier",
    ),
    Task.REGRESSION: (
        "ElasticNet", "GradientBoosting", "DecisionTree", "KNN", "LassoLars", "SGD", "RandomForest", "ExtremeRandomTrees",
        "LightGBM", "XGBoostRegressor",
    ),
}  # fmt: skip


def known_algorithm(name: str, task: Task, option: str, offered: Sequence[str] = ()) -> str:
    """`name` in its own spelling; UsageError when no algorithm of the task has it. `offered` are named as the way out, and
    known too, where a workspace has more than Azure."""
    known = tuple(dict.fromkeys((*ALGORITHMS[task], *offered)))
    found = next((each for each in known if each.casefold() == name.casefold()), None)
    if found is None:
        raise UsageError(
            f"{name!r} is no algorithm for {task.value}",
            cause=did_you_mean(name, known) or f"known are: {', '.join(known)}",
            fix=f"{option} NAME, one of: {', '.join(offered or known)}",
        )
    return found
