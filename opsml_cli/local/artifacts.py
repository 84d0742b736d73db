"""Immutable content, addressed by its SHA-256: `blobs/<sha256>`, a file or a folder. Names live in the database alone.

Content is added in two steps. `receive_file` and `receive_folder` copy to a temporary name, hash on the way, and hand out
a Received; `keep` gives it its final name, durably. What is not kept is removed when the block ends, and by the sweep when
the process was killed."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from opsml_cli.domain import names
from opsml_cli.domain.errors import InvalidInputError, QuotaError
from opsml_cli.local import files

CHUNK = 1 << 20
MAX_FOLDER_FILES = 100_000


@dataclass(frozen=True, slots=True)
class Received:
    """Content that is complete but has no final name yet. `size` in bytes."""

    path: Path
    sha256: str
    size: int


class Blobs:
    """The folder of blobs. It is made by the first write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha256: str) -> Path:
        """Where the content with this hash lies."""
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise ValueError(f"no SHA-256: {sha256!r}")
        return self.folder / sha256

    @contextmanager
    def receive_file(self, parts: Iterable[bytes], what: str) -> Iterator[Received]:
        """Copy `parts` to a temporary file, 0600; `what` names it should the disk be full."""
        self._prepare()
        temporary = files.temporary_name(self.folder)
        try:
            with disk_full(what):
                digest, size = _write(temporary, parts)
            yield Received(temporary, digest, size)
        finally:
            temporary.unlink(missing_ok=True)

    @contextmanager
    def receive_folder(self, source: Path, what: str) -> Iterator[Received]:
        """Copy the files below `source`; the hash covers names and contents. Links that leave the folder, odd files and
        names that differ only by case are refused with InvalidInputError."""
        self._prepare()
        temporary = files.temporary_name(self.folder)
        temporary.mkdir(mode=0o700)
        try:
            with disk_full(what):
                entries = [(name, *_write(_place(temporary, name), _read(path))) for name, path in folder_files(source, what)]
                files.sync_tree(temporary)
            yield Received(temporary, tree_hash(entries), sum(size for _, _, size in entries))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def keep(self, received: Received) -> Path:
        """Give the content its final name, durably; content that is there already stays as it is."""
        final = self.path(received.sha256)
        if final.exists():
            return final
        try:
            received.path.rename(final)
        except OSError:
            # A folder of the same content was kept by another process in between.
            if not final.exists():
                raise
        files.sync_folder(self.folder)
        return final

    def _prepare(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.sweep(self.folder)


def hash_parts(parts: Iterable[bytes]) -> tuple[str, int]:
    """SHA-256 and size of the parts together."""
    digest, size = hashlib.sha256(), 0
    for part in parts:
        digest.update(part)
        size += len(part)
    return digest.hexdigest(), size


def hash_folder(source: Path, what: str) -> tuple[str, int]:
    """The hash and size that `receive_folder` would find."""
    entries = [(name, *hash_parts(_read(path))) for name, path in folder_files(source, what)]
    return tree_hash(entries), sum(size for _, _, size in entries)


def tree_hash(entries: Iterable[tuple[str, str, int]]) -> str:
    """One hash of a folder's (relative name, SHA-256, size), whatever their order."""
    digest = hashlib.sha256(b"opsml folder 1\n")
    for name, sha256, size in sorted(entries):
        digest.update(f"{sha256} {size} {len(name.encode())} {name}\n".encode())
    return digest.hexdigest()


def folder_files(source: Path, what: str) -> list[tuple[str, Path]]:
    """The files below `source` with their names relative to it (`/` between parts), checked."""
    found: list[tuple[str, Path]] = []
    seen: dict[str, str] = {}
    for root, folders, filenames in os.walk(source):
        folders.sort()
        for folder in folders:
            path = Path(root) / folder
            if path.is_symlink():
                raise _refused(what, path.relative_to(source), "a link to a folder")
        for filename in sorted(filenames):
            path = Path(root) / filename
            relative = path.relative_to(source)
            if path.is_symlink() and not files.inside(source, path):
                raise _refused(what, relative, "a link that leaves the folder")
            if not path.is_file():
                raise _refused(what, relative, "no regular file")
            name = relative.as_posix()
            try:
                name.encode()
            except UnicodeEncodeError:
                raise _refused(what, relative, "a file whose name is no Unicode text") from None
            found.append((name, path))
    for name in sorted({name for entry, _ in found for name in _prefixes(entry)}):
        other = seen.setdefault(names.key(name), name)
        if other != name:
            raise InvalidInputError(
                f"{what} holds {other!r} and {name!r}, which differ only by case",
                fix="rename one of them: on many file systems they are one file",
            )
    if not found:
        raise InvalidInputError(f"{what} holds no files", fix="give a folder with files")
    if len(found) > MAX_FOLDER_FILES:
        raise InvalidInputError(f"{what} holds {len(found):,} files; the limit is {MAX_FOLDER_FILES:,}")
    return found


def _prefixes(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]


def _refused(what: str, relative: Path, kind: str) -> InvalidInputError:
    return InvalidInputError(f"{what}: {relative.as_posix()!r} is {kind}", fix="put the file itself there")


def _place(folder: Path, name: str) -> Path:
    path = folder.joinpath(*name.split("/"))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(CHUNK):
            yield part


def _write(path: Path, parts: Iterable[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(handle, "wb", buffering=0) as file:
        for part in parts:
            digest.update(part)
            size += len(part)
            view = memoryview(part)
            while view:
                view = view[file.write(view) or 0 :]
        os.fsync(file.fileno())
    return digest.hexdigest(), size


@contextmanager
def disk_full(what: str) -> Iterator[None]:
    """As `files.disk_errors`, for the limit on a file's size too."""
    import errno

    try:
        with files.disk_errors(what):
            yield
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        raise QuotaError(
            f"{what} is larger than a file may be here",
            cause=error.strerror,
            fix="raise the limit (ulimit -f) or use another disk; nothing half-made was kept",
        ) from error
