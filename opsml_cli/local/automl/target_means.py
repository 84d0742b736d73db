"""Categories with many values: beside its code, a value is told by the target's mean where it is met, drawn towards the mean
of all as far as the value is rare (Micci-Barreca, 2001; scikit-learn's TargetEncoder)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.job import Task
from opsml_cli.local.automl import out_of_fold, scoring

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from opsml_cli.local.automl.encode import Encoding
    from opsml_cli.local.automl.problem import Fold

    Floats = NDArray[np.float64]

FROM = 200  # codes of a column; with fewer, linear models and networks know each of them (linear.MOST_CODES), and trees do well
RELIABLE = 0.5  # of what the values' means differ by, at least so much must be more than chance (measured: below, they mislead)
_MOST_CLASSES = 10


def supervise(
    encoding: Encoding, matrix: Floats, target: NDArray[np.generic], *, task: Task, folds: Sequence[Fold], seed: int
) -> tuple[Encoding, Floats]:
    """Give every category column of many codes its means: the encoding for rows to come, and the matrix of these rows, in
    which each is answered by the means of other rows. Without such columns, as given."""
    import numpy as np

    many = [column["kind"] == "category" and len(column["codes"]) >= FROM for column in encoding.columns]
    wanted = out_of_fold.wanted(target, task, folds, _MOST_CLASSES) if any(many) else None
    slices = scoring.Encoder(encoding.columns).slices
    columns, blocks = [], []
    for column, part, sizable in zip(encoding.columns, slices, many, strict=True):
        block = matrix[:, part]
        if column["kind"] == "category":
            column = {key: value for key, value in column.items() if key != "means"}  # noqa: PLW2901
            block = block[:, :1]  # an encoding that is kept from before has means of other rows
            pull = _pull(block[:, 0], wanted, task) if sizable and wanted is not None else None
            if wanted is not None and pull is not None:
                means, answers = _learned(column, block, wanted, pull, folds=folds, task=task, seed=seed)
                column["means"] = means.T.tolist()
                block = np.hstack([block, answers])
        columns.append(column)
        blocks.append(block)
    return replace(encoding, columns=tuple(columns)), np.hstack(blocks)


def _pull(codes: NDArray[np.float64], target: NDArray[np.generic], task: Task) -> float | None:
    """How many rows of the overall mean are added to a value's own, from the variance within the values and between them
    (one-way analysis); None where most of what the means differ by is chance."""
    import numpy as np

    known = ~np.isnan(codes)
    place = codes[known].astype(np.int64)
    counts = np.bincount(place).astype(np.float64)
    met = counts > 0
    rows, values = int(known.sum()), int(met.sum())
    if values < 2 or rows <= values:
        return None
    best: tuple[float, float] | None = None
    for wanted in _indicators(target[known], _labels(target, task)):
        sums = np.bincount(place, weights=wanted)
        between = float((sums[met] ** 2 / counts[met]).sum() - wanted.sum() ** 2 / rows)
        within = float((wanted**2).sum() - (sums[met] ** 2 / counts[met]).sum()) / (rows - values)
        spread = (between / (values - 1) - within) / ((rows - (counts**2).sum() / rows) / (values - 1))
        if spread > 0:
            share = float((counts[met] * spread / (spread + within / counts[met])).sum()) / rows
            best = max(best or (0.0, 0.0), (share, within / spread))
    return best[1] if best is not None and best[0] >= RELIABLE else None


def _labels(target: NDArray[np.generic], task: Task) -> list[float] | None:
    """The classes whose share is a value's mean: the second of two, or all; None for a regression."""
    import numpy as np

    if task is Task.REGRESSION:
        return None
    labels: list[float] = np.unique(target).tolist()
    return labels[1:] if len(labels) == 2 else labels


def _indicators(target: NDArray[np.generic], labels: list[float] | None) -> list[NDArray[np.float64]]:
    import numpy as np

    return [target.astype(np.float64)] if labels is None else [(target == label).astype(np.float64) for label in labels]


def _learned(
    column: dict[str, Any],
    codes: Floats,
    target: NDArray[np.generic],
    pull: float,
    *,
    folds: Sequence[Fold],
    task: Task,
    seed: int,
) -> tuple[Floats, Floats]:
    """(means (codes, k) of all rows, answers (rows, k) of means that have not seen the row)."""
    import numpy as np

    labels = _labels(target, task)  # of all rows: a part may lack one
    every = np.arange(len(column["codes"]) + (column.get("other") is not None), dtype=np.float64)[:, None]
    means = _means(codes, target, every, labels, pull)
    answers = np.empty((len(codes), means.shape[1]))
    for learned, scored in out_of_fold.parts(target, task, folds, seed):
        answers[scored] = _means(codes[learned], target[learned], codes[scored], labels, pull)
    answers[np.isnan(codes[:, 0])] = np.nan
    return means, answers


def _means(codes: Floats, target: NDArray[np.generic], asked: Floats, labels: list[float] | None, pull: float) -> Floats:
    """(asked, k): for each code the mean of the target, or of belonging to each of the classes `labels`."""
    import numpy as np
    from sklearn.preprocessing import TargetEncoder

    encoder = TargetEncoder(target_type="continuous", smooth=pull)
    return np.hstack([encoder.fit(codes, wanted).transform(asked) for wanted in _indicators(target, labels)])
