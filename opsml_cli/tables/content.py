"""The bytes of a file, decompressed on the way: gzip, or a zip archive with one member. Hostile archives end in a clear
error: nothing is ever extracted to a path, and what comes out is limited by ratio and by size."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from opsml_cli.domain.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined,unused-ignore]

GZIP_MAGIC = b"\x1f\x8b"
ZIP_MAGIC = b"PK\x03\x04"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What decompression may produce. Text of a table shrinks 3 to 30 times; a bomb 1000 times. The ratio counts only
    once `grace_bytes` came out, so that small files of one repeated line pass."""

    ratio: float = 300.0
    grace_bytes: int = 64 << 20
    total_bytes: int = 200 << 30


LIMITS = Limits()


def compression_of(head: bytes) -> str | None:
    """`gzip`, `zip` or None, from the first bytes."""
    if head.startswith(GZIP_MAGIC):
        return "gzip"
    return "zip" if head.startswith(ZIP_MAGIC) else None


@contextmanager
def open_content(path: Path, compression: str | None, name: str, limits: Limits | None = None) -> Iterator[BinaryIO]:
    """The decompressed bytes of `path`, which errors call `name`."""
    limits = limits or LIMITS
    with path.open("rb") as file:
        if compression is None:
            yield file
        elif compression == "gzip":
            yield io.BufferedReader(_Inflated(file, name, limits), _CHUNK)
        else:
            with _sole_member(file, name) as (member, packed):
                yield io.BufferedReader(_Limited(member, name, limits, packed), _CHUNK)


def _bomb(name: str, limits: Limits) -> InvalidInputError:
    return InvalidInputError(
        f"{name} expands beyond the limit while it is decompressed",
        cause=f"more than {limits.ratio:.0f} times its size, or {limits.total_bytes >> 30} GiB: a decompression bomb?",
        fix="decompress it yourself if you trust it, and register the plain file",
    )


def _damaged(name: str, kind: str, error: object) -> InvalidInputError:
    return InvalidInputError(f"{name} is a damaged {kind} file", cause=str(error), fix="fetch or write the file again")


class _Inflated(io.RawIOBase):
    """A gzip file's content, members concatenated, counted as it comes out."""

    def __init__(self, file: BinaryIO, name: str, limits: Limits) -> None:
        self._file, self._name, self._limits = file, name, limits
        self._inflate = zlib.decompressobj(31)
        self._packed = self._out = 0
        self._pending = b""
        self._between = True  # at a member's start, where the file may end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        while True:
            if self._inflate.eof:
                self._pending, self._inflate, self._between = self._inflate.unused_data, zlib.decompressobj(31), True
            if not self._pending:
                self._pending = self._file.read(1 << 16)
                self._packed += len(self._pending)
                if not self._pending:
                    if not self._between:
                        raise _damaged(self._name, "gzip", "it ends early")
                    return 0
            if self._between and not self._pending.strip(b"\0"):  # padding after the last member
                self._pending = b""
                continue
            self._between = False
            try:
                data = self._inflate.decompress(self._pending, len(view))
            except zlib.error as error:
                raise _damaged(self._name, "gzip", error) from error
            self._pending = self._inflate.unconsumed_tail
            self._out += len(data)
            if self._out > self._limits.total_bytes or (
                self._out > self._limits.grace_bytes and self._out > self._limits.ratio * self._packed
            ):
                raise _bomb(self._name, self._limits)
            if data:
                view[: len(data)] = data
                return len(data)


class _Limited(io.RawIOBase):
    """A zip member's content, counted as it comes out."""

    def __init__(self, member: BinaryIO, name: str, limits: Limits, packed: int) -> None:
        self._member, self._name, self._limits, self._packed, self._out = member, name, limits, packed, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._member.read(len(view))
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise _damaged(self._name, "zip", error) from error
        self._out += len(data)
        if self._out > self._limits.total_bytes or (
            self._out > self._limits.grace_bytes and self._out > self._limits.ratio * max(self._packed, 1)
        ):
            raise _bomb(self._name, self._limits)
        view[: len(data)] = data
        return len(data)


@contextmanager
def _sole_member(file: BinaryIO, name: str) -> Iterator[tuple[BinaryIO, int]]:
    """The one table in the archive, opened, and its compressed size."""
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise _damaged(name, "zip", error) from error
    with archive:
        members = [entry for entry in archive.infolist() if not entry.is_dir()]
        if any(entry.filename == "[Content_Types].xml" for entry in members):
            raise InvalidInputError(f"{name} is an Office document, no table", fix="save the sheet as CSV and register that")
        for entry in members:
            _check_member(entry, name)
        members = [entry for entry in members if not entry.filename.startswith("__MACOSX/")]
        if len(members) != 1:
            shown = ", ".join(repr(entry.filename) for entry in members[:3])
            raise InvalidInputError(
                f"{name} holds {len(members)} files; a table's archive holds exactly one",
                cause=f"it holds {shown}{', …' if len(members) > 3 else ''}" if members else "it is empty",
                fix="unpack it, and register the file or the folder",
            )
        (entry,) = members
        if entry.flag_bits & 1:
            raise InvalidInputError(f"{name} is encrypted", fix="unpack it, and register the plain file")
        try:
            member = archive.open(entry)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
            raise _damaged(name, "zip", error) from error
        with member:
            yield member, entry.compress_size  # type: ignore[misc]


def _check_member(entry: zipfile.ZipInfo, name: str) -> None:
    path = PurePosixPath(entry.filename.replace("\\", "/"))
    mode = entry.external_attr >> 16
    if path.is_absolute() or ".." in path.parts or ":" in entry.filename or "\0" in entry.filename:
        raise InvalidInputError(f"{name} holds the unsafe name {entry.filename!r}", fix="pack the archive anew")
    if stat.S_ISLNK(mode) or (stat.S_IFMT(mode) and not stat.S_ISREG(mode)):
        raise InvalidInputError(f"{name} holds {entry.filename!r}, which is a link or device", fix="pack the file itself")
