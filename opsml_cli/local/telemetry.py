"""Request telemetry, the writing side: off the request path, bounded in memory and on disk.

Each process appends to a segment of its own, `<milliseconds of its creation>-<pid>.jsonl`, one JSON array a line:

    [1764000000.1234,"blue",200,0.41,183,7,"python-httpx/0.28.1"]

When the request began (seconds since the epoch), deployment, status, milliseconds, bytes of the request's and of the
reply's body, user agent: an array, since a line then costs a quarter of a microsecond and not two. A line
`{"t", "dropped"}` says how many requests could not be kept. `opsml_cli.local.telemetry_reader` reads the folder;
`opsml_cli.local.telemetry_digest` says what stands beside each segment.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from opsml_cli.local import telemetry_digest

SUFFIX = ".jsonl"
USER_AGENT_LIMIT = 200

_PAUSE = 0.25  # seconds between flushes while requests come
_CHUNK = 128  # lines coded at once: the interpreter's lock is let go in between, so that requests wait for microseconds
_SWEEP_SECONDS = 60.0

_Record = tuple[float, str, int, float, int, int, str]


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept, of all processes of one folder together: the newest `total_bytes`, none older than `age_seconds`.
    `pending` records at most wait in memory for the disk; more are dropped and counted."""

    segment_bytes: int = 8 * 2**20
    total_bytes: int = 2**30
    age_seconds: float = 7 * 86400.0
    pending: int = 16384


