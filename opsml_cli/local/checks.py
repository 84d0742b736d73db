"""What can be out of order with a local workspace: its folder, the disk, the database."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain.access import Check
from opsml_cli.domain.errors import OpsmlError

if TYPE_CHECKING:
    from opsml_cli.local.store import Store

_LEAST_DISK = 1_000_000_000  # bytes


def checks(folder: Path, store: Store) -> Iterator[Check]:
    yield _writable(folder)
    yield _disk(folder)
    yield _database(store)


def _nearest_there(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.exists())


def _writable(folder: Path) -> Check:
    import tempfile

    place = _nearest_there(folder)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Check(
            "workspace folder", False, f"{place}: {error.strerror}", "check the folder's owner and rights, or choose another"
        )
    detail = f"{folder} can be written" if place == folder else f"{folder} will be made by the first write"
    return Check("workspace folder", True, detail)


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(_nearest_there(folder)).free
    ok = free >= _LEAST_DISK
    return Check(
        "disk space", ok, f"{free / 1e9:.1f} GB free", None if ok else "free some space: training and models need at least 1 GB"
    )


def _database(store: Store) -> Check:
    try:
        if not store.exists():
            return Check("database", True, f"SQLite {sqlite3.sqlite_version}; made by the first write")
        with store.read() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
    except OpsmlError as error:
        return Check("database", False, error.message, error.fix)
    return Check("database", True, f"SQLite {sqlite3.sqlite_version}; schema {version}")
