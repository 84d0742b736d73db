"""What a scoring server understands and answers: three request dialects, told apart by their shape.

| dialect | request | reply |
|---|---|---|
| MLflow on Azure | `{"input_data": {"columns", "index", "data"}}`, or records | `[...]` |
| AutoML scoring v2 | `{"Inputs": {"data": [...]}, "GlobalParameters": {"method"}}` | `{"Results": [...]}` |
| AutoML scoring v1 | `{"data": [...], "method"}` | a JSON string that holds `{"result": [...]}` |

Whatever a client sends ends in a `Call` or a `BadRequest` that names the column, the row, the value and what was expected.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from opsml_cli.domain.column_values import (
    EXPECTED,
    LEAST,
    MOST,
    SHOWN,
    WRONG,
    all_plain,
    fitting_value,
    json_kind,
    shown,
    written,
)

METHODS = ("predict", "predict_proba")

_MANY = 16  # rows from which on columns are looked at as a whole


class Dialect(StrEnum):
    MLFLOW = "mlflow"
    AUTOML_V2 = "automl_v2"
    AUTOML_V1 = "automl_v1"


@dataclass(frozen=True, slots=True)
class Column:
    """One input column. `type` is integer, number, boolean, string or datetime; `categories` the values seen in training
    where they are few (others are allowed); minimum and maximum of training; `example` a value that works; `missing` the
    texts that stood for no value in training."""

    name: str
    type: str
    categories: tuple[object, ...] = ()
    minimum: float | str | None = None
    maximum: float | str | None = None
    example: object = None
    required: bool = True
    missing: tuple[str, ...] = ()


class Schema:
    """A model's input columns, prepared for checking requests."""

    def __init__(self, columns: Iterable[Column]) -> None:
        self.columns = tuple(columns)
        self.names = tuple(column.name for column in self.columns)
        self.known = frozenset(self.names)
        self._checks = tuple((column.name, column.type, column.required, column.missing) for column in self.columns)

    def example(self) -> dict[str, object]:
        """A row that the model answers."""
        return {column.name: column.example for column in self.columns}

    def check(self, rows: Sequence[dict[str, Any]], dialect: Dialect | None = None) -> int:
        """Check every value; numbers and booleans written as text are replaced by what they say. How many there were.

        Raises BadRequest for the first value that does not fit its column, or a column that is missing."""
        return 0 if len(rows) >= _MANY and self.all_plain(rows) else self._check_each(rows, dialect)

    def _check_each(self, rows: Sequence[dict[str, Any]], dialect: Dialect | None) -> int:
        converted = 0
        for index, row in enumerate(rows):
            for name, kind, required, missing in self._checks:
                try:
                    value = row[name]
                except KeyError:
                    if not required:
                        continue
                    raise BadRequest(
                        f"column {name!r} is missing", dialect=dialect, row=index, column=name, expected=EXPECTED[kind]
                    ) from None
                if value is None:
                    continue
                type_ = type(value)
                if kind == "number":
                    if type_ is int or (type_ is float and math.isfinite(value)):
                        continue
                elif kind == "integer":
                    if (type_ is int or (type_ is float and value.is_integer())) and LEAST <= value <= MOST:
                        continue
                elif kind == "string" and type_ is str:
                    continue
                fitting = None if missing and type_ is str and value.strip() in missing else fitting_value(value, kind)
                if fitting is WRONG:
                    raise BadRequest(
                        f"column {name!r}, row {index}: {written(value)} is not {EXPECTED[kind]}",
                        dialect=dialect,
                        row=index,
                        column=name,
                        value=shown(value),
                        expected=EXPECTED[kind],
                    )
                if fitting is not value:
                    row[name] = fitting
                    converted += type_ is str
        return converted

    def all_plain(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Whether every value is there and of its column's own type: see `column_values.all_plain`."""
        try:
            return all(all_plain(kind, [row[name] for row in rows]) for name, kind, _, _ in self._checks)
        except KeyError:
            return False

    def plain_columns(self, columns: Sequence[Sequence[object]]) -> bool:
        """`all_plain`, of the values by column in the order of `names`."""
        return all(all_plain(check[1], values) for check, values in zip(self._checks, columns, strict=True))


class BadRequest(Exception):  # noqa: N818 - named as HTTP names it
    """A request that cannot be answered, and why. `row` counts from 0; `value` is a JSON scalar, shortened."""

    def __init__(
        self,
        message: str,
        *,
        dialect: Dialect | None = None,
        row: int | None = None,
        column: str | None = None,
        value: object = None,
        expected: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.dialect = dialect
        self.row = row
        self.column = column
        self.value = value
        self.expected = expected

    def document(self) -> dict[str, object]:
        """The reply's body, in the shape that clients of the dialect read."""
        detail = {"column": self.column, "row": self.row, "value": self.value, "expected": self.expected}
        if self.dialect is Dialect.MLFLOW:
            return {"error_code": "BAD_REQUEST", "message": self.message, **detail}
        if self.dialect is Dialect.AUTOML_V1:
            return {"error": self.message, **detail}
        return {"error": {"code": "invalid_input", "message": self.message, **detail}}

    def body(self) -> bytes:
        document = json.dumps(self.document()).encode()
        # v1 services answer a JSON string that holds the document, also when it is an error.
        return json.dumps(document.decode()).encode() if self.dialect is Dialect.AUTOML_V1 else document


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was understood. `ignored` names columns and parameters that mean nothing to the model; `converted`
    counts values that came as text."""

    dialect: Dialect
    rows: list[dict[str, Any]]
    method: str = "predict"
    ignored: tuple[str, ...] = ()
    converted: int = 0

    @property
    def proba(self) -> bool:
        return self.method == "predict_proba"

    def reply(self, results: list[Any]) -> object:
        """What to send as JSON: `results` in the dialect's own shape."""
        return in_dialect(self.dialect, results)


def in_dialect(dialect: Dialect, results: object) -> object:
    """What to send as JSON for a model's `results`."""
    if dialect is Dialect.MLFLOW:
        return results
    if dialect is Dialect.AUTOML_V2:
        return {"Results": results}
    return json.dumps({"result": results})


@dataclass(frozen=True, slots=True)
class Envelope:
    """A request before its rows are looked at: `data` stood at `where`, `parameters` (without the method) at `above`."""

    dialect: Dialect
    data: object
    where: str
    parameters: Mapping[str, Any]
    above: str = ""


def open_envelope(body: object) -> Envelope:
    """Tell the dialect of a parsed request body by its shape; otherwise BadRequest."""
    if not isinstance(body, dict):
        raise BadRequest(f"the body is {json_kind(body)}, not an object", expected=_SHAPES)
    if "input_data" in body:
        return _mlflow(body)
    if "Inputs" in body:
        return _automl_v2(body)
    if "data" in body:
        return _automl_v1(body)
    raise BadRequest("the body has none of the keys 'input_data', 'Inputs' and 'data'", expected=_SHAPES)


def read_call(body: object, schema: Schema) -> Call:
    """Understand a parsed request body; otherwise BadRequest. The rows belong to the caller and may be changed."""
    envelope = open_envelope(body)
    dialect, data = envelope.dialect, envelope.data
    if dialect is Dialect.MLFLOW and isinstance(data, dict):
        rows = _split(data, dialect)
    else:
        rows = _rows(data, envelope.where, schema, dialect)
    ignored = tuple(f"{envelope.above}{name}" for name in envelope.parameters if name != "method")
    return _call(dialect, rows, read_method(envelope), schema, ignored)


def read_method(envelope: Envelope) -> str:
    """predict, or what the request asks for; BadRequest when it is no method."""
    if "method" not in envelope.parameters:
        return "predict"
    return _method(envelope.parameters["method"], f"{envelope.above}method", envelope.dialect)


_SHAPES = '{"input_data": {"columns": [...], "data": [[...]]}}, {"Inputs": {"data": [{...}]}} or {"data": [{...}]}'


def _mlflow(body: dict[str, Any]) -> Envelope:
    dialect = Dialect.MLFLOW
    _only(body, ("input_data", "params"), dialect)
    params = body.get("params")
    if params is not None and not isinstance(params, dict):
        raise BadRequest(f"'params' is {json_kind(params)}", dialect=dialect, expected="an object")
    return Envelope(dialect, body["input_data"], "input_data", params or {}, "params.")


def _automl_v2(body: dict[str, Any]) -> Envelope:
    dialect = Dialect.AUTOML_V2
    _only(body, ("Inputs", "GlobalParameters"), dialect)
    inputs = body["Inputs"]
    if not isinstance(inputs, dict) or "data" not in inputs:
        raise BadRequest("'Inputs' has no 'data'", dialect=dialect, expected='{"data": [{...}]}')
    _only(inputs, ("data",), dialect, "Inputs.")
    parameters = body.get("GlobalParameters")
    # Azure's own samples for regression send a bare number here, which means nothing.
    if parameters is not None and (isinstance(parameters, bool) or not isinstance(parameters, dict | int | float)):
        raise BadRequest(f"'GlobalParameters' is {json_kind(parameters)}", dialect=dialect, expected='{"method": "predict"}')
    known = parameters if isinstance(parameters, dict) else {}
    return Envelope(dialect, inputs["data"], "Inputs.data", known, "GlobalParameters.")


def _automl_v1(body: dict[str, Any]) -> Envelope:
    dialect = Dialect.AUTOML_V1
    _only(body, ("data", "method"), dialect)
    parameters = {"method": body["method"]} if "method" in body else {}
    return Envelope(dialect, body["data"], "data", parameters)


def _call(dialect: Dialect, rows: list[dict[str, Any]], method: str, schema: Schema, ignored: tuple[str, ...]) -> Call:
    converted = schema.check(rows, dialect)
    extra: dict[str, None] = {}
    known = schema.known
    for row in rows:
        if len(row) > len(known) or not row.keys() <= known:
            extra.update(dict.fromkeys(row.keys() - known))
    return Call(dialect, rows, method, (*ignored, *sorted(extra)), converted)


def _only(body: Mapping[str, object], allowed: tuple[str, ...], dialect: Dialect, prefix: str = "") -> None:
    for name in body:
        if name not in allowed:
            keys = " and ".join(repr(each) for each in allowed)
            raise BadRequest(f"unknown key {prefix + name[:SHOWN]!r}", dialect=dialect, expected=f"only {keys}")


def _method(value: object, where: str, dialect: Dialect) -> str:
    if value not in METHODS or not isinstance(value, str):
        raise BadRequest(
            f"{where} is {written(value)}", dialect=dialect, value=shown(value), expected="predict or predict_proba"
        )
    return value


def _split(data: dict[str, Any], dialect: Dialect) -> list[dict[str, Any]]:
    _only(data, ("columns", "index", "data"), dialect, "input_data.")
    columns, values = data.get("columns"), data.get("data")
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise BadRequest("'input_data.columns' is no list of names", dialect=dialect, expected='["age", "job", ...]')
    if len(set(columns)) != len(columns):
        twice = _repeated(columns)
        raise BadRequest(
            f"column {twice[:SHOWN]!r} is named twice", dialect=dialect, column=twice[:SHOWN], expected="each name once"
        )
    if not isinstance(values, list):
        raise BadRequest(f"'input_data.data' is {json_kind(values)}", dialect=dialect, expected="a list of rows")
    if not isinstance(data.get("index", []), list):
        raise BadRequest("'input_data.index' is no list", dialect=dialect, expected="a list, or no index at all")
    return [dict(zip(columns, _list_row(row, index, len(columns), dialect), strict=True)) for index, row in enumerate(values)]


def _repeated(names: Iterable[str]) -> str:
    """The first name that was there before."""
    seen: set[str] = set()
    return next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]


def _list_row(row: object, index: int, width: int, dialect: Dialect) -> list[Any]:
    if not isinstance(row, list):
        raise BadRequest(f"row {index} is {json_kind(row)}", dialect=dialect, row=index, expected=f"a list of {width} values")
    if len(row) != width:
        raise BadRequest(
            f"row {index} has {len(row)} values for {width} columns", dialect=dialect, row=index, expected=f"{width} values"
        )
    return row


def _rows(data: object, where: str, schema: Schema, dialect: Dialect) -> list[dict[str, Any]]:
    if not isinstance(data, list):
        raise BadRequest(f"{where!r} is {json_kind(data)}", dialect=dialect, expected="a list of rows")
    rows: list[dict[str, Any]] = []
    for index, row in enumerate(data):
        if isinstance(row, dict):
            rows.append(row)
        elif isinstance(row, list):
            rows.append(dict(zip(schema.names, _list_row(row, index, len(schema.names), dialect), strict=True)))
        else:
            raise BadRequest(
                f"row {index} is {json_kind(row)}",
                dialect=dialect,
                row=index,
                value=shown(row),
                expected="an object by column name",
            )
    return rows
