"""The parts of an ensemble: bags of boosters, linear models, networks, kernels, and the links from scores to answers."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .boosters import Booster, summed
from .kernel import Kernel
from .standard import places, standardized


def softmax(scores: np.ndarray) -> np.ndarray:
    """(n, k) scores to probabilities."""
    scores = scores - scores.max(axis=1, keepdims=True)
    grown = np.exp(scores)
    return np.asarray(grown / grown.sum(axis=1, keepdims=True))


class Linear:
    """A linear model over standardized numbers and one-hot categories, held as arrays.

    `numbers` and `categories` are positions in the encoded matrix; a missing number becomes its mean, and each category
    column has a weight row for every code and one, the last, for missing or unknown."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.numbers = arrays["numbers"].astype(np.int64)
        self.mean = arrays["mean"]
        self.scale = arrays["scale"]
        self.weights = arrays["weights"]
        self.missing = arrays["missing"]
        self.categories = arrays["categories"].astype(np.int64)
        self.offsets = arrays["offsets"].astype(np.int64)
        self.sizes = arrays["sizes"].astype(np.int64)
        self.table = arrays["table"]
        self.intercept = arrays["intercept"]

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        """(n, k) raw scores."""
        result: np.ndarray = np.tile(self.intercept, (len(matrix), 1))
        if len(self.numbers):
            standard, absent = standardized(matrix[:, self.numbers], self.mean, self.scale)
            # The products are summed row by row in one fixed order, so a row scores the same alone and in a batch.
            result += np.einsum("nf,fk->nk", standard, self.weights)
            result += np.einsum("nf,fk->nk", absent.astype(np.float64), self.missing)
        if len(self.categories):
            result += self.table[places(matrix[:, self.categories], self.sizes) + self.offsets].sum(axis=1)
        return result


class Network:
    """Small networks of two hidden layers side by side, their outputs averaged: the first layers are one Linear; then for
    each of the b networks `hidden` (b, h, g), `last` (b, g, k), and their intercepts (b, g) and (b, k)."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._first = Linear(arrays)
        self._hidden, self._hidden_intercept = arrays["hidden"], arrays["hidden_intercept"]
        self._last, self._last_intercept = arrays["last"], arrays["last_intercept"]

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        """(n, k) raw scores."""
        count = len(self._hidden)
        first = np.maximum(self._first.scores(matrix), 0.0).reshape(len(matrix), count, -1)
        hidden = np.maximum(np.einsum("nbh,bhg->nbg", first, self._hidden) + self._hidden_intercept, 0.0)
        return np.asarray((np.einsum("nbg,bgk->nbk", hidden, self._last) + self._last_intercept).mean(axis=1))


def dense(arrays: Mapping[str, np.ndarray]) -> Linear | Network | Kernel:
    """The model that the arrays hold."""
    if "points" in arrays:
        return Kernel(arrays)
    return Network(arrays) if "hidden" in arrays else Linear(arrays)


class Member:
    """A weighted part of the ensemble: a bag of boosters or a linear model."""

    def __init__(self, document: Mapping[str, Any], folder: Path, outputs: int, width: int) -> None:
        self.weight = float(document["weight"])
        self.link = document["link"]  # from the parts' mean to the answer: see `linked`
        self.boosters: list[Booster] = []
        self.linear: list[Linear | Network | Kernel] = []
        for name in document["files"]:
            if document["kind"] == "lightgbm":
                text = (folder / name).read_text(encoding="utf-8")
                self.boosters.append(Booster(text, int(document["outputs"]), width))
            else:
                with np.load(folder / name, allow_pickle=False) as arrays:
                    self.linear.append(dense({key: arrays[key] for key in arrays.files}))
        self.outputs = outputs

    def answer(self, matrix: np.ndarray) -> np.ndarray:
        """(n, k) probabilities or (n, 1) values."""
        total: np.ndarray | None = None
        if self.boosters and len(matrix) == 1:
            pointer = ctypes.c_void_p(matrix.ctypes.data)
            total = self.boosters[0].row(pointer).copy()
            for booster in self.boosters[1:]:
                total += booster.row(pointer)
            total = linked(total[None, :] / len(self.boosters), self.link)
        elif self.boosters:
            total = linked(summed(self.boosters, matrix) / len(self.boosters), self.link)
        for part in self.linear:
            scores = linked(part.scores(matrix), self.link)
            total = scores if total is None else total + scores
        if self.linear and total is not None:
            total = total / len(self.linear)
        assert total is not None
        return total


def linked(scores: np.ndarray, link: str) -> np.ndarray:
    """Apply a member's link to the mean of its parts: (n, outputs) to (n, k).

    `none`; `exp`: the logarithm of a value and one; `positive`: one column, the second class's probability; `share`: bounded
    votes, one column a class or the second class alone; `logistic` and `softmax`: scores."""
    if link == "none":
        return scores
    if link == "softmax":
        return softmax(scores)
    if link == "exp":
        return np.asarray(np.expm1(np.minimum(scores, 700.0)))
    if link == "logistic":
        scores = 1.0 / (1.0 + np.exp(-np.clip(scores, -700.0, 700.0)))
    elif link == "share":
        scores = np.clip(scores, 1e-6, 1.0 - 1e-6)
    elif link != "positive":
        raise ValueError(f"unknown link {link!r}")
    if scores.shape[1] == 1:
        return np.hstack([1.0 - scores, scores])
    return np.asarray(scores / scores.sum(axis=1, keepdims=True))
