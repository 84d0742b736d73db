"""Transformers of a compiled pipeline that work on a matrix of numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..artifact import Artifact
from .blocks import Block, Document, Layout, Node, all_sources, numeric, refuse_first

_FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    name: getattr(np, name)
    for name in (
        "log1p", "expm1", "log", "log2", "log10", "exp", "sqrt", "square", "abs", "absolute", "sign", "sin", "cos", "tan",
        "tanh", "cbrt", "reciprocal", "negative", "floor", "ceil",
    )
}  # fmt: skip
FUNCTIONS = frozenset(_FUNCTIONS)


class Function:
    """A NumPy function of each number."""

    def __init__(self, document: Document, _: Artifact, inputs: Layout) -> None:
        self.outputs = numeric([feature.sources for feature in inputs])
        self._function = _FUNCTIONS[document["name"]]

    def run(self, block: Block) -> Block:
        with np.errstate(all="ignore"):
            return Block(block.size, self._function(block.numbers))


class Unzeroed:
    """Zeros become missing: XGBoost reads a sparse matrix so."""

    def __init__(self, _: Document, __: Artifact, inputs: Layout) -> None:
        self.outputs = inputs

    def run(self, block: Block) -> Block:
        return Block(block.size, np.where(block.numbers == 0.0, np.nan, block.numbers))


class Project:
    """(x - mean) @ matrix, then divided by `scale`: PCA and truncated SVD."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        self._mean = artifact.array(document["mean"]) if document.get("mean") else None
        self._matrix = artifact.array(document["matrix"])
        self._offset = artifact.array(document["offset"]) if document.get("offset") else None
        self._scale = artifact.array(document["scale"]) if document.get("scale") else None
        self.outputs = numeric([all_sources(inputs)] * self._matrix.shape[1])

    def run(self, block: Block) -> Block:
        numbers = block.numbers if self._mean is None else block.numbers - self._mean
        numbers = numbers @ self._matrix
        if self._offset is not None:
            numbers -= self._offset
        if self._scale is not None:
            numbers /= self._scale
        return Block(block.size, numbers)


class Normalize:
    """Each row divided by its norm."""

    def __init__(self, document: Document, _: Artifact, inputs: Layout) -> None:
        self._norm = document["norm"]
        self.outputs = numeric([all_sources(inputs)] * len(inputs))

    def run(self, block: Block) -> Block:
        numbers = block.numbers
        if self._norm == "l1":
            norms = np.abs(numbers).sum(axis=1)
        elif self._norm == "l2":
            norms = np.sqrt(np.einsum("ij,ij->i", numbers, numbers))
        else:
            norms = np.max(np.abs(numbers), axis=1)
        norms[norms < 10 * np.finfo(np.float64).eps] = 1.0  # as scikit-learn treats zeros
        return Block(block.size, numbers / norms[:, None])


