"""Request telemetry, the reading side: what `telemetry.Recorder` wrote, however the writers ended."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from opsml_cli.local.telemetry import SUFFIX

_NEAR = 1 << 15  # bytes: bisecting further costs more than reading the lines
_PIECE = 1 << 20  # bytes read at once
_USUAL_LINE = 300
_LONGEST_LINE = 1 << 16  # bytes; our own lines have a few hundred, so a longer one is damage


@dataclass(frozen=True, slots=True)
class Request:
    """One recorded request. `ended` is seconds since the epoch when it was answered; bytes are those of the bodies."""

    ended: float
    deployment: str
    status: int
    duration_ms: float
    request_bytes: int
    response_bytes: int
    user_agent: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """`requests` were answered around `ended` (seconds since the epoch) without being recorded."""

    ended: float
    requests: int


Entry = Request | Dropped
_SHAPES = ([float, str, int, float, int, int, str], [float, str, int, int, int, int, str])


def chains(folder: Path) -> list[list[Path]]:
    """The segments, one list a writing process, oldest first; within a list time goes forward."""
    by_writer: dict[str, list[Path]] = {}
    try:
        found = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    for path in found:
        if path.suffix == SUFFIX:
            by_writer.setdefault(path.stem.partition("-")[2], []).append(path)
    return list(by_writer.values())


def parse(line: bytes) -> Entry | None:
    """The entry that a line holds; None when it is torn, empty or damaged."""
    import orjson

    try:
        values = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    try:
        if isinstance(values, list):
            return _request(values)
        return Dropped(float(values["t"]), int(values["dropped"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _request(values: list[Any]) -> Request | None:
    started, deployment, status, duration, request_bytes, response_bytes, agent = values
    ended = float(started) + float(duration) / 1000.0
    if not math.isfinite(ended):
        return None
    return Request(ended, str(deployment), int(status), float(duration), int(request_bytes), int(response_bytes), str(agent))


def entries(paths: Iterable[Path], since: float | None = None, limit: int | None = None) -> Iterator[Entry]:
    """The entries of a chain of segments that ended at `since` (seconds since the epoch) or later, in the order in which
    they were written; memory does not grow with their number. `limit`: only lines that end before this byte of each
    segment. A segment that retention removes meanwhile is skipped."""
    for path in paths:
        try:
            if since is not None and path.stat().st_mtime < since:
                continue
            with path.open("rb") as file:
                if since is not None:
                    _skip_before(file, since)
                for line in _lines(file):
                    if limit is not None and file.tell() > limit:
                        break
                    entry = parse(line)
                    if entry is not None and (since is None or entry.ended >= since):
                        yield entry
        except FileNotFoundError:
            continue


def between(segment: Path, start: int, stop: int | None) -> Iterator[Entry]:
    """The entries of a segment from byte `start` until `stop` (None: its end)."""
    for _, entry in _placed(segment, start, stop):
        yield entry


def pieces(segment: Path, start: int, stop: int | None) -> Iterator[tuple[int, int]]:
    """Byte ranges of bounded size that a segment from `start` until `stop` (None: its end) falls into, each of whole lines; a
    line that is not whole yet, or is too long to be ours, is left out."""
    with segment.open("rb") as file:
        end = os.fstat(file.fileno()).st_size if stop is None else stop
        while start < end:
            file.seek(start)
            content = file.read(min(_PIECE, end - start))
            length = content.rfind(b"\n") + 1
            if not content or (not length and start + len(content) >= end):
                return
            if length:
                yield start, start + length
            start += length or len(content)


def values_between(segment: Path, start: int, stop: int) -> list[list[Any]] | None:
    """The entries of a piece as lists, as they were written, many times faster; None where anything but sound requests is
    among them."""
    import orjson

    with segment.open("rb") as file:
        file.seek(start)
        content = file.read(stop - start).rstrip(b"\n")
    try:
        # A line's end is never within a text: JSON writes it otherwise.
        found = orjson.loads(b"[" + content.replace(b"\n", b",") + b"]")
    except orjson.JSONDecodeError:
        return None
    sound = all(type(line) is list and [type(value) for value in line] in _SHAPES for line in found)
    return found if sound else None


def last(segment: Path, count: int) -> list[Entry]:
    """At least the last `count` entries of a segment, where they are of usual length and so many are there."""
    try:
        start = max(0, segment.stat().st_size - count * _USUAL_LINE)
        with segment.open("rb") as file:
            file.seek(start)
            if start:
                file.readline(_LONGEST_LINE)
            return [entry for entry in map(parse, _lines(file)) if entry is not None]
    except FileNotFoundError:
        return []


def records_after(segment: Path, start: int) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The lines of a segment after byte `start`, each with the byte where it ends: records as they were written, or
    (moment, requests) for requests that were not recorded."""
    for position, entry in _placed(segment, start, None):
        if isinstance(entry, Dropped):
            yield position, (entry.ended, entry.requests)
        else:
            began = entry.ended - entry.duration_ms / 1000.0
            yield position, (began, entry.deployment, entry.status, entry.duration_ms, 0, 0, "")


def _placed(segment: Path, start: int, stop: int | None) -> Iterator[tuple[int, Entry]]:
    with segment.open("rb") as file:
        file.seek(start)
        for line in _lines(file):
            position = file.tell()
            if stop is not None and position > stop:
                return
            entry = parse(line)
            if entry is not None:
                yield position, entry


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Complete lines; a last one without its end is still being written, or was torn."""
    while True:
        line = file.readline(_LONGEST_LINE)
        if line.endswith(b"\n"):
            yield line
        elif len(line) < _LONGEST_LINE:
            return


def _skip_before(file: BinaryIO, since: float) -> None:
    """Move to a line's beginning near the first entry at `since` or later, by bisection. Writers put requests down in the
    order in which they ended, give or take a flush, hence the margin."""
    low, high = 0, os.fstat(file.fileno()).st_size
    while high - low > _NEAR:
        middle = (low + high) // 2
        moment = _moment_after(file, middle)
        if moment is None or moment >= since - 2.0:
            high = middle
        else:
            low = middle
    file.seek(low)
    if low:
        file.readline(_LONGEST_LINE)


def _moment_after(file: BinaryIO, position: int) -> float | None:
    file.seek(position)
    file.readline(_LONGEST_LINE)
    for _ in range(8):
        line = file.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            return None
        entry = parse(line)
        if entry is not None:
            return entry.ended
    return None
