"""Small neural networks on standardized numbers and one-hot categories: another kind of member beside the trees."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.job import Task
from opsml_cli.local.automl import linear, scoring
from opsml_cli.local.automl.boosting import StoppedError, Watch
from opsml_cli.local.automl.model_folder import Part

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from opsml_cli.local.automl.linear import Design
    from opsml_cli.local.automl.problem import Fold, Problem

    Floats = NDArray[np.float64]

MOST_WIDTH = 1500  # of the design
MOST_ROWS = 60_000
MOST_OUTPUTS = 50
_MOST_EPOCHS = 200
_PATIENCE = 10


@dataclass(frozen=True, slots=True)
class _Network:
    """Weights and intercepts by layer, as the best epoch left them; the raw output on the fold's scored rows."""

    weights: list[Floats]
    intercepts: list[Floats]
    raw: Floats
    epochs: int


def unfit(problem: Problem) -> bool:
    """Whether the table is too large, or has too many classes, for a network of this kind to be worth its time."""
    return len(problem.target) > MOST_ROWS or linear.width(problem) > MOST_WIDTH or problem.outputs > MOST_OUTPUTS


def run(
    problem: Problem,
    parameters: Mapping[str, object],
    watch: Watch,
    algorithm: str,
    *,
    workers: int,
    rounds: Sequence[int] | None = None,
) -> tuple[Part, Floats, tuple[int, ...]]:
    """One network a fold, stopped on its fold, or after `rounds` epochs. Raises StoppedError."""
    import numpy as np
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    watch.check()
    if unfit(problem):
        raise StoppedError
    center, spread = _target(problem)
    with threadpool_limits(1, user_api="blas"):
        design = linear.design(problem)
        if hasattr(design.rows, "toarray"):
            design = replace(design, rows=design.rows.toarray())

        def one(index: int) -> _Network:
            fixed = None if rounds is None else rounds[index]
            return _fit(problem, design, problem.folds[index], index, parameters=parameters, watch=watch, epochs=fixed)

        with ThreadPoolExecutor(max_workers=workers) as pool:
            fitted = list(pool.map(one, range(len(problem.folds))))
    binary = problem.binary
    link = "none" if problem.task is Task.REGRESSION else "logistic" if binary else "softmax"
    answer = np.zeros((len(problem.target), problem.outputs))
    for fold, network in zip(problem.folds, fitted, strict=True):
        answer[fold.valid] = scoring.linked(network.raw * spread + center, link)
    part = Part(algorithm, 1.0, link, 1 if binary else problem.outputs, (), [_arrays(design, fitted, center, spread)])
    return part, answer[problem.scored], tuple(network.epochs for network in fitted)


def _target(problem: Problem) -> tuple[float, float]:
    """(center, spread) of a regression's values; the networks learn standardized ones."""
    import numpy as np

    if problem.task is not Task.REGRESSION:
        return 0.0, 1.0
    values = problem.target.astype(np.float64)
    return float(values.mean()), float(values.std()) or 1.0


def _arrays(design: Design, fitted: Sequence[_Network], center: float, spread: float) -> dict[str, Any]:
    """All networks side by side, as scoring.Network reads them: the first layers are one linear model."""
    import numpy as np

    first = design.arrays(
        np.hstack([network.weights[0] for network in fitted]), np.concatenate([network.intercepts[0] for network in fitted])
    )
    return {
        **first,
        "hidden": np.stack([network.weights[1] for network in fitted]),
        "hidden_intercept": np.stack([network.intercepts[1] for network in fitted]),
        "last": np.stack([network.weights[2] for network in fitted]) * spread,
        "last_intercept": np.stack([network.intercepts[2] for network in fitted]) * spread + center,
    }


def _fit(
    problem: Problem,
    design: Design,
    fold: Fold,
    index: int,
    *,
    parameters: Mapping[str, object],
    watch: Watch,
    epochs: int | None,
) -> _Network:
    """Epoch by epoch until the fold's scored rows stop improving, or for `epochs`."""
    import numpy as np
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    center, spread = _target(problem)
    regression = problem.task is Task.REGRESSION
    target = (problem.target.astype(np.float64) - center) / spread if regression else problem.target.astype(np.int64)
    make = MLPRegressor if regression else MLPClassifier
    wide = int(str(parameters["units"]))
    model = make(
        hidden_layer_sizes=(wide, wide // 2),
        alpha=float(str(parameters["alpha"])),
        learning_rate_init=float(str(parameters["learning_rate"])),
        batch_size=min(128, max(8, len(fold.train) // 20)),
        random_state=(problem.seed * 1009 + index + 1) % 2**32,
    )
    rows, scored = design.rows[fold.train], design.rows[fold.valid]
    more = {} if regression else {"classes": np.arange(problem.outputs)}
    best, best_epoch, kept = np.inf, 0, None
    for epoch in range(1, (epochs or _MOST_EPOCHS) + 1):
        if watch.stopped() or (watch.due() and not (watch.keep and kept)):
            raise StoppedError
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.partial_fit(rows, target[fold.train], **more)
        loss = (
            0.0 if epochs is not None else _loss(problem, _forward(model.coefs_, model.intercepts_, scored), target[fold.valid])
        )
        if epochs is not None or loss < best - 1e-7:
            best, best_epoch = loss, epoch
            kept = ([each.copy() for each in model.coefs_], [each.copy() for each in model.intercepts_])
        elif epoch - best_epoch >= _PATIENCE or watch.due():
            break
    assert kept is not None
    return _Network(kept[0], kept[1], _forward(kept[0], kept[1], scored), best_epoch)


def _forward(weights: Sequence[Floats], intercepts: Sequence[Floats], rows: Floats) -> Floats:
    """(rows, outputs): the last layer's raw output."""
    import numpy as np

    found = rows
    for place, (weight, intercept) in enumerate(zip(weights, intercepts, strict=True)):
        found = found @ weight + intercept
        if place < len(weights) - 1:
            found = np.maximum(found, 0.0)
    return found


def _loss(problem: Problem, raw: Floats, target: Any) -> float:
    import numpy as np

    if problem.task is Task.REGRESSION:
        return float(((raw[:, 0] - target) ** 2).mean())
    answer = scoring.linked(raw, "logistic" if problem.binary else "softmax")
    return float(-np.log(np.clip(answer[np.arange(len(target)), target], 1e-15, 1)).mean())
