"""An endpoint's logs as one stream in the order of time: what the server wrote, and the requests that were recorded.

Sources, all below the endpoint's folder: `logs/*.jsonl` (the server's own lines), `logs/*.log` (whatever else its
processes printed) and `telemetry/*.jsonl` (requests). They may grow, be cut, renamed or removed while they are read.
"""

from __future__ import annotations

import heapq
import os
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from opsml_cli.domain.clock import Clock
from opsml_cli.domain.insights import LogLine, LogQuery
from opsml_cli.domain.line_filter import LineFilter
from opsml_cli.domain.log_text import level_named, level_of, split_time
from opsml_cli.domain.names import key
from opsml_cli.local import telemetry_digest, telemetry_reader
from opsml_cli.local.clock import stamp

REQUEST_FOLDER = "telemetry"
SERVER_FOLDER = "logs"

_LONGEST_LINE = 1 << 16  # bytes; the rest of a longer line is left out
_POLL = 0.2
# Requests reach their file a quarter second late: following holds lines back this long to put them in order.
_SETTLE = 0.7
_FAILING = {"warning": 400, "error": 500}  # the least status of a request with this level
_TAIL_WINDOWS = (0.1, 2.0, 60.0, 900.0, 4 * 3600.0, 86400.0)

Timed = tuple[float, LogLine]


def read(folder: Path, query: LogQuery, keep: LineFilter) -> Iterator[LogLine]:
    """The lines that are there, oldest first; the last `query.tail` of them when set. Memory does not grow with them."""
    since = None if query.since_seconds is None else time.time() - query.since_seconds
    if query.tail is None:
        return (line for _, line in _history(folder, query, since) if keep(line))
    return iter(_last(folder, query, keep, since))


def follow(folder: Path, query: LogQuery, keep: LineFilter, clock: Clock) -> Iterator[LogLine]:
    """The lines that are there (the last `query.tail` when set), then every new one, until the caller stops."""
    # The files' ends are taken first: a line written from now on is new, one before belongs to the history.
    followers = {path: _Follower(path, from_end=True) for path in _paths(folder, query)}
    marks = {path: follower.position for path, follower in followers.items()}
    since = None if query.since_seconds is None else time.time() - query.since_seconds
    if query.tail is not None:
        yield from _last(folder, query, keep, since, marks)
    else:
        yield from (line for _, line in _history(folder, query, since, marks) if keep(line))
    waiting: list[tuple[float, int, LogLine]] = []
    number = 0
    try:
        while True:
            for path in _paths(folder, query):
                # What a rotation renames was read under its first name.
                if path not in followers and path.suffix in (".jsonl", ".log"):
                    followers[path] = _Follower(path)
            for path, follower in list(followers.items()):
                for moment, line in follower.lines():
                    number += 1
                    heapq.heappush(waiting, (moment, number, line))
                if follower.gone:
                    del followers[path]
            due = time.time() - _SETTLE
            while waiting and waiting[0][0] <= due:
                line = heapq.heappop(waiting)[2]
                if keep(line):
                    yield line
            clock.sleep(_POLL)
    finally:
        for follower in followers.values():
            follower.close()


def _whole_lines(file: BinaryIO) -> int:
    """Where the file's last whole line ends, in bytes."""
    size = os.fstat(file.fileno()).st_size
    start = max(0, size - _LONGEST_LINE)
    file.seek(start)
    found = file.read(size - start).rfind(b"\n")
    return start + found + 1 if found >= 0 or start == 0 else size


def _last(
    folder: Path, query: LogQuery, keep: LineFilter, since: float | None, marks: dict[Path, int] | None = None
) -> deque[LogLine]:
    """The last lines: looked for in a short time before the newest one first, since files may be large."""
    newest = max((path.stat().st_mtime for path in _paths(folder, query) if path.exists()), default=0.0)
    starts = [newest - window for window in _TAIL_WINDOWS]
    if query.kind != "container" and query.tail:
        ends = [_tail(chain[-1], query.tail, keep) for chain in telemetry_reader.chains(folder / REQUEST_FOLDER)]
        # So many lines of one writer alone are younger than this.
        starts[:0] = sorted((moment for moment in ends if moment is not None), reverse=True)[:1]
    for start in starts:
        if since is not None and start <= since:
            break
        found = deque((line for _, line in _history(folder, query, start, marks) if keep(line)), maxlen=query.tail)
        if len(found) == query.tail:
            return found
    return deque((line for _, line in _history(folder, query, since, marks) if keep(line)), maxlen=query.tail)


