"""What a batch run has done so far, durable: a folder with the lines that are final and a journal that says how many they are.

A killed run leaves it; the next one over the same input with the same model, code and settings goes on from it. Every entry of
the journal holds the whole state, and the last whole one counts: lines behind its offset are cut off."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.local import processes
from opsml_cli.local.batch.minibatch import Place

if TYPE_CHECKING:
    from filelock import FileLock

_SYNC_SECONDS = 1.0  # a kill loses nothing at all; a power failure at most so much
_OLD_SECONDS = 7 * 24 * 3600.0
_LOCK, _LINES, _JOURNAL, OUTPUT = "lock", "lines", "journal.jsonl", "output"


@dataclass(frozen=True, slots=True)
class Progress:
    """`place`: what comes next; `offset`: bytes of lines that are final. `file_offset`, `file_results`: those before the file
    that is being read, which count when it fails after all. `failed`: files that did."""

    number: int = 0
    index: int = 0
    row: int = 0
    offset: int = 0
    results: int = 0
    file_offset: int = 0
    file_results: int = 0
    files: int = 0
    failed: int = 0

    @property
    def place(self) -> Place:
        return Place(self.number, self.index, self.row)


class Journal:
    """The state of one run's work in `folder`, which this process alone holds."""

    def __init__(self, folder: Path, lock: FileLock) -> None:
        self.folder = folder
        self.output = folder / OUTPUT
        self._lock = lock
        self.progress = self._read()
        self.output.mkdir(mode=0o700, exist_ok=True)
        self._lines = (folder / _LINES).open("ab")
        self._lines.truncate(self.progress.offset)
        self._lines.seek(self.progress.offset)
        self._journal = (folder / _JOURNAL).open("ab")
        self._synced = time.monotonic()

    def _read(self) -> Progress:
        found = Progress()
        lines = self.folder / _LINES
        size = lines.stat().st_size if lines.exists() else 0
        boot = _boot_time()
        with suppress(FileNotFoundError):
            for line in (self.folder / _JOURNAL).read_bytes().splitlines():
                try:
                    entry = json.loads(line)
                    synced, booted = entry.pop("synced"), entry.pop("boot")
                    progress = Progress(**entry)
                except (ValueError, TypeError, KeyError):
                    continue  # cut off by the kill
                # What was not flushed to the disk is gone with the machine that wrote it.
                if progress.offset <= size and (synced or abs(booted - boot) < 2.0):
                    found = progress
        return found

    def keep(self, lines: bytes, progress: Progress) -> None:
        """Append these lines; `progress` is the state with them."""
        self._lines.write(lines)
        self._write(replace(progress, offset=self.progress.offset + len(lines)))

    def drop_file(self, progress: Progress) -> None:
        """Take back the lines of the file that is being read."""
        self._lines.flush()
        self._lines.truncate(self.progress.file_offset)
        self._lines.seek(self.progress.file_offset)
        self._write(replace(progress, offset=self.progress.file_offset, results=self.progress.file_results))

    def _write(self, progress: Progress) -> None:
        self._lines.flush()
        sync = time.monotonic() - self._synced >= _SYNC_SECONDS
        if sync:
            os.fsync(self._lines.fileno())
            self._synced = time.monotonic()
        entry: Mapping[str, object] = {**asdict(progress), "synced": sync, "boot": _boot_time()}
        self._journal.write(json.dumps(entry).encode() + b"\n")
        self._journal.flush()
        if sync:
            os.fsync(self._journal.fileno())
        self.progress = progress

    def finish(self, folder: Path, name: str | None) -> None:
        """Move what a script wrote itself to `folder`, and the lines as the file `name` (None: they are not wanted)."""
        self._lines.close()
        for entry in self.output.iterdir():
            if entry.name == name:
                raise InvalidInputError(
                    f"the script wrote {name} itself, which is the file of its results",
                    fix="give the deployment another output_file_name, or summary_only as its output_action",
                )
            shutil.move(entry, folder / entry.name)
        if name is not None:
            shutil.move(self.folder / _LINES, folder / name)

    def close(self, *, keep: bool) -> None:
        """Let go of the folder, and unless the work goes on later remove it."""
        self._lines.close()
        self._journal.close()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()


def open_journal(place: Path, key: str, run: str) -> Journal:
    """The work of this `key` below `place`: as a killed run left it, or new. Another run that works on the same now keeps its
    own, and so does this one then."""
    for name in (key, f"{key}-{run}"):
        folder = place / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = processes.hold(folder / _LOCK)
        if lock is not None:
            return Journal(folder, lock)
    raise RuntimeError(f"the folder of run {run} is in use")


def sweep(place: Path) -> None:
    """Remove what killed runs left and nobody went on with for a week."""
    with suppress(FileNotFoundError):
        for entry in os.scandir(place):
            folder = Path(entry.path)
            journal = folder / _JOURNAL
            with suppress(OSError):
                age = time.time() - (journal if journal.exists() else folder).stat().st_mtime
                if age > _OLD_SECONDS and not processes.held(folder / _LOCK):
                    shutil.rmtree(folder, ignore_errors=True)


def _boot_time() -> float:
    import psutil

    return float(psutil.boot_time())
