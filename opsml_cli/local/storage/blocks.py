"""Staged blocks: parts of an object that was not committed yet, each a durable file below `staging/` with a row."""

from __future__ import annotations

import base64
import binascii
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from opsml_cli.content import files
from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.local.clock import now, stamp
from opsml_cli.local.storage.objects import StoredObject

# What nobody commits in a week is dropped, as the service does.
KEPT = timedelta(days=7)
# A file without a row: its writer may be about to insert one.
ORPHAN_SECONDS = 3600.0
MAX_BLOCKS = 50_000
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Block:
    """An entry of a block list. `where`: `Latest`, `Uncommitted` or `Committed`."""

    id: str
    where: str = "Latest"


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of an object to be: `size` bytes of `file` from `start`."""

    id: str
    file: Path
    start: int
    size: int


class WrongBlocksError(InvalidInputError):
    """A block list, or a block's id, that does not fit. `reason` is the service's word for it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def check_id(connection: sqlite3.Connection, container: str, path: str, block: str) -> None:
    """WrongBlocksError for an id that is no base64 of 1 to 64 bytes, or of another length than the object's other ids."""
    try:
        size = len(base64.b64decode(block, validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if not 1 <= size <= 64:
        raise WrongBlocksError("InvalidQueryParameterValue", "a block's id is base64 of at most 64 bytes")
    row = connection.execute("SELECT id FROM blocks WHERE container=? AND path=? LIMIT 1", (container, path)).fetchone()
    if row is not None and len(row["id"]) != len(block):
        raise WrongBlocksError("InvalidBlobOrBlock", "the ids of an object's blocks have one length")


def stage(folder: Path, content: bytes) -> Path:
    """The content in a new durable file of `folder`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / os.urandom(16).hex()
    files.write_atomic(path, content)
    return path


def record(connection: sqlite3.Connection, container: str, path: str, part: Part) -> str | None:
    """Name the staged file; the name of the file that it replaces, which may go once this is committed."""
    old = connection.execute(
        "SELECT file FROM blocks WHERE container=? AND path=? AND id=?", (container, path, part.id)
    ).fetchone()
    connection.execute(
        "INSERT OR REPLACE INTO blocks(container, path, id, file, size, created_at) VALUES(?, ?, ?, ?, ?, ?)",
        (container, path, part.id, part.file.name, part.size, now()),
    )
    return None if old is None else str(old["file"])


def staged(connection: sqlite3.Connection, folder: Path, container: str, path: str) -> dict[str, Part]:
    rows = connection.execute("SELECT id, file, size FROM blocks WHERE container=? AND path=?", (container, path))
    return {row["id"]: Part(row["id"], folder / row["file"], 0, row["size"]) for row in rows}


def committed(item: StoredObject | None) -> dict[str, Part]:
    """The blocks that an object was made of, as parts of it."""
    found: dict[str, Part] = {}
    start = 0
    for name, size in item.blocks if item is not None else ():
        assert item is not None
        found[name] = Part(name, item.file, start, size)
        start += size
    return found


def chosen(listed: Sequence[Block], uncommitted: dict[str, Part], existing: dict[str, Part]) -> list[Part]:
    """The parts that a block list names, in its order. WrongBlocksError for one that is not there."""
    if len(listed) > MAX_BLOCKS:
        raise WrongBlocksError("BlockListTooLong", f"a block list has at most {MAX_BLOCKS:,} blocks")
    parts = []
    for block in listed:
        pools = {"Uncommitted": [uncommitted], "Committed": [existing]}.get(block.where, [uncommitted, existing])
        part = next((pool[block.id] for pool in pools if block.id in pool), None)
        if part is None:
            raise WrongBlocksError("InvalidBlockList", f"the block {block.id} is not there")
        parts.append(part)
    return parts


def content(parts: Sequence[Part]) -> Iterator[bytes]:
    for part in parts:
        with part.file.open("rb") as file:
            file.seek(part.start)
            left = part.size
            while left and (piece := file.read(min(left, CHUNK))):
                left -= len(piece)
                yield piece


def forget(connection: sqlite3.Connection, container: str, path: str) -> list[str]:
    """Drop the object's staged blocks; the names of their files, which may go once this is committed."""
    found = [
        row["file"] for row in connection.execute("SELECT file FROM blocks WHERE container=? AND path=?", (container, path))
    ]
    connection.execute("DELETE FROM blocks WHERE container=? AND path=?", (container, path))
    return found


def forget_old(connection: sqlite3.Connection) -> None:
    """Drop what nobody committed in time; the files go with the sweep."""
    connection.execute("DELETE FROM blocks WHERE created_at<?", (stamp(datetime.now(UTC) - KEPT),))


def sweep(connection: sqlite3.Connection, folder: Path) -> None:
    """Remove files that no row names and that no writer can be about to name."""
    named = {row["file"] for row in connection.execute("SELECT file FROM blocks")}
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        try:
            # Folders are `LocalStorage.content`'s, which has a sweep of its own.
            if entry.is_file() and entry.name not in named and time.time() - entry.stat().st_mtime > ORPHAN_SECONDS:
                Path(entry.path).unlink(missing_ok=True)
        except OSError:
            continue
