"""Transformers of a compiled pipeline that work column by column."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from ..artifact import Artifact
from .blocks import NAN, Block, Document, Feature, Layout, Node, Refusal, numeric, refuse_first


class Chain:
    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        self._nodes: list[Node] = []
        self.outputs = inputs
        for step in document["steps"]:
            node = transformer(step, artifact, self.outputs)
            self._nodes.append(node)
            self.outputs = node.outputs
        self._runs = [node.run for node in self._nodes]

    def run(self, block: Block) -> Block:
        for run in self._runs:
            block = run(block)
        return block


class Select:
    """The features at `picks`, in that order."""

    def __init__(self, document: Document, _: Artifact, inputs: Layout) -> None:
        chosen = [inputs[index] for index in document["picks"]]
        numbers: list[int] = [feature.place for feature in chosen if feature.kind == "n"]
        self._texts = [feature.place for feature in chosen if feature.kind == "t"]
        count = sum(feature.kind == "n" for feature in inputs)
        places = {"n": 0, "t": 0}
        outputs = []
        for feature in chosen:
            outputs.append(Feature(feature.kind, places[feature.kind], feature.sources))
            places[feature.kind] += 1
        self.outputs = tuple(outputs)
        self._all = numbers == list(range(count))
        steps = {after - before for before, after in pairwise(numbers)}
        self._numbers: Any = np.array(numbers, dtype=np.intp)
        if numbers and steps <= {1}:
            self._numbers = slice(numbers[0], numbers[-1] + 1)

    def run(self, block: Block) -> Block:
        numbers = block.numbers if self._all else block.numbers[:, self._numbers]
        return Block(block.size, numbers, [block.texts[place] for place in self._texts])


class Parallel:
    """The outputs of several transformers of the same block, beside each other."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        nodes = [transformer(part, artifact, inputs) for part in document["parts"]]
        self._runs = [node.run for node in nodes]
        places = {"n": 0, "t": 0}
        outputs = []
        for node in nodes:
            for feature in node.outputs:
                outputs.append(Feature(feature.kind, places[feature.kind], feature.sources))
                places[feature.kind] += 1
        self.outputs = tuple(outputs)
        self._texts = places["t"] > 0

    def run(self, block: Block) -> Block:
        parts = [run(block) for run in self._runs]
        if len(parts) == 1:
            return parts[0]
        numbers = np.concatenate([part.numbers for part in parts], axis=1)
        return Block(block.size, numbers, [text for part in parts for text in part.texts] if self._texts else ())


def _coder(column: Document, kind: str) -> Callable[[list[Any]], list[int]]:
    """Values of a column to their rows in a table; -1 where the model refuses the value."""
    places: dict[Any, int] = {key: index for index, key in enumerate(column["keys"])}
    unknown: int = column["unknown"]
    missing: int = column["missing"]
    get = places.get
    if kind == "t":
        places[None], places[NAN] = column["none"], missing
        return lambda values: [get(value, unknown) for value in values]
    return lambda values: [get(value, unknown) if value == value else missing for value in values]  # noqa: PLR0124 - NaN


class _Coded:
    """Common to tables: each column's values as row numbers."""

    def __init__(self, document: Document, inputs: Layout) -> None:
        self._inputs = inputs
        self._columns = []
        for column, feature in zip(document["columns"], inputs, strict=True):
            coder = _coder(column, feature.kind)
            refuses = -1 in (column["unknown"], column["missing"], column["none"])
            self._columns.append((feature.kind == "t", feature.place, coder, refuses))

    def codes(self, block: Block) -> list[list[int]]:
        numbers = block.numbers
        result = []
        for index, (text, place, coder, refuses) in enumerate(self._columns):
            found = coder(block.texts[place] if text else numbers[:, place].tolist())
            if refuses and -1 in found:
                sources = self._inputs[index].sources
                raise Refusal(found.index(-1), sources[0], "a category that the model knows")
            result.append(found)
        return result


