"""Rows of a request to the first block of a compiled pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from .blocks import NAN, Block, Feature, Layout, Refusal

_INTEGERS = {"long": 1 << 63, "integer": 1 << 31}
_BITS = {1 << 63: "an integer of 64 bits", 1 << 31: "an integer of 32 bits"}


class Inputs:
    """`columns` have a `name`, a `type` of MLflow's signatures, and what the original makes of a `null`: "refused", "nan",
    "none", or "mixed" (None when the request holds no text for the column, else NaN), and of an `absent` value: "refused" or
    "null"."""

    def __init__(self, columns: Sequence[Mapping[str, Any]]) -> None:
        self.names = tuple(str(column["name"]) for column in columns)
        features: list[Feature] = []
        numbers: list[int] = []
        texts: list[int] = []
        for index, column in enumerate(columns):
            mine = texts if column["type"] == "string" else numbers
            features.append(Feature("t" if mine is texts else "n", len(mine), (index,)))
            mine.append(index)
        self.outputs: Layout = tuple(features)
        self._columns = columns
        self._number_names = [self.names[index] for index in numbers]
        self._text_names = [self.names[index] for index in texts]
        self._one_number = itemgetter(*self._number_names) if len(numbers) > 1 else None
        self._number_places = numbers
        self._single = [place for place, index in enumerate(numbers) if columns[index]["type"] == "float"]
        self._bounded = [
            (place, index, self.names[index], _INTEGERS[columns[index]["type"]])
            for place, index in enumerate(numbers)
            if columns[index]["type"] in _INTEGERS
        ]
        self._no_null = [(index, column["name"]) for index, column in enumerate(columns) if column["null"] == "refused"]
        self._no_absence = [(index, column["name"]) for index, column in enumerate(columns) if column["absent"] == "refused"]
        self._nan = [f.place for f, c in zip(features, columns, strict=True) if f.kind == "t" and c["null"] == "nan"]
        self._mixed = [f.place for f, c in zip(features, columns, strict=True) if f.kind == "t" and c["null"] == "mixed"]
        self._strict_numbers = any(self.outputs[index].kind == "n" for index, _ in self._no_null)
        self._strict_texts = any(self.outputs[index].kind == "t" for index, _ in self._no_null)

    def read(self, rows: Sequence[Mapping[str, Any]]) -> Block:
        """Rows that passed `Schema.check`. Refusal for what the original refuses."""
        size = len(rows)
        try:
            if size == 1:
                row = rows[0]
                get = self._one_number
                found: Any = get(row) if get is not None else [row[name] for name in self._number_names]
                texts = [[row[name]] for name in self._text_names]
                absent_value = self._strict_numbers and None in found
            else:
                get = self._one_number
                found = (
                    [get(row) for row in rows] if get is not None else [[row[n] for n in self._number_names] for row in rows]
                )
                texts = [[row[name] for row in rows] for name in self._text_names]
                absent_value = self._strict_numbers and any(None in values for values in found)
        except KeyError:
            return self.read(self._completed(rows))
        if absent_value or (self._strict_texts and any(None in values for values in texts)):
            self._refuse_nulls(rows)
        self._mark(texts)
        try:
            numbers = np.array(found, dtype=np.float64).reshape(size, -1)
        except OverflowError:
            raise self._too_large(rows) from None
        if self._bounded:
            self._check_bounds(rows, numbers)
        if self._single:
            self._round(numbers)
        return Block(size, numbers, texts)

    def read_columns(self, columns: Sequence[Sequence[Any]]) -> Block:
        """As `read`, of several rows by column, every value of its column's own type. A Refusal says only that there is one."""
        if any(None in columns[index] for index, _ in self._no_null):
            raise Refusal(0, 0, "a value, not null")
        size = len(columns[0])
        chosen = [columns[index] for index, feature in enumerate(self.outputs) if feature.kind == "n"]
        texts = [list(columns[index]) for index, feature in enumerate(self.outputs) if feature.kind == "t"]
        self._mark(texts)
        numbers = np.ascontiguousarray(np.array(chosen, dtype=np.float64).reshape(len(chosen), size).T)
        for place, index, _, bound in self._bounded:
            if ((numbers[:, place] >= bound) | (numbers[:, place] < -bound)).any():
                raise Refusal(0, index, _BITS[bound])
        if self._single:
            self._round(numbers)
        return Block(size, numbers, texts)

    def _mark(self, texts: list[list[Any]]) -> None:
        """NAN in place of the nulls that the original sees as NaN."""
        for place in self._nan:
            if None in texts[place]:
                texts[place] = [NAN if value is None else value for value in texts[place]]
        for place in self._mixed:  # of one row, the request holds a text or nothing
            values = texts[place]
            if len(values) > 1 and None in values and any(value is not None for value in values):
                texts[place] = [NAN if value is None else value for value in values]

    def _round(self, numbers: np.ndarray) -> None:
        for place in self._single:
            with np.errstate(over="ignore"):
                numbers[:, place] = numbers[:, place].astype(np.float32)
            wide = np.isinf(numbers[:, place])
            if wide.any():
                raise Refusal(int(np.argmax(wide)), self._number_places[place], "a number that a 32-bit float holds")

    def _completed(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Rows with every column; Refusal where one may not be left out."""
        for place, row in enumerate(rows):
            for index, name in self._no_absence:
                if name not in row:
                    raise Refusal(place, index, "a value")
        return [{name: row.get(name) for name in self.names} for row in rows]

    def _refuse_nulls(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for place, row in enumerate(rows):
            for index, name in self._no_null:
                if row[name] is None:
                    raise Refusal(place, index, "a value, not null")

    def _check_bounds(self, rows: Sequence[Mapping[str, Any]], numbers: np.ndarray) -> None:
        if len(rows) == 1:
            for _, index, name, bound in self._bounded:
                value = rows[0][name]
                if value is not None and not -bound <= value < bound:
                    raise Refusal(0, index, _BITS[bound])
            return
        for place, index, name, bound in self._bounded:
            values = numbers[:, place]
            # Rounded to float64, the largest integers look like the bound itself.
            for row in np.flatnonzero((values >= bound) | (values < -bound)).tolist():
                if not -bound <= rows[row][name] < bound:
                    raise Refusal(row, index, _BITS[bound])

    def _too_large(self, rows: Sequence[Mapping[str, Any]]) -> Refusal:
        for place, row in enumerate(rows):
            for index, name in enumerate(self.names):
                value = row[name]
                if isinstance(value, int) and abs(value) >= 1 << 63:
                    return Refusal(place, index, "an integer of 64 bits")
        return Refusal(0, 0, "numbers of 64 bits")
