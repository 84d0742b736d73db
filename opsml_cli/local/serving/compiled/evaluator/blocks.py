"""Rows on their way through a compiled pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True, slots=True)
class Feature:
    """A column of a block. `kind` is "n" (in `numbers`) or "t" (in `texts`), `place` where; `sources` are the positions of
    the input columns that it was made from."""

    kind: str
    place: int
    sources: tuple[int, ...]


Layout = tuple[Feature, ...]
NAN = float("nan")  # this one object marks a text that the original sees as NaN; None marks one that it sees as None


class Block:
    """`numbers` (n, k) float64 with NaN for missing ones; `texts` a list of n values for each column, None or NAN for missing
    ones. Never changed once made: parts of a pipeline share it."""

    __slots__ = ("numbers", "size", "texts")

    def __init__(self, size: int, numbers: np.ndarray, texts: Sequence[list[Any]] = ()) -> None:
        self.size = size
        self.numbers = numbers
        self.texts = texts


class Refusal(Exception):  # noqa: N818 - an answer to a client, as BadRequest is
    """The model has no answer for the value of input column `column` in row `row`."""

    def __init__(self, row: int, column: int, expected: str) -> None:
        super().__init__(expected)
        self.row = row
        self.column = column
        self.expected = expected


class Node(Protocol):
    """A fitted transformer. `outputs` describes the blocks that `run` gives."""

    outputs: Layout

    def run(self, block: Block) -> Block: ...


def numeric(features: Sequence[Sequence[int]]) -> Layout:
    """A layout of numbers only, from the sources of each."""
    return tuple(Feature("n", place, tuple(sources)) for place, sources in enumerate(features))


def all_sources(inputs: Layout) -> tuple[int, ...]:
    return tuple(dict.fromkeys(source for feature in inputs for source in feature.sources))


def refuse_first(bad: np.ndarray, inputs: Layout, expected: str) -> Refusal:
    """For the first true cell of `bad` (n, features)."""
    row, place = (int(found) for found in np.argwhere(bad)[0])
    sources = inputs[place].sources
    return Refusal(row, sources[0] if sources else 0, expected)


Document = Mapping[str, Any]
