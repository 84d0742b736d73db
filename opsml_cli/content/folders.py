"""Hashes of files and folders, and what a folder may hold to be content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from opsml_cli.content import files
from opsml_cli.domain import names
from opsml_cli.domain.errors import InvalidInputError

CHUNK = 1 << 20
MAX_FOLDER_FILES = 100_000


def hash_parts(parts: Iterable[bytes]) -> tuple[str, int]:
    """SHA-256 and size of the parts together."""
    digest, size = hashlib.sha256(), 0
    for part in parts:
        digest.update(part)
        size += len(part)
    return digest.hexdigest(), size


def hash_folder(source: Path, what: str) -> tuple[str, int]:
    """The tree hash and the size of every file below `source` together."""
    entries = [(name, *hash_parts(read_parts(path))) for name, path in folder_files(source, what)]
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


def read_parts(path: Path) -> Iterator[bytes]:
    """The file's content in parts of at most CHUNK bytes."""
    with path.open("rb") as file:
        while part := file.read(CHUNK):
            yield part
