"""From a request of any dialect to what MLflow's own server would give the model: a frame, an array, or arrays by name.

MLflow's conversions are used as they are, so that a model gets the same values and types from both. Where they would change a
value without a word (an integer that wraps, 1.5 for 1, null or "false" for a boolean), the request is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opsml_cli.domain.column_values import shown, written
from opsml_cli.domain.contract import BadRequest, Dialect, Envelope
from opsml_cli.domain.mlflow_signature import FLOAT32, INT32, INT64, Signature

_SPLIT = frozenset(("columns", "index", "data"))
_BOUNDS: Mapping[str, int] = {"integer": INT32, "long": INT64}
_EXPECTED: Mapping[str, str] = {
    "integer": "an integer of 32 bits",
    "long": "an integer of 64 bits",
    "float": "a number that a 32-bit float holds, or null",
    "double": "a number or null",
    "boolean": "true or false",
    "datetime": "a date or time as ISO 8601 text, all of a column in one format",
    "binary": "base64 text",
    "string": "text or null",
}


@dataclass(frozen=True, slots=True)
class Input:
    """`data` is for the model's predict. `ignored` names columns that mean nothing to it; `converted` counts numbers and
    booleans that came as text."""

    data: Any
    rows: int
    ignored: tuple[str, ...] = ()
    converted: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """How `input_data` is meant: `orient` is split, records, inputs or instances, as MLflow names them, or raw."""

    orient: str
    data: Any


def meant(envelope: Envelope, signature: Signature, raw: bool = False) -> Request:
    """`raw`: the model checks its input by its own type hints, so that it gets the values as they are."""
    data, names = envelope.data, signature.names
    if raw:
        return Request("raw", data)
    if isinstance(data, list):
        return _of_list(data, signature)
    if isinstance(data, dict):
        named_so = signature.tensor and "data" in names
        if envelope.dialect is Dialect.MLFLOW and "data" in data and data.keys() <= _SPLIT and not named_so:
            return Request("split", _named(data, envelope.dialect))
    return Request("inputs", data)


def _of_list(data: list[Any], signature: Signature) -> Request:
    names = signature.names
    if data and all(isinstance(row, dict) for row in data):
        return Request("instances" if signature.tensor and names else "records", data)
    if signature.tensor or not signature.inputs:
        return Request("inputs", data)
    flat = bool(data) and not any(isinstance(row, list | dict) for row in data)
    if len(signature.inputs) == 1 and (flat or (signature.inputs[0].type == "array" and not _singles(data))):
        return Request("split", {"columns": list(names) or None, "data": [[value] for value in data]})
    if not data:
        raise BadRequest("there are no rows", expected="a list of rows")
    width = len(signature.inputs)
    for index, row in enumerate(data):
        if not isinstance(row, list):
            expected = f"a list of {width} values, as the first row, or an object by column name"
            raise BadRequest(f"row {index} is no list", row=index, value=shown(row), expected=expected)
        if len(row) != width and names:
            raise BadRequest(f"row {index} has {len(row)} values for {width} columns", row=index, expected=f"{width} values")
    return Request("split", {"columns": list(names) or None, "data": data})


def _named(data: dict[str, Any], dialect: Dialect) -> dict[str, Any]:
    columns = data.get("columns")
    if columns is not None:
        if not isinstance(columns, list) or not all(isinstance(name, str | int) for name in columns):
            raise BadRequest("'input_data.columns' is no list of names", dialect=dialect, expected='["age", "job", ...]')
        seen = set()
        for name in columns:
            if name in seen:
                raise BadRequest(
                    f"column {str(name)[:200]!r} is named twice", column=str(name)[:200], expected="each name once"
                )
            seen.add(name)
    rows = data["data"]
    if isinstance(rows, list) and columns is not None and not _even(rows, len(columns)):
        for index, row in enumerate(rows):
            if isinstance(row, list) and len(row) != len(columns):
                message = f"row {index} has {len(row)} values for {len(columns)} columns"
                raise BadRequest(message, row=index, expected=f"{len(columns)} values")
    return data


def _even(rows: list[Any], width: int) -> bool:
    return {*map(type, rows)} == {list} and {*map(len, rows)} == {width}


def _singles(rows: Sequence[Any]) -> bool:
    """Rows of one cell each, which holds a list."""
    return all(isinstance(row, list) and len(row) == 1 and isinstance(row[0], list) for row in rows)


class Reader:
    """What turns a request into the model's input, made once for a model. `schema` is MLflow's own object, or None."""

    def __init__(self, signature: Signature, schema: Any) -> None:
        self.signature = signature
        self._schema = schema
        self._types = {field.name: field.type for field in signature.inputs if field.name is not None}
        self._required = tuple(str(field.name) for field in signature.inputs if field.required and field.name is not None)

    def read(self, request: Request) -> Input:
        """The input that MLflow's server would make; BadRequest when it would refuse, or would change a value silently."""
        if request.orient == "raw":
            return Input(request.data, len(request.data) if isinstance(request.data, list) else 1)
        if request.orient in ("split", "records"):
            return self._frame(request)
        return self._tensors(request)

    def _frame(self, request: Request) -> Input:
        import pandas as pd
        from mlflow.utils.proto_json_utils import cast_df_types_according_to_schema

        data = request.data
        if request.orient == "records" and self.signature.names and not self.signature.tensor:
            self._complete(data)
        try:
            if request.orient == "records":
                frame = pd.DataFrame(data=data)
            else:
                frame = pd.DataFrame(index=data.get("index"), columns=data.get("columns"), data=data["data"])
        except Exception as error:  # pandas raises many types for what it cannot make a table of
            raise BadRequest(f"the rows are no table: {error}", expected="rows of equal length") from error
        names = set(frame.columns)
        for name in self._required:
            if name not in names:
                expected = _EXPECTED.get(self._types[name], f"a value of type {self._types[name]}")
                raise BadRequest(f"column {name!r} is missing", row=0, column=name, expected=expected)
        converted = self._refuse_changes(frame)
        if self._schema is not None:
            try:
                frame = cast_df_types_according_to_schema(frame, self._schema)
            except Exception as error:  # the conversions of any type
                raise self._refusal(frame, error) from error
        known = self._types.keys()
        ignored = tuple(sorted(str(name) for name in names if name not in known)) if known else ()
        return Input(frame, len(frame), ignored, converted)

    def _complete(self, rows: Sequence[dict[str, Any]]) -> None:
        """A row that lacks a column would get NaN when another row has it."""
        for index, row in enumerate(rows):
            for name in self._required:
                if name not in row:
                    expected = _EXPECTED.get(self._types[name], f"a value of type {self._types[name]}")
                    raise BadRequest(f"column {name!r} is missing", row=index, column=name, expected=expected)

    def _refuse_changes(self, frame: Any) -> int:
        """BadRequest for a value that the conversion to the column's type would change. How many numbers came as text."""
        converted = 0
        fields = self.signature.inputs
        if self.signature.tensor:
            return 0
        for place, field in enumerate(fields):
            name = field.name if field.name is not None else (frame.columns[place] if place < len(frame.columns) else None)
            if name is None or name not in frame.columns or field.type not in _EXPECTED:
                continue
            series = frame[name]
            kind = series.dtype.kind
            if kind == "i" and field.type not in ("integer", "boolean"):
                continue
            if (kind == "f" and field.type == "double") or (kind not in "OT" and field.type == "string"):
                continue
            values = series.tolist()
            index = refused(values, field.type)
            if index is not None:
                raise _wrong(values[index], index, str(name), field.type)
            if kind not in "iufb" and field.type in _NUMERIC:
                converted += sum(isinstance(value, str) for value in values)
        return converted

    def _refusal(self, frame: Any, error: Exception) -> BadRequest:
        message = str(error).removeprefix("Invalid input. ")
        found = re.search(r"Failed to convert column (.+?) to type '", message, re.DOTALL)
        column = found[1] if found else None
        kind = self._types.get(column, "") if column is not None else ""
        if column is not None and column in frame.columns and kind in _EXPECTED:
            values = frame[column].tolist()
            index = next((place for place, value in enumerate(values) if not _fits(value, kind)), None)
            if index is not None:
                return _wrong(values[index], index, column, kind)
        return BadRequest(message[:1000], column=column, expected=_EXPECTED.get(kind))

    def _tensors(self, request: Request) -> Input:
        from mlflow.utils.proto_json_utils import parse_tf_serving_input

        self._refuse_changed_tensors(request)
        try:
            data = parse_tf_serving_input({request.orient: request.data}, schema=self._schema)
        except Exception as error:  # NumPy raises many types for what is no array
            raise BadRequest(str(error).removeprefix("Invalid input. ")[:1000]) from error
        known = set(self._types)
        ignored = tuple(sorted(str(name) for name in data if name not in known)) if known and isinstance(data, dict) else ()
        return Input(data, _length(data), ignored)

    def _refuse_changed_tensors(self, request: Request) -> None:
        signature, data = self.signature, request.data
        if not signature.inputs:
            return
        given: list[tuple[str | None, Mapping[str, Any], Any]] = []
        if signature.names and isinstance(data, dict):
            given = [(f.name, f.spec, data[f.name]) for f in signature.inputs if f.name in data]
        elif signature.names and isinstance(data, list) and data and isinstance(data[0], dict):
            rows = [row for row in data if isinstance(row, dict)]
            given = [(f.name, f.spec, [row[f.name] for row in rows if f.name in row]) for f in signature.inputs]
        else:
            given = [(signature.inputs[0].name, signature.inputs[0].spec, data)]
        for name, spec, values in given:
            kind = _tensor_kind(spec)
            if kind is None:
                continue
            wrong = _changed(values, kind)
            if wrong is not None:
                told = f"input {name!r}" if name is not None else "the input"
                expected = _EXPECTED[kind]
                raise BadRequest(
                    f"{told}: {written(wrong[0])} is not {expected}", column=name, value=shown(wrong[0]), expected=expected
                )


