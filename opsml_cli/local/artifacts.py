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

from opsml_cli.content import files, folders
from opsml_cli.domain.errors import ConflictError, QuotaError
from opsml_cli.local import leftovers


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
                entries = [
                    (name, *_write(_place(temporary, name), folders.read_parts(path)))
                    for name, path in folders.folder_files(source, what)
                ]
                files.sync_tree(temporary)
            yield Received(temporary, folders.tree_hash(entries), sum(size for _, _, size in entries))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def checked(self, sha256: str, size: int, name: str, *, whole: bool = False) -> Path:
        """Where the content lies, of the size that was registered, and with `whole` of the same hash. ConflictError when it
        is gone or damaged."""
        path = self.path(sha256)
        problem = _damage(path, sha256, size, whole=whole)
        if problem is not None:
            raise ConflictError(
                f"the content of {name} is not what was registered: {problem}",
                cause=f"it lies at {path}",
                fix="register the same file again, which mends it; or take it from a copy of the workspace",
            )
        return path

    def keep(self, received: Received) -> bool:
        """Give the content its final name, durably. Sound content that is there already stays as it is, and damaged content
        is replaced: whether there was any."""
        final = self.path(received.sha256)
        if files.touched(final):
            if _damage(final, received.sha256, received.size, whole=True) is None:
                return False
            aside = files.temporary_name(self.folder)
            final.rename(aside)
            received.path.rename(final)
            files.sync_folder(self.folder)
            shutil.rmtree(aside) if aside.is_dir() else aside.unlink()
            return True
        try:
            received.path.rename(final)
        except OSError:
            # A folder of the same content was kept by another process in between.
            if not final.exists():
                raise
        files.sync_folder(self.folder)
        return False

    def _prepare(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        leftovers.sweep(self.folder)


def _damage(path: Path, sha256: str, size: int, *, whole: bool) -> str | None:
    """What is wrong with the content at `path`; None when nothing is. `whole`: it is read and hashed."""
    if not path.exists():
        return "it is gone"
    there = sum(each.stat().st_size for each in path.rglob("*") if each.is_file()) if path.is_dir() else path.stat().st_size
    if there != size:
        return f"{there:,} bytes are there, {size:,} were registered"
    if not whole:
        return None
    found = folders.hash_folder(path, path.name)[0] if path.is_dir() else folders.hash_parts(folders.read_parts(path))[0]
    return None if found == sha256 else "its SHA-256 is another one"


def _place(folder: Path, name: str) -> Path:
    path = folder.joinpath(*name.split("/"))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


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
