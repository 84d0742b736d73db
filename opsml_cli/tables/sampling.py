"""A uniform sample of a stream of batches, without replacement, reproducible and in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def sampled(batches: Iterable[pa.RecordBatch], total: int, wanted: int, seed: int) -> Iterator[pa.RecordBatch]:
    """`wanted` of the `total` rows that `batches` hold, in their order: each batch gives a hypergeometric share."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(seed)
    left, open_rows = wanted, total
    for batch in batches:
        here = min(batch.num_rows, open_rows)
        # NumPy's hypergeometric takes fewer than 10^9 items; tables of more rows take their expected share.
        if open_rows < 10**9:
            take = int(random.hypergeometric(here, open_rows - here, left)) if left and here else 0
        else:
            take = min(left, round(left * here / open_rows))
        open_rows -= here
        if take:
            left -= take
            picked = np.sort(random.choice(here, take, replace=False))
            yield batch.take(pa.array(picked))
        if not left:
            return
