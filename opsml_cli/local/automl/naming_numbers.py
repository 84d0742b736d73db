"""Whole numbers that name things, such as a customer's or a shop's: what the target is at a value says nothing of the values
beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_BESIDE = 50  # rows at each side that tell what a value's neighbours say
_COMMON = 20  # values met in more rows, and in more than a hundredth of all, are told apart by trees
_FEWEST = 20  # values that must be left
# Measured on 90 columns of 46 tables: the two that name things are at 15 and 20 standard errors, and 0.60 and 0.92 of what
# their means differ by is more than chance; amounts, areas and counts reach 6.8 and 0.47.
_ERRORS = 5.0
_RELIABLE = 0.5


def names_things(values: Floats, targets: Sequence[Floats]) -> bool:
    """Whether rows of one value are alike in one of the `targets`, beyond what rows of the values beside it tell. `values`
    (n,) may have missing ones; each target is (n,)."""
    import numpy as np

    known = np.flatnonzero(~np.isnan(values))
    place = np.unique(values[known], return_inverse=True)[1]
    counts = np.bincount(place).astype(np.float64)
    used = (counts > 1) & (counts <= max(_COMMON, len(known) / 100))
    if used.sum() < _FEWEST:
        return False
    return any(_alike(place, counts, target[known], used) for target in targets)


def _alike(place: NDArray[np.int64], counts: Floats, target: Floats, used: NDArray[np.bool_]) -> bool:
    import numpy as np

    totals = np.bincount(place, weights=target).astype(np.float64)
    rows = target - _beside(counts, totals)[place]
    sums, squares = np.bincount(place, weights=rows)[used], np.bincount(place, weights=rows**2)[used]
    weights = counts[used]
    # Products of two different rows of a value: their mean is what the value itself adds, however noisy each value is.
    products = (sums**2 - squares) / (weights * (weights - 1))
    spread = float(np.average(products, weights=weights))
    error = float(np.sqrt((weights**2 * (products - spread) ** 2).sum()) / weights.sum())
    if spread <= 0 or spread < _ERRORS * error:
        return False
    noise = max(0.0, float(squares.sum() / weights.sum()) - spread)
    reliable = float((weights * spread / (spread + noise / weights)).sum())
    return reliable >= _RELIABLE * len(target)


def _beside(counts: Floats, sums: Floats) -> Floats:
    """For each value, in their order, the target's mean at the values beside it: at least one at each side that has one, and
    as many as hold the rows that are wanted."""
    import numpy as np

    values = np.arange(len(counts))
    before = np.concatenate([[0.0], np.cumsum(counts)])
    upto = np.concatenate([[0.0], np.cumsum(sums)])
    width = max(_BESIDE, before[-1] / 200)
    first = np.minimum(np.searchsorted(before, before[:-1] - width), np.maximum(values - 1, 0))
    last = np.maximum(np.searchsorted(before, before[1:] + width).clip(max=len(counts)), np.minimum(values + 2, len(counts)))
    found = (upto[last] - upto[first] - sums) / np.maximum(before[last] - before[first] - counts, 1)
    return np.asarray(found, dtype=np.float64)