def _tail(segment: Path, count: int, keep: LineFilter) -> float | None:
    """When the request ended that stands `count` kept ones before the end of a segment; None when its last bytes hold fewer."""
    moments = [entry.ended for entry in telemetry_reader.last(segment, count) if keep(_request_line(entry))]
    return sorted(moments)[-count] if len(moments) >= count else None


def _paths(folder: Path, query: LogQuery) -> list[Path]:
    found: list[Path] = []
    if query.kind != "request":
        for pattern in ("*.jsonl*", "*.log*"):
            found += sorted((folder / SERVER_FOLDER).glob(pattern))
    if query.kind != "container":
        found += sorted((folder / REQUEST_FOLDER).glob("*.jsonl"))
    return found


def _history(folder: Path, query: LogQuery, since: float | None, marks: dict[Path, int] | None = None) -> Iterator[Timed]:
    """Everything up to the byte positions in `marks` (None: up to the files' ends), merged by time."""
    sources = [
        _server_lines(path, None if marks is None else marks.get(path, 0), since)
        for path in _paths(folder, query)
        if path.parent.name == SERVER_FOLDER
    ]
    if query.kind != "container":
        chains = telemetry_reader.chains(folder / REQUEST_FOLDER)
        sources += [_request_lines(chain, since, marks, query) for chain in chains]
    for moment, line in heapq.merge(*sources, key=lambda timed: timed[0]):
        if since is None or moment >= since:
            yield moment, line


def _request_lines(chain: list[Path], since: float | None, marks: dict[Path, int] | None, query: LogQuery) -> Iterator[Timed]:
    for path in chain:
        limit = None if marks is None else marks.get(path, 0)
        if query.level in _FAILING or query.deployment is not None:
            found = _chosen(path, since, limit, query)
        else:
            found = telemetry_reader.entries([path], since, limit)
        for entry in found:
            yield entry.ended, _request_line(entry)


def _chosen(path: Path, since: float | None, limit: int | None, query: LogQuery) -> Iterator[telemetry_reader.Entry]:
    """The entries of a segment but for those whose digest tells that none of them is asked for."""
    least, position = _FAILING.get(query.level or "", 0), 0
    wanted = None if query.deployment is None else key(query.deployment)
    stretches: list[tuple[int, int | None]] = []
    for block in telemetry_digest.read(path):
        position = block.stop
        asked = any(
            status >= least and wanted in (None, key(name)) for name, part in block.parts.items() for status in part.statuses
        )
        if (asked or block.dropped) and (since is None or block.last >= since):
            stretches.append((block.start, block.stop))
    try:
        for start, stop in (*stretches, (position, None)):
            until = limit if stop is None else stop if limit is None else min(stop, limit)
            for entry in telemetry_reader.between(path, start, until):
                if since is None or entry.ended >= since:
                    yield entry
    except FileNotFoundError:
        return


def _request_line(entry: telemetry_reader.Entry) -> LogLine:
    moment = _stamp(entry.ended)
    if isinstance(entry, telemetry_reader.Dropped):
        text = f"{entry.requests} requests were answered without being recorded: the disk was too slow or full"
        return LogLine(moment, "warning", "container", None, text)
    level = "error" if entry.status >= 500 else "warning" if entry.status >= 400 else "info"
    text = f"{entry.status} in {entry.duration_ms:.1f} ms, {entry.request_bytes} bytes in, {entry.response_bytes} bytes out"
    if entry.user_agent:
        text += f", {entry.user_agent}"
    return LogLine(moment, level, "request", entry.deployment or None, text, entry.status, round(entry.duration_ms, 3))


