"""A quick model on part of the rows: enough to compare, not to keep."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from opsml_cli.domain.job import Task
from opsml_cli.local.automl import boosting, metrics, scoring
from opsml_cli.local.automl.problem import Fold, Problem

if TYPE_CHECKING:
    import numpy as np

_MOST_ROWS = 40_000
_PARAMETERS: dict[str, object] = {
    "learning_rate": 0.1,
    "num_leaves": 15,
    "min_data_in_leaf": 20,
    "feature_fraction_bynode": 0.8,
    "lambda_l2": 1.0,
    "max_bin": 63,
}


def with_and_without(
    problem: Problem, columns: Sequence[str], seconds: float, stopped: Callable[[], bool]
) -> tuple[float, float]:
    """AUC (the mean over classes) or R squared on unseen rows, with all columns and without `columns`. Each model has half of
    the time, and is taken as far as it came. Raises boosting.StoppedError when the job is to end."""
    kept = [index for index, feature in enumerate(problem.features) if feature.column not in columns]
    small = _sample(problem)
    reduced = replace(small, matrix=small.matrix[:, kept], features=[problem.features[index] for index in kept])
    return _score(small, seconds / 2, stopped), _score(reduced, seconds / 2, stopped)


def _sample(problem: Problem) -> Problem:
    import numpy as np

    draw = np.random.default_rng([problem.seed, 122949823])
    rows = draw.permutation(len(problem.target))[:_MOST_ROWS]
    cut = len(rows) * 4 // 5
    fold = Fold(np.arange(cut), np.arange(cut, len(rows)))
    weights = None if problem.weights is None else problem.weights[rows]
    return replace(problem, matrix=problem.matrix[rows], target=problem.target[rows], weights=weights, folds=(fold,))


def _score(problem: Problem, seconds: float, stopped: Callable[[], bool]) -> float:
    binned = boosting.Binned(problem)
    binned.parts(_PARAMETERS)
    watch = boosting.Watch(time.monotonic() + seconds, True, stopped)
    fitted = boosting.fit_bag(problem, binned, _PARAMETERS, watch, workers=boosting.cores(), rounds=None)
    fold = problem.folds[0]
    answer = scoring.linked(fitted[0].raw.reshape(len(fold.valid), -1), "positive" if problem.binary else "none")
    return _figure(problem, problem.target[fold.valid], answer)


def _figure(problem: Problem, truth: np.ndarray, answer: np.ndarray) -> float:
    if problem.task is Task.REGRESSION:
        return metrics.regression(truth.astype("float64"), answer[:, 0], problem.span).get("r2_score", 0.0)
    return metrics.classification(truth.astype("int64"), answer).get("AUC_weighted", 0.5)