class _Numbers(dict[Any, float]):
    """The number of each known value; `unknown` of every other one."""

    unknown = 0.0

    def __missing__(self, _: object) -> float:
        return self.unknown


def _numbers_of(column: Document, values: list[float]) -> _Numbers | None:
    """A text column's values as the numbers that its table gives them; None where a value is refused, or a key is NaN."""
    if -1 in (column["unknown"], column["missing"], column["none"]):
        return None
    found = _Numbers({key: values[index] for index, key in enumerate(column["keys"])})
    found[None], found[NAN] = values[column["none"]], values[column["missing"]]
    found.unknown = values[column["unknown"]]
    return found


class Table(_Coded):
    """Each value becomes a row of a small table: ordinal and target encoders."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        super().__init__(document, inputs)
        self._tables = [artifact.array(column["table"]) for column in document["columns"]]
        self.outputs = numeric(
            [f.sources for f, table in zip(inputs, self._tables, strict=True) for _ in range(table.shape[1])]
        )
        self._flat = all(table.shape[1] == 1 for table in self._tables)
        self._lists = [table[:, 0].tolist() for table in self._tables] if self._flat else []
        texts = self._flat and all(feature.kind == "t" for feature in inputs)
        lists = zip(document["columns"], self._lists, strict=True)
        known = [_numbers_of(column, values) for column, values in lists] if texts else [None]
        self._known = [(f.place, each) for f, each in zip(inputs, known, strict=False) if each is not None]
        self._direct = None not in known

    def run(self, block: Block) -> Block:
        if self._direct and block.size > 1:
            numbers = np.empty((block.size, len(self._known)))
            for index, (place, known) in enumerate(self._known):
                numbers[:, index] = np.fromiter(map(known.__getitem__, block.texts[place]), np.float64, block.size)
            return Block(block.size, numbers)
        codes = self.codes(block)
        if self._flat and block.size == 1:
            numbers = np.array([[table[code[0]] for table, code in zip(self._lists, codes, strict=True)]])
        else:
            numbers = np.concatenate([table[code] for table, code in zip(self._tables, codes, strict=True)], axis=1)
        return Block(block.size, numbers)


class Positions(_Coded):
    """Each value becomes a one among zeros: one-hot encoders. `spots` (codes) are the places in the output, -1 for none."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        super().__init__(document, inputs)
        self._spots = [artifact.array(column["spots"]).astype(np.intp) for column in document["columns"]]
        self._lists = [spots.tolist() for spots in self._spots]
        self._width = sum(column["width"] for column in document["columns"])
        self.outputs = numeric(
            [f.sources for f, column in zip(inputs, document["columns"], strict=True) for _ in range(column["width"])]
        )

    def run(self, block: Block) -> Block:
        # One more column takes the values that have no place.
        numbers = np.zeros((block.size, self._width + 1))
        codes = self.codes(block)
        if block.size == 1:
            row = numbers[0]
            for spots, code in zip(self._lists, codes, strict=True):
                row[spots[code[0]]] = 1.0
        else:
            rows = np.arange(block.size)
            for places, code in zip(self._spots, codes, strict=True):
                numbers[rows, places[code]] = 1.0
        return Block(block.size, numbers[:, :-1])


def marked(marker: Document) -> tuple[bool, Any]:
    """What counts as missing, from a document: {"nan": true}, {"none": true} or {"value": …}. Whether NaN does, and the value
    to look for among texts."""
    if marker.get("nan"):
        return True, NAN
    return False, None if marker.get("none") else marker["value"]


def flags(values: list[Any], wanted: Any) -> list[bool]:
    """Which texts are the marker."""
    return [value is wanted for value in values] if wanted is NAN or wanted is None else [value == wanted for value in values]


