"""Writing rows to a CSV, JSON, JSON lines or Parquet file, piece by piece: the file is there whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from opsml_cli.domain.errors import ConflictError, NotFoundError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = (".csv", ".json", ".jsonl", ".parquet")
GROUP_ROWS = 50_000  # of a Parquet file

Record = Mapping[str, object]


class _Sink(Protocol):
    def write(self, records: Sequence[Record]) -> None: ...
    def close(self) -> None: ...


class RowsFile:
    """A file of rows with the columns that the first call of `write` names. A context manager: the file appears under its
    name at the end, when nothing went wrong.

    UsageError for a name whose suffix says no format, NotFoundError for a missing folder, ConflictError for a file that is
    there already and is not to be replaced (`force`)."""

    def __init__(self, path: str, *, force: bool = False) -> None:
        place = Path(path).expanduser()
        self.suffix = place.suffix.lower()
        if self.suffix not in FORMATS:
            raise UsageError(f"{place.name!r} does not say its format", fix=f"end it in {', '.join(FORMATS)}")
        if place.is_dir():
            raise UsageError(f"{str(place)!r} is a folder", fix="name a file")
        if not place.parent.is_dir():
            raise NotFoundError(f"there is no folder {place.parent}", fix="make it, or choose another --out")
        self.path = place
        self._force = force
        self._check_free()
        self._final = place.resolve()  # through a link, to the file that it names
        self._temporary = self._final.with_name(f".{self._final.name}.{secrets.token_hex(6)}")
        self._sink: _Sink | None = None

    def _check_free(self) -> None:
        if not self._force and (self.path.exists() or self.path.is_symlink()):
            raise ConflictError(f"{self.path} is there already", fix="add --force to replace it, or choose another --out")

    def __enter__(self) -> RowsFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self._sink is not None:
                self._sink.close()
                self._sink = None
            if kind is None:
                self._check_free()
                with self._temporary.open("rb+") as file:
                    os.fsync(file.fileno())
                self._temporary.replace(self._final)
        finally:
            self._temporary.unlink(missing_ok=True)

    def write(self, records: Sequence[Record], columns: Sequence[str]) -> None:
        """Add rows. `columns` are those of the file, the same in every call."""
        if self._sink is None:
            self._sink = _SINKS[self.suffix](self._temporary, columns)
        self._sink.write(records)


class _Csv:
    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._file: IO[str] = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)
        self._columns = tuple(columns)
        self._writer.writerow(columns)

    def write(self, records: Sequence[Record]) -> None:
        self._writer.writerows([[_cell(record.get(name)) for name in self._columns] for record in records])

    def close(self) -> None:
        self._file.close()


def _cell(value: object) -> object:
    if isinstance(value, dict | list):
        return to_json(value).decode()
    return value.isoformat() if isinstance(value, datetime | date | time) else value


class _JsonLines:
    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        del columns  # every row names its own
        self._file: IO[bytes] = path.open("wb")

    def write(self, records: Sequence[Record]) -> None:
        self._file.writelines(to_json(record) + b"\n" for record in records)

    def close(self) -> None:
        self._file.close()


class _Json:
    """One array, a row a line."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        del columns
        self._file: IO[bytes] = path.open("wb")
        self._before = b"[\n"

    def write(self, records: Sequence[Record]) -> None:
        for record in records:
            self._file.write(self._before + to_json(record))
            self._before = b",\n"

    def close(self) -> None:
        self._file.write(b"\n]\n" if self._before == b",\n" else b"[]\n")
        self._file.close()


def to_json(record: object) -> bytes:
    """A row as JSON text."""
    import orjson

    try:
        return orjson.dumps(record, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)
    except TypeError:  # integers beyond 64 bits, or lone surrogates
        return json.dumps(record, default=_plain).encode()


def _plain(value: object) -> object:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    return str(value)


class _Parquet:
    """The types are those of the first rows; they are widened, and what was written is written anew, when later rows do not
    fit: integers to numbers, anything else to text."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path = path
        self._columns = tuple(columns)
        self._waiting: list[Record] = []
        self._writer: Any = None
        self._schema: pa.Schema | None = None

    def write(self, records: Sequence[Record]) -> None:
        self._waiting += records
        if len(self._waiting) >= GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        if self._waiting or self._writer is None:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        arrays = [_array([record.get(name) for record in self._waiting]) for name in self._columns]
        batch = pa.RecordBatch.from_arrays(arrays, names=list(self._columns))
        schema = batch.schema if self._schema is None else _wider(self._schema, batch.schema)
        if self._writer is None or schema != self._schema:
            self._reopen(schema)
        self._writer.write_batch(_recast(batch, schema))
        self._waiting = []

    def _reopen(self, schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        before = None
        if self._writer is not None:
            self._writer.close()
            before = self._path.with_name(f"{self._path.name}.before")
            self._path.replace(before)
        self._writer, self._schema = pq.ParquetWriter(self._path, schema), schema
        if before is None:
            return
        try:
            with pq.ParquetFile(before) as file:
                for batch in file.iter_batches(batch_size=GROUP_ROWS):
                    self._writer.write_batch(_recast(batch, schema))
        finally:
            before.unlink(missing_ok=True)


def _array(values: list[object]) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowException, TypeError, OverflowError):
        return pa.array([_text(value) for value in values], pa.string())


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return to_json(value).decode() if isinstance(value, dict | list | bool) else str(_plain(value))


def _wider(before: pa.Schema, now: pa.Schema) -> pa.Schema:
    """A schema that both fit."""
    import pyarrow as pa

    fields = []
    for one, other in zip(before, now, strict=True):
        kinds = {one.type, other.type} - {pa.null()}
        if len(kinds) > 1:
            numbers = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds)
            kinds = {pa.float64()} if numbers else {pa.string()}
        fields.append(pa.field(one.name, kinds.pop() if kinds else pa.null()))
    return pa.schema(fields)


def _recast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = []
    for array, field in zip(batch.columns, schema, strict=True):
        if array.type == field.type:
            arrays.append(array)
        elif pa.types.is_string(field.type):
            arrays.append(pa.array([_text(value) for value in array.to_pylist()], pa.string()))
        else:
            arrays.append(array.cast(field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


_SINKS: Mapping[str, Callable[[Path, Sequence[str]], _Sink]] = {
    ".csv": _Csv,
    ".json": _Json,
    ".jsonl": _JsonLines,
    ".parquet": _Parquet,
}
