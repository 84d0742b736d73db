"""Which rows are learned from, which are scored, and which are held out: by chance, by groups, or by time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsml_cli.domain.errors import InvalidInputError, UsageError
from opsml_cli.domain.job import AutoMLSpec, Task
from opsml_cli.local.automl import scoring
from opsml_cli.local.automl.problem import Fold

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

DEFAULT_FOLDS = 5
LEAST_ROWS = 10
_LEAST_ROWS_FOR_TEST = 60


def hold_out(spec: AutoMLSpec, frame: pd.DataFrame, values: NDArray[np.generic], task: Task) -> tuple[Ints, Ints]:
    """(rows to learn from, rows that no trial sees), in order. The job's groups stay whole, and where it names a time the
    latest rows are held out. None are held out of too few."""
    import numpy as np

    everything, nothing = np.arange(len(values)), np.zeros(0, dtype=np.int64)
    share = spec.test_size
    if share is None:
        if len(values) < _LEAST_ROWS_FOR_TEST:
            return everything, nothing
        share = 0.1 if len(values) >= 20_000 else 0.2
    learn, test = _parted(spec, frame, values, task, share=share, seed=spec.seed)
    if task is Task.CLASSIFICATION and len(np.unique(values[learn])) < 2:
        return everything, nothing
    if len(learn) < LEAST_ROWS:
        raise InvalidInputError(f"{len(learn)} rows are left for training", fix="--test-size with a smaller share")
    return learn, test


def folds(
    spec: AutoMLSpec, frame: pd.DataFrame, values: NDArray[np.generic], task: Task, usual_share: float | None = None
) -> tuple[Fold, ...]:
    """The folds that the job asks for; where it asks for none, `usual_share` of the rows is validated on when given. UsageError
    for more folds than rows or groups."""
    share = spec.validation_size
    if share is None and spec.cross_validations is None:
        share = usual_share
    if share is not None:
        return (Fold(*_parted(spec, frame, values, task, share=share, seed=spec.seed + 1)),)
    count = spec.cross_validations or DEFAULT_FOLDS
    if count > len(values):
        raise UsageError(f"{count} folds need at least {count} rows; there are {len(values)}", fix="--cv with fewer folds")
    if spec.time_column is not None:
        return _time_folds(_order(frame, spec.time_column), values, task, count)
    if spec.group_column is not None:
        groups = _groups(frame, spec.group_column)
        found = int(groups.max()) + 1
        if found < 2:
            raise InvalidInputError(f"the group column {spec.group_column!r} has one group only: nothing can be held out")
        return _grouped_folds(groups, min(count, found), spec.seed)
    return stratified_folds(values, task, count, spec.seed)


def _parted(
    spec: AutoMLSpec, frame: pd.DataFrame, values: NDArray[np.generic], task: Task, *, share: float, seed: int
) -> tuple[Ints, Ints]:
    import numpy as np

    if spec.time_column is not None:
        order = _order(frame, spec.time_column)
        kept = len(order) - max(1, min(len(order) - 1, round(len(order) * share)))
        return np.sort(order[:kept]), np.sort(order[kept:])
    if spec.group_column is not None:
        groups = _groups(frame, spec.group_column)
        sizes = np.bincount(groups)
        if len(sizes) < 2:
            raise InvalidInputError(f"the group column {spec.group_column!r} has one group only: nothing can be held out")
        drawn = np.random.default_rng([seed, 1299709]).permutation(len(sizes))
        # Whole groups until the share is reached as nearly as it can be; one group at least stays on either side.
        reached = np.cumsum(sizes[drawn])
        taken = 1 + int(np.abs(reached[:-1] - share * len(groups)).argmin())
        out = np.isin(groups, drawn[:taken])
        return np.flatnonzero(~out), np.flatnonzero(out)
    return split(values, task, share, seed)


def _groups(frame: pd.DataFrame, column: str) -> Ints:
    """The number of each row's group, from 0; rows without a value are one group."""
    import numpy as np

    texts = ["" if scoring.is_missing(value) else str(value) for value in frame[column].tolist()]
    return np.unique(texts, return_inverse=True)[1].astype(np.int64)