class Recorder:
    """Records requests of one server process below `folder` (an endpoint's `telemetry` folder, made when missing).

    Make it in the process that serves, after any fork. `record` never blocks, never raises and touches no disk: it puts
    the request in a bounded queue which a background thread writes four times a second. A full queue or disk costs
    records, which are counted (`dropped`), never requests. A killed process loses at most the last quarter second."""

    def __init__(self, folder: Path, enabled: bool, retention: Retention | None = None) -> None:
        self.folder = folder
        self.retention = retention or Retention()
        self.dropped = 0
        self.enabled = False
        self._queue: deque[_Record] = deque()
        self._limit = self.retention.pending
        self._wake = threading.Event()
        self._asleep = False
        self._closing = False
        self._thread: threading.Thread | None = None
        if enabled:
            self.enable()

    def record(  # noqa: PLR0917 - on the request path: keywords would cost time
        self,
        started: float,
        deployment: str,
        status: int,
        duration_ms: float,
        request_bytes: int,
        response_bytes: int,
        user_agent: str,
    ) -> None:
        """Keep one finished request, when enabled. `started` is seconds since the epoch (time.time()), sizes are bytes of
        the bodies; the user agent is cut at 200 characters. `deployment` is empty when none was reached (401, 413, …)."""
        if not self.enabled:
            return
        if len(self._queue) >= self._limit:
            self.dropped += 1
            return
        agent = user_agent[:USER_AGENT_LIMIT]
        self._queue.append((started, deployment, status, duration_ms, request_bytes, response_bytes, agent))
        if self._asleep:
            self._wake.set()

    def enable(self) -> None:
        """Record from now on. Safe to call from any thread, and again."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="opsml-telemetry", daemon=True)
            self._thread.start()
        self.enabled = True

    def disable(self) -> None:
        """Record nothing from now on; what was recorded is still written. Safe to call from any thread, and again."""
        self.enabled = False

    def close(self) -> None:
        """Write what is pending and end the thread. The recorder stays disabled."""
        self.enabled = False
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)
            self._thread = None

    def _run(self) -> None:
        segment = _Segment(self.folder, self.retention)
        reported = 0
        while True:
            closing = self._closing
            self._drain(segment)
            lost = self.dropped + segment.lost
            if lost > reported:
                segment.write_dropped(time.time(), lost - reported)
                reported = lost
            if closing:
                segment.close()
                return
            self._rest(segment)

    def _rest(self, segment: _Segment) -> None:
        """Sleep until there is something to write, then long enough to write more than one line."""
        self._asleep = True
        if not self._queue and not self._closing:
            # An idle server wakes once a minute, for retention alone.
            self._wake.wait(_SWEEP_SECONDS)
        self._asleep = False
        self._wake.clear()
        segment.sweep()
        if not self._closing:
            self._wake.wait(_PAUSE)

    def _drain(self, segment: _Segment) -> None:
        queue = self._queue
        while queue:
            records = [queue.popleft() for _ in range(min(_CHUNK, len(queue)))]
            segment.write(_coded(records), records)


def _coded(records: list[_Record]) -> bytes:
    """A line for each record."""
    import orjson

    dumps, newline = orjson.dumps, orjson.OPT_APPEND_NEWLINE
    try:
        content = dumps(records)
        if content.count(b"],[") == len(records) - 1:  # at the lines' ends alone, in no user agent
            return content[1:-1].replace(b"],[", b"]\n[") + b"\n"
        return b"".join([dumps(record, option=newline) for record in records])
    except orjson.JSONEncodeError:  # lone surrogates in a header that was decoded loosely
        return b"".join([dumps([_sound(value) for value in record], option=newline) for record in records])


def _sound(value: object) -> object:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


class _Segment:
    """The file being written. A new one when it is full, when somebody removed it, or after a failed write."""

    def __init__(self, folder: Path, retention: Retention) -> None:
        self.lost = 0
        self._folder = folder
        self._retention = retention
        self._handle: int | None = None
        self._digest: telemetry_digest.DigestFile | None = None
        self._size = 0
        self._swept = float("-inf")

    def write(self, content: bytes, records: list[_Record]) -> None:
        """Append whole lines, one for each of `records`; on failure they are counted as lost."""
        if not self._append(content):
            self.lost += len(records)
        elif self._digest is not None:
            self._digest.add(records, self._size)

    def write_dropped(self, moment: float, requests: int) -> None:
        """Append the line that says how many requests could not be kept."""
        if self._append(b'{"t":%.4f,"dropped":%d}\n' % (moment, requests)) and self._digest is not None:
            self._digest.drop(round(moment, 4), requests)

    def _append(self, content: bytes) -> bool:
        """After a failure the file is left behind: what follows in another one cannot be joined to a torn line."""
        try:
            handle = self._open()
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(handle, rest) :]
            self._size += len(content)
        except OSError:
            self._digest = None
            self.close()
            return False
        return True

    def close(self) -> None:
        if self._digest is not None:
            self._digest.flush(self._size)
            self._digest = None
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def sweep(self) -> None:
        """Remove what retention no longer keeps, at most once a minute unless a segment was just filled."""
        now = time.monotonic()
        if now - self._swept < _SWEEP_SECONDS:
            return
        self._swept = now
        remove_old(self._folder, self._retention)

    def _open(self) -> int:
        if self._handle is not None:
            linked = os.fstat(self._handle).st_nlink > 0
            if self._size < self._retention.segment_bytes and linked:
                return self._handle
            if not linked:
                self._digest = None
            self.close()
            self._swept = float("-inf")
            self.sweep()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        stamp = time.time_ns() // 1_000_000
        while True:
            path = self._folder / f"{stamp:013d}-{os.getpid()}{SUFFIX}"
            try:
                self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            except FileExistsError:
                stamp += 1
                continue
            self._size = 0
            self._digest = telemetry_digest.DigestFile(path)
            return self._handle


def remove_old(folder: Path, retention: Retention) -> None:
    """Remove segments that are too old, then the oldest ones until all of them hold `retention.total_bytes` at most. A
    segment's digest goes with it."""
    found: dict[str, tuple[float, int]] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith((SUFFIX, telemetry_digest.SUFFIX)):
                    status = entry.stat(follow_symlinks=False)
                    stem, own = entry.name.partition(".")[0], entry.name.endswith(SUFFIX)
                    modified, size = found.get(stem, (0.0, 0))
                    found[stem] = (status.st_mtime if own else modified, size + status.st_size)
    except OSError:
        return
    oldest = time.time() - retention.age_seconds
    total = sum(size for _, size in found.values())
    for stem, (modified, size) in sorted(found.items(), key=lambda item: (item[1][0], item[0])):
        if modified >= oldest and total <= retention.total_bytes:
            break
        for suffix in (SUFFIX, telemetry_digest.SUFFIX):
            with contextlib.suppress(OSError):  # another process may have been faster
                os.unlink(folder / f"{stem}{suffix}")  # noqa: PTH108
        total -= size
