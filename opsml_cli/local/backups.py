"""Backups of a workspace: one tar file with the database as SQLite copies it, and every file that it names.

The database comes first: what it names is immutable, so that it is still there when its turn comes. What belongs to processes
(locks, addresses, copies that hosts work on) is left out: a restored workspace starts its own."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from opsml_cli.content import files
from opsml_cli.domain.backup import Backup
from opsml_cli.domain.errors import BusyError, ConflictError, InvalidInputError, NotFoundError
from opsml_cli.local import clock, home, leftovers
from opsml_cli.local.artifacts import disk_full
from opsml_cli.local.store import DATABASE, Store

if TYPE_CHECKING:
    from opsml_cli.domain.service import ServiceOperations

_MANIFEST = "opsml-backup.json"
_FORMAT = 1
# What belongs to processes, by its place alone: files of the same names elsewhere are a user's.
_AT_ROOT = frozenset(("hosts", "staging", home.FILE))
_OF_SERVERS = frozenset(("lock", "address.json"))
_OF_ENDPOINTS = frozenset(("work", "workers", "server.lock", "server.json", "launch.json"))


class LocalBackups:
    """As the port says."""

    def __init__(self, root: Path, store: Store, service: ServiceOperations) -> None:
        self._root, self._store, self._service = root, store, service

    def write(self, target: Path, *, force: bool) -> Backup:
        if target.exists() and not force:
            raise ConflictError(f"{str(target)!r} exists", fix="another file, or --force to replace it")
        if not target.parent.is_dir():
            raise NotFoundError(f"there is no folder {str(target.parent)!r}", fix=f"mkdir -p {target.parent}")
        if not self._store.exists():
            with self._store.read():  # says so where the database was lost
                pass
            raise NotFoundError(f"there is no workspace at {self._root}", fix="opsml data register, or another folder")
        self._check_content()
        created = clock.now()
        temporary = files.temporary_name(target.parent)
        try:
            with disk_full(target.name), temporary.open("xb") as file:
                temporary.chmod(0o600)
                count, size = self._pack(file, created, compressed=target.suffix in (".gz", ".tgz"))
                file.flush()
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        files.sync_folder(target.parent)
        return Backup(str(target), str(self._root), count, size, created)

    def restore(self, source: Path, *, force: bool, dry_run: bool = False) -> Backup:
        if not source.is_file():
            raise NotFoundError(f"no file {source}", fix="check the path")
        there = self._root.exists() and any(self._root.iterdir())
        if there and not force:
            raise ConflictError(
                f"a workspace lies at {self._root}",
                fix="restore into another folder, or add --force, which sets this one aside",
            )
        if there and home.read(self._root) is not None and self._store.exists() and self._service.status().processes:
            raise BusyError("processes of this workspace run", fix="opsml local down --yes")
        if not dry_run:
            self._root.parent.mkdir(parents=True, exist_ok=True)
        beside = None if dry_run else self._root.parent  # renaming needs one file system
        with tempfile.TemporaryDirectory(prefix=".opsml-restore-", dir=beside) as scratch:
            place = Path(scratch) / "workspace"
            place.mkdir(mode=0o700)
            with disk_full(str(self._root)):
                manifest, count, size = _unpacked(source, place)
            _check_database(place / DATABASE, source)
            if dry_run:
                return Backup(str(source), str(self._root), count, size, str(manifest["created_at"]))
            self._store.close()
            aside = self._set_aside() if there else None
            if self._root.exists():
                self._root.rmdir()
            place.rename(self._root)
        home.write(self._root)
        return Backup(str(source), str(self._root), count, size, str(manifest["created_at"]), aside)

    def _set_aside(self) -> str:
        aside = self._root.with_name(f"{self._root.name}-before-{time.strftime('%Y%m%d-%H%M%S')}")
        while aside.exists():
            aside = aside.with_name(aside.name + "x")
        self._root.rename(aside)
        return str(aside)

    def _check_content(self) -> None:
        from opsml_cli.local.checks import checks

        for check in checks(self._root, self._store, deep=True):
            if not check.ok and check.check in ("database", "content"):
                raise ConflictError(f"nothing was backed up: {check.detail}", fix=check.fix)

    def _pack(self, file: io.BufferedWriter, created: str, *, compressed: bool) -> tuple[int, int]:
        count = size = 0
        # Dereferenced, a file of several names is a file each time, and no link.
        with tarfile.open(fileobj=file, mode="w:gz" if compressed else "w", dereference=True) as archive:
            manifest = json.dumps({"format": _FORMAT, "created_at": created, "workspace": str(self._root)}).encode()
            entry = tarfile.TarInfo(_MANIFEST)
            entry.size = len(manifest)
            archive.addfile(entry, io.BytesIO(manifest))
            with tempfile.TemporaryDirectory(prefix="opsml-") as scratch:
                copy = Path(scratch) / DATABASE
                self._copy_database(copy)
                archive.add(copy, DATABASE)
            for path, name in _kept(self._root):
                try:
                    archive.add(path, name, recursive=False)
                except FileNotFoundError:  # it ended, or was replaced, meanwhile
                    continue
                count += 1
                size += path.stat().st_size if path.exists() else 0
        return count, size

    def _copy_database(self, target: Path) -> None:
        source = f"{self._store.path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(source, uri=True)) as connection, closing(sqlite3.connect(target)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")


def _kept(root: Path) -> Iterator[tuple[Path, str]]:
    """The files that a backup holds, and their names in it."""
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if path.is_file() and not path.is_symlink() and not _of_processes(parts):
            yield path, path.relative_to(root).as_posix()


def _of_processes(parts: Sequence[str]) -> bool:
    first, second, third = (*parts, "", "")[:3]
    if first in _AT_ROOT or first.startswith(DATABASE) or any(leftovers.is_temporary(part) for part in parts):
        return True
    return (first in ("service", "emulator") and second in _OF_SERVERS) or (first == "endpoints" and third in _OF_ENDPOINTS)


def _unpacked(source: Path, place: Path) -> tuple[dict[str, object], int, int]:
    """The manifest, and how many files of which size. Nothing is written outside `place`."""
    count = size = 0
    manifest: dict[str, object] = {}
    try:
        with tarfile.open(source, "r:*") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if not member.isfile() or name.is_absolute() or ".." in name.parts or (os.name == "nt" and "\\" in member.name):
                    raise InvalidInputError(f"{source} is no backup of a workspace: it holds {member.name!r}")
                content = archive.extractfile(member)
                assert content is not None
                if member.name == _MANIFEST:
                    manifest = json.loads(content.read(1 << 16))
                    continue
                target = place.joinpath(*name.parts)
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with target.open("xb") as file:
                    target.chmod(0o600 | (member.mode & 0o100))
                    shutil.copyfileobj(content, file, 1 << 20)
                count, size = count + 1, size + member.size
    except (tarfile.TarError, EOFError, ValueError, KeyError, FileExistsError) as error:
        raise InvalidInputError(f"{source} is no sound backup of a workspace", cause=str(error)) from error
    if manifest.get("format") != _FORMAT or not (place / DATABASE).is_file():
        raise InvalidInputError(f"{source} is no backup of a workspace", cause=f"it has no {_MANIFEST} of format {_FORMAT}")
    return manifest, count, size


def _check_database(path: Path, source: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as connection:
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        found = str(error)
    if found != "ok":
        raise InvalidInputError(f"{source} is no sound backup: its database is damaged", cause=str(found))