def _tensor_kind(spec: Mapping[str, Any]) -> str | None:
    """long, integer or boolean, for what would lose something; None for other types."""
    if spec.get("type") != "tensor":
        return str(spec["type"]) if spec.get("type") in ("long", "integer", "boolean") else None
    dtype = str((spec.get("tensor-spec") or {}).get("dtype"))
    if dtype.startswith("bool"):
        return "boolean"
    return "long" if dtype.startswith(("int", "uint")) else None


def _changed(values: Any, kind: str) -> tuple[Any] | None:
    """The first value, at any depth, that does not fit, as a tuple of one."""
    stack = [values]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack.extend(reversed(value))
        elif isinstance(value, float | int) and not (isinstance(value, bool) and kind != "boolean"):
            if not _fits(value, kind):
                return (value,)
        elif kind == "boolean" and not isinstance(value, bool):
            return (value,)
    return None


def refused(values: Sequence[Any], kind: str) -> int | None:
    """Where the first value stands that the conversion would change without a word; None when there is none. What it refuses
    by itself (text that is no number, null in an integer column) is not looked for."""
    changes = _CHANGES.get(kind)
    if changes is None:
        return None
    return next((index for index, value in enumerate(values) if changes(value)), None)


def _integer_changes(bound: int) -> Callable[[Any], bool]:
    def changes(value: Any) -> bool:
        if isinstance(value, float):
            return math.isfinite(value) and (not value.is_integer() or not -bound <= value < bound)
        if isinstance(value, str):
            try:
                return not -bound <= int(value) < bound
            except ValueError:
                return False
        return isinstance(value, int) and not -bound <= value < bound

    return changes


