"""JSON lines and JSON arrays as rows and as batches of columns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from opsml_cli.domain.column_values import number_text
from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.tables.content import open_content
from opsml_cli.tables.formats import TableFormat

if TYPE_CHECKING:
    import pyarrow as pa

MAX_LINE = 16 << 20
MAX_ARRAY = 512 << 20
MAX_DEPTH = 32
BATCH_ROWS = 20_000
_EXACT = 2.0**63  # an integer that large was read as a float

Record = dict[str, object]


def records(path: Path, form: TableFormat, name: str, *, nested: bool = False) -> Iterator[Record]:
    """One mapping of plain values a row. Nested values become their JSON text (`nested`: stay, and integers keep all their
    digits). InvalidInputError names the line."""
    with open_content(path, form.compression, name) as stream:
        yield from parsed(stream, form, name, nested=nested)


def parsed(stream: BinaryIO, form: TableFormat, name: str, *, nested: bool = False) -> Iterator[Record]:
    """As `records`, from an open stream."""
    if form.encoding not in (None, "utf-8", "utf-8-sig"):
        raise InvalidInputError(
            f"{name} has the wrong encoding: JSON is UTF-8, this is {form.encoding}", fix="save it as UTF-8"
        )
    if form.kind == "json":
        content = stream.read(MAX_ARRAY + 1)
        if len(content) > MAX_ARRAY:
            raise InvalidInputError(f"{name}: a JSON array of more than {MAX_ARRAY >> 20} MiB", fix="write it as JSON lines")
        values = (_exactly if nested else _loads)(content.removeprefix(b"\xef\xbb\xbf"), name)
        rows = values if isinstance(values, list) else [values]
        for position, value in enumerate(rows):
            yield _row(value, f"{name}, row {position} (counted from 0)", nested=nested)
        return
    number = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise InvalidInputError(f"{name}, line {number}: longer than {MAX_LINE >> 20} MiB")
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            place = f"{name}, line {number}"
            yield _row((_exactly if nested else _loads)(line, place), place, nested=nested)


def _loads(content: bytes, place: str) -> object:
    import orjson

    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InvalidInputError(f"{place}: no sound JSON: {error.msg}", fix="correct it and run the command again") from error


def _exactly(content: bytes, place: str) -> object:
    """As `_loads`; integers beyond 64 bits stay what they are."""
    import json

    value = _loads(content, place)
    rows = value if isinstance(value, list) else [value]
    cells = (cell for row in rows if isinstance(row, dict) for cell in row.values())
    return json.loads(content) if any(isinstance(cell, float) and abs(cell) >= _EXACT for cell in cells) else value


def _row(value: object, place: str, *, nested: bool = False) -> Record:
    if not isinstance(value, dict):
        raise InvalidInputError(f"{place}: expected an object of column names and values", fix="write one object a row")
    for column, cell in value.items():
        if isinstance(cell, dict | list):
            import orjson

            if not _shallow(cell, MAX_DEPTH):
                raise InvalidInputError(f"{place}: {column!r} is nested more than {MAX_DEPTH} levels deep")
            if not nested:
                value[column] = orjson.dumps(cell).decode()
    return value


def _shallow(value: object, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_shallow(item, depth - 1) for item in inner)


def column_names(path: Path, form: TableFormat, name: str) -> tuple[str, ...]:
    """Every key of the file in the order of first appearance: one pass over it."""
    names: dict[str, None] = {}
    for row in records(path, form, name):
        if len(row) != len(names) or row.keys() != names.keys():
            names.update(dict.fromkeys(row))
    return tuple(names)


def batches(
    path: Path, form: TableFormat, name: str, names: tuple[str, ...], columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows in batches; a column's type is that of its values in the batch, text where they are mixed."""
    wanted = names if columns is None else tuple(columns)
    rows = records(path, form, name)
    while part := list(islice(rows, BATCH_ROWS)):
        yield to_batch(part, wanted)


def to_batch(rows: Sequence[Record], names: Iterable[str]) -> pa.RecordBatch:
    """Rows as one batch with the columns `names`; what a row lacks is null."""
    import pyarrow as pa

    wanted = list(names)
    return pa.RecordBatch.from_arrays([_array([row.get(column) for row in rows]) for column in wanted], names=wanted)


def _array(values: list[object]) -> pa.Array:
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    try:
        if kinds <= {bool}:
            return pa.array(values, pa.bool_() if kinds else pa.null())
        if kinds <= {int}:
            return pa.array(values, pa.int64())
        if kinds <= {int, float}:
            return pa.array([None if value is None else float(value) for value in values], pa.float64())  # type: ignore[arg-type]
    except (OverflowError, pa.ArrowInvalid):
        pass
    return pa.array([_text(value) for value in values], pa.string())


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return number_text(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
