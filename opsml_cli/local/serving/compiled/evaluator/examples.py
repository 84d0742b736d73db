"""Raw scores from examples that the model keeps, and from small networks and densities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..artifact import Artifact
from .blocks import Block, Document, Layout

_CELLS = 2_000_000  # numbers held at once


def _parts(numbers: np.ndarray, cells_a_row: int, score: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """`score` of as many rows at once as memory allows."""
    step = max(1, _CELLS // max(1, cells_a_row))
    if len(numbers) <= step:
        return score(numbers)
    return np.concatenate([score(numbers[start : start + step]) for start in range(0, len(numbers), step)])


class Kernel:
    """A weighted sum of how near a row is to each example."""

    def __init__(self, document: Document, artifact: Artifact, _: Layout) -> None:
        self._examples = artifact.array(document["examples"])
        self._weights, self._intercept = artifact.array(document["weights"]), artifact.array(document["intercept"])
        self._kernel: Callable[[np.ndarray], np.ndarray] = getattr(self, "_" + document["kernel"])
        self._gamma, self._coef0, self._degree = document["gamma"], document["coef0"], document["degree"]
        self._cells = self._examples.size if document["kernel"] == "rbf" else len(self._examples)

    def __call__(self, block: Block) -> np.ndarray:
        return _parts(block.numbers, self._cells, lambda part: self._kernel(part) @ self._weights + self._intercept)

    def _linear(self, numbers: np.ndarray) -> np.ndarray:
        return np.asarray(numbers @ self._examples.T)

    def _rbf(self, numbers: np.ndarray) -> np.ndarray:
        # The differences themselves, as libsvm: products of large numbers would lose the small distances.
        far = numbers[:, None, :] - self._examples
        return np.asarray(np.exp(-self._gamma * np.einsum("nmf,nmf->nm", far, far)))

    def _poly(self, numbers: np.ndarray) -> np.ndarray:
        return np.asarray((self._gamma * (numbers @ self._examples.T) + self._coef0) ** self._degree)

    def _sigmoid(self, numbers: np.ndarray) -> np.ndarray:
        return np.asarray(np.tanh(self._gamma * (numbers @ self._examples.T) + self._coef0))


_ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda values: values,
    "relu": lambda values: np.maximum(values, 0),
    "tanh": np.tanh,
    "logistic": lambda values: 1.0 / (1.0 + np.exp(-values)),
}


class Network:
    """Layers of (weights, intercepts); the last one has no activation."""

    def __init__(self, document: Document, artifact: Artifact, _: Layout) -> None:
        self._layers = [(artifact.array(weights), artifact.array(intercept)) for weights, intercept in document["layers"]]
        self._activation = _ACTIVATIONS[document["activation"]]

    def __call__(self, block: Block) -> np.ndarray:
        numbers = block.numbers
        for weights, intercept in self._layers[:-1]:
            numbers = self._activation(numbers @ weights + intercept)
        weights, intercept = self._layers[-1]
        return np.asarray(numbers @ weights + intercept)


class Gaussian:
    """Independent normal densities of each class."""

    def __init__(self, document: Document, artifact: Artifact, _: Layout) -> None:
        self._means, self._variances = artifact.array(document["means"]), artifact.array(document["variances"])
        self._offset = artifact.array(document["offset"])

    def __call__(self, block: Block) -> np.ndarray:
        def score(numbers: np.ndarray) -> np.ndarray:
            far = numbers[:, None, :] - self._means
            return np.asarray(self._offset - 0.5 * (far**2 / self._variances).sum(axis=2))

        return _parts(block.numbers, self._means.size, score)


class Quadratic:
    """Normal densities with a covariance for each class."""

    def __init__(self, document: Document, artifact: Artifact, _: Layout) -> None:
        self._means, self._offset = artifact.array(document["means"]), artifact.array(document["offset"])
        self._matrices = [artifact.array(name) for name in document["matrices"]]

    def __call__(self, block: Block) -> np.ndarray:
        result = np.empty((block.size, len(self._means)))
        for place, (mean, matrix) in enumerate(zip(self._means, self._matrices, strict=True)):
            result[:, place] = (((block.numbers - mean) @ matrix) ** 2).sum(axis=1)
        return self._offset - 0.5 * result


class Pairs:
    """A predictor: one machine for each pair of classes, which vote; `platt` turns their scores into probabilities."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        self._raw = Kernel(document["raw"], artifact, inputs)
        self.classes: list[Any] | None = document["classes"]
        self._count = len(document["classes"])
        self._pairs = [(i, j) for i in range(self._count) for j in range(i + 1, self._count)]
        self._platt = [artifact.array(name) for name in document["platt"]] if document["platt"] else None
        self._against_rest = document["shape"] == "ovr"

    def codes(self, block: Block) -> np.ndarray:
        raw = self._raw(block)
        votes = np.zeros((block.size, self._count))
        for place, (first, second) in enumerate(self._pairs):
            won = raw[:, place] > 0
            votes[won, first] += 1
            votes[~won, second] += 1
        return np.asarray(votes.argmax(axis=1))

    def decision(self, block: Block) -> np.ndarray:
        raw = self._raw(block)
        if self._count == 2:
            return -raw
        if not self._against_rest:
            return raw
        votes, sums = np.zeros((block.size, self._count)), np.zeros((block.size, self._count))
        for place, (first, second) in enumerate(self._pairs):
            sums[:, first] += raw[:, place]
            sums[:, second] -= raw[:, place]
            won = raw[:, place] >= 0
            votes[won, first] += 1
            votes[~won, second] += 1
        return np.asarray(votes + sums / (3 * (np.abs(sums) + 1)))

    def values(self, block: Block) -> np.ndarray:  # noqa: ARG002
        raise TypeError("a classifier has no values")

    def proba(self, block: Block) -> np.ndarray:
        from .predictors import NoProbabilitiesError

        if self._platt is None:
            raise NoProbabilitiesError
        slope, offset = self._platt
        chances = 1.0 / (1.0 + np.exp(self._raw(block) * slope + offset))
        return np.array([self._coupled(row) for row in np.clip(chances, 1e-7, 1 - 1e-7)])

    def _coupled(self, row: np.ndarray) -> np.ndarray:
        """libsvm's coupling of the pairs' probabilities, with its own stopping rule."""
        count = self._count
        pairwise = np.zeros((count, count))
        for place, (first, second) in enumerate(self._pairs):
            pairwise[first, second], pairwise[second, first] = row[place], 1 - row[place]
        matrix = -(pairwise.T * pairwise)
        np.fill_diagonal(matrix, (pairwise**2).sum(axis=0))
        chances = np.full(count, 1.0 / count)
        for _ in range(max(100, count)):
            product = matrix @ chances
            total = float(chances @ product)
            if np.abs(product - total).max() < 0.005 / count:
                break
            for place in range(count):
                change = (total - product[place]) / matrix[place, place]
                chances[place] += change
                total = (total + change * (change * matrix[place, place] + 2 * product[place])) / (1 + change) / (1 + change)
                product = (product + change * matrix[place]) / (1 + change)
                chances /= 1 + change
        return chances


KINDS: dict[str, Callable[..., Any]] = {
    "kernel": Kernel,
    "network": Network,
    "gaussian": Gaussian,
    "quadratic": Quadratic,
}
