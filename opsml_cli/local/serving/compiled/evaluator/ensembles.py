"""Predictors made of other predictors."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..artifact import Artifact
from .blocks import Block, Document, Layout, numeric
from .examples import Pairs
from .predictors import LINKS, NoProbabilitiesError, expit, predictor
from .transforms import transformer


class _Combined:
    """Common to predictors of several parts."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        self.parts = [predictor(part, artifact, inputs) for part in document["parts"]]
        self.classes: list[Any] | None = document["classes"]

    def proba(self, block: Block) -> np.ndarray:  # noqa: ARG002
        raise NoProbabilitiesError

    def decision(self, block: Block) -> np.ndarray:
        return self.proba(block)

    def codes(self, block: Block) -> np.ndarray:
        return np.asarray(self.proba(block).argmax(axis=1))

    def values(self, block: Block) -> np.ndarray:  # noqa: ARG002
        raise TypeError("a classifier has no values")


class Average(_Combined):
    """The weighted mean of the parts' probabilities or values. `votes`: each part counts for the class it chooses; `places`
    says where a part's classes lie among all; `silent`: the original gives no probabilities."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        super().__init__(document, artifact, inputs)
        self._weights = document["weights"] or [1.0] * len(self.parts)
        self._total = float(sum(self._weights))
        self._votes = document["votes"] or [False] * len(self.parts)
        self._places = document["places"] or [None] * len(self.parts)
        self._silent = document["silent"]

    def _shares(self, block: Block) -> np.ndarray:
        assert self.classes is not None
        result = np.zeros((block.size, len(self.classes)))
        for part, weight, votes, places in zip(self.parts, self._weights, self._votes, self._places, strict=True):
            if votes:
                chosen = part.codes(block) if places is None else np.asarray(places)[part.codes(block)]
                result[np.arange(block.size), chosen] += weight
            elif places is None:
                result += part.proba(block) * weight
            else:
                result[:, places] += part.proba(block) * weight
        return np.asarray(result / self._total)

    def proba(self, block: Block) -> np.ndarray:
        if self._silent:
            raise NoProbabilitiesError
        return self._shares(block)

    def codes(self, block: Block) -> np.ndarray:
        return np.asarray(self._shares(block).argmax(axis=1))

    def values(self, block: Block) -> np.ndarray:
        result = self.parts[0].values(block) * self._weights[0]
        for part, weight in zip(self.parts[1:], self._weights[1:], strict=True):
            result = result + part.values(block) * weight
        return np.asarray(result / self._total)


class Stacked(_Combined):
    """The parts' answers as the columns that a last predictor reads; with `passthrough` the row itself behind them."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        super().__init__(document, artifact, inputs)
        self._methods = document["methods"]
        self._passthrough = document["passthrough"]
        width = document["width"]
        everything = tuple(source for feature in inputs for source in feature.sources)
        layout = numeric([everything] * width)
        self._then = predictor(document["then"], artifact, layout)

    def _columns(self, block: Block) -> Block:
        columns = []
        for part, method in zip(self.parts, self._methods, strict=True):
            if method == "predict_proba":
                found = part.proba(block)
                found = found[:, 1:] if found.shape[1] == 2 else found
            elif method == "decision_function":
                found = part.decision(block)
            elif part.classes is None:
                found = part.values(block)
            else:
                found = np.asarray(part.classes, dtype=np.float64)[part.codes(block)]
            columns.append(found[:, None] if found.ndim == 1 else found)
        if self._passthrough:
            columns.append(block.numbers)
        return Block(block.size, np.concatenate(columns, axis=1))

    def proba(self, block: Block) -> np.ndarray:
        return self._then.proba(self._columns(block))

    def decision(self, block: Block) -> np.ndarray:
        return self._then.decision(self._columns(block))

    def codes(self, block: Block) -> np.ndarray:
        return self._then.codes(self._columns(block))

    def values(self, block: Block) -> np.ndarray:
        return self._then.values(self._columns(block))


