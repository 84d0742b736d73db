"""Columns as JSON values that a scoring server reads: by the type that it wants, never by what a part of a file looks like."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from opsml_cli.domain.column_values import BOOLEANS, INTEGER_TEXT, NUMBER_TEXT, number_text
from opsml_cli.domain.data import ColumnType
from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.tables.convert import MISSING, converted

if TYPE_CHECKING:
    import pyarrow as pa

_INTEGER = re.compile(INTEGER_TEXT.replace("$", r"\Z"))
_NUMBER = re.compile(NUMBER_TEXT.replace("$", r"\Z"))
_KINDS = {"integer": ColumnType.INTEGER, "number": ColumnType.NUMBER, "datetime": ColumnType.DATETIME}


def from_text(array: pa.Array, kind: str | None) -> list[object]:
    """Text as a column of `kind` (None: unknown, as text) wants it. What does not fit stays text: the server says which row
    it is and what it expects."""
    values = _present(array)
    wanted = _KINDS.get(kind or "")
    whole = converted(values, wanted) if wanted is not None else None
    if whole is not None and not _infinite(whole):
        return _iso(whole.to_pylist())
    texts: list[object] = values.to_pylist()
    one = {"integer": _integer, "number": _number, "boolean": _boolean}.get(str(kind))
    return texts if one is None else [None if text is None else one(str(text)) for text in texts]


def from_typed_text(array: pa.Array, kind: ColumnType, column: str, name: str) -> list[object]:
    """Text as the type that a profile of the whole file found."""
    from opsml_cli.tables.frames import as_kind

    return _iso(as_kind(_present(array), kind, column, name).to_pylist())


def from_arrow(array: pa.Array, kind: str | None, column: str, name: str, first: int) -> list[object]:
    """Typed values as JSON has them: ISO dates, decimals as numbers, the values of a dictionary, null for NaN.
    InvalidInputError names the column and row of what JSON has no word for. `first`: the number of the first row."""
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if kind not in (None, "string") and (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        return from_text(array.cast(pa.string()), kind)
    if pa.types.is_timestamp(array.type) or (pa.types.is_date(array.type) and kind != "string"):
        array = _plain_time(array)
    texts = kind == "string"
    found: list[object] = []
    for row, value in enumerate(array.to_pylist(), first):
        try:
            found.append(_json(value, texts=texts, whole=kind == "integer"))
        except ValueError as error:
            raise InvalidInputError(
                f"{name}: column {column!r}, row {row} (counted from 0): {error}",
                fix="write another value there, or null",
            ) from error
    return found


def _json(value: object, *, texts: bool, whole: bool) -> object:  # noqa: PLR0911 - a table of cases
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float | Decimal):
        if not math.isfinite(value):
            if math.isnan(value):
                return None
            raise ValueError(f"{value} is no JSON value")
        if texts:
            return number_text(float(value))
        return int(value) if whole and value == int(value) else float(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat().removesuffix("T00:00:00") if texts else value.isoformat()
    if isinstance(value, dict | list):
        nested = _nested(value)
        if texts:
            import json

            return json.dumps(nested)
        return nested
    if isinstance(value, bool):
        return str(value).lower() if texts else value
    return str(value) if texts else value


def _nested(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _nested(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_nested(item) for item in value]
    if isinstance(value, bytes | timedelta):
        raise ValueError(f"{type(value).__name__} has no form in JSON")  # noqa: TRY004 - told as a wrong value
    return _json(value, texts=False, whole=False)


def _plain_time(array: pa.Array) -> pa.Array:
    """Times in UTC without zone, to the microsecond, as training reads them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(array.type) and array.type.tz is not None:
        array = pc.cast(array, pa.timestamp("us", "UTC"), safe=False)
    return pc.cast(array, pa.timestamp("us"), safe=False)


def _infinite(array: pa.Array) -> bool:
    """Whether it holds what no JSON number says: the text `inf`, or an exponent beyond all floats."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pa.types.is_floating(array.type) and bool(pc.any(pc.is_inf(array), min_count=0).as_py())


def _present(array: pa.Array) -> pa.Array:
    """The text with nulls for what stands for no value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(pc.is_in(array, value_set=pa.array(MISSING)), pa.scalar(None, pa.string()), array)


def _iso(values: list[object]) -> list[object]:
    return [value.isoformat() if isinstance(value, datetime) else value for value in values]


def _boolean(text: str) -> object:
    return BOOLEANS.get(text.strip().lower(), text)


def _integer(text: str) -> object:
    return int(text.partition(".")[0]) if _INTEGER.match(text) and text.strip() else text


def _number(text: str) -> object:
    return float(text) if _NUMBER.match(text) and text.strip() and math.isfinite(float(text)) else text
