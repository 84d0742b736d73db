"""Folders with an MLTable file: which files they name and how those are read."""

from __future__ import annotations

from pathlib import Path

from opsml_cli.content.files import inside
from opsml_cli.domain.errors import InvalidInputError, NotFoundError
from opsml_cli.domain.fields import FieldError, Fields
from opsml_cli.tables.formats import TableFormat, detect
from opsml_cli.tables.table import Part, Table, table_of

FILE = "MLTable"
_READERS = {"read_delimited": "csv", "read_parquet": "parquet", "read_json_lines": "jsonl"}
_ENCODINGS = {"utf8": "utf-8", "utf-8": "utf-8", "utf8bom": "utf-8-sig", "utf16": "utf-16", "latin1": "latin-1",
              "iso88591": "latin-1", "ascii": "ascii", "windows1252": "cp1252"}  # fmt: skip
# How Azure names whether files have a header; ours reads it from each file.
_HEADERS = {"all_files_same_headers": True, "all_files_different_headers": True, "from_first_file": True, "no_header": False}
MAX_FILES = 10_000


def read_mltable(folder: Path, name: str) -> Table:
    """The table that `folder`'s MLTable file describes. InvalidInputError names the file's line; paths may not leave the
    folder."""
    from opsml_cli.documents import read_document

    if not (folder / FILE).is_file():
        raise NotFoundError(
            f"{name} has no {FILE} file", cause="a folder is a table only with one", fix="give the table's file"
        )
    document = read_document(folder / FILE, source=f"{name}/{FILE}")

    def read(value: object) -> Table:
        fields = Fields(value)
        fields.raw("$schema")
        fields.raw("type")
        files = _files(fields, folder, name)
        reader = _reader(fields)
        fields.raw("metadata")
        fields.raw("traits")
        fields.done()
        parts = tuple(Part(path, reader.form(path, shown), shown) for path, shown in files)
        return table_of(parts, name, "mltable")

    return document.read(read)


def _files(fields: Fields, folder: Path, name: str) -> list[tuple[Path, str]]:
    entries = fields.raw("paths")
    if not isinstance(entries, list) or not entries:
        raise FieldError(
            ("paths",), "paths is missing or empty", "expected a list of `- file: …`, `- folder: …`, `- pattern: …`"
        )
    found: dict[Path, str] = {}
    for position, entry in enumerate(entries):
        where = ("paths", position)
        section = Fields(entry, where)
        kind = next((key for key in ("file", "folder", "pattern") if key in section), "file")
        text = section.text(kind)
        section.done()
        if text is None:
            raise FieldError(where, "an entry of paths names nothing", "expected file, folder or pattern")
        _check_relative(text, (*where, kind))
        paths = _matched(folder, kind, text)
        if not paths:
            raise FieldError((*where, kind), f"no file {text!r} in {name}")
        for path in paths:
            if not inside(folder, path):
                raise FieldError((*where, kind), f"{text!r} leaves the folder")
            found[path] = f"{name}/{path.relative_to(folder).as_posix()}"
        if len(found) > MAX_FILES:
            raise FieldError(where, f"more than {MAX_FILES:,} files")
    return list(found.items())


def _check_relative(text: str, where: tuple[str | int, ...]) -> None:
    parts = text.replace("\\", "/").split("/")
    if "://" in text or text.startswith(("/", "\\", "~")) or ".." in parts or text[1:2] == ":":
        raise FieldError(where, f"{text!r} leaves the folder", "expected a path inside the folder of the MLTable file")


def _matched(folder: Path, kind: str, text: str) -> list[Path]:
    text = text.removeprefix("./")
    if kind == "file":
        return [folder / text] if (folder / text).is_file() else []
    if kind == "folder":
        start = folder / text
        return sorted(path for path in start.rglob("*") if path.is_file() and path.name != FILE) if start.is_dir() else []
    return sorted(path for path in folder.glob(text) if path.is_file() and path.name != FILE)


class _Reader:
    def __init__(self, kind: str | None, delimiter: str | None, encoding: str | None, header: bool) -> None:
        self.kind, self.delimiter, self.encoding, self.header = kind, delimiter, encoding, header

    def form(self, path: Path, name: str) -> TableFormat:
        found = detect(path, name, delimiter=self.delimiter, encoding=self.encoding)
        if self.kind == "csv" and found.kind in ("json", "jsonl"):
            found = TableFormat("csv", found.compression, found.encoding, self.delimiter or ",")
        if self.kind is not None and found.kind != self.kind:
            raise InvalidInputError(f"{name} is {found.kind}; the MLTable file says {self.kind}")
        if found.kind == "csv" and not self.header:
            return TableFormat("csv", found.compression, found.encoding, found.delimiter, header=False)
        return found


def _reader(fields: Fields) -> _Reader:
    steps = fields.raw("transformations")
    reader = _Reader(None, None, None, True)
    if steps is None:
        return reader
    if not isinstance(steps, list):
        raise FieldError(("transformations",), "transformations is no list")
    for position, step in enumerate(steps):
        where = ("transformations", position)
        section = Fields({step: {}} if isinstance(step, str) else step, where)
        for key in section.keys():  # noqa: SIM118 - no mapping
            if key not in _READERS:
                raise FieldError((*where, key), f"the transformation {key!r} is not supported here",
                                 f"expected one of {', '.join(_READERS)}; make other changes in the files")  # fmt: skip
            options = section.raw(key)
            reader = _options(key, Fields(options if options is not None else {}, (*where, key)))
    return reader


def _options(key: str, options: Fields) -> _Reader:
    delimiter, encoding, header = None, None, True
    if key == "read_delimited":
        delimiter = options.text("delimiter")
        if delimiter is not None and len(delimiter) != 1:
            raise options.problem("delimiter", "one character")
        named = options.text("encoding")
        if named is not None:
            encoding = _ENCODINGS.get(named.lower().replace("_", "").replace("-", ""), _ENCODINGS.get(named.lower()))
            if encoding is None:
                raise options.problem("encoding", f"one of {', '.join(sorted(_ENCODINGS))}")
        header = _header(options)
        options.raw("support_multi_line")  # always on
        options.raw("empty_as_string")
    options.raw("include_path_column")
    options.done()
    return _Reader(_READERS[key], delimiter, encoding, header)


def _header(options: Fields) -> bool:
    value = options.raw("header")
    if value is None or isinstance(value, bool):
        return value is not False
    if str(value).lower() in _HEADERS:
        return _HEADERS[str(value).lower()]
    raise options.problem("header", f"one of {', '.join(_HEADERS)}")
