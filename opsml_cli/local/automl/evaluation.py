"""Figures on rows that no trial has seen: metrics, their intervals, the trivial baseline, curves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.job import Task
from opsml_cli.local.automl import metrics

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from opsml_cli.local.automl.problem import Problem

    Floats = NDArray[np.float64]

_MOST_CELLS = 1_500_000  # rows times classes times resamples
_MOST_POINTS = 200


def labels(answer: Floats, threshold: float | None, positive: int | None) -> NDArray[np.int64]:
    """Class indices, by the threshold where one is set."""
    import numpy as np

    if threshold is None or positive is None:
        return np.asarray(answer.argmax(axis=1), dtype=np.int64)
    return np.where(answer[:, positive] >= threshold, positive, 1 - positive).astype(np.int64)


def measure(problem: Problem, truth: NDArray[np.generic], answer: Floats, threshold: float | None = None) -> dict[str, float]:
    """Every metric of the task."""
    import numpy as np

    if problem.task is Task.REGRESSION:
        return metrics.regression(truth.astype(np.float64), answer[:, 0], problem.span)
    chosen = labels(answer, threshold, problem.positive)
    return metrics.classification(truth.astype(np.int64), answer, chosen, problem.positive)


def trivial(problem: Problem, rows: int) -> Floats:
    """What a model answers that has seen the target alone: the classes' shares, or the mean."""
    import numpy as np

    if problem.task is Task.REGRESSION:
        return np.full((rows, 1), float(problem.target.astype(np.float64).mean()))
    shares = np.bincount(problem.target.astype(np.int64), minlength=problem.outputs) / len(problem.target)
    return np.tile(shares, (rows, 1))


def intervals(
    problem: Problem, truth: NDArray[np.generic], answer: Floats, threshold: float | None
) -> dict[str, tuple[float, float]]:
    """95 % intervals of every metric by the bootstrap over rows; reproducible by the seed."""
    import numpy as np

    count, cells = len(truth), len(truth) * problem.outputs
    if count < 10:
        return {}
    repeats = int(max(60, min(400, _MOST_CELLS / cells)))
    most = min(count, max(1000, int(_MOST_CELLS / (repeats * problem.outputs))))
    draw = np.random.default_rng([problem.seed, 67867967])
    found: dict[str, list[float]] = {}
    for _ in range(repeats):
        rows = draw.integers(0, count, most)
        for name, value in measure(problem, truth[rows], answer[rows], threshold).items():
            found.setdefault(name, []).append(value)
    whole = measure(problem, truth, answer, threshold)
    shrink = math.sqrt(most / count)  # fewer rows than there are spread wider
    result = {}
    for name, value in whole.items():
        drawn = np.array(found.get(name, []))
        if len(drawn) >= repeats // 2:
            low, high = np.quantile(drawn - drawn.mean(), [0.025, 0.975]) * shrink
            result[name] = (float(value + low), float(value + high))
    return result


def curves(problem: Problem, truth: NDArray[np.generic], answer: Floats, classes: tuple[Any, ...]) -> dict[str, Any]:
    """ROC, precision-recall and calibration points of each class (of the positive one for two), at most 200 each."""
    import numpy as np

    if problem.task is Task.REGRESSION:
        order = np.linspace(0, len(truth) - 1, min(len(truth), 1000)).astype(int)
        return {
            "residuals": [{"truth": float(truth[row]), "predicted": float(answer[row, 0])} for row in order.tolist()],
        }
    positive = problem.positive if problem.positive is not None else 1
    found = {}
    for index in [positive] if problem.binary else range(min(problem.outputs, 50)):
        hits = truth == index
        if hits.any() and not hits.all():
            found[str(classes[index])] = _class_curves(hits, answer[:, index])
    return {"classes": found}


def _class_curves(hits: NDArray[np.bool_], score: Floats) -> dict[str, Any]:
    import numpy as np

    order = np.argsort(-score, kind="stable")
    ranked, right = score[order], hits[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    true = np.cumsum(right)[ends].astype(np.float64)
    called = ends + 1.0
    false = called - true
    picked = np.unique(np.linspace(0, len(ends) - 1, min(len(ends), _MOST_POINTS)).astype(int))
    bins = np.clip((score * 10).astype(int), 0, 9)
    calibration = [
        {"predicted": float(score[bins == k].mean()), "observed": float(hits[bins == k].mean()), "rows": int((bins == k).sum())}
        for k in range(10)
        if (bins == k).any()
    ]
    return {
        "roc": {
            "false_positive_rate": [0.0, *(false / false[-1])[picked].tolist()],
            "true_positive_rate": [0.0, *(true / true[-1])[picked].tolist()],
            "threshold": [1.0, *ranked[ends][picked].tolist()],
        },
        "precision_recall": {
            "recall": (true / true[-1])[picked].tolist(),
            "precision": (true / called)[picked].tolist(),
            "threshold": ranked[ends][picked].tolist(),
        },
        "calibration": calibration,
    }
