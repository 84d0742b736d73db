"""Encoded columns as numbers of one size: what linear models, networks and kernels read."""

from __future__ import annotations

import numpy as np

_FARTHEST = 8.0  # standard deviations


def standardized(values: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the numbers (n, c), a missing one as the mean; where they are missing (n, c), as booleans)."""
    absent = np.isnan(values)
    with np.errstate(over="ignore"):  # whatever is too far away is clipped
        standard = np.clip(np.where(absent, 0.0, (values - mean) / scale), -_FARTHEST, _FARTHEST)
    return standard, absent


def places(codes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(n, g) whole numbers from 0: the code, and the last place of each column for what is missing or beyond."""
    known = np.nan_to_num(codes, nan=-1.0)
    return np.asarray(np.where((known >= 0) & (known < sizes - 1), known, sizes - 1).astype(np.int64))
