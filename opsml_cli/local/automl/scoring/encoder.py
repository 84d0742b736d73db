"""Rows and frames as the matrix that a model reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from .text import EXTRA, TextCoder
from .values import DATE_PARTS, MISSING, ColumnError, UnfitError, boolean_of, category_text, date_parts, is_missing, number_of

_MANY = 16  # rows from which on a column is coded at once


def _category_coder(codes: Mapping[str, float], other: float) -> Callable[[object], float]:
    def code(value: object) -> float:
        if type(value) is str:
            found = codes.get(value)
            if found is not None:
                return found
        if is_missing(value):
            return MISSING
        return codes.get(category_text(value), other)

    return code


def places_of(numbers: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """The place of each number among the sorted `keys`; one past the last for any other, NaN for a missing one."""
    place = np.searchsorted(keys, numbers)
    met = (place < len(keys)) & (keys[np.minimum(place, len(keys) - 1)] == numbers)
    return np.where(np.isnan(numbers), MISSING, np.where(met, place, len(keys)).astype(np.float64))


def _place_coder(number: Callable[[object], float], keys: Sequence[float]) -> Callable[[object], float]:
    """As `places_of`, of one value."""
    places, other = {float(key): float(index) for index, key in enumerate(keys)}, float(len(keys))

    def code(value: object) -> float:
        found = number(value)
        return MISSING if math.isnan(found) else places.get(found, other)

    return code


def _mean_coder(code: Callable[[object], float], means: Sequence[float]) -> Callable[[object], float]:
    def mean(value: object) -> float:
        found = code(value)
        return MISSING if math.isnan(found) else means[int(found)]

    return mean


def _number_coder(tokens: frozenset[str]) -> Callable[[object], float]:
    def code(value: object) -> float:
        if type(value) is float:
            return value if math.isfinite(value) else MISSING
        return number_of(value, tokens)

    return code


def _categories_at_once(codes: Mapping[str, float], one: Callable[[object], float]) -> Callable[[list[object]], list[float]]:
    def code(values: list[object]) -> list[float]:
        found = list(map(codes.get, values))  # type: ignore[arg-type]
        return [one(value) for value in values] if None in found else found  # type: ignore[return-value]

    return code


def _means_at_once(mean: Callable[[object], float]) -> Callable[[list[object]], list[float]]:
    return lambda values: [mean(value) for value in values]


def _numbers_at_once(one: Callable[[object], float]) -> Callable[[list[object]], Any]:
    def code(values: list[object]) -> Any:
        if not {*map(type, values)} <= {float, int}:
            return [one(value) for value in values]
        numbers = np.array(values, dtype=np.float64)
        return np.where(np.isfinite(numbers), numbers, MISSING)

    return code


_OF_MEAN = "its value"  # the column's coder has met what does not fit before
_SEVERAL = ("datetime", "text")  # kinds whose value becomes a row of numbers


def numbers_of(column: Mapping[str, Any]) -> int:
    """How many numbers a value of the column becomes."""
    if column["kind"] == "text":
        return int(column["size"]) + EXTRA
    return len(DATE_PARTS) if column["kind"] == "datetime" else 1 + len(column.get("means", ()))


class Encoder:
    """Rows to numbers. `columns` as the model file has them: `name`, `kind` (number | boolean | category | datetime | text),
    for categories `codes` (the values in the order of their codes, 0…), `other` (the code of every other value; None: it
    counts as missing) and maybe `means` (lists, each with a further number for every code: the target's mean); a number may
    have means too, one for each of its `keys` and a last one for all other numbers; for texts what TextCoder reads. `fill` is
    the number that a missing value counts as. `slices` says where each column lies in a row's numbers."""

    def __init__(self, columns: Sequence[Mapping[str, Any]]) -> None:
        self._coders: list[tuple[str, Callable[[object], Any], int, str, slice]] = []
        self.slices: list[slice] = []
        self._fills: list[tuple[int, float]] = []
        self._at_once: list[tuple[str, Callable[[list[object]], Any]]] = []
        self.width = 0
        for column in columns:
            kind = column["kind"]
            coder: Callable[[object], Any]
            coded: Callable[[object], float] | None = None  # what tells the place in the means
            if kind == "category":
                codes = {text: float(index) for index, text in enumerate(column["codes"])}
                other = MISSING if column.get("other") is None else float(column["other"])
                coded = _category_coder(codes, other)
                coder, expected = coded, "text"
                self._at_once.append((column["name"], _categories_at_once(codes, coded)))
            elif kind == "boolean":
                coder, expected = boolean_of, "true or false"
                self._at_once.append((column["name"], lambda values: [boolean_of(value) for value in values]))
            elif kind == "datetime":
                coder, expected = date_parts, "a date or time"
            elif kind == "text":
                coder, expected = TextCoder(column), "text"
            else:
                coder, expected = _number_coder(frozenset(column.get("missing_tokens", ()))), "a number"
                self._at_once.append((column["name"], _numbers_at_once(coder)))
                coded = _place_coder(coder, column["keys"]) if "keys" in column else None
            place, fill = self.width, column.get("fill")
            self._add(column["name"], coder, numbers_of(column) if kind in _SEVERAL else 0, expected, fill)
            if coded is not None:
                for each in column.get("means", ()):
                    mean = _mean_coder(coded, each)
                    self._at_once.append((column["name"], _means_at_once(mean)))
                    filled = None if fill is None else each[int(fill if kind == "category" else coded(fill))]
                    self._add(column["name"], mean, 0, _OF_MEAN, filled)
            self.slices.append(slice(place, self.width))
        self._simple = None if any(each[2] for each in self._coders) else [(each[0], each[1]) for each in self._coders]

    def _add(self, name: str, coder: Callable[[object], Any], several: int, expected: str, fill: float | None) -> None:
        if fill is not None:
            self._fills.append((self.width, float(fill)))
        self._coders.append((name, coder, several, expected, slice(self.width, self.width + (several or 1))))
        self.width = self._coders[-1][4].stop

    def rows(self, rows: Sequence[Mapping[str, object]]) -> np.ndarray:
        """float64 (len(rows), width). Raises ColumnError."""
        matrix = np.empty((len(rows), self.width), dtype=np.float64)
        simple = self._simple
        if simple is not None and len(rows) >= _MANY:
            # What does not fit is met again row by row, and named.
            with suppress(KeyError, UnfitError, TypeError, ValueError, OverflowError):
                for place, (name, code_all) in enumerate(self._at_once):
                    matrix[:, place] = code_all([row[name] for row in rows])
                return self._filled(matrix)
        for index, row in enumerate(rows):
            if simple is not None:
                try:
                    matrix[index] = [code(row[name]) for name, code in simple]
                    continue
                except (KeyError, UnfitError, TypeError):
                    pass
            matrix[index] = self._slow(index, row)
        return self._filled(matrix)

    def table(self, columns: Mapping[str, Sequence[object]]) -> np.ndarray:
        """As `rows`, of several rows by column; ValueError where a column becomes several numbers (dates, texts)."""
        if self._simple is None:
            raise ValueError("dates and texts are coded row by row")
        matrix = np.empty((len(next(iter(columns.values()))), self.width), dtype=np.float64)
        for place, (name, code_all) in enumerate(self._at_once):
            matrix[:, place] = code_all(columns[name])  # type: ignore[arg-type]
        return self._filled(matrix)

    def _filled(self, matrix: np.ndarray) -> np.ndarray:
        for place, value in self._fills:
            numbers = matrix[:, place]
            numbers[np.isnan(numbers)] = value
        return matrix

    def _slow(self, index: int, row: Mapping[str, object]) -> list[float]:
        values: list[float] = []
        for name, code, several, expected, _ in self._coders:
            if name not in row:
                raise ColumnError(index, name, None, expected, absent=True)
            try:
                coded = code(row[name])
            except UnfitError as error:
                raise ColumnError(index, name, row[name], error.expected) from None
            except (TypeError, ValueError, OverflowError):
                raise ColumnError(index, name, row[name], expected) from None
            if several:
                values.extend(coded)
            else:
                values.append(coded)
        return values

    def frame(self, frame: Any) -> np.ndarray:
        """A pandas frame to float64 (rows, width); the same numbers as `rows` gives. Raises ColumnError."""
        matrix = np.empty((len(frame), self.width), dtype=np.float64)
        for name, code, _, expected, part in self._coders:
            if name not in frame.columns:
                raise ColumnError(0, name, None, expected, absent=True)
            self._column(matrix[:, part], frame[name], code, expected)
        return self._filled(matrix)

    @staticmethod
    def _column(target: np.ndarray, series: Any, code: Callable[[object], Any], expected: str) -> None:
        name = series.name
        if expected == "a number" and series.dtype.kind in "iuf" and isinstance(series.dtype, np.dtype):
            values = series.to_numpy(dtype=np.float64)
            target[:, 0] = np.where(np.isfinite(values), values, MISSING)
            return
        if series.dtype == object:  # pandas takes 1 and True for one value; the coders do not
            for index, value in enumerate(series.tolist()):
                try:
                    target[index] = code(value)
                except (UnfitError, TypeError, ValueError, OverflowError) as error:
                    wanted = error.expected if isinstance(error, UnfitError) else expected
                    raise ColumnError(index, str(name), value, wanted) from None
            return
        # Each distinct value is coded once, by the same coder that a single row takes.
        positions, distinct = series.factorize(use_na_sentinel=True)
        coded = np.full((len(distinct) + 1, target.shape[1]), MISSING)
        for index, value in enumerate(distinct):
            try:
                coded[index] = code(value)
            except (UnfitError, TypeError, ValueError, OverflowError) as error:
                wanted = error.expected if isinstance(error, UnfitError) else expected
                raise ColumnError(int(np.argmax(positions == index)), str(name), value, wanted) from None
        target[:] = coded[positions]
