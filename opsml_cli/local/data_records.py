"""Data versions as rows of the workspace database. Profiles lie apart, so that a list does not read them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from opsml_cli.domain import names
from opsml_cli.domain.data import DataAsset, DataType
from opsml_cli.domain.names import AssetRef
from opsml_cli.tables.profile_record import profile_document, read_profile

# Stored in the document; the others have columns of their own, or follow from the hash.
_FIELDS = ("name", "rows", "columns", "size_bytes", "description", "tags", "target_column", "source")


def find(connection: sqlite3.Connection, ref: AssetRef) -> DataAsset | None:
    """The version, or the latest, with its profile."""
    key = names.key(ref.name)
    if ref.version is None:
        rows = connection.execute("SELECT * FROM data_versions WHERE name_key=? ORDER BY sequence DESC LIMIT 1", (key,))
    else:
        rows = connection.execute("SELECT * FROM data_versions WHERE name_key=? AND version=?", (key, names.key(ref.version)))
    row = rows.fetchone()
    return None if row is None else _asset(row, row["profile"])


def latest(connection: sqlite3.Connection) -> Sequence[DataAsset]:
    """The latest version of every asset, newest first, without profiles."""
    query = """SELECT name_key, version, sequence, sha256, created_at, document FROM data_versions AS this
        WHERE sequence=(SELECT max(sequence) FROM data_versions WHERE name_key=this.name_key)
        ORDER BY created_at DESC, name_key"""
    return [_asset(row) for row in connection.execute(query)]


def versions(connection: sqlite3.Connection, name: str) -> Sequence[DataAsset]:
    """Every version, newest first, without profiles."""
    query = """SELECT name_key, version, sequence, sha256, created_at, document FROM data_versions
        WHERE name_key=? ORDER BY sequence DESC"""
    return [_asset(row) for row in connection.execute(query, (names.key(name),))]


def every(connection: sqlite3.Connection) -> Sequence[DataAsset]:
    """Every version of every asset, newest first, without profiles."""
    query = """SELECT name_key, version, sequence, sha256, created_at, document FROM data_versions
        ORDER BY created_at DESC, name_key, sequence DESC"""
    return [_asset(row) for row in connection.execute(query)]


def next_number(connection: sqlite3.Connection, name: str) -> int:
    """One more than the highest version that is a number."""
    query = "SELECT version FROM data_versions WHERE name_key=?"
    found = (str(row["version"]) for row in connection.execute(query, (names.key(name),)))
    return max((int(version) for version in found if version.isdecimal()), default=0) + 1


def save(connection: sqlite3.Connection, asset: DataAsset) -> None:
    """Insert the version, or set the labels of the one that is there."""
    key, version = names.key(asset.name), names.key(asset.version)
    document = _compact(
        {name: getattr(asset, name) for name in _FIELDS}
        | {"version": asset.version, "type": asset.type, "tags": dict(asset.tags)}
    )
    profile = None if asset.profile is None else _compact(profile_document(asset.profile))
    connection.execute(
        """INSERT INTO data_versions(name_key, version, sequence, sha256, created_at, document, profile)
           VALUES(?, ?, (SELECT coalesce(max(sequence), 0) + 1 FROM data_versions WHERE name_key=?), ?, ?, ?, ?)
           ON CONFLICT(name_key, version) DO UPDATE SET document=excluded.document, profile=excluded.profile""",
        (key, version, key, asset.sha256, asset.created_at, document, profile),
    )


def _asset(row: sqlite3.Row, profile: str | None = None) -> DataAsset:
    held = json.loads(row["document"])
    return DataAsset(
        **{name: held[name] for name in _FIELDS},
        version=held["version"],
        type=DataType(held["type"]),
        uri="",
        sha256=row["sha256"],
        created_at=row["created_at"],
        profile=None if profile is None else read_profile(json.loads(profile)),
    )


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
