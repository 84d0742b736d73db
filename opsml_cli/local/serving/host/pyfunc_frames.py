"""Rows of a plain table straight to the frame that MLflow would make of them, without its steps in between.

MLflow builds a frame, casts it column by column, and checks it column by column: two to three times what a small model itself
takes. Here each column becomes an array of its type at once, when its values are of the types that need no thought; `None`
otherwise, and MLflow's way is taken. That both give the same frame is proven when a model is loaded (`proven`)."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from opsml_cli.domain.mlflow_signature import FLOAT32, INT32, Signature

_NUMBERS = frozenset((int, float, type(None)))
_WHOLE = frozenset((int,))
_FLOATS = frozenset((float,))
_TRUTHS = frozenset((bool,))
_TEXTS = frozenset((str,))

_Quick = tuple[Any, int, tuple[str, ...]]


class Frames:
    """`signature` must be plain: named columns of simple types."""

    def __init__(self, signature: Signature) -> None:
        self.names = [str(field.name) for field in signature.inputs]
        self.kinds = [field.type for field in signature.inputs]
        self._known = frozenset(self.names)

    @staticmethod
    def possible(signature: Signature) -> bool:
        return signature.plain and all(field.type in _COLUMNS for field in signature.inputs)

    def of_request(self, orient: str, data: Any) -> _Quick | None:
        """(frame, rows, names of columns that mean nothing), or None: take MLflow's way."""
        return self._of_records(data) if orient == "records" else self._of_split(data)

    def _of_records(self, rows: list[dict[str, Any]]) -> _Quick | None:
        if not rows or not all(row.keys() >= self._known for row in rows):
            return None
        extra: tuple[str, ...] = ()
        if any(len(row) > len(self._known) for row in rows):
            extra = tuple(sorted(set().union(*rows) - self._known))
        return self._made([[row[name] for row in rows] for name in self.names], len(rows), None, extra)

    def _of_split(self, data: dict[str, Any]) -> _Quick | None:
        rows, columns, index = data["data"], data.get("columns"), data.get("index")
        if not isinstance(rows, list) or columns is None or {*map(type, rows)} != {list}:
            return None
        if not _range_like(index, len(rows)) or {*map(len, rows)} != {len(columns)}:
            return None
        if columns == self.names:
            return self._made([list(column) for column in zip(*rows, strict=True)], len(rows), index, ())
        places = {name: place for place, name in enumerate(columns)}
        if not places.keys() >= self._known or len(places) != len(columns):
            return None
        extra = tuple(sorted(str(name) for name in places if name not in self._known))
        return self._made([[row[places[name]] for row in rows] for name in self.names], len(rows), index, extra)

    def _made(self, columns: Sequence[list[Any]], rows: int, index: list[int] | None, extra: tuple[str, ...]) -> _Quick | None:
        import pandas as pd

        arrays: dict[str, Any] = {}
        try:
            for name, kind, values in zip(self.names, self.kinds, columns, strict=True):
                array = _COLUMNS[kind](values)
                if array is None:
                    return None
                arrays[name] = array
        except (OverflowError, ValueError, TypeError):
            return None
        return pd.DataFrame(arrays, index=index), rows, extra


def _range_like(index: Any, rows: int) -> bool:
    return index is None or (type(index) is list and len(index) == rows and {*map(type, index)} == {int})


def _doubles(values: list[Any]) -> Any:
    import numpy as np

    return np.array(values, dtype=np.float64) if _NUMBERS.issuperset(map(type, values)) else None


def _singles(values: list[Any]) -> Any:
    import numpy as np

    if not _FLOATS.issuperset(map(type, values)) or any(math.isfinite(value) and abs(value) > FLOAT32 for value in values):
        return None
    return np.array(values, dtype=np.float64).astype(np.float32)


def _longs(values: list[Any]) -> Any:
    import numpy as np

    return np.array(values, dtype=np.int64) if _WHOLE.issuperset(map(type, values)) else None


def _integers(values: list[Any]) -> Any:
    import numpy as np

    if not _WHOLE.issuperset(map(type, values)) or min(values) < -INT32 or max(values) >= INT32:
        return None
    return np.array(values, dtype=np.int32)


def _truths(values: list[Any]) -> Any:
    import numpy as np

    return np.array(values, dtype=bool) if _TRUTHS.issuperset(map(type, values)) else None


def _texts(values: list[Any]) -> Any:
    return values if _TEXTS.issuperset(map(type, values)) else None


_COLUMNS: dict[str, Callable[[list[Any]], Any]] = {
    "double": _doubles,
    "float": _singles,
    "long": _longs,
    "integer": _integers,
    "boolean": _truths,
    "string": _texts,
}
_DRAWN: dict[str, Callable[[random.Random], Any]] = {
    "double": lambda draw: draw.choice((0, 1, -7, 2.5, 1e300, -0.0, None, 1 << 60, draw.random())),
    "float": lambda draw: draw.choice((0.0, 1.0, -2.5, 1e30, draw.random())),
    "long": lambda draw: draw.choice((0, 1, -5, (1 << 63) - 1, -(1 << 63))),
    "integer": lambda draw: draw.choice((0, 1, -5, (1 << 31) - 1, -(1 << 31))),
    "boolean": lambda draw: draw.choice((True, False)),
    "string": lambda draw: draw.choice(("a", "", "ä", "1", "2026-01-31", "nan", "true")),
}


def proven(frames: Frames, mlflow_frame: Callable[[dict[str, Any]], Any]) -> bool:
    """Whether drawn tables of 1, 2 and 9 rows become the very frames that `mlflow_frame` makes of the split form."""
    from pandas.testing import assert_frame_equal

    draw = random.Random(7)  # noqa: S311 - no secret
    for rows in (1, 2, 9):
        for index in (None, list(range(rows))):
            data = [[_DRAWN[kind](draw) for kind in frames.kinds] for _ in range(rows)]
            split: dict[str, Any] = {"columns": frames.names, "data": data}
            if index is not None:
                split["index"] = index
            quick = frames.of_request("split", split)
            if quick is None:
                continue
            try:
                assert_frame_equal(quick[0], mlflow_frame(split), check_exact=True)
            except AssertionError:
                return False
    return True
