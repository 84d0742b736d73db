"""What one column holds, learnt batch by batch in bounded memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from opsml_cli.domain.column_values import number_text
from opsml_cli.domain.data import ColumnProfile, ColumnType, ValueCount
from opsml_cli.tables.convert import TRIED, converted, kind_of, plain
from opsml_cli.tables.sketch import DistinctSketch, mixed

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

EXACT_VALUES = 50_000  # distinct values counted exactly in one column
EXACT_VALUES_OF_TABLE = 1_000_000
EXACT_CHARACTERS = 8 << 20
TOP = 20
TOP_UNIQUE = 1_000  # columns of more distinct values have no `top`

# What a column becomes when a value of another type turns up.
_JOINED = {frozenset((ColumnType.INTEGER, ColumnType.NUMBER)): ColumnType.NUMBER}
_NUMERIC = (ColumnType.INTEGER, ColumnType.NUMBER)


class ColumnAccumulator:
    """Feed it the column's parts with `add`; `profile` tells what they were. With `infer`, text is tried for the other
    types; without, text stays text."""

    def __init__(self, name: str, *, infer: bool, exact_values: int = EXACT_VALUES) -> None:
        self.name = name
        self.type = ColumnType.EMPTY
        self.missing = 0
        self._infer = infer
        self._exact_values = exact_values
        self._counts: dict[str, int] | None = {}
        self._characters = 0
        self._sketch: DistinctSketch | None = None
        self._least_unique = 0  # by sketches of a type that the column turned out not to have
        self._number = 0  # count, mean and sum of squared differences of the finite numbers so far
        self._mean = self._squares = 0.0
        self._minimum: float | str | None = None
        self._maximum: float | str | None = None

    def add(self, array: pa.Array) -> None:
        import pyarrow as pa

        is_text = pa.types.is_string(array.type)
        if not is_text:
            array = plain(array)
        self.missing += array.null_count
        if array.null_count == len(array):
            return
        array = array.drop_null()
        counts = None
        if self._counts is not None:
            array, counts = array.value_counts().flatten()
        self._typed(array, counts, infer=self._infer and is_text)

    def _typed(self, array: pa.Array, counts: pa.Array | None, *, infer: bool) -> None:
        import numpy as np
        import pyarrow as pa

        text: pa.Array | None = array if pa.types.is_string(array.type) else None
        if infer:
            kind, values = self._inferred(array)
        else:
            found = kind_of(array.type)
            kind, values = self._joined(found or ColumnType.STRING), array
        self._become(kind)
        weights = np.ones(len(array)) if counts is None else counts.to_numpy().astype(np.float64)
        if kind in _NUMERIC:
            self._moments(values.to_numpy(zero_copy_only=False).astype(np.float64), weights)
        elif kind is ColumnType.DATETIME:
            self._span(values)
        if self._counts is not None and counts is not None:
            self._count(text if text is not None else as_text(array), counts)
        if self._counts is None:
            self._estimate(values, kind, text)

    def _inferred(self, array: pa.Array) -> tuple[ColumnType, pa.Array]:
        """The narrowest type that fits these values and the ones before."""
        for kind in TRIED:
            if self._joined(kind) is not kind:
                continue
            values = converted(array, kind)
            if values is not None:
                return kind, values
        return ColumnType.STRING, array

    def _joined(self, kind: ColumnType) -> ColumnType:
        if kind is self.type or self.type is ColumnType.EMPTY:
            return kind
        return _JOINED.get(frozenset((kind, self.type)), ColumnType.STRING)

    def _become(self, kind: ColumnType) -> None:
        if kind is self.type:
            return
        if self._sketch is not None:
            self._least_unique = max(self._least_unique, self._sketch.estimate())
            self._sketch = DistinctSketch()
        if not (self.type is ColumnType.INTEGER and kind is ColumnType.NUMBER):
            self._number, self._mean, self._squares = 0, 0.0, 0.0
            self._minimum = self._maximum = None
        self.type = kind

    def _moments(self, values: np.ndarray, weights: np.ndarray) -> None:
        import numpy as np

        finite = np.isfinite(values)
        if not finite.all():
            self.missing += int(weights[np.isnan(values)].sum())
            values, weights = values[finite], weights[finite]
        if not len(values):
            return
        low, high = float(values.min()), float(values.max())
        self._minimum = low if self._minimum is None else min(float(self._minimum), low)
        self._maximum = high if self._maximum is None else max(float(self._maximum), high)
        with np.errstate(over="ignore", invalid="ignore"):
            count = int(weights.sum())
            mean = float(np.average(values, weights=weights))
            squares = float((weights * (values - mean) ** 2).sum())
            total, apart = self._number + count, mean - self._mean
            # Chan's merge of two parts' moments.
            self._squares += squares + apart * apart * self._number * count / total
            self._mean += apart * count / total
            self._number = total

    def _span(self, values: pa.Array) -> None:
        import pyarrow.compute as pc

        ends = pc.min_max(values).as_py()
        low, high = ends["min"].isoformat(), ends["max"].isoformat()
        self._minimum = low if self._minimum is None else min(str(self._minimum), low)
        self._maximum = high if self._maximum is None else max(str(self._maximum), high)

    def _count(self, values: pa.Array, counts: pa.Array) -> None:
        held = self._counts
        assert held is not None
        for value, count in zip(values.to_pylist(), counts.to_pylist(), strict=True):
            if value in held:
                held[value] += count
            else:
                held[value] = count
                self._characters += len(value)
        if len(held) > self._exact_values or self._characters > EXACT_CHARACTERS:
            import pyarrow as pa

            # Too many to hold: go on with an estimate, which these values begin.
            self._counts = None
            self._sketch = DistinctSketch()
            known = pa.array(list(held), pa.string())
            self._estimate(known if self.type is ColumnType.STRING else converted(known, self.type), self.type, known)

    def _estimate(self, values: pa.Array | None, kind: ColumnType, text: pa.Array | None) -> None:
        import numpy as np
        import pandas as pd

        assert self._sketch is not None
        if values is not None and kind in (*_NUMERIC, ColumnType.DATETIME):
            raw = values.to_numpy(zero_copy_only=False)
            self._sketch.add(mixed(np.ascontiguousarray(raw.view(np.int64))))
            return
        strings = text if text is not None else as_text(values)
        self._sketch.add(pd.util.hash_array(strings.to_numpy(zero_copy_only=False), categorize=False))

    def counted(self) -> dict[str, int] | None:
        """Rows by value, numbers that are equal taken together; None when there were too many to count."""
        if self._counts is None or self.type not in (*_NUMERIC, ColumnType.BOOLEAN):
            return self._counts
        merged: dict[object, tuple[str, int]] = {}
        for text, count in self._counts.items():
            value = text.strip()
            same: object = value.lower() if self.type is ColumnType.BOOLEAN else _number(value)
            if same is None:
                continue
            first, before = merged.get(same, (str(same) if self.type is ColumnType.BOOLEAN else value, 0))
            merged[same] = (first, before + count)
        return dict(merged.values())

    def profile(self) -> ColumnProfile:
        counts = self.counted()
        if counts is None:
            assert self._sketch is not None
            unique = max(self._least_unique, self._sketch.estimate())
        else:
            unique = len(counts)
        top: tuple[ValueCount, ...] = ()
        if counts is not None and unique <= TOP_UNIQUE:
            top = most_frequent(counts, TOP)
        numeric = self.type in _NUMERIC and self._number > 0
        return ColumnProfile(
            name=self.name,
            type=self.type,
            missing=self.missing,
            unique=unique,
            unique_estimated=counts is None,
            minimum=self._minimum,
            maximum=self._maximum,
            mean=_finite(self._mean) if numeric else None,
            standard_deviation=_finite(math.sqrt(self._squares / (self._number - 1))) if numeric and self._number > 1 else None,
            top=top,
        )


def most_frequent(counts: dict[str, int], limit: int) -> tuple[ValueCount, ...]:
    """The `limit` most frequent values, ties by value."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(ValueCount(value, count) for value, count in ordered[:limit])


def as_text(array: pa.Array) -> pa.Array:
    """A typed column as text: whole floats keep no `.0`, dates are ISO."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(array.type):
        return array
    if pa.types.is_timestamp(array.type):
        return pc.strftime(array, format="%Y-%m-%dT%H:%M:%S")
    if pa.types.is_floating(array.type):
        return pa.array([None if value is None else number_text(value) for value in array.to_pylist()], pa.string())
    return pc.cast(array, pa.string())


def _number(text: str) -> float | int | None:
    try:
        return int(text)
    except ValueError:
        value = float(text)
        return None if math.isnan(value) else value


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
