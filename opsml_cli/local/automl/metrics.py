"""Azure AutoML's metrics by its names and definitions. One-versus-rest averages, also for two classes, as Azure has them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from opsml_cli.domain.metric_names import BINARY, CLASSIFICATION, REGRESSION, higher_is_better

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


def auc(positive: NDArray[np.bool_], score: Floats) -> float:
    """Area under the ROC curve; NaN when one class is absent."""
    import numpy as np

    order = np.argsort(score)
    ranked = score[order]
    hits = positive[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    above = np.cumsum(hits, dtype=np.float64)[ends]
    below = ends + 1.0 - above
    positives, negatives = above[-1], below[-1]
    if positives == 0 or negatives == 0:
        return math.nan
    steps = np.diff(below, prepend=0.0)
    area = float(np.sum(steps * (positives - above + np.diff(above, prepend=0.0) / 2)))
    return area / float(positives * negatives)


def average_precision(positive: NDArray[np.bool_], score: Floats) -> float:
    """Area under the precision-recall steps; NaN without a positive."""
    import numpy as np

    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    hits = np.cumsum(positive[order], dtype=np.float64)[ends]
    if hits[-1] == 0:
        return math.nan
    recall = hits / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * (hits / (ends + 1.0))))


def log_loss(truth: Ints, probabilities: Floats) -> float:
    import numpy as np

    chosen = np.clip(probabilities[np.arange(len(truth)), truth], 1e-15, 1.0)
    return float(-np.mean(np.log(chosen)))


def confusion(truth: Ints, predicted: Ints, classes: int) -> Floats:
    """(classes, classes) counts; rows are the truth."""
    import numpy as np

    counts = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.float64)


def _averages(values: Floats, weights: Floats) -> tuple[float, float]:
    """(macro over classes that occur, weighted by their rows), NaN left out."""
    import numpy as np

    sound = ~np.isnan(values) & (weights > 0)
    if not sound.any():
        return math.nan, math.nan
    return float(values[sound].mean()), float(np.average(values[sound], weights=weights[sound]))


def _label_metrics(table: Floats, positive: int | None) -> dict[str, float]:
    import numpy as np

    support, guessed, hit = table.sum(axis=1), table.sum(axis=0), np.diag(table)
    total = float(table.sum())
    recall = hit / np.maximum(support, 1)
    precision = hit / np.maximum(guessed, 1)
    f1 = 2 * hit / np.maximum(support + guessed, 1)
    occurring = support > 0
    # Macro averages run over the labels that occur in the truth or in the predictions, as scikit-learn's do.
    present = occurring | (guessed > 0)
    accuracy = float(hit.sum() / total)
    balanced = float(recall[occurring].mean())
    chance = 1.0 / max(int(occurring.sum()), 2)
    squares = support**2
    spread = math.sqrt(float(total**2 - np.sum(guessed**2))) * math.sqrt(float(total**2 - np.sum(support**2)))
    correlation = float(hit.sum() * total - np.sum(support * guessed)) / spread if spread > 0 else 0.0
    found = {
        "accuracy": accuracy,
        "balanced_accuracy": balanced,
        "norm_macro_recall": (balanced - chance) / (1 - chance),
        "matthews_correlation": correlation,
        "weighted_accuracy": float(np.sum(recall * squares) / np.sum(squares)),
        "f1_score_micro": accuracy,
        "precision_score_micro": accuracy,
        "recall_score_micro": accuracy,
    }
    for name, values in (("f1_score", f1), ("precision_score", precision), ("recall_score", recall)):
        found[f"{name}_macro"] = float(values[present].mean())
        found[f"{name}_weighted"] = float(np.sum(values * support) / total)
        if positive is not None:
            found[f"{name}_binary"] = float(values[positive])
    return found


def classification(
    truth: Ints, probabilities: Floats, predicted: Ints | None = None, positive: int | None = None
) -> dict[str, float]:
    """Every classification metric. `truth` (n,) class indices, `probabilities` (n, k), `predicted` the labels' indices (the
    most probable when None), `positive` the positive class of a binary task. Metrics that are undefined are left out."""
    import numpy as np

    classes = probabilities.shape[1]
    chosen = probabilities.argmax(axis=1) if predicted is None else predicted
    found = _label_metrics(confusion(truth, chosen, classes), positive if classes == 2 else None)
    found["log_loss"] = log_loss(truth, probabilities)
    support = np.bincount(truth, minlength=classes).astype(np.float64)
    if classes == 2:
        one = auc(truth == 1, probabilities[:, 1])
        areas = np.array([one, one])
    else:
        areas = np.array(
            [auc(truth == label, probabilities[:, label]) if support[label] else math.nan for label in range(classes)]
        )
    precisions = np.array([average_precision(truth == label, probabilities[:, label]) for label in range(classes)])
    found["AUC_macro"], found["AUC_weighted"] = _averages(areas, support)
    found["average_precision_score_macro"], found["average_precision_score_weighted"] = _averages(precisions, support)
    flat = (truth[:, None] == np.arange(classes)).ravel()
    found["AUC_micro"] = auc(flat, probabilities.ravel())
    found["average_precision_score_micro"] = average_precision(flat, probabilities.ravel())
    if classes == 2 and positive is not None:
        found["AUC_binary"] = float(areas[positive])
        found["average_precision_score_binary"] = float(precisions[positive])
    return {name: found[name] for name in (*CLASSIFICATION, *BINARY) if name in found and math.isfinite(found[name])}


def ranks(values: Floats) -> Floats:
    """Ranks from 0, ties averaged."""
    import numpy as np

    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts + 1) / 2.0)[place], dtype=np.float64)


def regression(truth: Floats, predicted: Floats, span: float) -> dict[str, float]:
    """Every regression metric. `span` is the target's range (maximum minus minimum) by which Azure normalizes."""
    import numpy as np

    error = truth - predicted
    size = np.abs(error)
    mse, mae, median = float(np.mean(error**2)), float(size.mean()), float(np.median(size))
    spread = float(np.sum((truth - truth.mean()) ** 2))
    found = {
        "root_mean_squared_error": math.sqrt(mse),
        "mean_absolute_error": mae,
        "median_absolute_error": median,
        "r2_score": 1 - float(np.sum(error**2)) / spread if spread > 0 else math.nan,
        "explained_variance": 1 - float(np.var(error)) / float(np.var(truth)) if spread > 0 else math.nan,
    }
    nonzero = truth != 0
    if nonzero.any():
        found["mean_absolute_percentage_error"] = float(100 * np.mean(size[nonzero] / np.abs(truth[nonzero])))
    first, second = ranks(truth), ranks(predicted)
    if first.std() > 0:
        found["spearman_correlation"] = float(np.corrcoef(first, second)[0, 1]) if second.std() > 0 else 0.0
    if truth.min() > -1:
        log_error = np.log1p(truth) - np.log1p(np.maximum(predicted, -1 + 1e-9))
        found["root_mean_squared_log_error"] = math.sqrt(float(np.mean(log_error**2)))
    for name in ("root_mean_squared_error", "mean_absolute_error", "median_absolute_error", "root_mean_squared_log_error"):
        if name in found and span > 0:
            divisor = span if "log" not in name else math.log1p(span)
            found[f"normalized_{name}"] = found[name] / divisor
    return {name: found[name] for name in REGRESSION if name in found and math.isfinite(found[name])}