def _order(frame: pd.DataFrame, column: str) -> Ints:
    """The rows from the earliest to the latest; equal times in their order. InvalidInputError for a value that is no time."""
    import numpy as np

    values = frame[column].tolist()
    read = scoring.number_of if all(isinstance(each, int | float) for each in values) else _seconds
    try:
        times = [read(value) for value in values]
    except scoring.UnfitError as error:
        raise InvalidInputError(
            f"the time column {column!r} holds what is no time", cause=f"expected {error.expected}, or numbers"
        ) from error
    if np.isnan(times).any():
        raise InvalidInputError(f"the time column {column!r} has missing values", fix="fill them, or leave --time-column out")
    return np.argsort(times, kind="stable")


def _seconds(value: object) -> float:
    return scoring.date_parts(value)[0]


def _time_folds(order: Ints, values: NDArray[np.generic], task: Task, count: int) -> tuple[Fold, ...]:
    """Each fold is scored on a stretch of time and learns from all that came before; the first stretch is only learned from.

    Stretches whose past has one class alone are left out."""
    import numpy as np

    parts = np.array_split(order, count + 1)
    found = []
    for index in range(1, len(parts)):
        past = np.sort(np.concatenate(parts[:index]))
        if len(parts[index]) and (task is Task.REGRESSION or len(np.unique(values[past])) == len(np.unique(values))):
            found.append(Fold(past, np.sort(parts[index])))
    if not found:
        raise InvalidInputError(
            "no stretch of time has a past with every class", fix="--cv with fewer folds, or leave --time-column out"
        )
    return tuple(found)


def _grouped_folds(groups: Ints, count: int, seed: int) -> tuple[Fold, ...]:
    """Groups whole, the folds of nearly equal size: each group, the largest first, goes to the smallest fold."""
    import numpy as np

    sizes = np.bincount(groups)
    draw = np.random.default_rng([seed, 104729])
    shuffled = draw.permutation(len(sizes))
    fold_of, filled = np.zeros(len(sizes), dtype=np.int64), np.zeros(count)
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        fold_of[group] = int(filled.argmin())
        filled[fold_of[group]] += sizes[group]
    place = fold_of[groups]
    return tuple(Fold(np.flatnonzero(place != fold), np.flatnonzero(place == fold)) for fold in range(count))


def stratified_folds(target: NDArray[np.generic], task: Task, count: int, seed: int) -> tuple[Fold, ...]:
    """`count` folds of nearly equal size with the classes (or the range of values) spread evenly over them."""
    import numpy as np

    place = assign(target, task, count, seed)
    return tuple(Fold(np.flatnonzero(place != fold), np.flatnonzero(place == fold)) for fold in range(count))


def assign(target: NDArray[np.generic], task: Task, count: int, seed: int) -> Ints:
    """The fold of each row."""
    import numpy as np

    draw = np.random.default_rng([seed, 104729])
    # Shuffled first, then sorted by target with a stable sort, then dealt out in rounds: ties fall at random.
    order = draw.permutation(len(target))
    order = order[np.argsort(target[order], kind="stable")]
    rounds = (len(target) + count - 1) // count
    dealt = np.concatenate([draw.permutation(count) for _ in range(rounds)])[: len(target)]
    if task is Task.CLASSIFICATION:
        dealt = np.arange(len(target)) % count
    place = np.empty(len(target), dtype=np.int64)
    place[order] = dealt
    return place


def split(target: NDArray[np.generic], task: Task, share: float, seed: int) -> tuple[Ints, Ints]:
    """(rows kept, rows held out), in order; at least one row each."""
    import numpy as np

    held = max(1, min(len(target) - 1, round(len(target) * share)))
    draw = np.random.default_rng([seed, 1299709])
    order = draw.permutation(len(target))
    if task is Task.CLASSIFICATION:
        order = order[np.argsort(target[order], kind="stable")]
        # Every (n / held)-th row of the class-sorted order: each class gives its share.
        chosen = order[np.unique(((np.arange(held) + draw.random()) * len(target) / held).astype(np.int64))]
    else:
        chosen = order[:held]
    mask = np.zeros(len(target), dtype=bool)
    mask[chosen] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)
