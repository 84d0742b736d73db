"""What can be out of order with a local workspace: its folder, the disk, the database."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain.access import Check
from opsml_cli.domain.errors import NotFoundError, OpsmlError
from opsml_cli.local import home

if TYPE_CHECKING:
    from opsml_cli.local.store import Store

_LEAST_DISK = 1_000_000_000  # bytes


def checks(folder: Path, store: Store, *, deep: bool = False) -> Iterator[Check]:
    """`deep`: every byte is read, of the database, the data and the models."""
    yield _writable(folder)
    yield _disk(folder)
    database = _database(store, deep=deep)
    yield database
    copied = home.original(folder)
    if copied is not None:
        yield Check("copy", True, f"this workspace is a copy of {copied}: what runs there is not seen or ended from here")
    if database.ok and store.exists():
        yield _content(folder, store, deep=deep)


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


def _database(store: Store, *, deep: bool) -> Check:
    try:
        with store.read() as connection:
            if not store.exists():
                return Check("database", True, f"SQLite {sqlite3.sqlite_version}; made by the first write")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            found = connection.execute("PRAGMA integrity_check(1)" if deep else "PRAGMA quick_check(1)").fetchone()[0]
    except OpsmlError as error:
        return Check("database", False, error.message, error.fix)
    if found != "ok":
        fix = "restore workspace.db from a copy; what can still be read goes on working"
        return Check("database", False, f"{store.path} is damaged: {str(found).splitlines()[-1]}", fix)
    return Check("database", True, f"SQLite {sqlite3.sqlite_version}; schema {version}")


def _content(folder: Path, store: Store, *, deep: bool) -> Check:
    """Whether registered data and models are there, of their size; `deep`: with their hashes."""
    from opsml_cli.domain.names import AssetRef
    from opsml_cli.local import data_records
    from opsml_cli.local.artifacts import Blobs
    from opsml_cli.local.layout import Layout
    from opsml_cli.local.models import LocalModels

    layout = Layout(folder)
    blobs = Blobs(layout.blobs)
    with store.read() as connection:
        latest = data_records.latest(connection)
        assets = [version for asset in latest for version in data_records.versions(connection, asset.name)]
    models = LocalModels(layout, store)
    wrong: list[OpsmlError] = []
    count = 0
    for asset in assets:
        if asset.sha256:
            count += 1
            try:
                blobs.checked(asset.sha256, asset.size_bytes, f"data {asset.name}:{asset.version}", whole=deep)
            except OpsmlError as error:
                wrong.append(error)
    for model in models.versions(None):
        count += 1
        try:
            if deep:
                models.verified(AssetRef(model.name, model.version))
            elif not layout.model(model.name, model.version).is_dir():
                raise NotFoundError(f"the folder of model {model.name}:{model.version} is gone", fix="register the model again")
        except OpsmlError as error:
            wrong.append(error)
    if wrong:
        more = f"; and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        return Check("content", False, f"{wrong[0].message}{more}", wrong[0].fix)
    how = "with their hashes" if deep else "of their sizes; --deep reads them"
    return Check("content", True, f"{count} data assets and models are there, {how}" if count else "nothing is registered yet")
