"""Encoders of categories, tabulated by asking the fitted encoder itself for every category that it knows."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from .flow import Column, Document, Flow, Reading, TransformerReader, UnknownError, name_of

UNSEEN = "\x01 unseen by the encoder \x01"
_CATEGORIES = 100_000  # of a column
_STEP = 1024  # rows tabulated at once


def _missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _key(value: object, kind: str) -> Any:
    """A category as the evaluator meets it: text, or a number."""
    if isinstance(value, np.generic):
        value = value.item()
    if kind == "t":
        if not isinstance(value, str):
            raise UnknownError(f"a category of a text column is {value!r}")
        return value
    if isinstance(value, bool | int | float):
        return float(value)
    raise UnknownError(f"a category of a column of numbers is {value!r}")


class _Asking:
    """A fitted encoder, asked with frames like those that it was fitted on."""

    def __init__(self, encoder: Any, flow: Flow) -> None:
        self.encoder = encoder
        self.flow = flow
        self.categories = [list(values) for values in encoder.categories_]
        self.known = [[value for value in values if not _missing(value)] for values in self.categories]
        self._dtypes = [np.asarray(values).dtype for values in encoder.categories_]
        for values in self.categories:
            if not values:
                raise UnknownError(f"{name_of(encoder)} has a column without categories")
            if len(values) > _CATEGORIES:
                raise UnknownError(f"{name_of(encoder)} knows {len(values):,} categories of a column; at most {_CATEGORIES:,}")

    def ask(self, columns: Sequence[Sequence[Any]]) -> Any:
        """The encoder's own answer; an exception as it raises it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.encoder.transform(self._given(columns))

    def _given(self, columns: Sequence[Sequence[Any]]) -> Any:
        names = getattr(self.encoder, "feature_names_in_", None)
        if names is None and len({dtype.kind for dtype in self._dtypes}) == 1 and self._dtypes[0].kind in "iuf":
            return np.array([list(values) for values in columns], dtype=np.float64).T
        import pandas as pd

        names = list(range(len(columns))) if names is None else list(names)
        data = {}
        for name, values, dtype, column in zip(names, columns, self._dtypes, self.flow.columns, strict=True):
            kind = object if column.kind == "t" or dtype.kind == "O" else None
            data[name] = pd.Series(list(values), dtype=kind)
        frame = pd.DataFrame(data)
        return frame if getattr(self.encoder, "feature_names_in_", None) is not None else frame.to_numpy(dtype=object)

    def filler(self, column: int) -> Any:
        return self.known[column][0] if self.known[column] else self.categories[column][0]

    def with_one(self, column: int, values: Sequence[Any]) -> Any:
        """Rows that differ in one column only."""
        return self.ask([values if place == column else [self.filler(place)] * len(values) for place in range(self.flow.width)])

    def lone(self, column: int, value: Any) -> Any:
        """The answer for one value, None where the encoder refuses it."""
        try:
            return self.with_one(column, [value])
        except (ValueError, TypeError):
            return None

    def unseen(self, column: int) -> Any:
        if self.flow.columns[column].kind == "t":
            return UNSEEN
        numbers = [float(value) for value in self.known[column]]
        highest = max(numbers, default=0.0)
        return highest + 1.5 if highest + 1.5 != highest else -1.5


def _dense(answer: Any) -> np.ndarray:
    if hasattr(answer, "toarray"):
        answer = answer.toarray()
    return np.asarray(answer, dtype=np.float64)


class _Rows:
    """Answers collected row by row, and the row of each extra value (-1: the encoder refuses it)."""

    def __init__(self, reading: Reading, asking: _Asking, column: int, step: int) -> None:
        known = asking.known[column]
        feature = asking.flow.columns[column]
        self.keys = [_key(value, feature.kind) for value in known]
        if len(set(self.keys)) != len(self.keys):
            raise UnknownError(f"{name_of(asking.encoder)} has categories that are the same number")
        reading.note(feature, self.keys)
        self.answers = [asking.with_one(column, known[start : start + step]) for start in range(0, len(known), step)]
        count = len(known)
        places = []
        for value in (asking.unseen(column), math.nan, None if feature.kind == "t" else math.nan):
            answer = asking.lone(column, value)
            places.append(-1 if answer is None else count)
            if answer is not None:
                self.answers.append(answer)
                count += 1
        if not self.answers:
            raise UnknownError(f"{name_of(asking.encoder)} has a column without categories")
        self.unknown, self.missing, self.none = places

    def document(self) -> Document:
        return {"keys": self.keys, "unknown": self.unknown, "missing": self.missing, "none": self.none}


def _table(reading: Reading, encoder: Any, flow: Flow, width: int) -> tuple[Document, Flow]:
    asking = _Asking(encoder, flow)
    columns = []
    for place in range(flow.width):
        rows = _Rows(reading, asking, place, _STEP)
        mine = slice(place * width, (place + 1) * width)
        table = np.concatenate([_dense(answer)[:, mine] for answer in rows.answers])
        columns.append({**rows.document(), "table": reading.writer.array(table)})
    return {"op": "table", "columns": columns}, Flow((Column("n"),) * (flow.width * width))


def _ordinal(reading: Reading, encoder: Any, flow: Flow) -> tuple[Document, Flow]:
    return _table(reading, encoder, flow, 1)


def _target(reading: Reading, encoder: Any, flow: Flow) -> tuple[Document, Flow]:
    width = len(encoder.classes_) if encoder.target_type_ == "multiclass" else 1
    return _table(reading, encoder, flow, width)


def _one_hot(reading: Reading, encoder: Any, flow: Flow) -> tuple[Document, Flow]:
    asking = _Asking(encoder, flow)
    columns = []
    start = 0
    for place, width in enumerate(encoder._n_features_outs):
        columns.append(_spots(reading, asking, place, start, int(width)))
        start += int(width)
    sparse = bool(getattr(encoder, "sparse_output", getattr(encoder, "sparse", True)))
    return {"op": "positions", "columns": columns}, Flow((Column("n"),) * start, False, sparse)


def _spots(reading: Reading, asking: _Asking, column: int, start: int, width: int) -> Document:
    step = max(1, min(_STEP, 4_000_000 // max(1, sum(asking.encoder._n_features_outs))))
    rows = _Rows(reading, asking, column, step)
    found = [place for answer in rows.answers for place in _places(answer, start, width)]
    return {**rows.document(), "spots": reading.writer.array(found, np.int64), "width": width}


def _places(answer: Any, start: int, width: int) -> list[int]:
    dense = _dense(answer)[:, start : start + width]
    if not np.isin(dense, (0.0, 1.0)).all() or (dense.sum(axis=1) > 1).any():
        raise UnknownError("OneHotEncoder gives other numbers than zeros and a one")
    if not width:
        return [-1] * len(dense)
    return [int(place) + start if row[place] else -1 for row, place in zip(dense, dense.argmax(axis=1), strict=True)]


TRANSFORMERS: dict[str, TransformerReader] = {
    "sklearn.OrdinalEncoder": _ordinal,
    "sklearn.TargetEncoder": _target,
    "sklearn.OneHotEncoder": _one_hot,
}
