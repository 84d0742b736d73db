"""Kernel models where rows are few: ridge and logistic regression on how near a row is to some rows of the table.

The Laplacian kernel alone: beside the Gaussian, on eight tables, it had half of the squared error on concrete, was better on
churn and credit, as good on three, worse on digits and breast cancer. Through Nystroem's features, a thousand rows
stand for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.job import Task
from opsml_cli.local.automl import boosting, linear, scoring
from opsml_cli.local.automl.boosting import StoppedError, Watch
from opsml_cli.local.automl.model_folder import Part

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from opsml_cli.local.automl.problem import Fold, Problem

    Floats = NDArray[np.float64]

MOST_ROWS = 10_000
MOST_COLUMNS = 500
MOST_OUTPUTS = 30
_LANDMARKS = 1000
_SAMPLE = 500  # rows that tell the usual distance
_SMALLEST = 1e-8  # of the largest eigenvalue: directions below are noise of the arithmetic


def unfit(problem: Problem) -> bool:
    """Whether the table is too large, or has too many classes, for a kernel model to be worth its time."""
    return len(problem.target) > MOST_ROWS or len(problem.features) > MOST_COLUMNS or problem.outputs > MOST_OUTPUTS


def seconds(problem: Problem) -> float:
    """What a trial takes, about (measured: 1.7 to 2.5e-7 for a row, a landmark and an output)."""
    count = len(problem.target)
    near = count * min(count, _LANDMARKS)
    return 0.3 + near * (2.5e-7 * problem.outputs + 1e-9 * len(problem.features)) / boosting.cores()


@dataclass(frozen=True, slots=True)
class _Map:
    """`rows` (n, r): the features of the problem's rows; `turn` (m, r) leads from similarities to them; `arrays` as
    scoring.Kernel reads them, without weights."""

    rows: Floats
    turn: Floats
    arrays: Mapping[str, Any]


def run(
    problem: Problem, parameters: Mapping[str, object], watch: Watch, algorithm: str, workers: int
) -> tuple[Part, Floats, tuple[int, ...]]:
    """Fit on every fold; the part holds the mean of the folds' weights. Raises StoppedError."""
    import numpy as np
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    watch.check()
    if unfit(problem):
        raise StoppedError
    alpha, reach = float(str(parameters["alpha"])), float(str(parameters["reach"]))
    with threadpool_limits(1, user_api="blas"):
        made = _map(problem, reach)
        with ThreadPoolExecutor(max_workers=workers) as pool:
            fitted = list(pool.map(lambda fold: _fit(problem, made.rows, fold, alpha, watch), problem.folds))
        binary = problem.binary
        link = "none" if problem.task is Task.REGRESSION else "logistic" if binary else "softmax"
        answer = np.zeros((len(problem.target), problem.outputs))
        for fold, (weight, intercept) in zip(problem.folds, fitted, strict=True):
            answer[fold.valid] = scoring.linked(made.rows[fold.valid] @ weight + intercept, link)
        weights = made.turn @ np.mean([weight for weight, _ in fitted], axis=0)
    arrays = {**made.arrays, "weights": weights, "intercept": np.mean([first for _, first in fitted], axis=0)}
    return Part(algorithm, 1.0, link, 1 if binary else problem.outputs, (), [arrays]), answer[problem.scored], ()


def _map(problem: Problem, reach: float) -> _Map:
    """`reach`: how fast nearness ends, in shares of the usual distance between two rows."""
    import numpy as np
    from scipy.linalg import eigh

    count = len(problem.target)
    draw = np.random.default_rng([problem.seed, 32452843])
    chosen = np.sort(draw.choice(count, min(count, _LANDMARKS), replace=False))
    numbers, categories = linear.kinds(problem)
    values = problem.matrix[:, numbers]
    mean, scale = linear.moments(values, np.isnan(values))
    sizes = linear.sizes_of(problem, categories)
    standard, absent = scoring.standardized(values, mean, scale)
    codes = scoring.places(problem.matrix[:, categories], sizes)
    gapped = np.flatnonzero(absent.any(axis=0))
    gaps = absent[:, gapped]
    points = np.hstack([standard, gaps.astype(np.float64)])
    far = _distances(points, codes, points[chosen], codes[chosen])
    usual = float(np.median(far[chosen[:_SAMPLE]])) or 1.0
    near = np.exp(-reach / usual * far)
    lengths, turn = eigh(near[chosen])
    kept = lengths > _SMALLEST * lengths[-1]
    turn = turn[:, kept] / np.sqrt(lengths[kept])
    arrays = {
        "numbers": numbers, "mean": mean, "scale": scale, "categories": categories, "sizes": sizes, "points": standard[chosen],
        "gapped": gapped, "gaps": gaps[chosen], "codes": codes[chosen], "reach": np.array(reach / usual),
    }  # fmt: skip
    return _Map(near @ turn, turn, arrays)


def _distances(points: Floats, codes: NDArray[np.int64], others: Floats, other_codes: NDArray[np.int64]) -> Floats:
    """(n, m), as scoring.Kernel has them."""
    import numpy as np
    from scipy.spatial.distance import cdist

    found = cdist(points, others, "cityblock") if points.shape[1] else np.zeros((len(points), len(others)))
    if codes.shape[1]:
        found += 2.0 * codes.shape[1] * cdist(codes.astype(np.float64), other_codes.astype(np.float64), "hamming")
    return found


def _fit(problem: Problem, rows: Floats, fold: Fold, alpha: float, watch: Watch) -> tuple[Floats, Floats]:
    """(features, outputs) weights and (outputs,) intercepts, learned from the fold's training rows."""
    import numpy as np

    watch.check()
    scale = linear.weights_of(problem, fold)
    target = problem.target[fold.train]
    if problem.task is Task.REGRESSION:
        return _ridge(rows[fold.train], target.astype(np.float64), scale, alpha)
    outputs = 1 if problem.binary else problem.outputs
    return linear.logistic(rows[fold.train], target.astype(np.int64), outputs, scale=scale, alpha=alpha, watch=watch)


def _ridge(rows: Floats, values: Floats, scale: Floats | None, alpha: float) -> tuple[Floats, Floats]:
    import numpy as np
    from scipy.linalg import solve

    weights = np.ones(len(values)) if scale is None else scale
    center = float(np.average(values, weights=weights))
    spread = float(values.std()) or 1.0
    table = (rows * weights[:, None]).T
    squared = table @ rows
    squared[np.diag_indices_from(squared)] += alpha
    found = solve(squared, table @ ((values - center) / spread), assume_a="pos")
    return found[:, None] * spread, np.array([center])
