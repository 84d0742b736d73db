"""Computes of a local workspace: names with a size, under which jobs are asked for. What runs, runs on this machine."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opsml_cli.domain import names
from opsml_cli.local.clock import now
from opsml_cli.local.store import Store


@dataclass(frozen=True, slots=True)
class ComputeRecord:
    """A cluster. `document` is what its creator said of it, in Azure's words and without passwords."""

    name: str
    size: str
    least: int
    most: int
    created_at: str
    modified_at: str
    document: Mapping[str, Any]


class ComputeRecords:
    """The computes of one local workspace."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self) -> Sequence[ComputeRecord]:
        """Newest first."""
        with self._store.read() as connection:
            rows = connection.execute("SELECT * FROM computes ORDER BY created_at DESC, name_key").fetchall()
        return [_compute(row) for row in rows]

    def find(self, name: str) -> ComputeRecord | None:
        with self._store.read() as connection:
            row = connection.execute("SELECT * FROM computes WHERE name_key=?", (names.key(name),)).fetchone()
        return None if row is None else _compute(row)

    def save(self, name: str, size: str, least: int, most: int, document: Mapping[str, Any]) -> ComputeRecord:
        """Insert or replace; a name keeps its first spelling and its creation."""
        moment = now()
        with self._store.write() as connection:
            row = connection.execute("SELECT * FROM computes WHERE name_key=?", (names.key(name),)).fetchone()
            old = None if row is None else _compute(row)
            made = ComputeRecord(
                name=name if old is None else old.name,
                size=size,
                least=least,
                most=most,
                created_at=moment if old is None else old.created_at,
                modified_at=moment,
                document=dict(document),
            )
            held = {
                "name": made.name,
                "size": size,
                "least": least,
                "most": most,
                "modified_at": moment,
                "said": dict(document),
            }
            connection.execute(
                "INSERT OR REPLACE INTO computes(name_key, created_at, document) VALUES(?, ?, ?)",
                (names.key(name), made.created_at, json.dumps(held, ensure_ascii=False)),
            )
        return made

    def delete(self, name: str) -> bool:
        """Whether there was one."""
        with self._store.write() as connection:
            return connection.execute("DELETE FROM computes WHERE name_key=?", (names.key(name),)).rowcount == 1


def _compute(row: sqlite3.Row) -> ComputeRecord:
    held = json.loads(row["document"])
    return ComputeRecord(
        name=held["name"],
        size=held["size"],
        least=held["least"],
        most=held["most"],
        created_at=row["created_at"],
        modified_at=held["modified_at"],
        document=held["said"],
    )
