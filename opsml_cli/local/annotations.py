"""What a client said of a record and the record itself has no place for, such as the properties of a job.

One JSON document a record, in the table `annotations`. Every function works inside a transaction that its caller opened."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from opsml_cli.domain import names


def load(connection: sqlite3.Connection, kind: str, name: str, version: str = "") -> dict[str, Any]:
    """The record's document; empty when nobody said anything. `version` is empty for kinds without versions."""
    row = connection.execute(
        "SELECT document FROM annotations WHERE kind=? AND name_key=? AND version=?",
        (kind, names.key(name), names.key(version)),
    ).fetchone()
    return {} if row is None else dict(json.loads(row["document"]))


def load_all(connection: sqlite3.Connection, kind: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Every document of a kind, by name and version as `names.key` has them."""
    rows = connection.execute("SELECT name_key, version, document FROM annotations WHERE kind=?", (kind,))
    return {(row["name_key"], row["version"]): dict(json.loads(row["document"])) for row in rows}


def save(connection: sqlite3.Connection, kind: str, name: str, document: Mapping[str, Any], version: str = "") -> None:
    """Replace the record's document."""
    connection.execute(
        "INSERT OR REPLACE INTO annotations(kind, name_key, version, document) VALUES(?,?,?,?)",
        (kind, names.key(name), names.key(version), json.dumps(document)),
    )


def delete(connection: sqlite3.Connection, kind: str, name: str, version: str = "") -> None:
    connection.execute(
        "DELETE FROM annotations WHERE kind=? AND name_key=? AND version=?", (kind, names.key(name), names.key(version))
    )
