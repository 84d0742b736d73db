"""A kernel model: a weighted sum of how near a row is to each of its landmarks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .standard import places, standardized

_CELLS = 64_000  # distances held at once: they stay in the processor's cache


class Kernel:
    """Laplacian kernel exp(-reach * distance) over standardized numbers and categories, held as arrays.

    The distance to a landmark is the sum of the differences of the numbers (`points` (m, c)), one for each number that only one
    of the two lacks (`gaps` (m, h), for those of the numbers whose places are `gapped`), and two for each category that differs
    (`codes` (m, g)); `weights` (m, k)."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._numbers, self._categories = arrays["numbers"].astype(np.int64), arrays["categories"].astype(np.int64)
        self._mean, self._scale, self._sizes = arrays["mean"], arrays["scale"], arrays["sizes"].astype(np.int64)
        self._gapped = arrays["gapped"].astype(np.int64)
        self._points = np.ascontiguousarray(np.hstack([arrays["points"], arrays["gaps"].astype(np.float64)]).T)
        self._codes = np.ascontiguousarray(arrays["codes"].T)
        self._reach = float(arrays["reach"])
        self._weights, self._intercept = arrays["weights"], arrays["intercept"]

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        """(n, k) raw scores."""
        standard, absent = standardized(matrix[:, self._numbers], self._mean, self._scale)
        points = np.hstack([standard, absent[:, self._gapped].astype(np.float64)])
        codes = places(matrix[:, self._categories], self._sizes)
        count = len(self._weights)
        result = np.empty((len(matrix), self._weights.shape[1]))
        step = max(1, _CELLS // count)
        for start in range(0, len(matrix), step):
            rows = slice(start, start + step)
            far = np.zeros((len(points[rows]), count))
            one = np.empty_like(far)
            for mine, theirs in zip(points[rows].T, self._points, strict=True):
                np.subtract(mine[:, None], theirs, out=one)
                far += np.abs(one, out=one)
            for own, others in zip(codes[rows].T, self._codes, strict=True):
                far += np.multiply(own[:, None] != others, 2.0, out=one)
            np.exp(np.multiply(far, -self._reach, out=far), out=far)
            # Summed row by row in one fixed order, so a row scores the same alone and in a batch.
            result[rows] = np.einsum("nm,mk->nk", far, self._weights)
        return np.asarray(result + self._intercept)
