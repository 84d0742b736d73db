"""The short way of a model that opsml trained: its columns as `single_row` codes them, and its boosters asked for one row."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from opsml_cli.local.serving.single_row import BooleanColumn, CategoryColumn, Column, Number, NumberColumn, RowCoder, SingleRow

if TYPE_CHECKING:
    from opsml_cli.local.automl.scoring.members import Member
    from opsml_cli.local.automl.scoring.model import TabularModel

MISSING = math.nan


def short_way(model: TabularModel, types: Sequence[str]) -> SingleRow | None:
    """None for a model with columns that a number a value cannot hold (dates, texts). `types` are the contract's types."""
    columns = [_column(column, type_) for column, type_ in zip(model.document["columns"], types, strict=True)]
    plain = [column for column in columns if column is not None]
    if len(plain) != len(columns) or not plain:
        return None
    coder = RowCoder(plain)
    members = model.members
    scalar = all(each.boosters and not each.linear and each.boosters[0].outputs == 1 for each in members)
    links = ("none", "exp") if model.task == "regression" else ("logistic", "positive", "share")
    if scalar and (model.task == "regression" or len(model.classes) == 2) and all(each.link in links for each in members):
        return SingleRow(coder, _Boosters(model, coder.matrix), _labels(model))
    return SingleRow(coder, _Whole(model, coder.matrix), _labels(model))


def _labels(model: TabularModel) -> list[object]:
    # True and 1 are one key of a dictionary: such labels are encoded each time.
    return list(model.classes) if all(type(label) is str for label in model.classes) else []


def _column(column: Mapping[str, Any], type_: str) -> Column | None:
    kind, fill = column["kind"], column.get("fill")
    missing = MISSING if fill is None else float(fill)
    if kind == "number" and "means" not in column:
        return (
            NumberColumn(column["name"], (Number((), missing),), whole=type_ == "integer")
            if type_ in ("integer", "number")
            else None
        )
    if kind == "boolean":
        return BooleanColumn(column["name"], missing) if type_ == "boolean" else None
    if kind != "category" or type_ != "string":
        return None
    means = column.get("means", ())
    tables: list[dict[str | None, float]] = [{text: float(place) for place, text in enumerate(column["codes"])}]
    tables += [{text: float(mean[int(code)]) for text, code in tables[0].items()} for mean in means]
    gaps = [missing, *(MISSING if fill is None else float(mean[int(fill)]) for mean in means)]
    for table, gap in zip(tables, gaps, strict=True):
        table[None] = gap
    return CategoryColumn(column["name"], tuple(tables))


class _Whole:
    """Any model: the coded row through all of it, as a row among many goes."""

    def __init__(self, model: TabularModel, matrix: np.ndarray) -> None:
        self._model = model
        self._matrix = matrix

    def label(self) -> object:
        if self._model.task == "regression":
            return _finite(float(self._model.values(self._matrix)[0]))
        return self._model.labels(self._model.probabilities(self._matrix))[0]

    def probabilities(self) -> list[float]:
        if self._model.task == "regression":
            raise LookupError("a regression model has no probabilities")
        row: list[float] = self._model.probabilities(self._matrix)[0].tolist()
        return row


class _Boosters:
    """Members of boosters with one output each: the arithmetic of `members.Member` in the same order, on single numbers."""

    def __init__(self, model: TabularModel, matrix: np.ndarray) -> None:
        self._model = model
        self._pointer = ctypes.c_void_p(matrix.ctypes.data)
        self._matrix = matrix
        self._members: list[Member] = model.members
        self._classification = model.task == "classification"
        positive = model.positive_index if model.threshold is not None else None
        self._threshold = model.threshold if positive is not None else None
        self._positive = 1 if positive is None else positive

    def _shares(self) -> tuple[float, float]:
        """The weighted answers: of the two classes, or of regression the value twice."""
        first = second = 0.0
        with self._model.lock:
            for number, member in enumerate(self._members):
                boosters = member.boosters
                score = float(boosters[0].row(self._pointer)[0])
                for booster in boosters[1:]:
                    score += float(booster.row(self._pointer)[0])
                share = _LINKS[member.link](score / len(boosters))
                one, other = (1.0 - share, share) if self._classification else (share, share)
                first, second = (
                    (one * member.weight, other * member.weight)
                    if number == 0
                    else (first + one * member.weight, second + other * member.weight)
                )
        return first, second

    def label(self) -> object:
        shares = self._shares()
        if not self._classification:
            return _finite(shares[0])
        if self._threshold is not None:
            chosen = self._positive if shares[self._positive] >= self._threshold else 1 - self._positive
        else:
            chosen = 1 if shares[1] > shares[0] else 0
        return self._model.classes[chosen]

    def probabilities(self) -> list[float]:
        if not self._classification:
            raise LookupError("a regression model has no probabilities")
        return list(self._shares())


def _logistic(score: float) -> float:
    # NumPy's exponential, for a row among many goes through that one: the last bit is the same.
    return float(1.0 / (1.0 + np.exp(-min(max(score, -700.0), 700.0))))


def _grown(score: float) -> float:
    return float(np.expm1(min(score, 700.0)))


def _same(score: float) -> float:
    return score


def _share(score: float) -> float:
    return min(max(score, 1e-6), 1.0 - 1e-6)


_LINKS: Mapping[str, Callable[[float], float]] = {
    "none": _same,
    "exp": _grown,
    "logistic": _logistic,
    "positive": _same,
    "share": _share,
}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
