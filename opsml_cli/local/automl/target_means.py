"""Categories with many values, and numbers that name things: beside its code or number, a value is told by the target's mean
where it is met, drawn towards the mean of all as far as the value is rare (Micci-Barreca, 2001; scikit-learn's
TargetEncoder)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.job import Task
from opsml_cli.local.automl import out_of_fold, scoring
from opsml_cli.local.automl.columns import MOST_CODES
from opsml_cli.local.automl.naming_numbers import names_things

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from opsml_cli.local.automl.encode import Encoding
    from opsml_cli.local.automl.problem import Fold

    Floats = NDArray[np.float64]

FROM = 200  # values; with fewer, linear models and networks know each category (linear.MOST_CODES), and trees do well
RELIABLE = 0.5  # of what the values' means differ by, at least so much must be more than chance (measured: below, they mislead)
_MOST_CLASSES = 10
_READ = ("category", "number")
_EXACT = 2.0**53


def supervise(
    encoding: Encoding, matrix: Floats, target: NDArray[np.generic], *, task: Task, folds: Sequence[Fold], seed: int
) -> tuple[Encoding, Floats]:
    """Give every column of many categories, and of many numbers that name things, its means: the encoding for rows to come,
    and the matrix of these rows, in which each is answered by the means of other rows. Without such columns, as given."""
    import numpy as np

    slices = scoring.Encoder(encoding.columns).slices
    firsts = [matrix[:, part.start] for part in slices]
    many = [_many(column, values) for column, values in zip(encoding.columns, firsts, strict=True)]
    wanted = out_of_fold.wanted(target, task, folds, _MOST_CLASSES) if any(many) else None
    columns, blocks, notes = [], [], []
    for column, part, values, sizable in zip(encoding.columns, slices, firsts, many, strict=True):
        block = matrix[:, part]
        if column["kind"] in _READ:
            # An encoding that is kept from before has means of other rows.
            column = {key: value for key, value in column.items() if key not in ("means", "keys")}  # noqa: PLW2901
            block = values[:, None]
            found = _of_column(column, values, wanted, task=task, folds=folds, seed=seed) if sizable else None
            if found is not None:
                column, answers = found  # noqa: PLW2901
                block = np.hstack([block, answers])
                notes += _note(column, encoding.notes)
        columns.append(column)
        blocks.append(block)
    return replace(encoding, columns=tuple(columns), notes=(*encoding.notes, *notes)), np.hstack(blocks)


def _many(column: dict[str, Any], values: NDArray[np.float64]) -> bool:
    """Whether a column has values enough for means; `values` as they are encoded."""
    import numpy as np

    if column["kind"] == "category":
        return len(column["codes"]) >= FROM
    if column["kind"] != "number" or len(values) < 2 * FROM:
        return False
    known = values[~np.isnan(values)]
    return (
        bool((known == np.floor(known)).all())
        and float(np.abs(known).max(initial=0)) < _EXACT
        and len(np.unique(known)) >= FROM
    )


def _of_column(
    column: dict[str, Any],
    values: NDArray[np.float64],
    wanted: NDArray[np.generic] | None,
    *,
    task: Task,
    folds: Sequence[Fold],
    seed: int,
) -> tuple[dict[str, Any], Floats] | None:
    """(the column with its means, answers (rows, k)); None where they would mislead."""
    import numpy as np

    if wanted is None:
        return None
    if column["kind"] == "category":
        codes, count = values, len(column["codes"]) + (column.get("other") is not None)
    else:
        if not names_things(values, _indicators(wanted, _labels(wanted, task))):
            return None
        distinct, counts = np.unique(values[~np.isnan(values)], return_counts=True)
        often = np.argsort(-counts, kind="stable")[:MOST_CODES]
        keys = distinct[np.sort(often[counts[often] > 1])]
        codes, count = scoring.places_of(values, keys), len(keys) + 1
        column = {**column, "keys": keys.astype(np.int64).tolist()}
    pull = _pull(codes, wanted, task)
    if pull is None:
        return None
    means, answers = _learned(count, codes[:, None], wanted, pull, folds=folds, task=task, seed=seed)
    return {**column, "means": means.T.tolist()}, answers


def _note(column: dict[str, Any], known: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """What is told of numbers that are read as names, unless it is `known`."""
    if column["kind"] == "category":
        return []
    told = f"{column['name']!r} holds numbers that name things: read as numbers, and by the target's mean of each"
    return [] if ("High cardinality", told) in known else [("High cardinality", told)]


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
    count: int,
    codes: Floats,
    target: NDArray[np.generic],
    pull: float,
    *,
    folds: Sequence[Fold],
    task: Task,
    seed: int,
) -> tuple[Floats, Floats]:
    """(means (count, k) of all rows for the codes from 0, answers (rows, k) of means that have not seen the row)."""
    import numpy as np

    labels = _labels(target, task)  # of all rows: a part may lack one
    every = np.arange(count, dtype=np.float64)[:, None]
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
