"""What columns learn of the target before any trial: from which rows, and for which of them it is answered. A row is answered
by what has not seen it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from opsml_cli.domain.job import Task
from opsml_cli.local.automl import splits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from opsml_cli.local.automl.problem import Fold

    Ints = NDArray[np.int64]

_FOLDS = 5


def wanted(target: NDArray[np.generic], task: Task, folds: Sequence[Fold], most_classes: int) -> NDArray[np.generic] | None:
    """The target as it is learned: classes, or standardized values; None with more than `most_classes`, or where a fold does
    not have all of them."""
    import numpy as np

    if task is Task.REGRESSION:
        values = target.astype(np.float64)
        standard: NDArray[np.float64] = (values - values.mean()) / (values.std() or 1.0)
        return standard
    classes = len(np.unique(target))
    if classes > most_classes or any(len(np.unique(target[fold.train])) < classes for fold in folds):
        return None
    return target


def parts(target: NDArray[np.generic], task: Task, folds: Sequence[Fold], seed: int) -> list[tuple[Ints, Ints]]:
    """(rows to learn from, rows to answer), so that every row is answered once."""
    import numpy as np

    found = [(fold.train, fold.valid) for fold in folds]
    # Rows that no fold scores meet what each other have taught.
    rest = np.setdiff1d(np.arange(len(target)), np.concatenate([fold.valid for fold in folds]))
    if len(rest):
        count = min(_FOLDS, len(rest))
        place = splits.assign(target[rest], task, count, seed)
        found += [(rest[place != each], rest[place == each]) for each in range(count)]
    return found
