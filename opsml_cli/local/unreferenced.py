"""Content that nothing names: what a killed upload, registration or publication had stored and never recorded."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from opsml_cli.content import files
from opsml_cli.local import home
from opsml_cli.local.layout import Layout
from opsml_cli.local.store import Store

# A command records what it stored within minutes, and touches what it finds stored already (`files.touched`).
OLD_SECONDS = 24 * 3600.0
SEEN = "unreferenced.json"
_HASH = re.compile(r"[0-9a-f]{64}")


def sweep(layout: Layout, store: Store, older_than: float = OLD_SECONDS) -> int:
    """Remove the content that no row of the database names and nobody stored or used for `older_than` seconds, when an earlier
    look, as long ago, found the same; how many. Content that is older than the database is left alone: it may be that of
    another, whose place this one took.

    Any text with its hash in it names it, so a kind of record that this module does not know keeps its content too."""
    old = set(_old(layout.blobs, older_than, _made(layout))) if store.exists() else set()
    if not old:
        return 0
    with store.read() as connection:
        unnamed = old - _named(connection)
    seen, now = _seen(layout), time.time()
    due = {name for name in unnamed if 0 <= older_than <= now - seen.get(name, now)}
    gone = 0
    if due:
        # Once more with nothing new being recorded meanwhile.
        with store.write() as connection:
            gone = sum(_removed(layout.blobs / name, older_than) for name in sorted(due - _named(connection)))
    left = {name: seen.get(name, now) for name in sorted(unnamed) if (layout.blobs / name).exists()}
    if left != seen:
        layout.service.mkdir(mode=0o700, exist_ok=True)
        files.write_atomic(layout.service / SEEN, json.dumps(left).encode())
    return gone


def _made(layout: Layout) -> float:
    """When the database was made, or put here."""
    try:
        return (layout.root / home.FILE).stat().st_mtime
    except FileNotFoundError:  # an older opsml wrote none
        return 0.0


def _seen(layout: Layout) -> dict[str, float]:
    """What was found unnamed before, and since when."""
    try:
        found = json.loads((layout.service / SEEN).read_bytes())
        return {str(name): float(moment) for name, moment in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _old(folder: Path, older_than: float, made: float) -> Iterator[str]:
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if _HASH.fullmatch(entry.name) and _age(Path(entry.path)) > older_than and entry.stat().st_mtime >= made:
            yield entry.name


def _named(connection: sqlite3.Connection) -> set[str]:
    """Every hash in any text of the database."""
    found: set[str] = set()
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    for table in tables:
        for row in connection.execute(f'SELECT * FROM "{table}"'):
            found.update(*(_HASH.findall(value) for value in row if isinstance(value, str)))
    return found


def _age(path: Path) -> float:
    """Seconds since it was stored or used; 0 for what is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _removed(path: Path, older_than: float) -> bool:
    """Away from its name first, then a last look: a command that used it until then gets it back, and one that comes later
    finds it gone, and stores it."""
    aside = files.temporary_name(path.parent)
    try:
        path.rename(aside)
    except FileNotFoundError:
        return False
    if _age(aside) <= older_than:
        if not path.exists():
            aside.rename(path)
        return False
    if aside.is_dir():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink()
    return True
