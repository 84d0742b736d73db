"""Final estimators of a compiled pipeline: raw scores, and from them probabilities, labels and values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from ..artifact import Artifact
from .blocks import Block, Document, Layout
from .transforms import transformer


class Predictor(Protocol):
    """`classes` is None for a regressor. `codes` are places in `classes`; a regressor has `values` (n,) or (n, outputs)."""

    classes: list[Any] | None

    def proba(self, block: Block) -> np.ndarray: ...

    def decision(self, block: Block) -> np.ndarray:
        """(n, k): what calibration and stacking read as decision_function."""
        ...

    def codes(self, block: Block) -> np.ndarray: ...

    def values(self, block: Block) -> np.ndarray: ...


def expit(raw: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-raw)))


def softmax(raw: np.ndarray) -> np.ndarray:
    grown = np.exp(raw - raw.max(axis=1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=1, keepdims=True))


def _pair(positive: np.ndarray) -> np.ndarray:
    """(n, 1) probabilities of the second class as (n, 2)."""
    result = np.empty((len(positive), 2), dtype=positive.dtype)
    result[:, 0] = 1 - positive[:, 0]
    result[:, 1] = positive[:, 0]
    return result


def _one_against_rest(raw: np.ndarray) -> np.ndarray:
    chances = expit(raw)
    total = chances.sum(axis=1, keepdims=True)
    none = total[:, 0] == 0
    if none.any():
        chances[none], total[none] = 1.0, chances.shape[1]
    return np.asarray(chances / total)


def _huber(raw: np.ndarray) -> np.ndarray:
    """modified_huber of SGDClassifier."""
    if raw.shape[1] == 1:
        return _pair((np.clip(raw, -1, 1) + 1) / 2)
    chances = (np.clip(raw, -1, 1) + 1) / 2
    total = chances.sum(axis=1)
    chances[total == 0] = 1.0
    return np.asarray(chances / chances.sum(axis=1, keepdims=True))


def _halved(raw: np.ndarray) -> np.ndarray:
    """Two classes from one score by a softmax of (-score, score)."""
    return softmax(np.concatenate([-raw, raw], axis=1))


def _single_logistic(raw: np.ndarray) -> np.ndarray:
    """XGBoost's, in float32 throughout."""
    raw = raw.astype(np.float32)
    with np.errstate(over="ignore"):
        return _pair(np.float32(1) / (np.float32(1) + np.exp(-raw)))


def _single_softmax(raw: np.ndarray) -> np.ndarray:
    return softmax(raw.astype(np.float32))


def _exp(raw: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(raw))


LINKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda raw: raw,
    "pair": _pair,
    "logistic": lambda raw: _pair(expit(raw)),
    "softmax": softmax,
    "one_against_rest": _one_against_rest,
    "huber": _huber,
    "halved": _halved,
    "doubled": lambda raw: _pair(expit(2 * raw)),
    "single_logistic": _single_logistic,
    "single_softmax": _single_softmax,
    "single_expit": lambda raw: _single_logistic(raw)[:, 1:],
    "exp": _exp,
    "ada": lambda raw: softmax(raw / (raw.shape[1] - 1)),
    "ada_pair": lambda raw: _halved((raw[:, 1:] - raw[:, :1]) / 2),
    "expit": expit,
    "place": lambda raw: raw.argmax(axis=1)[:, None].astype(np.float64),
}
_DECISIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "above": lambda raw: (raw[:, 0] > 0).astype(np.intp),
    "from": lambda raw: (raw[:, 0] >= 0).astype(np.intp),
    "second": lambda raw: (raw[:, 1] - raw[:, 0] > 0).astype(np.intp),
    "largest": lambda raw: raw.argmax(axis=1),
}


class NoProbabilitiesError(Exception):
    """The original has no predict_proba."""


class Scored:
    """A model of raw scores. `link` makes probabilities or values of them; `decide` labels: by the raw scores, or, with
    "probable", by the probabilities. `decision` is what decision_function gives where that is not
    `raw`."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        from . import raws

        self.raw = raws.raw(document["raw"], artifact, inputs)
        self.link, self.decide = document["link"], document["decide"]
        self._decision: raws.Raw | None = None
        self._document = document
        self._other_raw: Callable[[], raws.Raw] = lambda: raws.raw(document["decision"], artifact, inputs)
        self.classes: list[Any] | None = document["classes"]
        self._link = LINKS[self.link] if self.link is not None else None
        self._flat = document.get("flat", True)

    def _linked(self, raw: np.ndarray) -> np.ndarray:
        if self._link is None:
            raise NoProbabilitiesError
        return self._link(raw)

    def proba(self, block: Block) -> np.ndarray:
        return self._linked(self.raw(block))

    def decision(self, block: Block) -> np.ndarray:
        if self._decision is None:
            self._decision = self.raw if self._document.get("decision") is None else self._other_raw()
        raw = self._decision(block)
        return raw[:, 1:] - raw[:, :1] if raw.shape[1] == 2 and self.classes is not None and len(self.classes) == 2 else raw

    def codes(self, block: Block) -> np.ndarray:
        raw = self.raw(block)
        if self.decide == "probable":
            return np.asarray(self._linked(raw).argmax(axis=1))
        return _DECISIONS[self.decide](raw)

    def values(self, block: Block) -> np.ndarray:
        result = self._linked(self.raw(block))
        return result[:, 0] if self._flat else result


class After:
    """A predictor behind transformers."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        node = transformer(document["first"], artifact, inputs)
        self.run = node.run
        self.outputs = node.outputs
        self.then = predictor(document["then"], artifact, node.outputs)
        self.classes = self.then.classes

    def proba(self, block: Block) -> np.ndarray:
        return self.then.proba(self.run(block))

    def decision(self, block: Block) -> np.ndarray:
        return self.then.decision(self.run(block))

    def codes(self, block: Block) -> np.ndarray:
        return self.then.codes(self.run(block))

    def values(self, block: Block) -> np.ndarray:
        return self.then.values(self.run(block))


def predictor(document: Document, artifact: Artifact, inputs: Layout) -> Predictor:
    """The predictor that a document describes."""
    from . import ensembles

    kinds: dict[str, Callable[..., Predictor]] = {"scored": Scored, "after": After, **ensembles.KINDS}
    return kinds[document["op"]](document, artifact, inputs)