class Calibrated(_Combined):
    """The mean of classifiers whose scores are calibrated: each part has a `curve` for every score, of (slope, offset) or of
    points to interpolate between."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        super().__init__(document, artifact, inputs)
        self._methods = document["methods"]
        self._curves = [[[artifact.array(name) for name in curve] for curve in part] for part in document["curves"]]
        self._sigmoid = document["sigmoid"]

    def proba(self, block: Block) -> np.ndarray:
        total: np.ndarray | None = None
        for part, method, curves in zip(self.parts, self._methods, self._curves, strict=True):
            found = self._one(part.decision(block) if method == "decision_function" else part.proba(block), curves)
            total = found if total is None else total + found
        assert total is not None
        return np.asarray(total / len(self.parts))

    def _one(self, scores: np.ndarray, curves: list[list[np.ndarray]]) -> np.ndarray:
        if len(curves) == 1:
            scores = scores[:, -1:]
        found = np.empty((len(scores), len(curves)))
        for place, curve in enumerate(curves):
            given = scores[:, place]
            if self._sigmoid:
                found[:, place] = expit(-(curve[0] * given + curve[1]))
            else:
                found[:, place] = np.interp(given, curve[0], curve[1])
        if len(curves) == 1:
            result = LINKS["pair"](found)
        else:
            total = found.sum(axis=1, keepdims=True)
            result = np.where(total != 0, found / np.where(total != 0, total, 1), 1 / len(curves))
        result[(result > 1.0) & (result <= 1.0 + 1e-5)] = 1.0
        return result


class Target(_Combined):
    """Values that are turned back by a transformer of the target."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        super().__init__(document, artifact, inputs)
        self._turn = transformer(document["turn"], artifact, numeric([()]))

    def values(self, block: Block) -> np.ndarray:
        return self._turn.run(Block(block.size, self.parts[0].values(block)[:, None])).numbers[:, 0]


class Several(_Combined):
    """A value of each part beside the others."""

    def values(self, block: Block) -> np.ndarray:
        return np.stack([part.values(block) for part in self.parts], axis=1)


class AgainstRest(_Combined):
    """A binary classifier for every class; the surest wins."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        super().__init__(document, artifact, inputs)
        self._decides, self._silent = document["decides"], document["silent"]

    def codes(self, block: Block) -> np.ndarray:
        if self._decides:
            scores = np.concatenate([part.decision(block)[:, -1:] for part in self.parts], axis=1)
        else:
            scores = np.stack([part.proba(block)[:, 1] for part in self.parts], axis=1)
        if len(self.parts) == 1:
            return (scores[:, 0] > (0 if self._decides else 0.5)).astype(np.intp)
        return np.asarray(scores.argmax(axis=1))

    def proba(self, block: Block) -> np.ndarray:
        if self._silent:
            raise NoProbabilitiesError
        found = np.stack([part.proba(block)[:, 1] for part in self.parts], axis=1)
        if len(self.parts) == 1:
            found = LINKS["pair"](found)
        total = found.sum(axis=1, keepdims=True)
        return np.asarray(np.where(total != 0, found / np.where(total != 0, total, 1), found))


class Threshold(_Combined):
    """A binary classifier whose second class wins from a threshold of its own."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        super().__init__(document, artifact, inputs)
        self._threshold, self._decides = document["threshold"], document["decides"]

    def proba(self, block: Block) -> np.ndarray:
        return self.parts[0].proba(block)

    def codes(self, block: Block) -> np.ndarray:
        scores = self.parts[0].decision(block)[:, -1] if self._decides else self.parts[0].proba(block)[:, 1]
        return np.asarray(scores >= self._threshold, dtype=np.intp)


class Constant:
    """The same answer for every row."""

    def __init__(self, document: Document, artifact: Artifact, _: Layout) -> None:
        self.classes: list[Any] | None = document["classes"]
        self._answer = artifact.array(document["answer"])
        self._code = document["code"]

    def proba(self, block: Block) -> np.ndarray:
        return np.tile(self._answer, (block.size, 1))

    def decision(self, block: Block) -> np.ndarray:
        return self.proba(block)

    def codes(self, block: Block) -> np.ndarray:
        return np.full(block.size, self._code, dtype=np.intp)

    def values(self, block: Block) -> np.ndarray:
        return np.full(block.size, self._answer[0]) if len(self._answer) == 1 else self.proba(block)


KINDS: dict[str, Any] = {
    "average": Average,
    "stacked": Stacked,
    "calibrated": Calibrated,
    "target": Target,
    "several": Several,
    "against_rest": AgainstRest,
    "threshold": Threshold,
    "constant": Constant,
    "pairs": Pairs,
}
