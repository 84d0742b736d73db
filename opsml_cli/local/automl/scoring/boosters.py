"""LightGBM models through the library's C interface."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from .leaf_sets import LeafSets, sets_of

_MANY = 256  # rows from which on sets of leaves are worth their making
_PARALLEL = 128  # rows from which on cores share the work
_PARALLEL_SETS = 4096  # where it is done by sets of leaves


def _shared_library() -> tuple[ctypes.CDLL, ctypes.PyDLL]:
    """LightGBM's C library, found without importing the package (its import costs a second). The second handle keeps
    Python's lock: for calls of microseconds, releasing it costs more than the call."""
    import importlib.util
    import sys

    spec = importlib.util.find_spec("lightgbm")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'lightgbm'", name="lightgbm")
    folder = Path(next(iter(spec.submodule_search_locations)))
    suffix = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
    for place in (folder / "lib", folder / "bin", folder):
        path = place / f"lib_lightgbm{suffix}"
        if path.is_file():
            return ctypes.CDLL(str(path)), ctypes.PyDLL(str(path))
    import lightgbm.basic

    library = lightgbm.basic._LIB
    return library, ctypes.PyDLL(library._name)


_ROW_OPTIONS = b"num_threads=1 verbosity=-1"


class Booster:
    """One LightGBM model through the C interface. Not a pickle: the text that LightGBM itself writes.

    `kind` is what is predicted, as LightGBM numbers it: 0 answers, 1 raw scores, 2 the leaf of every tree."""

    _libraries: tuple[ctypes.CDLL, ctypes.PyDLL] | None = None
    _loading = threading.Lock()

    def __init__(self, text: str, outputs: int, width: int, kind: int = 0) -> None:
        with Booster._loading:
            if Booster._libraries is None:
                Booster._libraries = _shared_library()
        self._many, self._one = Booster._libraries
        self.outputs = outputs
        self.width = width
        self._kind = ctypes.c_int(kind)
        self._text: str | None = text  # until many rows come
        self._sets: LeafSets | None = None
        self._handle = ctypes.c_void_p()
        iterations = ctypes.c_int()
        self._check(
            self._many.LGBM_BoosterLoadModelFromString(text.encode(), ctypes.byref(iterations), ctypes.byref(self._handle))
        )
        self._fast = ctypes.c_void_p()
        self._check(
            self._many.LGBM_BoosterPredictForMatSingleRowFastInit(
                self._handle,
                self._kind,
                ctypes.c_int(0),
                ctypes.c_int(-1),
                ctypes.c_int(1),
                ctypes.c_int32(width),
                ctypes.c_char_p(_ROW_OPTIONS),
                ctypes.byref(self._fast),
            )
        )
        self._result = np.zeros(outputs, dtype=np.float64)
        self._result_pointer = ctypes.c_void_p(self._result.ctypes.data)
        self._length = ctypes.c_int64()
        self._length_pointer = ctypes.byref(self._length)
        self._call = self._one.LGBM_BoosterPredictForMatSingleRowFast

    def _check(self, status: int) -> None:
        if status != 0:
            describe = self._many.LGBM_GetLastError
            describe.restype = ctypes.c_char_p
            raise RuntimeError(f"LightGBM: {describe().decode(errors='replace')}")

    def row(self, pointer: ctypes.c_void_p) -> np.ndarray:
        """(outputs,) for the row at `pointer`. The array is reused by the next call; one caller at a time."""
        if self._call(self._fast, pointer, self._length_pointer, self._result_pointer) != 0:
            self._check(-1)
        return self._result

    def matrix(self, matrix: np.ndarray, threads: int = 0) -> np.ndarray:
        """(rows, outputs) for a C-ordered float64 matrix."""
        if len(matrix) >= _MANY:
            sets = self.sets()
            if sets is not None:
                return sets(matrix)
        return self._trees(matrix, threads)

    def sets(self) -> LeafSets | None:
        """Made when many rows come for the first time."""
        if self._text is not None:
            with Booster._loading:
                text, self._text = self._text, None
                if text is not None:
                    self._sets = sets_of(text, self._kind.value, self.width, lambda rows: self._trees(rows, 1))
        return self._sets

    def _trees(self, matrix: np.ndarray, threads: int) -> np.ndarray:
        result = np.empty((len(matrix), self.outputs), dtype=np.float64)
        length = ctypes.c_int64()
        if len(matrix):
            self._check(
                self._many.LGBM_BoosterPredictForMat(
                    self._handle,
                    ctypes.c_void_p(matrix.ctypes.data),
                    ctypes.c_int(1),
                    ctypes.c_int32(matrix.shape[0]),
                    ctypes.c_int32(matrix.shape[1]),
                    ctypes.c_int(1),
                    self._kind,
                    ctypes.c_int(0),
                    ctypes.c_int(-1),
                    ctypes.c_char_p(f"num_threads={threads} verbosity=-1".encode()),
                    ctypes.byref(length),
                    ctypes.c_void_p(result.ctypes.data),
                )
            )
        return result

    def close(self) -> None:
        if self._fast:
            self._many.LGBM_FastConfigFree(self._fast)
            self._fast = ctypes.c_void_p()
        if self._handle:
            self._many.LGBM_BoosterFree(self._handle)
            self._handle = ctypes.c_void_p()


def summed(boosters: Sequence[Booster], matrix: np.ndarray) -> np.ndarray:
    """(n, outputs): the boosters' summed scores. Each core takes a share of the rows through all of them: the library's own
    threads wait for each other after every booster, which costs more than the trees where other work runs beside them."""

    def share(part: np.ndarray) -> np.ndarray:
        total = boosters[0].matrix(part, 1)
        for booster in boosters[1:]:
            total += booster.matrix(part, 1)
        return total

    quick = len(matrix) >= _MANY and all(booster.sets() is not None for booster in boosters)
    workers = min(cores(), len(matrix) // ((_PARALLEL_SETS if quick else _PARALLEL) // 2))
    if workers < 2:
        return share(matrix)
    with ThreadPoolExecutor(workers) as pool:
        return np.concatenate(list(pool.map(share, np.array_split(matrix, workers))))


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
