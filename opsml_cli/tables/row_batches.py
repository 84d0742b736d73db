"""Tables as batches of JSON rows for a scoring server: nothing is held but one batch, whatever the file's size.

Values are typed by what the endpoint wants, where it says so: the text `1E3` of a text column stays `1E3`. Only without
that are the columns of delimited text typed by their content, as a profile does; the file is then read twice."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain.data import ColumnType
from opsml_cli.domain.errors import InvalidInputError, NotFoundError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.domain.scoring import RowBatch
from opsml_cli.tables import delimited, jsonlines, parquet
from opsml_cli.tables.delimited import NotUtf8Error
from opsml_cli.tables.formats import detect
from opsml_cli.tables.json_values import from_arrow, from_text, from_typed_text
from opsml_cli.tables.rows import request_rows
from opsml_cli.tables.table import Part, Table, open_table, part_columns

if TYPE_CHECKING:
    import pyarrow as pa

    from opsml_cli.domain.endpoint import Row

_LARGE_FILE = 16 << 20
ALL = "all"  # the word for every column

Values = Callable[["pa.Array", str, int], list[object]]


@contextmanager
def open_rows(source: str | Path, types: Mapping[str, str], *, as_written: bool = False) -> Iterator[FileRows | ListedRows]:
    """The table in a CSV, JSON, JSON lines or Parquet file, a folder with MLTable, or standard input (`-`). `types` are the
    types of the columns that the endpoint wants. `as_written`: kept columns of text files are their text.

    NotFoundError when the file is missing, InvalidInputError when it is empty or unsound."""
    if str(source) != "-":
        yield _opened(Path(source).expanduser(), str(source), types, as_written)
        return
    with tempfile.TemporaryDirectory(prefix="opsml-") as folder:
        path = Path(folder) / "input"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield _opened(path, "standard input", types, as_written)


def _opened(path: Path, name: str, types: Mapping[str, str], as_written: bool) -> FileRows | ListedRows:
    if not path.exists():
        raise NotFoundError(f"no file {name}", fix="check the path")
    if not path.is_dir() and detect(path, name).kind in ("json", "jsonl"):
        rows = request_rows(path, name)
        if rows is not None:
            return ListedRows(rows)
    table = open_table(path, None, name) if path.is_dir() else _one_part(path, name)
    return FileRows(path, table, types, as_written)


def _one_part(path: Path, name: str) -> Table:
    form = detect(path, name)
    part = Part(path, form, name)
    # The keys of JSON lines are known only at their end.
    if form.kind == "parquet":
        columns = parquet.column_names(path, name, nested=True)
    else:
        columns = () if form.kind in ("json", "jsonl") else part_columns(part)
    return Table((part,), columns, form.kind != "csv", name, form.kind)


class ListedRows:
    """Rows that are in memory already."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self.rows: int | None = len(rows)
        self.columns = tuple(dict.fromkeys(name for row in rows for name in row))

    def batches(self, size: int, keep: Sequence[str]) -> Iterator[RowBatch]:
        wanted = chosen(keep, self.columns, "the input") if self._rows else ()
        for first in range(0, len(self._rows), size):
            rows = self._rows[first : first + size]
            yield RowBatch(rows, [{name: row.get(name) for name in wanted} for row in rows] if wanted else ())


