"""Data versions as rows of the workspace database. Profiles lie apart, so that a list does not read them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from opsml_cli.domain import names
from opsml_cli.domain.data import (
    ColumnProfile,
    ColumnType,
    DataAsset,
    DataProfile,
    DataType,
    TargetProfile,
    ValueCount,
)
from opsml_cli.domain.names import AssetRef

# Stored in the document; the others have columns of their own, or follow from the hash.
_FIELDS = ("name", "rows", "columns", "size_bytes", "description", "tags", "target_column", "source")
_COLUMN = ("name", "missing", "unique", "unique_estimated", "minimum", "maximum", "mean", "standard_deviation")


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


def profile_document(profile: DataProfile) -> dict[str, object]:
    """A profile as JSON-able values; `read_profile` is its inverse."""
    target = profile.target
    return {
        "rows": profile.rows,
        "size_bytes": profile.size_bytes,
        "format": profile.format,
        "delimiter": profile.delimiter,
        "encoding": profile.encoding,
        "compression": profile.compression,
        "target": None
        if target is None
        else {"column": target.column, "task": target.task, "classes": [[one.value, one.count] for one in target.classes]},
        "columns": [
            {name: getattr(column, name) for name in _COLUMN}
            | {"type": column.type.value, "top": [[one.value, one.count] for one in column.top]}
            for column in profile.columns
        ],
    }


def read_profile(held: Mapping[str, Any]) -> DataProfile:
    target = held["target"]
    return DataProfile(
        rows=held["rows"],
        size_bytes=held["size_bytes"],
        format=held["format"],
        delimiter=held["delimiter"],
        encoding=held["encoding"],
        compression=held["compression"],
        target=None if target is None else TargetProfile(target["column"], target["task"], _counts(target["classes"])),
        columns=tuple(
            ColumnProfile(
                **{name: column[name] for name in _COLUMN}, type=ColumnType(column["type"]), top=_counts(column["top"])
            )
            for column in held["columns"]
        ),
    )


def _counts(pairs: Sequence[Sequence[Any]]) -> tuple[ValueCount, ...]:
    return tuple(ValueCount(value, count) for value, count in pairs)


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
