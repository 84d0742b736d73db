"""Columns of text as typed columns. Profile, frames and rows convert here and nowhere else, so they see the same types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsml_cli.domain.data import ColumnType

if TYPE_CHECKING:
    import pyarrow as pa

# What pandas takes as missing.
MISSING = ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
           "NULL", "NaN", "None", "n/a", "nan", "null")  # fmt: skip
# The types text is tried for, in this order.
TRIED = (ColumnType.BOOLEAN, ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.DATETIME, ColumnType.STRING)
_TRUE, _FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
# 007 and 0x1F are names, not numbers; nor are numbers of more digits than a float can hold apart.
_PADDED = r"^[-+]?0[^.eE]"
_LONG = r"^[-+]?[0-9]{19,}$"


def converted(array: pa.Array, kind: ColumnType) -> pa.Array | None:
    """Text (nulls are the missing values) as `kind`; None when a value is none. Integers are int64, numbers float64,
    dates timestamps in UTC without zone, in microseconds."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if kind is ColumnType.STRING:
        return array
    if kind is ColumnType.EMPTY:
        return pa.nulls(len(array)) if array.null_count == len(array) else None
    if kind is ColumnType.BOOLEAN:
        return _booleans(array)
    found = _cast(array, kind)
    if found is not None:
        return found
    trimmed = pc.utf8_trim_whitespace(array)
    return None if trimmed.equals(array) else _cast(trimmed, kind)


def _booleans(array: pa.Array) -> pa.Array | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    yes = pc.is_in(array, value_set=pa.array(_TRUE))
    either = pc.or_(yes, pc.is_in(array, value_set=pa.array(_FALSE)))
    valid = array.is_valid()
    if not pc.all(pc.or_(either, pc.invert(valid)), min_count=0).as_py():
        return None
    return pc.if_else(valid, yes, pa.scalar(None, pa.bool_()))


def _cast(array: pa.Array, kind: ColumnType) -> pa.Array | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        if kind is ColumnType.INTEGER:
            return None if _names(array) else pc.cast(array, pa.int64())
        if kind is ColumnType.NUMBER:
            return None if _names(array) or _too_long(array) else pc.cast(array, pa.float64())
    except pa.ArrowInvalid:
        return None
    return _dates(array)


def _dates(array: pa.Array) -> pa.Array | None:
    """ISO dates, all with a zone or all without."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for zone in (None, "UTC"):
        try:
            found = pc.cast(array, pa.timestamp("us", zone))
        except pa.ArrowInvalid:
            continue
        return found if zone is None else pc.cast(found, pa.timestamp("us"))
    return None


def _names(array: pa.Array) -> bool:
    import pyarrow.compute as pc

    for start in ("0", "-0", "+0"):
        padded = array.filter(pc.starts_with(array, start))
        if len(padded) and pc.any(pc.match_substring_regex(padded, _PADDED)).as_py():
            return True
    return False


def _too_long(array: pa.Array) -> bool:
    import pyarrow.compute as pc

    long = array.filter(pc.greater_equal(pc.binary_length(array), 19))
    return bool(len(long) and pc.any(pc.match_substring_regex(long, _LONG)).as_py())


def kind_of(arrow_type: pa.DataType) -> ColumnType | None:
    """The column type of an Arrow type; None for one that a table cannot hold."""
    import pyarrow as pa

    if pa.types.is_dictionary(arrow_type):
        return kind_of(arrow_type.value_type)
    tests = (
        (pa.types.is_null, ColumnType.EMPTY),
        (pa.types.is_boolean, ColumnType.BOOLEAN),
        (pa.types.is_integer, ColumnType.INTEGER),
        (pa.types.is_floating, ColumnType.NUMBER),
        (pa.types.is_decimal, ColumnType.NUMBER),
        (pa.types.is_string, ColumnType.STRING),
        (pa.types.is_large_string, ColumnType.STRING),
        (pa.types.is_timestamp, ColumnType.DATETIME),
        (pa.types.is_date, ColumnType.DATETIME),
    )
    return next((kind for test, kind in tests if test(arrow_type)), None)


def plain(array: pa.Array) -> pa.Array:
    """A typed column in the one Arrow type of its kind: int64, float64 (NaN is null), bool, string, timestamp[us]."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = kind_of(array.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if kind is ColumnType.INTEGER:
        try:
            return pc.cast(array, pa.int64())
        except pa.ArrowInvalid:  # uint64 beyond int64
            return pc.cast(array, pa.string())
    if kind is ColumnType.NUMBER:
        numbers = pc.cast(array, pa.float64())
        return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    if kind is ColumnType.STRING:
        return pc.cast(array, pa.string())
    if kind is ColumnType.DATETIME:
        if pa.types.is_timestamp(array.type) and array.type.tz is not None:
            array = pc.cast(array, pa.timestamp("us", "UTC"), safe=False)
        return pc.cast(array, pa.timestamp("us"), safe=False)
    return array