class FileRows:
    """As `RowTable`. The rows of a file, or of several with the same columns."""

    def __init__(self, location: Path, table: Table, types: Mapping[str, str], as_written: bool) -> None:
        self._location, self._table, self._types, self._as_written = location, table, types, as_written
        self.columns = table.columns
        forms = {part.form.kind for part in table.parts}
        self.rows = sum(parquet.row_count(part.path, part.name) for part in table.parts) if forms == {"parquet"} else None

    def batches(self, size: int, keep: Sequence[str]) -> Iterator[RowBatch]:
        if self._table.parts[0].form.kind in ("json", "jsonl"):
            yield from self._records(size, keep)
            return
        wanted = chosen(keep, self.columns, self._table.name)
        values = self._values()
        first = 0
        for part in self._table.parts:
            for batch in self._read(part, size):
                yield self._batch(batch, values, wanted, first)
                first += batch.num_rows

    def _batch(self, batch: pa.RecordBatch, values: Values, wanted: Sequence[str], first: int) -> RowBatch:
        names = self.columns
        columns = [values(array, name, first) for name, array in zip(names, batch.columns, strict=True)]
        rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        if not wanted:
            return RowBatch(rows)
        if self._as_written or self._table.kind == "parquet":
            columns = [batch.column(names.index(name)).to_pylist() for name in wanted]
        else:
            columns = [columns[names.index(name)] for name in wanted]
        return RowBatch(rows, [dict(zip(wanted, row, strict=True)) for row in zip(*columns, strict=True)])

    def _values(self) -> Values:
        """How the values of a column become JSON."""
        name = self._table.name
        if self._table.kind == "parquet":
            return lambda array, column, first: from_arrow(array, self._types.get(column), column, name, first)
        if self._types:
            return lambda array, column, _: from_text(array, self._types.get(column))
        from opsml_cli.tables.profile import profile_table

        profile = profile_table(self._location, name=name)
        kinds = {column.name: column.type for column in profile.columns}
        return lambda array, column, _: from_typed_text(array, kinds.get(column, ColumnType.STRING), column, name)

    def _read(self, part: Part, size: int) -> Iterator[pa.RecordBatch]:
        """Batches of at most `size` rows with the table's columns; those of delimited text are text, as it stands there."""
        if part.form.kind == "parquet":
            yield from parquet.native_batches(part.path, part.name, size, self.columns)
            return
        done = 0
        while True:
            table = self._table
            try:
                skip, seen = done, 0
                names, block = part_columns(part), _block_bytes(part.path)
                blocks = delimited.batches(
                    part.path, part.form, part.name, names, self.columns, missing=False, block_bytes=block
                )
                for batch in blocks:
                    for offset in range(max(0, skip - seen), batch.num_rows, size):
                        piece = batch.slice(offset, size)
                        done += piece.num_rows
                        yield piece
                    seen += batch.num_rows
            except NotUtf8Error as other:
                # The rows before were plain ASCII, or the whole file would be UTF-8 with damaged places.
                self._table = table.reencoded(other.path, other.encoding)
                part = next(each for each in self._table.parts if each.path == part.path)
            else:
                return

    def _records(self, size: int, keep: Sequence[str]) -> Iterator[RowBatch]:
        texts = {name for name, kind in self._types.items() if kind == "string"}
        if keep:
            # The keys of a row say nothing of the other rows': a pass over the file does.
            names = (name for part in self._table.parts for name in jsonlines.column_names(part.path, part.form, part.name))
            self.columns = tuple(dict.fromkeys(names))
        wanted = chosen(keep, self.columns, self._table.name)
        for part in self._table.parts:
            records = jsonlines.records(part.path, part.form, part.name, nested=True)
            found = False
            while rows := list(islice(records, size)):
                found = True
                _flatten(rows, texts)
                yield RowBatch(rows, [{name: row.get(name) for name in wanted} for row in rows] if wanted else ())
            if not found:
                raise InvalidInputError(f"{part.name} holds no rows")


def _block_bytes(path: Path) -> int:
    """Small blocks of large files: Arrow reads some thirty of them ahead."""
    return delimited.BLOCK_BYTES if path.stat().st_size < _LARGE_FILE else delimited.BLOCK_BYTES // 4


def _flatten(rows: Sequence[jsonlines.Record], texts: set[str]) -> None:
    """Nested values of text columns as their JSON text, as training reads them."""
    for row in rows:
        for name in texts & row.keys():
            if isinstance(row[name], dict | list):
                import orjson

                row[name] = orjson.dumps(row[name]).decode()


def chosen(keep: Sequence[str], columns: Sequence[str], name: str) -> tuple[str, ...]:
    """The columns that `keep` names; InvalidInputError for one that is not there."""
    if list(keep) == [ALL]:
        return tuple(columns)
    for column in keep:
        if column not in columns:
            raise InvalidInputError(
                f"{name} has no column {column!r} to keep",
                cause=did_you_mean(column, columns) or f"it has {', '.join(list(columns)[:20])}",
                fix="--keep COLUMN,COLUMN, or --keep all",
            )
    return tuple(dict.fromkeys(keep))
