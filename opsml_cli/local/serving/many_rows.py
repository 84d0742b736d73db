"""Many rows in one request, column by column: for a body whose every value is of its column's own type.

Like the short way of one row it decides nothing: what is not plain is left to the general way, which says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import orjson

from opsml_cli.domain.contract import Call, Schema
from opsml_cli.local.serving.single_row import GIVES_UP, read_body

LEAST = 16  # rows from which on this is worth it

Columns = Sequence[Sequence[Any]]  # the values of each column of the schema, in its order


class ManyRows:
    """Answers bodies of plain rows by `score(columns, proba)`, which gives a result a row, or raises."""

    def __init__(self, schema: Schema, score: Callable[[Columns, bool], list[Any]]) -> None:
        self._schema = schema
        self._score = score
        self._names = list(schema.names)
        self._get = itemgetter(*self._names) if len(self._names) > 1 else None

    def answer(self, body: bytes) -> tuple[bytes, int] | None:
        """The reply's JSON and the number of rows; None when the general way has to answer."""
        if self._get is None:
            return None
        try:
            dialect, data, options = read_body(orjson.loads(body))
            proba = options == {"method": "predict_proba"}
            columns = self._columns(data) if proba or options is None or options == {"method": "predict"} else None
            if columns is None or not self._schema.plain_columns(columns):
                return None
            results = self._score(columns, proba)
            return orjson.dumps(Call(dialect, []).reply(results)), len(results)
        except GIVES_UP:
            return None

    def _columns(self, data: Any) -> Columns | None:
        if type(data) is dict:
            if data["columns"] != self._names or data.keys() - {"columns", "index", "data"}:
                return None
            if type(data.get("index", [])) is not list:
                return None
            data = data["data"]
        if type(data) is not list or len(data) < LEAST or set(map(len, data)) != {len(self._names)}:
            return None
        kinds = set(map(type, data))
        if kinds == {list}:
            return list(zip(*data, strict=True))
        return list(zip(*map(self._get, data), strict=True)) if kinds == {dict} and self._get is not None else None