_SQUARED = ("r2_score", "explained_variance", "root_mean_squared_error", "normalized_root_mean_squared_error")
_ABSOLUTE = ("mean_absolute_error", "normalized_mean_absolute_error")
_AUC = ("AUC_weighted", "AUC_macro", "AUC_binary")


def one(metric: str, truth: NDArray[np.generic], answer: Floats, span: float, positive: int | None = None) -> float:  # noqa: PLR0911
    """One metric, quickly, as a loss (less is better): what ensembles and comparisons minimize. `answer` (n, k) or (n, 1)."""
    import numpy as np

    if answer.shape[1] == 1:
        values, numbers = answer[:, 0], truth.astype(np.float64)
        if metric in _SQUARED:
            return float(np.mean((numbers - values) ** 2))
        if metric in _ABSOLUTE:
            return float(np.mean(np.abs(numbers - values)))
        return _loss(metric, regression(numbers, values, span))
    labels = truth.astype(np.int64)
    if metric == "log_loss":
        return log_loss(labels, answer)
    if metric == "accuracy":
        return float(np.mean(answer.argmax(axis=1) != labels))
    if answer.shape[1] == 2 and metric in _AUC:
        area = auc(labels == 1, answer[:, 1])
        return math.inf if math.isnan(area) else 1 - area
    return _loss(metric, classification(labels, answer, positive=positive))


def _loss(metric: str, found: Mapping[str, float]) -> float:
    value = found.get(metric)
    if value is None:
        return math.inf
    return 1 - value if higher_is_better(metric) else value
