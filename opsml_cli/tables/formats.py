"""What kind of table a file is, told from its content: format, compression, encoding and delimiter."""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.tables.content import compression_of, open_content

HEAD_BYTES = 256 << 10
DELIMITERS = (",", ";", "\t", "|")
PARQUET_MAGIC = b"PAR1"
GUESSED = ("cp1252", "latin-1")  # what text without a mark that is no UTF-8 is taken for

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHER_FORMATS = (
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"(\xb5/\xfd", "a zstd file"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"%PDF", "a PDF"),
    (b"ARROW1", "an Arrow file"),
    (b"SQLite format 3", "a SQLite database"),
)
# Control characters that no text holds; tab, newline, return, form feed and escape may occur.
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_NON_ASCII = re.compile(rb"[\x80-\xff]+")


@dataclass(frozen=True, slots=True)
class TableFormat:
    """How to read a file. `kind`: csv, jsonl, json (one array) or parquet. `delimiter` and `encoding` only for text;
    `header` False: the file's first line is data and `names` are its columns."""

    kind: str
    compression: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    header: bool = True
    names: tuple[str, ...] = ()


def detect(path: Path, name: str | None = None, *, delimiter: str | None = None, encoding: str | None = None) -> TableFormat:
    """Look at the first 256 KiB of `path` (decompressed). A given delimiter or encoding is taken as it is.

    InvalidInputError when the file is empty, binary, of a known other kind, or when no encoding fits."""
    shown = name or str(path)
    with path.open("rb") as file:
        compression = compression_of(file.read(4))
    with open_content(path, compression, shown) as stream:
        head = _read_head(stream)
    if not head.strip(b" \t\r\n\0"):
        raise InvalidInputError(f"{shown} is empty", cause="no header and no row", fix="check how the file was written")
    if head.startswith(PARQUET_MAGIC):
        if compression:
            raise InvalidInputError(f"{shown} is a compressed Parquet file", fix="unpack it: Parquet is compressed already")
        return TableFormat("parquet")
    for magic, kind in _OTHER_FORMATS:
        if head.startswith(magic):
            raise InvalidInputError(
                f"{shown} is {kind}, no table opsml reads",
                fix="convert it to CSV, Parquet or JSON lines (gzip or zip are fine)",
            )
    form = TableFormat("csv", compression, encoding or text_encoding(head, shown))
    text = _decoded(head, form.encoding or "utf-8", shown)
    kind = _text_kind(text, Path(shown.partition("?")[0]).name.lower())
    if kind != "csv":
        return replace(form, kind=kind)
    return replace(form, delimiter=delimiter or sniff_delimiter(text))


def _read_head(stream: BinaryIO) -> bytes:
    parts, size = [], 0
    while size < HEAD_BYTES:
        part = stream.read(HEAD_BYTES - size)
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _text_kind(text: str, filename: str) -> str:
    if re.search(r"\.(csv|tsv|txt|psv)(\.gz|\.zip)?\Z", filename):
        return "csv"
    body = text.lstrip()
    if body.startswith("["):
        return "json" if re.match(r"\[\s*[\[{\]]", body) else "csv"
    return "jsonl" if re.match(r'\{\s*("|\}|\Z)', body) else "csv"


def text_encoding(head: bytes, name: str) -> str:
    """The encoding of the text that begins with `head`."""
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding
    if b"\0" in head:
        return _without_mark(head, name)
    if _CONTROL.search(head):
        raise not_text(name)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        fallback = fallback_encoding(head)
        if fallback is None:
            raise undecodable(name, head) from None
        return fallback
    return "utf-8"


def _without_mark(head: bytes, name: str) -> str:
    """UTF-16 that lost its byte order mark: every second byte of Western text is zero."""
    even, odd, half = head[::2].count(0), head[1::2].count(0), len(head) // 2
    if odd > 0.4 * half and even < 0.05 * half:
        return "utf-16-le"
    if even > 0.4 * half and odd < 0.05 * half:
        return "utf-16-be"
    raise not_text(name)


def fallback_encoding(sample: bytes) -> str | None:
    """The single-byte encoding of text that is no UTF-8; None when it is UTF-8 with damaged places."""
    whole = sum(len(found) for found in _MULTIBYTE.findall(sample))
    outside = sum(len(found) for found in _NON_ASCII.findall(sample)) - whole
    if whole > outside:
        return None
    try:
        sample.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def not_text(name: str) -> InvalidInputError:
    return InvalidInputError(
        f"{name} is binary, no table opsml reads",
        cause="it holds control characters that no text has",
        fix="give a CSV, Parquet or JSON lines file (gzip or zip are fine)",
    )


def undecodable(name: str, sample: bytes, before: int = 0) -> InvalidInputError:
    """The error for text that claims UTF-8 and breaks it. `before` lines precede `sample`."""
    try:
        sample.decode("utf-8")
        place = ""
    except UnicodeDecodeError as error:
        line = before + sample.count(b"\n", 0, error.start) + 1
        place = f" in line {line}"
    return InvalidInputError(
        f"{name} has the wrong encoding: bytes that are no UTF-8{place}",
        cause="most of it is UTF-8, so a part was damaged or pasted from another encoding",
        fix="save the file as UTF-8 and run the command again",
    )


def _decoded(head: bytes, encoding: str, name: str) -> str:
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
        return decoder.decode(head)
    except (UnicodeError, LookupError) as error:
        raise InvalidInputError(
            f"{name} has the wrong encoding: it cannot be read as {encoding}",
            cause=getattr(error, "reason", str(error)),
            fix="save the file as UTF-8 and run the command again",
        ) from error


def sniff_delimiter(text: str) -> str:
    """The delimiter under which most records have as many fields as the header; a comma when there is one column."""
    best, best_score = ",", (0.0, 0)
    for candidate in DELIMITERS:
        widths = _widths(text, candidate)
        if not widths or widths[0] < 2:
            continue
        score = (sum(width == widths[0] for width in widths) / len(widths), widths[0])
        if score > best_score:
            best, best_score = candidate, score
    return best


def _widths(text: str, delimiter: str, records: int = 200) -> list[int]:
    widths = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for row in reader:
            if row:
                widths.append(len(row))
            if len(widths) > records:
                break
    except csv.Error:
        pass
    # The last record may be cut off by the end of the sample.
    return widths[:-1] if len(widths) > 1 and len(text) >= HEAD_BYTES // 4 else widths
