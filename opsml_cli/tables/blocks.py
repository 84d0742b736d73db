"""A table's rows in blocks of one size, from any row on: for work that is done in parts, and goes on where it stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.data import ColumnType
from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.tables import jsonlines
from opsml_cli.tables.delimited import NotUtf8Error
from opsml_cli.tables.frames import MisfitError, as_kind
from opsml_cli.tables.json_values import from_arrow, from_text, from_typed_text
from opsml_cli.tables.profile import column_types
from opsml_cli.tables.rows import Row, request_rows, to_rows
from opsml_cli.tables.table import Table, open_table

if TYPE_CHECKING:
    import pyarrow as pa


KINDS: Mapping[str, ColumnType] = {
    "integer": ColumnType.INTEGER,
    "number": ColumnType.NUMBER,
    "boolean": ColumnType.BOOLEAN,
    "datetime": ColumnType.DATETIME,
    "string": ColumnType.STRING,
}


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of a table from `first` (counted from 0) on: typed columns, or JSON rows as they were written."""

    first: int
    rows: int
    columns: pa.RecordBatch | None
    records: tuple[Row, ...] = ()

    def to_rows(self) -> list[Row]:
        """A mapping of plain values a row, which the caller may change."""
        if self.columns is None:
            return [dict(row) for row in self.records]
        import pyarrow as pa

        return to_rows(pa.Table.from_batches([self.columns]))


class BlockReader:
    """The table at `location`, which errors call `name`. `types` are those of the columns that the model wants: text is read
    as that. Text columns that it does not name are typed over the whole file, as `read_rows` types them; JSON values stay
    as they are. InvalidInputError when it is empty, unsound or no table."""

    def __init__(self, location: Path, name: str, types: Mapping[str, str] | None = None) -> None:
        self._path, self._name, self._types = location, name, types or {}
        self._table = open_table(location, name=name) if not _is_json(location, name) else None
        self._form = None if self._table is not None else _form(location, name)

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The column names; None of JSON rows, which have each their own."""
        return None if self._table is None else self._table.columns

    def blocks(self, columns: Sequence[str] | None, size: int, start: int = 0) -> Iterator[Block]:
        """Blocks of `size` rows, the last one shorter, from row `start` (a multiple of `size`) on. `columns`: those that are
        wanted (None: all)."""
        if self._table is None:
            return self._records(size, start)
        wanted = self._table.columns if columns is None else tuple(name for name in self._table.columns if name in columns)
        return self._typed(self._table, wanted, size, start)

    def _records(self, size: int, start: int) -> Iterator[Block]:
        assert self._form is not None
        whole = request_rows(self._path, self._name)
        rows: Iterator[Any] = iter(whole) if whole is not None else jsonlines.records(self._path, self._form, self._name)
        first = sum(1 for _ in islice(rows, start))
        while part := tuple(islice(rows, size)):
            yield Block(first, len(part), None, part)
            first += len(part)

    def _typed(self, table: Table, wanted: tuple[str, ...], size: int, start: int) -> Iterator[Block]:

        wanted = wanted or table.columns[:1]
        known = {name: kind for name in wanted if (kind := KINDS.get(self._types.get(name, ""))) is not None}
        unknown = tuple(name for name in wanted if name not in known)
        while True:
            try:
                kinds = known | (column_types(table, unknown) if unknown else {})
                break
            except NotUtf8Error as other:
                table = table.reencoded(other.path, other.encoding)
        held: list[pa.RecordBatch] = []
        count, first, skip = 0, start, start
        for batch in table.batches(wanted):
            if skip >= batch.num_rows:
                skip -= batch.num_rows
                continue
            part, skip = batch.slice(skip), 0
            while part.num_rows:
                taken = part.slice(0, size - count)
                part = part.slice(taken.num_rows)
                held.append(taken)
                count += taken.num_rows
                if count == size:
                    yield self._block(first, held, kinds)
                    held, first, count = [], first + count, 0
        if count:
            yield self._block(first, held, kinds)

    def _block(self, first: int, held: Sequence[pa.RecordBatch], kinds: Mapping[str, ColumnType]) -> Block:
        count = sum(batch.num_rows for batch in held)
        try:
            return Block(first, count, self._columns(held, kinds))
        except MisfitError as misfit:
            if misfit.column not in self._types:
                raise
            # The model says which row it is, and what it expects.
            return Block(first, count, None, tuple(self._listed(held, kinds, first)))

    def _listed(self, held: Sequence[pa.RecordBatch], kinds: Mapping[str, ColumnType], first: int) -> Iterator[Row]:
        """JSON rows, in which what does not fit its column is text as it was written."""
        names = held[0].schema.names
        for batch in held:
            columns = [self._values(array, name, kinds[name], first) for name, array in zip(names, batch.columns, strict=True)]
            first += batch.num_rows
            yield from (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))

    def _values(self, array: pa.Array, column: str, kind: ColumnType, first: int) -> list[object]:
        import pyarrow as pa

        wanted = self._types.get(column)
        if not pa.types.is_string(array.type):
            return from_arrow(array, wanted, column, self._name, first)
        return from_typed_text(array, kind, column, self._name) if wanted is None else from_text(array, wanted)

    def _columns(self, held: Sequence[pa.RecordBatch], kinds: Mapping[str, ColumnType]) -> pa.RecordBatch:
        import pyarrow as pa

        names = held[0].schema.names
        arrays = []
        for index, name in enumerate(names):
            parts = [as_kind(batch.column(index), kinds[name], name, self._name) for batch in held]
            arrays.append(parts[0] if len(parts) == 1 else pa.concat_arrays(parts))
        return pa.RecordBatch.from_arrays(arrays, names=names)


def _form(path: Path, name: str) -> Any:
    from opsml_cli.tables.formats import detect

    return detect(path, name)


def _is_json(path: Path, name: str) -> bool:
    if path.is_dir():
        return False
    if not path.exists():
        raise InvalidInputError(f"{name} is gone")
    return bool(_form(path, name).kind in ("json", "jsonl"))
