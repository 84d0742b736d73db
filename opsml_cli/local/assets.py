"""Versioned assets whose content is a document: codes, environments, components."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opsml_cli.domain import names
from opsml_cli.local.clock import now
from opsml_cli.local.store import Store


@dataclass(frozen=True, slots=True)
class AssetVersion:
    """One version. `document` is JSON; what is in it belongs to the kind. `sequence` counts the versions of a name."""

    kind: str
    name: str
    version: str
    sequence: int
    created_at: str
    modified_at: str
    document: Mapping[str, Any]


# From the version that is there (None: none) to the document to be kept.
Change = Callable[[AssetVersion | None], Mapping[str, Any]]


class LocalAssets:
    """The assets of one local workspace, by kind (`codes`, `environments`, `components`)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, kind: str, name: str, version: str | None = None) -> AssetVersion | None:
        """The version, or the newest."""
        with self._store.read() as connection:
            return _find(connection, kind, name, version)

    def versions(self, kind: str, name: str | None = None) -> Sequence[AssetVersion]:
        """Every version of `name`, or of every name; newest first."""
        where, values = ("AND name_key=?", (names.key(name),)) if name is not None else ("", ())
        with self._store.read() as connection:
            rows = connection.execute(
                f"SELECT * FROM assets WHERE kind=? {where} ORDER BY created_at DESC, name_key, sequence DESC", (kind, *values)
            )
            return [_version(row) for row in rows]

    def matching(self, kind: str, path: str, value: str) -> Sequence[AssetVersion]:
        """Versions of any name whose document has `value` at the JSON path `path` (`properties.hash`); oldest first."""
        with self._store.read() as connection:
            rows = connection.execute(
                "SELECT * FROM assets WHERE kind=? AND json_extract(document, ?)=? ORDER BY created_at, name_key, sequence",
                (kind, f"$.document.{path}", value),
            )
            return [_version(row) for row in rows]

    def save(self, kind: str, name: str, version: str, change: Change) -> tuple[AssetVersion, bool]:
        """Insert the version or replace its document by what `change` makes, in one transaction; the version, and whether it
        is new. A name keeps the spelling of its first version."""
        with self._store.write() as connection:
            old = _find(connection, kind, name, version)
            document = change(old)
            moment = now()
            if old is None:
                first = _find(connection, kind, name, None)
                sequence = 1 if first is None else first.sequence + 1
                made = AssetVersion(kind, name if first is None else first.name, version, sequence, moment, moment, document)
            else:
                made = AssetVersion(kind, old.name, old.version, old.sequence, old.created_at, moment, document)
            connection.execute(
                """INSERT OR REPLACE INTO assets(kind, name_key, version, sequence, created_at, modified_at, document)
                   VALUES(?, ?, ?, ?, ?, ?, ?)""",
                (kind, names.key(name), names.key(made.version), made.sequence, made.created_at, made.modified_at,
                 json.dumps({"name": made.name, "version": made.version, "document": dict(document)}, ensure_ascii=False)),
            )  # fmt: skip
        return made, old is None

    def delete(self, kind: str, name: str, version: str) -> bool:
        """Whether there was such a version."""
        with self._store.write() as connection:
            statement = "DELETE FROM assets WHERE kind=? AND name_key=? AND version=?"
            return connection.execute(statement, (kind, names.key(name), names.key(version))).rowcount == 1


def _find(connection: sqlite3.Connection, kind: str, name: str, version: str | None) -> AssetVersion | None:
    which, values = ("AND version=?", (names.key(version),)) if version is not None else ("", ())
    row = connection.execute(
        f"SELECT * FROM assets WHERE kind=? AND name_key=? {which} ORDER BY sequence DESC LIMIT 1",
        (kind, names.key(name), *values),
    ).fetchone()
    return None if row is None else _version(row)


def _version(row: sqlite3.Row) -> AssetVersion:
    held = json.loads(row["document"])
    return AssetVersion(
        kind=row["kind"],
        name=held["name"],
        version=held["version"],
        sequence=row["sequence"],
        created_at=row["created_at"],
        modified_at=row["modified_at"],
        document=held["document"],
    )
