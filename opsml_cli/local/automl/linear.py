"""Linear models on standardized numbers and one-hot categories: logistic regression, and elastic net for regression."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.job import Task
from opsml_cli.local.automl import scoring
from opsml_cli.local.automl.boosting import StoppedError, Watch
from opsml_cli.local.automl.model_folder import Part

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from opsml_cli.local.automl.problem import Fold, Problem

    Floats = NDArray[np.float64]

MOST_CODES = 200  # of one column; the rarer ones share a weight
MOST_CELLS = 4e8
_MOST_DENSE_CELLS = 2e7
_MOST_STEPS = 80
_LARGEST_SQUARED = 1e145


@dataclass(frozen=True, slots=True)
class Design:
    """The problem's rows as a matrix (sparse when large), and how its columns map to scoring.Linear's arrays."""

    rows: Any
    numbers: NDArray[np.int64]
    mean: Floats
    scale: Floats
    categories: NDArray[np.int64]
    sizes: NDArray[np.int64]
    offsets: NDArray[np.int64]

    def arrays(self, weights: Floats, intercept: Floats) -> dict[str, Any]:
        """`weights` (columns of the design, k)."""
        count = len(self.numbers)
        return {
            "numbers": self.numbers,
            "mean": self.mean,
            "scale": self.scale,
            "weights": weights[:count],
            "missing": weights[count : 2 * count],
            "categories": self.categories,
            "offsets": self.offsets,
            "sizes": self.sizes,
            "table": weights[2 * count :],
            "intercept": intercept,
        }


def too_large(problem: Problem) -> bool:
    """Whether the design would need more memory or time than a linear model is worth."""
    return width(problem) * len(problem.target) * max(1, problem.outputs - 1) > MOST_CELLS


def width(problem: Problem) -> int:
    """Columns of the design."""
    return sum(2 if not feature.codes else min(feature.codes, MOST_CODES) + 1 for feature in problem.features)


def kinds(problem: Problem) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The positions of the features that are numbers, and of those that are codes."""
    import numpy as np

    numbers = [index for index, feature in enumerate(problem.features) if not feature.codes]
    categories = [index for index, feature in enumerate(problem.features) if feature.codes]
    return np.array(numbers, dtype=np.int64), np.array(categories, dtype=np.int64)


def sizes_of(problem: Problem, categories: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many codes each of the features is told apart by, with one for all others."""
    import numpy as np

    return np.array([min(problem.features[index].codes, MOST_CODES) + 1 for index in categories], dtype=np.int64)


def weights_of(problem: Problem, fold: Fold) -> Floats | None:
    """The weights of the fold's training rows; None where all count alike, as they do where each weighs nothing."""
    weights = None if problem.weights is None else problem.weights[fold.train]
    return None if weights is None or not weights.any() else weights


def design(problem: Problem) -> Design:
    import numpy as np
    from scipy import sparse

    matrix = problem.matrix
    numbers, categories = kinds(problem)
    values = matrix[:, numbers]
    mean, scale = moments(values, np.isnan(values))
    standard, absent = scoring.standardized(values, mean, scale)
    sizes = sizes_of(problem, categories)
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64) if len(sizes) else np.zeros(0, dtype=np.int64)
    blocks = [sparse.csr_matrix(standard), sparse.csr_matrix(absent.astype(np.float64))]
    if len(categories):
        codes = scoring.places(matrix[:, categories], sizes) + offsets
        height, count = codes.shape
        starts = np.arange(0, height * count + 1, count)
        ones = np.ones(height * count)
        blocks.append(sparse.csr_matrix((ones, codes.ravel(), starts), shape=(height, int(sizes.sum()))))
    rows = sparse.hstack(blocks, format="csr")
    if rows.shape[0] * rows.shape[1] <= _MOST_DENSE_CELLS:  # several times faster than sparse products
        rows = rows.toarray()
    return Design(rows, numbers, mean, scale, categories, sizes, offsets)


