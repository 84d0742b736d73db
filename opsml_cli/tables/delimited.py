"""Delimited text as batches of text columns, and the line number of what is wrong with it."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.tables.content import open_content
from opsml_cli.tables.convert import MISSING
from opsml_cli.tables.formats import TableFormat, fallback_encoding, undecodable

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 4 << 20
MAX_COLUMNS = 10_000
MAX_FIELD = 1 << 20
MAX_HEADER = 8 << 20  # bytes of the header's line


class NotUtf8Error(Exception):
    """The text of `path` broke its encoding after its first block; `encoding` is the one that fits it."""

    def __init__(self, path: Path, name: str, encoding: str) -> None:
        super().__init__(name)
        self.path, self.name, self.encoding = path, name, encoding


def header(path: Path, form: TableFormat, name: str) -> tuple[str, ...]:
    """The column names, checked: none blank, none twice."""
    if not form.header and form.names:
        return form.names
    with open_content(path, form.compression, name) as stream:
        head = _head(stream, name)
    with closing(_records(io.BytesIO(head), form, name)) as rows:
        first = next((row for _, row in rows if row), None)
    if first is None:
        raise InvalidInputError(f"{name} is empty", cause="no header and no row", fix="check how the file was written")
    if not form.header:
        return tuple(f"Column{number}" for number in range(1, len(first) + 1))
    return check_names(first, name)


def _head(stream: BinaryIO, name: str) -> bytes:
    """The beginning of the file, long enough for every header that is taken. InvalidInputError when no line ends in it."""
    parts, size = [], 0
    while size < MAX_HEADER and (part := stream.read(min(1 << 18, MAX_HEADER - size))):
        parts.append(part)
        size += len(part)
        if size >= 1 << 18 and (b"\n" in part or b"\r" in part):
            break
    head = b"".join(parts)
    if size >= MAX_HEADER and b"\n" not in head and b"\r" not in head:
        raise InvalidInputError(
            f"{name}: the first line is longer than {MAX_HEADER >> 20} MiB",
            cause="it is no header of a table: a file without line ends?",
            fix="check how the file was written",
        )
    return head


def check_names(found: Sequence[str], name: str) -> tuple[str, ...]:
    """`found` when every column has a name of its own."""
    if len(found) > MAX_COLUMNS:
        raise InvalidInputError(f"{name} has {len(found):,} columns; the limit is {MAX_COLUMNS:,}")
    seen: dict[str, int] = {}
    for position, column in enumerate(found, 1):
        if not column.strip():
            raise InvalidInputError(
                f"{name}: column {position} of {len(found)} has no name in the header",
                cause="an index written along (pandas: index=False), or a delimiter at the end of the line?",
                fix="give every column a name",
            )
        if column in seen:
            raise InvalidInputError(
                f"{name}: the column name {column!r} is there twice, as columns {seen[column]} and {position}",
                fix="give every column a name of its own",
            )
        seen[column] = position
    return tuple(found)


def batches(
    path: Path,
    form: TableFormat,
    name: str,
    names: tuple[str, ...],
    columns: Sequence[str] | None = None,
    *,
    missing: bool = True,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[pa.RecordBatch]:
    """The rows as text columns, missing values null (`missing` False: as the text that they are). InvalidInputError names the
    line of a ragged row; NotUtf8Error when the encoding found from the head does not hold for the rest."""
    import pyarrow as pa
    import pyarrow.csv as pacsv

    read = pacsv.ReadOptions(
        block_size=block_bytes,
        encoding=_arrow_encoding(form.encoding),
        column_names=None if form.header else list(names),
    )
    parse = pacsv.ParseOptions(delimiter=form.delimiter or ",", newlines_in_values=True)
    convert = pacsv.ConvertOptions(
        column_types={column: pa.string() for column in names},
        null_values=list(MISSING),
        strings_can_be_null=missing,
        include_columns=list(columns) if columns is not None else None,
    )
    with open_content(path, form.compression, name) as stream:
        try:
            # The first block is parsed by the opening itself.
            yield from pacsv.open_csv(stream, read_options=read, parse_options=parse, convert_options=convert)
        except (pa.ArrowInvalid, UnicodeError) as error:
            raise _diagnosed(path, form, name, names, error) from error


def _arrow_encoding(encoding: str | None) -> str:
    return "utf8" if encoding in (None, "utf-8", "utf-8-sig") else str(encoding)


def _diagnosed(path: Path, form: TableFormat, name: str, names: tuple[str, ...], error: Exception) -> Exception:
    """What is wrong, with its line: a second, slow and exact reading, made only of a broken file."""
    if isinstance(error, UnicodeError) or "UTF8" in str(error):
        return _encoding_problem(path, form, name)
    try:
        with open_content(path, form.compression, name) as stream, closing(_records(stream, form, name)) as rows:
            for line, row in rows:
                if row and len(row) != len(names):
                    return InvalidInputError(
                        f"{name}, line {line}: expected {len(names)} fields, found {len(row)}",
                        cause="a delimiter inside an unquoted value, or a broken line?",
                        fix=f"correct line {line}: quote the value, or complete the row",
                    )
    except InvalidInputError as problem:
        return problem
    except UnicodeError:
        return _encoding_problem(path, form, name)
    return InvalidInputError(f"{name} is no sound table", cause=str(error))


def _encoding_problem(path: Path, form: TableFormat, name: str) -> Exception:
    """Where the encoding breaks: NotUtf8Error when the whole text is of a single-byte encoding instead."""
    encoding = form.encoding or "utf-8"
    decoder = codecs.getincrementaldecoder(encoding)()
    head, lines = b"", 0
    with open_content(path, form.compression, name) as stream:
        while part := stream.read(1 << 18):
            head = head or part
            try:
                decoder.decode(part)
            except UnicodeDecodeError as error:
                if encoding != "utf-8":
                    return InvalidInputError(
                        f"{name} has the wrong encoding: it cannot be read as {encoding} (after line {lines})",
                        cause=error.reason,
                        fix="save the file as UTF-8 and run the command again",
                    )
                fallback = fallback_encoding(head + part)
                # The decoder may hold the first bytes of a character from the part before.
                return undecodable(name, part, lines) if fallback is None else NotUtf8Error(path, name, fallback)
            lines += part.count(b"\n")
    return InvalidInputError(
        f"{name} has the wrong encoding: it ends inside a character", fix="save the file as UTF-8 and run the command again"
    )


def _records(stream: BinaryIO, form: TableFormat, name: str) -> Generator[tuple[int, list[str]], None, None]:
    """Line on which a record begins, and its fields."""
    text = io.TextIOWrapper(stream, encoding=form.encoding or "utf-8", newline="")
    before = csv.field_size_limit(MAX_FIELD)
    try:
        reader = csv.reader(text, delimiter=form.delimiter or ",")
        line = 1
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise InvalidInputError(
                    f"{name}, line {line}: {error}", cause="a quote that is never closed?", fix=f"correct line {line}"
                ) from error
            yield line, row
            line = reader.line_num + 1
    finally:
        csv.field_size_limit(before)
        text.detach()
