"""What a client said of a record, and the record itself has no place for: rows of `annotations`, one JSON document each.

Every function works inside a transaction that its caller opened, so that a record and what was said of it appear together."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from opsml_cli.domain import names


def find(connection: sqlite3.Connection, kind: str, name: str, version: str = "") -> dict[str, Any] | None:
    """The document of a record (`kind`: data, model, job …), or None."""
    row = connection.execute(
        "SELECT document FROM annotations WHERE kind=? AND name_key=? AND version=?",
        (kind, names.key(name), names.key(version)),
    ).fetchone()
    return None if row is None else json.loads(row["document"])


def of_kind(connection: sqlite3.Connection, kind: str, name: str | None = None) -> dict[tuple[str, str], dict[str, Any]]:
    """Every document of `kind` (of `name` alone, when given) by its (name, version) without case."""
    where, values = ("AND name_key=?", (names.key(name),)) if name is not None else ("", ())
    rows = connection.execute(f"SELECT * FROM annotations WHERE kind=? {where}", (kind, *values))
    return {(row["name_key"], row["version"]): json.loads(row["document"]) for row in rows}


def save(connection: sqlite3.Connection, kind: str, name: str, document: Mapping[str, Any], version: str = "") -> None:
    """Write the whole document, in place of an earlier one."""
    connection.execute(
        "INSERT OR REPLACE INTO annotations(kind, name_key, version, document) VALUES(?, ?, ?, ?)",
        (kind, names.key(name), names.key(version), json.dumps(document, ensure_ascii=False, separators=(",", ":"))),
    )


def remove(connection: sqlite3.Connection, kind: str, name: str, version: str = "") -> None:
    connection.execute(
        "DELETE FROM annotations WHERE kind=? AND name_key=? AND version=?", (kind, names.key(name), names.key(version))
    )