def _server_lines(path: Path, limit: int | None, since: float | None) -> Iterator[Timed]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        end = os.fstat(file.fileno())
        if since is not None and end.st_mtime < since:
            return
        decoder = _Decoder(path, end.st_mtime)
        stop = end.st_size if limit is None else min(limit, end.st_size)
        while file.tell() < stop:
            raw = _read_line(file)
            if raw is None:
                return
            timed = decoder.line(raw)
            if timed is not None:
                yield timed


def _read_line(file: BinaryIO) -> bytes | None:
    """The next line without its end, cut at the limit; None at the end of the file."""
    raw = file.readline(_LONGEST_LINE)
    if not raw:
        return None
    rest = raw
    while not rest.endswith(b"\n") and len(rest) == _LONGEST_LINE:
        rest = file.readline(_LONGEST_LINE)
    return raw.rstrip(b"\r\n")


class _Decoder:
    """Turns the lines of one file into log lines. Lines without a time of their own get that of the line before, or
    `fallback`, seconds since the epoch."""

    def __init__(self, path: Path, fallback: float) -> None:
        self._requests = path.parent.name == REQUEST_FOLDER
        self._json = ".jsonl" in path.name
        self._last = fallback

    def line(self, raw: bytes, arrived: float | None = None) -> Timed | None:
        """`arrived`: when the line was seen to be written, for one that does not say."""
        if not raw:
            return None
        if self._requests:
            entry = telemetry_reader.parse(raw)
            return None if entry is None else (entry.ended, _request_line(entry))
        timed = self._structured(raw) if self._json else None
        if timed is None:
            timed = self._plain(raw.decode("utf-8", "replace"), arrived)
        self._last = timed[0]
        return timed

    def _structured(self, raw: bytes) -> Timed | None:
        import orjson

        try:
            values = orjson.loads(raw)
            moment = datetime.fromisoformat(values["timestamp"]).timestamp()
            line = LogLine(
                _stamp(moment),
                level_named(values.get("level")),
                str(values.get("kind") or "container"),
                values.get("deployment") or None,
                str(values["message"]),
            )
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError, OverflowError):
            return None
        return moment, line

    def _plain(self, text: str, arrived: float | None) -> Timed:
        own, text = split_time(text)
        moment = own if own is not None else self._last if arrived is None else arrived
        return moment, LogLine(_stamp(moment), level_of(text), "container", None, text)


class _Follower:
    """Reads what is appended to one file, whatever happens to its name: a renamed file is read to its end before the new
    one under the name begins, a file that was cut is read from its beginning."""

    def __init__(self, path: Path, *, from_end: bool = False) -> None:
        self.path = path
        self.gone = False
        self._rest = b""
        self._decoder = _Decoder(path, time.time())
        self._file = self._opened()
        # Held open from now on, so that a rename before the first look loses nothing.
        self.position = _whole_lines(self._file) if from_end and self._file is not None else 0
        if self._file is not None:
            self._file.seek(self.position)

    def lines(self) -> Iterator[Timed]:
        yield from self._read()
        if self._file is not None and self._replaced(self._file):
            yield from self._read()
            self.close()
            self._rest = b""
            self._file = self._opened()
            yield from self._read()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> BinaryIO | None:
        try:
            return self.path.open("rb")
        except OSError:
            self.gone = True
            return None

    def _read(self) -> Iterator[Timed]:
        if self._file is None:
            return
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)
            self._rest = b""
        while block := self._file.read(1 << 20):
            pieces = (self._rest + block).split(b"\n")
            self._rest = pieces.pop()[:_LONGEST_LINE]
            now = time.time()
            for raw in pieces:
                timed = self._decoder.line(raw[:_LONGEST_LINE].rstrip(b"\r"), now)
                if timed is not None:
                    yield timed

    def _replaced(self, file: BinaryIO) -> bool:
        try:
            status = self.path.stat()
        except OSError:
            return True
        mine = os.fstat(file.fileno())
        return (status.st_ino, status.st_dev) != (mine.st_ino, mine.st_dev)


def _stamp(moment: float) -> str:
    return stamp(datetime.fromtimestamp(moment, UTC))
