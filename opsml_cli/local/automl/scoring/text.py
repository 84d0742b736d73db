"""Free text as a few numbers: hashed words and pairs of words, weighted, and projected by a matrix that training has found."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .values import MISSING, UnfitError, is_missing

_WORD = re.compile(r"\w+")
_MOST_WORDS = 2000  # of one value; the rest of a longer one is not read
EXTRA = 2  # beside the projection: the counts of words and of characters


def terms(text: str, buckets: int) -> dict[int, int]:
    """How often each bucket is met by the words of `text`, and by its pairs of neighbouring words; case does not matter."""
    words = [word.encode() for word in _WORD.findall(text[: _MOST_WORDS * 20].casefold())[:_MOST_WORDS]]
    found: dict[int, int] = {}
    for index, word in enumerate(words):
        bucket = zlib.crc32(word) % buckets
        found[bucket] = found.get(bucket, 0) + 1
        if index:
            bucket = zlib.crc32(words[index - 1] + b" " + word) % buckets
            found[bucket] = found.get(bucket, 0) + 1
    return found


def weighted(counts: Mapping[int, int], rarity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(buckets, weights): one plus the logarithm of each count, times the bucket's rarity, of length 1."""
    if not counts:
        return np.empty(0, np.int64), np.empty(0)
    places = np.fromiter(counts, np.int64, len(counts))
    weights = (1.0 + np.log(np.fromiter(counts.values(), np.float64, len(counts)))) * rarity[places]
    return places, weights / (np.sqrt((weights**2).sum()) or 1.0)


class TextCoder:
    """From a value to numbers. `column` holds `buckets`, `size`, and as base64 of little-endian 32-bit floats `rarity`
    (buckets) and `projection` (buckets, size). The last `learned` of its directions are a model's of the target."""

    def __init__(self, column: Mapping[str, Any]) -> None:
        self._buckets, self._size = int(column["buckets"]), int(column["size"])
        self._rarity = unpacked(column["rarity"])
        self._projection = unpacked(column["projection"]).reshape(self._buckets, self._size)
        self._absent = (MISSING,) * (self._size + EXTRA)

    def __call__(self, value: object) -> Sequence[float]:
        """`size` numbers, the count of words and that of characters; all missing for a missing value."""
        if is_missing(value):
            return self._absent
        if not isinstance(value, str):
            if not isinstance(value, bool | int | float | np.generic):
                raise UnfitError("text")
            value = str(value)
        places, weights = weighted(terms(value, self._buckets), self._rarity)
        return (*(weights @ self._projection[places]).tolist(), float(len(_WORD.findall(value))), float(len(value)))


def packed(values: np.ndarray) -> str:
    """As `unpacked` reads it."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode("ascii")


def unpacked(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float64)