class Fill:
    """Missing values replaced: of feature i by `values[i]` where `kept[i]`, else the feature is dropped. The missingness of
    the features at `indicators` is appended."""

    def __init__(self, document: Document, _: Artifact, inputs: Layout) -> None:
        self._nan, self._wanted = marked(document["missing"])
        numbers: list[tuple[int, float]] = []
        texts: list[tuple[int, Any]] = []
        outputs = []
        places = {"n": 0, "t": 0}
        for feature, value, kept in zip(inputs, document["values"], document["kept"], strict=True):
            if not kept:
                continue
            if feature.kind == "n":
                numbers.append((feature.place, value))
            else:
                texts.append((feature.place, value))
            outputs.append(Feature(feature.kind, places[feature.kind], feature.sources))
            places[feature.kind] += 1
        self._places: Any = np.array([place for place, _ in numbers], dtype=np.intp)
        self._all = len(numbers) == sum(feature.kind == "n" for feature in inputs)
        self._values = np.array([value for _, value in numbers], dtype=np.float64)
        self._texts = texts
        self._indicators = [(inputs[index].kind == "t", inputs[index].place) for index in document["indicators"]]
        for index in document["indicators"]:
            outputs.append(Feature("n", places["n"], inputs[index].sources))
            places["n"] += 1
        self.outputs = tuple(outputs)

    def run(self, block: Block) -> Block:
        numbers, wanted = block.numbers, self._wanted
        if self._nan:
            absent = np.isnan(numbers)
        else:
            absent = numbers == wanted if isinstance(wanted, int | float) else np.zeros(numbers.shape, dtype=bool)
        kept, gone = (numbers, absent) if self._all else (numbers[:, self._places], absent[:, self._places])
        kept = np.where(gone, self._values, kept)
        if self._indicators:
            shown = np.empty((block.size, len(self._indicators)))
            for place, (text, source) in enumerate(self._indicators):
                shown[:, place] = flags(block.texts[source], wanted) if text else absent[:, source]
            kept = np.concatenate([kept, shown], axis=1)
        texts = []
        for place, value in self._texts:
            values = block.texts[place]
            texts.append([value if absence else each for each, absence in zip(values, flags(values, wanted), strict=True)])
        return Block(block.size, kept, texts)


_ARITHMETIC: dict[str, Callable[..., np.ndarray]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
}


class Arithmetic:
    """Steps such as ("subtract", means), in the order of the original."""

    def __init__(self, document: Document, artifact: Artifact, inputs: Layout) -> None:
        self.outputs = numeric([feature.sources for feature in inputs])
        self._steps = [(_ARITHMETIC[name], artifact.array(values)) for name, values in document["steps"]]

    def run(self, block: Block) -> Block:
        numbers = block.numbers
        for function, values in self._steps:
            numbers = function(numbers, values)
        return Block(block.size, numbers)


class Check:
    """Refuses what scikit-learn's own check of arrays refuses: NaN unless `nan`, infinities, and with `single` numbers that
    no float32 holds."""

    def __init__(self, document: Document, _: Artifact, inputs: Layout) -> None:
        self.outputs = inputs
        self._nan, self._single = bool(document["nan"]), bool(document["single"])

    def run(self, block: Block) -> Block:
        numbers = block.numbers
        total = numbers.astype(np.float32).sum() if self._single else numbers.sum()
        if total - total != 0.0:  # the sum is no number: rare, so looked at closely only then
            self._look(numbers)
        return block

    def _look(self, numbers: np.ndarray) -> None:
        looked = numbers.astype(np.float32) if self._single else numbers
        if not self._nan and np.isnan(looked).any():
            raise refuse_first(np.isnan(looked), self.outputs, "a value, not null")
        if np.isinf(looked).any():
            raise refuse_first(np.isinf(looked), self.outputs, "a smaller number")


def transformer(document: Document, artifact: Artifact, inputs: Layout) -> Node:
    """The node that a document describes."""
    from . import numbers

    return {**_KINDS, **numbers.KINDS}[document["op"]](document, artifact, inputs)


_KINDS: dict[str, Callable[..., Node]] = {
    "chain": Chain,
    "select": Select,
    "parallel": Parallel,
    "table": Table,
    "positions": Positions,
    "fill": Fill,
    "arithmetic": Arithmetic,
    "check": Check,
}