class Power:
    """Yeo-Johnson and Box-Cox, as scikit-learn computes them."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        self.outputs = numeric([feature.sources for feature in inputs])
        self._inputs = inputs
        self._lambdas = artifact.array(document["lambdas"])
        self._box = document["method"] == "box-cox"

    def run(self, block: Block) -> Block:
        numbers = block.numbers
        if self._box and (numbers <= 0).any():
            raise refuse_first(numbers <= 0, self._inputs, "a number above 0")
        result = np.empty_like(numbers)
        with np.errstate(all="ignore"):
            for place, each in enumerate(self._lambdas.tolist()):
                result[:, place] = self._box_cox(numbers[:, place], each) if self._box else _yeo(numbers[:, place], each)
        return Block(block.size, result)

    @staticmethod
    def _box_cox(values: np.ndarray, power: float) -> np.ndarray:
        # As scipy.special.boxcox: by expm1, which is exact near zero.
        return np.asarray(np.log(values) if abs(power) < 1e-19 else np.expm1(power * np.log(values)) / power)


def _yeo(values: np.ndarray, power: float) -> np.ndarray:
    result = np.full_like(values, np.nan)
    positive = values >= 0
    above, below = values[positive], values[values < 0]
    small = np.spacing(1.0)
    result[positive] = np.log1p(above) if abs(power) < small else np.expm1(power * np.log1p(above)) / power
    other = 2 - power
    result[values < 0] = -np.expm1(other * np.log1p(-below)) / other if abs(power - 2) > small else -np.log1p(-below)
    return result


class Quantiles:
    """QuantileTransformer: interpolation between quantiles, to a uniform or normal distribution."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        self.outputs = numeric([feature.sources for feature in inputs])
        self._quantiles = artifact.array(document["quantiles"])  # (quantiles, features)
        self._references = artifact.array(document["references"])
        self._normal = document["normal"]
        self._clip = document["clip"]

    def run(self, block: Block) -> Block:
        result = np.empty_like(block.numbers)
        for place in range(result.shape[1]):
            result[:, place] = self._column(block.numbers[:, place], np.ascontiguousarray(self._quantiles[:, place]))
        return Block(block.size, result)

    def _column(self, values: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
        near = 1e-7
        low, high = quantiles[0], quantiles[-1]
        with np.errstate(invalid="ignore"):
            lowest = values - near < low if self._normal else values == low
            highest = values + near > high if self._normal else values == high
        known = ~np.isnan(values)
        given = values[known]
        result = values.copy()
        result[known] = 0.5 * (
            np.interp(given, quantiles, self._references) - np.interp(-given, -quantiles[::-1], -self._references[::-1])
        )
        result[highest] = 1.0
        result[lowest] = 0.0
        if self._normal:
            from statistics import NormalDist

            inverse = NormalDist().inv_cdf
            result = np.array(
                [inverse(p) if 0.0 < p < 1.0 else (p - 0.5) * np.inf if known else p for p, known in _known(result)]
            )
            result = np.clip(result, self._clip[0], self._clip[1])
        return result


def _known(values: np.ndarray) -> list[tuple[float, bool]]:
    return [(value, value == value) for value in values.tolist()]  # noqa: PLR0124 - NaN


class Bins:
    """KBinsDiscretizer: the number of a value's bin, or one-hot."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        self._edges = [artifact.array(name) for name in document["edges"]]  # the inner edges of each feature
        self._hot, self._side = document["hot"], document["side"]
        self._sizes = [len(edges) + 1 for edges in self._edges]
        if self._hot:
            self.outputs = numeric([f.sources for f, size in zip(inputs, self._sizes, strict=True) for _ in range(size)])
        else:
            self.outputs = numeric([feature.sources for feature in inputs])
        self._offsets = np.cumsum([0, *self._sizes[:-1]])

    def run(self, block: Block) -> Block:
        codes = np.empty(block.numbers.shape)
        for place, edges in enumerate(self._edges):
            codes[:, place] = np.searchsorted(edges, block.numbers[:, place], side=self._side)
        if not self._hot:
            return Block(block.size, codes)
        result = np.zeros((block.size, sum(self._sizes)))
        np.put_along_axis(result, codes.astype(np.intp) + self._offsets, 1.0, axis=1)
        return Block(block.size, result)


class Polynomial:
    """Products of features: `powers` (outputs, features)."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        powers = artifact.array(document["powers"]).astype(int)
        self._products = [[place for place, power in enumerate(row) for _ in range(power)] for row in powers.tolist()]
        self._known: list[tuple[int, int]] = []
        # Each product is that of the features but its last, times the last: the order in which scikit-learn multiplies.
        places = {tuple(product): index for index, product in enumerate(self._products)}
        self._plan = [(index, product, places.get(tuple(product[1:]))) for index, product in enumerate(self._products)]
        self.outputs = numeric([tuple(dict.fromkeys(s for place in p for s in inputs[place].sources)) for p in self._products])

    def run(self, block: Block) -> Block:
        numbers = block.numbers
        result = np.empty((block.size, len(self._plan)))
        with np.errstate(all="ignore"):
            for index, product, rest in self._plan:
                if not product:
                    result[:, index] = 1.0
                elif len(product) == 1:
                    result[:, index] = numbers[:, product[0]]
                elif rest is not None and rest < index:
                    np.multiply(result[:, rest], numbers[:, product[0]], out=result[:, index])
                else:
                    result[:, index] = numbers[:, product].prod(axis=1)
        return Block(block.size, result)


class Missingness:
    """MissingIndicator: whether the features at `picks` are missing."""

    def __init__(self, document: Document, _: Artifact, inputs: Layout) -> None:
        from .transforms import flags, marked

        self._flags = flags
        self._nan, self._wanted = marked(document["missing"])
        self._picks = [inputs[index] for index in document["picks"]]
        self.outputs = numeric([feature.sources for feature in self._picks])

    def run(self, block: Block) -> Block:
        result = np.empty((block.size, len(self._picks)))
        for place, feature in enumerate(self._picks):
            if feature.kind == "t":
                result[:, place] = self._flags(block.texts[feature.place], self._wanted)
            else:
                values = block.numbers[:, feature.place]
                result[:, place] = np.isnan(values) if self._nan else values == self._wanted
        return Block(block.size, result)


KINDS: dict[str, Callable[..., Node]] = {
    "function": Function,
    "unzeroed": Unzeroed,
    "project": Project,
    "normalize": Normalize,
    "power": Power,
    "quantiles": Quantiles,
    "bins": Bins,
    "polynomial": Polynomial,
    "missingness": Missingness,
}
