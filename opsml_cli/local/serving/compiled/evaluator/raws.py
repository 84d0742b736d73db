"""Raw scores (n, k) of blocks: linear models, trees, boosters, networks, kernels."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from opsml_cli.local.automl.scoring.boosters import Booster, summed

from ..artifact import Artifact
from .blocks import Block, Document, Layout

Raw = Callable[[Block], np.ndarray]


class Linear:
    """numbers @ weights + intercept."""

    def __init__(self, document: Document, artifact: Artifact, _: Layout) -> None:
        self._weights, self._intercept = artifact.array(document["weights"]), artifact.array(document["intercept"])

    def __call__(self, block: Block) -> np.ndarray:
        return np.asarray(block.numbers @ self._weights + self._intercept)


class Boosted:
    """A LightGBM text. `kind` as in Booster; `single`: the numbers are rounded to float32 first, as scikit-learn's trees and
    XGBoost do."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        self.booster = Booster(artifact.text(document["text"]), document["outputs"], len(inputs), document["kind"])
        self._single = document["single"]
        self._divisor = document.get("divisor", 1)
        # Whether it gives one number, of the numbers as they are.
        self.plain = not self._single and self._divisor == 1 and document["outputs"] == 1
        self._row = np.zeros((1, len(inputs)))
        self._pointer = ctypes.c_void_p(self._row.ctypes.data)
        self.lock = threading.Lock()  # the row and the library's result are shared

    def __call__(self, block: Block) -> np.ndarray:
        numbers = block.numbers
        if self._single:
            numbers = numbers.astype(np.float32)
        if block.size == 1:
            with self.lock:
                self._row[:] = numbers
                total = self.booster.row(self._pointer).copy()[None, :]
        else:
            total = summed([self.booster], np.ascontiguousarray(numbers, dtype=np.float64))
        return total if self._divisor == 1 else total / self._divisor


class Leaves:
    """A forest by the leaves that a row falls into: the sum of their values in the order of the trees, in the type that the
    original sums in. `offsets` (trees,) say where each tree's leaves begin in `values` (leaves, k); `start` (k,) comes first;
    `groups` names the output of each tree where a tree has one; the sum is divided by `divisor`."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        self._leaves = Boosted(document["trees"], artifact, inputs)
        self._offsets = artifact.array(document["offsets"]).astype(np.intp)
        self._values = artifact.array(document["values"])
        self._start = artifact.array(document["start"]).astype(self._values.dtype)
        self._divisor = document["divisor"]
        groups = document.get("groups")
        self._groups = None if groups is None else [np.flatnonzero(np.array(groups) == g) for g in range(len(self._start))]

    def __call__(self, block: Block) -> np.ndarray:
        found = self._values[self._leaves(block).astype(np.intp) + self._offsets]  # (n, trees, k)
        if self._groups is not None:
            total = np.empty((block.size, len(self._start)), dtype=self._values.dtype)
            for group, trees in enumerate(self._groups):
                total[:, group] = self._sum(found[:, trees, 0], self._start[group])
        else:
            total = np.empty((block.size, found.shape[2]), dtype=self._values.dtype)
            for output in range(found.shape[2]):
                total[:, output] = self._sum(found[:, :, output], self._start[output])
        return total if self._divisor == 1 else total / self._divisor

    @staticmethod
    def _sum(parts: np.ndarray, start: Any) -> np.ndarray:
        """(n,) sums of (n, trees) one after the other: NumPy's own sum adds pairs, which rounds otherwise."""
        first = np.concatenate([np.full((len(parts), 1), start, dtype=parts.dtype), parts], axis=1)
        return np.asarray(np.add.accumulate(first, axis=1)[:, -1])


class Oblivious:
    """CatBoost's symmetric trees: at each level one question for the whole tree, (levels, trees) `features` and float32
    `borders`; the answers are the bits of the leaf's number. A missing value counts as the lowest number, of the features
    `high` as the highest."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        self._inputs = inputs
        self._features = artifact.array(document["features"]).astype(np.intp)
        self._borders = artifact.array(document["borders"])
        self._offsets = artifact.array(document["offsets"]).astype(np.intp)
        self._values, self._start = artifact.array(document["values"]), artifact.array(document["start"])
        self._high = document["high"]

    def __call__(self, block: Block) -> np.ndarray:
        step = max(1, 1_000_000 // self._features.shape[1])
        parts = [self._part(block.numbers[start : start + step]) for start in range(0, block.size, step)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _part(self, given: np.ndarray) -> np.ndarray:
        numbers = given.astype(np.float32)
        for place in self._high:
            column = numbers[:, place]
            column[np.isnan(column)] = np.inf
        leaves = np.broadcast_to(self._offsets, (len(numbers), len(self._offsets))).copy()
        for level, (features, borders) in enumerate(zip(self._features, self._borders, strict=True)):
            leaves += (numbers[:, features] > borders) * np.intp(1 << level)
        return np.asarray(self._values[leaves].sum(axis=1) + self._start)


class Isolation:
    """IsolationForest's decision_function, from the sum of the paths' lengths: below 0 is an outlier."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        self._lengths = raw(document["lengths"], artifact, inputs)
        self._divisor, self._offset = document["divisor"], document["offset"]

    def __call__(self, block: Block) -> np.ndarray:
        lengths = self._lengths(block)
        shares = lengths / self._divisor if self._divisor else np.ones_like(lengths)
        return np.asarray(-(2**-shares) - self._offset)


def raw(document: Document, artifact: Artifact, inputs: Layout) -> Raw:
    """The scores that a document describes."""
    from . import examples

    kinds: dict[str, Callable[..., Raw]] = {
        "linear": Linear,
        "boosted": Boosted,
        "leaves": Leaves,
        "oblivious": Oblivious,
        "isolation": Isolation,
        **examples.KINDS,
    }
    return kinds[document["op"]](document, artifact, inputs)
