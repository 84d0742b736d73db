"""Metrics agree with scikit-learn's, under Azure's names."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsml_cli.domain import metric_names
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.job import Task
from opsml_cli.domain.metric_names import BINARY, CLASSIFICATION, REGRESSION, higher_is_better
from opsml_cli.local.automl import metrics


def sample(classes: int, rows: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, classes, rows)
    scores = draw.normal(size=(rows, classes)) + 1.5 * np.eye(classes)[truth]
    scores = np.round(scores, 1)  # ties
    grown = np.exp(scores)
    chances = grown / grown.sum(axis=1, keepdims=True)
    if classes == 2:  # the same ties in both columns
        chances[:, 1] = np.round(chances[:, 1], 3)
        chances[:, 0] = 1 - chances[:, 1]
    return truth, chances


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_classification_metrics_are_sklearns(classes: int) -> None:
    from sklearn import metrics as reference

    truth, chances = sample(classes)
    found = metrics.classification(truth, chances, positive=1 if classes == 2 else None)
    predicted = chances.argmax(axis=1)
    hot = np.eye(classes)[truth]
    expected = {
        "accuracy": reference.accuracy_score(truth, predicted),
        "balanced_accuracy": reference.balanced_accuracy_score(truth, predicted),
        "norm_macro_recall": reference.balanced_accuracy_score(truth, predicted, adjusted=True),
        "matthews_correlation": reference.matthews_corrcoef(truth, predicted),
        "log_loss": reference.log_loss(truth, chances),
        "AUC_weighted": reference.roc_auc_score(hot, chances, average="weighted"),
        "AUC_macro": reference.roc_auc_score(hot, chances, average="macro"),
        "AUC_micro": reference.roc_auc_score(hot, chances, average="micro"),
    }
    for average in ("macro", "micro", "weighted"):
        expected[f"f1_score_{average}"] = reference.f1_score(truth, predicted, average=average)
        expected[f"precision_score_{average}"] = reference.precision_score(truth, predicted, average=average)
        expected[f"recall_score_{average}"] = reference.recall_score(truth, predicted, average=average)
        expected[f"average_precision_score_{average}"] = reference.average_precision_score(hot, chances, average=average)
    if classes == 2:
        expected["f1_score_binary"] = reference.f1_score(truth, predicted)
        expected["AUC_binary"] = reference.roc_auc_score(truth, chances[:, 1])
        expected["average_precision_score_binary"] = reference.average_precision_score(truth, chances[:, 1])
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name
    assert set(found) == {*CLASSIFICATION, *(BINARY if classes == 2 else ())}


def test_regression_metrics_are_sklearns() -> None:
    from scipy.stats import spearmanr
    from sklearn import metrics as reference

    draw = np.random.default_rng(1)
    truth = np.round(draw.normal(size=300) * 3 + 10, 1)
    guess = truth + np.round(draw.normal(size=300), 1)
    span = float(np.ptp(truth))
    found = metrics.regression(truth, guess, span)
    expected = {
        "root_mean_squared_error": reference.root_mean_squared_error(truth, guess),
        "normalized_root_mean_squared_error": reference.root_mean_squared_error(truth, guess) / span,
        "mean_absolute_error": reference.mean_absolute_error(truth, guess),
        "normalized_mean_absolute_error": reference.mean_absolute_error(truth, guess) / span,
        "median_absolute_error": reference.median_absolute_error(truth, guess),
        "r2_score": reference.r2_score(truth, guess),
        "explained_variance": reference.explained_variance_score(truth, guess),
        "spearman_correlation": spearmanr(truth, guess).statistic,
        "mean_absolute_percentage_error": 100 * reference.mean_absolute_percentage_error(truth, guess),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name
    assert set(found) <= set(REGRESSION)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=60).filter(
        lambda rows: 0 < sum(hit for hit, _ in rows) < len(rows)
    )
)
def test_auc_counts_pairs(rows: list[tuple[bool, int]]) -> None:
    hits = [score for hit, score in rows if hit]
    misses = [score for hit, score in rows if not hit]
    pairs = sum((h > m) + 0.5 * (h == m) for h in hits for m in misses) / (len(hits) * len(misses))
    found = metrics.auc(np.array([hit for hit, _ in rows]), np.array([float(score) for _, score in rows]))
    assert found == pytest.approx(pairs, abs=1e-12)


def test_undefined_metrics_are_left_out() -> None:
    found = metrics.classification(np.zeros(5, dtype=np.int64), np.full((5, 2), 0.5), positive=1)
    assert "AUC_weighted" not in found
    assert all(math.isfinite(value) for value in found.values())


def test_every_metric_is_a_loss_when_compared() -> None:
    truth, good = sample(3)
    bad = np.full_like(good, 1 / 3)
    for metric in CLASSIFICATION:
        assert metrics.one(metric, truth, good, 0.0) < metrics.one(metric, truth, bad, 0.0), metric


def test_names_are_resolved_without_case_and_unknown_ones_suggest() -> None:
    assert metric_names.resolve("auc_WEIGHTED", Task.CLASSIFICATION) == "AUC_weighted"
    assert metric_names.resolve(None, Task.REGRESSION) == "normalized_root_mean_squared_error"
    with pytest.raises(UsageError) as caught:
        metric_names.resolve("AUC_weightd", Task.CLASSIFICATION)
    assert "AUC_weighted" in str(caught.value.cause)
    with pytest.raises(UsageError):
        metric_names.resolve("r2_score", Task.CLASSIFICATION)
    assert not higher_is_better("log_loss")
    assert higher_is_better("r2_score")