def _boolean_changes(value: Any) -> bool:
    return not isinstance(value, bool) and not (isinstance(value, int | float) and value in (0, 1))


def _float_changes(value: Any) -> bool:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return False
    return isinstance(value, int | float) and math.isfinite(value) and abs(value) > FLOAT32


def _text_changes(value: Any) -> bool:
    """MLflow passes structures through in a column of texts."""
    return isinstance(value, list | dict)


_CHANGES: Mapping[str, Callable[[Any], bool]] = {
    "string": _text_changes,
    "long": _integer_changes(INT64),
    "integer": _integer_changes(INT32),
    "boolean": _boolean_changes,
    "float": _float_changes,
}


def _fits(value: Any, kind: str) -> bool:
    """Whether MLflow converts the value to the type, and to what it says."""
    changes = _CHANGES.get(kind)
    if changes is not None and changes(value):
        return False
    if kind == "binary":
        return isinstance(value, str)
    return _numeric(value, kind) if kind in _NUMERIC else not isinstance(value, list | dict)


_NUMERIC = ("long", "integer", "float", "double")


def _numeric(value: Any, kind: str) -> bool:
    if isinstance(value, str):
        try:
            _ = int(value) if kind in _BOUNDS else float(value)
        except ValueError:
            return False
        return True
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return kind not in _BOUNDS
    return isinstance(value, int | float)


def expected_param(param: Mapping[str, Any]) -> str:
    """What a param of a signature takes, in words."""
    kind = _EXPECTED.get(str(param.get("type")), str(param.get("type"))).replace(" or null", "").removesuffix(",")
    return f"a list, each item {kind}" if param.get("shape") else kind


def _wrong(value: Any, row: int, column: str, kind: str) -> BadRequest:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    given = "null" if missing else written(value)
    message = f"column {column!r}, row {row}: {given} is not {_EXPECTED[kind]}"
    if missing and kind in _BOUNDS:
        message += "; an integer column of MLflow holds no missing value: log the model with a double in its signature"
    return BadRequest(message, row=row, column=column, value=None if missing else shown(value), expected=_EXPECTED[kind])


def _length(data: Any) -> int:
    if isinstance(data, dict):
        data = next(iter(data.values()), None)
    shape = getattr(data, "shape", None)
    if shape:
        return int(shape[0])
    return len(data) if isinstance(data, list) else 1
