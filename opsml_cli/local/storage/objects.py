"""An object of a container, and its row. Every function works inside a transaction that its caller opened."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# From the epoch of .NET to Unix's, in ticks of 100 ns.
_EPOCH_TICKS = 621_355_968_000_000_000


@dataclass(frozen=True, slots=True)
class Labels:
    """What a client says of an object's content. `headers` are the other HTTP headers that come back with it, by their
    lower-case names (`cache-control`, `content-encoding`, …); `md5` is base64, as the client or the service computed it."""

    content_type: str = "application/octet-stream"
    md5: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it is now. `size` in bytes, times ISO 8601 UTC; `file` is where its bytes lie; `sha256` None: a live
    view of a file that others write, which cannot be changed from here (`read_only`). `blocks` are the ids and sizes of the
    blocks that it was made of."""

    path: str
    size: int
    created_at: str
    modified_at: str
    etag: str
    file: Path
    sha256: str | None = None
    labels: Labels = field(default_factory=Labels)
    metadata: Mapping[str, str] = field(default_factory=dict)
    blocks: tuple[tuple[str, int], ...] = ()

    @property
    def read_only(self) -> bool:
        return self.sha256 is None


def new_etag() -> str:
    """One that no earlier state of any object had: the ticks of now, as the service writes them (without quotes)."""
    return f"0x{_EPOCH_TICKS + time.time_ns() // 100:X}"


def find(connection: sqlite3.Connection, container: str, path: str, blobs: Path) -> StoredObject | None:
    row = connection.execute("SELECT * FROM objects WHERE container=? AND path=?", (container, path)).fetchone()
    return None if row is None else _object(row, blobs)


def below(connection: sqlite3.Connection, container: str, prefix: str, start: str, blobs: Path) -> Iterator[StoredObject]:
    """Objects whose path begins with `prefix`, from `start` on, in the order of their paths."""
    rows = connection.execute(
        "SELECT * FROM objects WHERE container=? AND path>=? ORDER BY path", (container, max(prefix, start))
    )
    for row in rows:
        if not row["path"].startswith(prefix):
            return
        yield _object(row, blobs)


def save(connection: sqlite3.Connection, container: str, item: StoredObject) -> None:
    """Insert the object, or put it in place of the one at its path."""
    document = {
        "etag": item.etag,
        "type": item.labels.content_type,
        "md5": item.labels.md5,
        "headers": dict(item.labels.headers),
        "metadata": dict(item.metadata),
        "blocks": [list(block) for block in item.blocks],
    }
    connection.execute(
        """INSERT OR REPLACE INTO objects(container, path, content, size, created_at, modified_at, document)
           VALUES(?, ?, ?, ?, ?, ?, ?)""",
        (container, item.path, item.sha256, item.size, item.created_at, item.modified_at, json.dumps(document)),
    )


def remove(connection: sqlite3.Connection, container: str, path: str) -> None:
    connection.execute("DELETE FROM objects WHERE container=? AND path=?", (container, path))


def _object(row: sqlite3.Row, blobs: Path) -> StoredObject:
    held = json.loads(row["document"])
    return StoredObject(
        path=row["path"],
        size=row["size"],
        created_at=row["created_at"],
        modified_at=row["modified_at"],
        etag=held["etag"],
        file=blobs / row["content"],
        sha256=row["content"],
        labels=Labels(held["type"], held["md5"], held["headers"]),
        metadata=held["metadata"],
        blocks=tuple((name, size) for name, size in held["blocks"]),
    )