def moments(values: Floats, absent: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """(mean, standard deviation or 1) of each column's values that are not `absent`."""
    import numpy as np

    counted = np.maximum((~absent).sum(axis=0), 1)
    present = np.where(absent, 0.0, values)
    largest = np.abs(present).max(axis=0, initial=0.0)
    unit = np.where(largest > _LARGEST_SQUARED, largest, 1.0)  # sums of squares must stay finite
    mean = (present / unit).sum(axis=0) / counted
    scale = np.sqrt(np.where(absent, 0.0, (present / unit - mean) ** 2).sum(axis=0) / counted) * unit
    return mean * unit, np.where(scale > 0, scale, 1.0)


def run(
    problem: Problem, parameters: Mapping[str, object], watch: Watch, algorithm: str, workers: int
) -> tuple[Part, Floats, tuple[int, ...]]:
    """Fit on every fold; the part holds the mean of the folds' coefficients. Raises StoppedError."""
    import numpy as np
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    watch.check()
    if too_large(problem):
        raise StoppedError
    # One thread a fold: the linear algebra library's own threads cost ten times the work itself on a busy machine.
    with threadpool_limits(1, user_api="blas"):
        table = design(problem)
        alpha = float(str(parameters["alpha"]))
        with ThreadPoolExecutor(max_workers=workers) as pool:
            fitted = list(pool.map(lambda fold: _fit(problem, table, fold, alpha=alpha, watch=watch), problem.folds))
        binary = problem.binary
        link = "none" if problem.task is Task.REGRESSION else "logistic" if binary else "softmax"
        answer = np.zeros((len(problem.target), problem.outputs))
        for fold, (weight, intercept) in zip(problem.folds, fitted, strict=True):
            answer[fold.valid] = scoring.linked(table.rows[fold.valid] @ weight + intercept, link)
    arrays = table.arrays(np.mean([weight for weight, _ in fitted], axis=0), np.mean([first for _, first in fitted], axis=0))
    part = Part(algorithm, 1.0, link, 1 if binary else problem.outputs, (), [arrays])
    return part, answer[problem.scored], ()


def _fit(problem: Problem, table: Design, fold: Fold, *, alpha: float, watch: Watch) -> tuple[Floats, Floats]:
    """(columns, outputs) weights and (outputs,) intercepts, learned from the fold's training rows."""
    import numpy as np

    watch.check()
    learn = table.rows[fold.train]
    scale = weights_of(problem, fold)
    if problem.task is Task.REGRESSION:
        return _elastic_net(learn, problem.target[fold.train].astype(np.float64), scale, alpha)
    outputs = 1 if problem.binary else problem.outputs
    return logistic(learn, problem.target[fold.train].astype(np.int64), outputs, scale=scale, alpha=alpha, watch=watch)


def logistic(rows: Any, labels: Any, outputs: int, *, scale: Any, alpha: float, watch: Watch) -> tuple[Floats, Floats]:
    """Minimize the mean log loss plus an L2 penalty. (columns, outputs) and (outputs,)."""
    import numpy as np
    from scipy.optimize import minimize

    count, wide = rows.shape
    share = np.full(count, 1.0 / count) if scale is None else scale / scale.sum()
    wanted = (labels == 1).astype(np.float64)[:, None] if outputs == 1 else np.eye(outputs)[labels]
    penalty = alpha / count
    turned = rows.T.tocsr() if hasattr(rows, "tocsr") else np.ascontiguousarray(rows.T)

    def loss(flat: Floats) -> tuple[float, Floats]:
        watch.check()
        weight, intercept = flat[:-outputs].reshape(wide, outputs), flat[-outputs:]
        scores = rows @ weight + intercept
        if outputs == 1:
            value = float(share @ (np.logaddexp(0.0, scores) - wanted * scores)[:, 0])
            residual = 1.0 / (1.0 + np.exp(-np.clip(scores, -500, 500))) - wanted
        else:
            chances = scoring.softmax(scores)
            value = float(-(share @ np.log(np.maximum((chances * wanted).sum(axis=1), 1e-300))))
            residual = chances - wanted
        residual = residual * share[:, None]
        slope = np.concatenate([(turned @ residual + penalty * weight).ravel(), residual.sum(axis=0)])
        return value + 0.5 * penalty * float((weight**2).sum()), slope

    start = np.zeros((wide + 1) * outputs)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _MOST_STEPS, "maxcor": 20, "ftol": 1e-7}).x
    return found[:-outputs].reshape(wide, outputs), found[-outputs:]


def _elastic_net(rows: Any, values: Any, scale: Any, alpha: float) -> tuple[Floats, Floats]:
    import warnings

    import numpy as np
    from sklearn.linear_model import ElasticNet

    spread = float(values.std()) or 1.0
    center = float(values.mean())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ElasticNet(alpha=0.002 * alpha, l1_ratio=0.5, max_iter=300, tol=1e-3)
        model.fit(rows, (values - center) / spread, sample_weight=scale)
    weight = np.asarray(model.coef_, dtype=np.float64)[:, None] * spread
    return weight, np.array([float(model.intercept_) * spread + center])
