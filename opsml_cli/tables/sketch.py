"""How many distinct values went by, in constant memory (HyperLogLog)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_BITS = 14  # 16,384 registers: a standard error of 0.8 %


class DistinctSketch:
    """Counts distinct 64-bit hashes; `estimate` is off by about 1 %."""

    def __init__(self) -> None:
        import numpy as np

        self._registers = np.zeros(1 << _BITS, dtype=np.uint8)

    def add(self, hashes: np.ndarray) -> None:
        """`hashes`: well mixed uint64."""
        import numpy as np

        index = (hashes >> np.uint64(64 - _BITS)).astype(np.int64)
        # The position of the first one among the other bits; frexp's exponent is the bit length (53 bits suffice).
        rest = (hashes << np.uint64(_BITS)) >> np.uint64(11)
        rank = (54 - np.frexp(rest.astype(np.float64))[1]).astype(np.uint8)
        np.maximum.at(self._registers, index, rank)

    def estimate(self) -> int:
        import numpy as np

        size = len(self._registers)
        raw = 0.7213 / (1 + 1.079 / size) * size * size / float(np.sum(np.exp2(-self._registers.astype(np.float64))))
        empty = int(np.count_nonzero(self._registers == 0))
        if raw <= 2.5 * size and empty:
            return round(size * math.log(size / empty))
        return round(raw)


def mixed(values: np.ndarray) -> np.ndarray:
    """A hash of each 64-bit value (splitmix64)."""
    import numpy as np

    with np.errstate(over="ignore"):
        mix = values.view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        mix = (mix ^ (mix >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mix = (mix ^ (mix >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mix ^ (mix >> np.uint64(31))
