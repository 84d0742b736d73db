"""One way to read every format: a table's column names and its rows in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain.data import DataProfile
from opsml_cli.domain.errors import InvalidInputError, NotFoundError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.tables import delimited, jsonlines, parquet
from opsml_cli.tables.formats import TableFormat, detect

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a table."""

    path: Path
    form: TableFormat
    name: str


@dataclass(frozen=True, slots=True)
class Table:
    """Files with the same columns. Text columns of delimited files are not typed yet: `typed` False."""

    parts: tuple[Part, ...]
    columns: tuple[str, ...]
    typed: bool
    name: str
    kind: str

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Every row, in batches of bounded size, with these columns in this order (None: all)."""
        wanted = self.columns if columns is None else tuple(columns)
        for part in self.parts:
            if part.form.kind == "csv":
                yield from delimited.batches(part.path, part.form, part.name, part_columns(part), wanted)
            elif part.form.kind == "parquet":
                yield from parquet.batches(part.path, part.name, wanted)
            else:
                yield from jsonlines.batches(part.path, part.form, part.name, self.columns, wanted)

    def size_bytes(self) -> int:
        return sum(part.path.stat().st_size for part in self.parts)

    def check_column(self, column: str) -> None:
        """NotFoundError-like InvalidInputError when the table has no such column."""
        if column not in self.columns:
            raise InvalidInputError(
                f"{self.name} has no column {column!r}",
                cause=did_you_mean(column, self.columns),
                fix=f"opsml data profile {self.name} lists the columns",
            )

    def reencoded(self, path: Path, encoding: str) -> Table:
        """The same table, the file `path` of it read in another encoding."""
        parts = tuple(
            replace(part, form=replace(part.form, encoding=encoding)) if part.path == path else part for part in self.parts
        )
        return replace(self, parts=parts)


def part_columns(part: Part) -> tuple[str, ...]:
    """The column names of one file, checked."""
    if part.form.kind == "csv":
        return delimited.header(part.path, part.form, part.name)
    if part.form.kind == "parquet":
        return parquet.column_names(part.path, part.name)
    return delimited.check_names(jsonlines.column_names(part.path, part.form, part.name), part.name)


def open_table(location: Path, profile: DataProfile | None = None, name: str | None = None) -> Table:
    """The table at `location`: a file, or a folder with an MLTable file. `profile` spares looking at the content again.

    NotFoundError when nothing is there, InvalidInputError when it is no table."""
    shown = name or str(location)
    if not location.exists():
        raise NotFoundError(f"no file {shown}", fix="check the path")
    if location.is_dir():
        from opsml_cli.tables.mltable import read_mltable

        return read_mltable(location, shown)
    if profile is not None and profile.format != "mltable":
        form = TableFormat(profile.format, profile.compression, profile.encoding, profile.delimiter)
    else:
        form = detect(location, shown)
    return table_of((Part(location, form, shown),), shown, form.kind)


def table_of(parts: tuple[Part, ...], name: str, kind: str) -> Table:
    """A table of files, which must agree on their columns."""
    columns = part_columns(parts[0])
    for part in parts[1:]:
        found = part_columns(part)
        if set(found) != set(columns):
            odd = sorted(set(found) ^ set(columns))[0]
            raise InvalidInputError(
                f"{name}: {part.name} and {parts[0].name} have different columns", cause=f"only one of them has {odd!r}"
            )
    return Table(parts, columns, parts[0].form.kind != "csv", name, kind)
