"""The server's own log: JSON lines in `logs/server.jsonl`, rotated by size."""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path
from typing import TextIO

from opsml_cli.local import clock

ROTATE_BYTES = 5 * 2**20
KEPT = 3  # files beside the current one: server.jsonl.1 …
LINE_LIMIT = 8000  # characters of one message


class Journal:
    """Appends lines `{"timestamp", "level", "kind": "container", "deployment", "message"}`. Threads and processes may
    share the file: each line is one append. A full disk costs log lines, never the server."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, level: str, message: str, deployment: str | None = None) -> None:
        line = {
            "timestamp": clock.now(),
            "level": level,
            "kind": "container",
            "deployment": deployment,
            "message": message[:LINE_LIMIT],
        }
        data = json.dumps(line).encode() + b"\n"
        try:
            with self._lock:
                handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                try:
                    os.write(handle, data)
                    size = os.fstat(handle).st_size
                finally:
                    os.close(handle)
                if size > ROTATE_BYTES:
                    self._rotate()
        except OSError:
            pass

    def _rotate(self) -> None:
        for number in range(KEPT - 1, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            if older.exists():
                older.replace(self.path.with_name(f"{self.path.name}.{number + 1}"))
        self.path.replace(self.path.with_name(f"{self.path.name}.1"))


class JournalStream:
    """What `print` and warnings write, as journal lines; stands in for sys.stdout and sys.stderr."""

    encoding = "utf-8"

    def __init__(self, journal: Journal, level: str, original: TextIO) -> None:
        self._journal = journal
        self._level = level
        self._original = original
        self._rest = ""
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            if len(self._rest) > LINE_LIMIT:
                lines, self._rest = [*lines, self._rest], ""
        for line in lines:
            if line.strip():
                self._journal.write(self._level, line)
        return len(text)

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._original.fileno()


class JournalHandler(logging.Handler):
    """Python's logging into the journal."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(logging.WARNING)
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        level = {"CRITICAL": "error"}.get(record.levelname, record.levelname.lower())
        try:
            self._journal.write(level, f"{record.name}: {record.getMessage()}")
        except Exception:
            self.handleError(record)
