"""Digests of request telemetry: what a block of a segment's lines adds up to, beside the segment, in `<segment>.digest`.

A frame a block: magic, lengths and checksum; a JSON head (which bytes of the segment it stands for, first and last moment,
requests by deployment and status); then for each deployment the durations in microseconds, sorted, and the requests and
failures in slots of time. Whoever reads a window adds up the blocks that lie in it, and reads only the lines at its edges.
Quantiles are exact to the microsecond. A missing or torn digest costs time, never figures: its lines are read instead.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from opsml_cli.content import files
from opsml_cli.domain.errors import OpsmlError
from opsml_cli.domain.insights import is_failure

SUFFIX = ".digest"
BLOCK = 8192  # records
SLOTS = 128  # of a block, at most
_GRAINS = (0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 86400.0)  # seconds of a slot
_LONGEST = (1 << 32) - 1  # microseconds
_HEAD = struct.Struct("<4sIII")
_MAGIC = b"ODG1"

Record = tuple[float, str, int, float, int, int, str]


@dataclass(frozen=True, slots=True)
class Part:
    """The requests of one deployment in a block: how many with each status, and their sorted durations in microseconds."""

    statuses: dict[int, int]
    durations: Sequence[int]


@dataclass(frozen=True, slots=True)
class Block:
    """What the lines from byte `start` to `stop` of a segment add up to; `slots`: (moment in the middle, requests,
    failures)."""

    start: int
    stop: int
    first: float
    last: float
    dropped: int
    parts: dict[str, Part]
    _grain: float
    _slots: Sequence[int]
    end: int  # of its frame, in bytes of the digest

    def slots(self) -> Iterator[tuple[float, int, int]]:
        found = iter(self._slots)
        for index, requests, failures in zip(found, found, found, strict=True):
            yield min(self.first + (index + 0.5) * self._grain, self.last), requests, failures


class Digest:
    """Adds up the records of one block. `frame` gives it as bytes and begins the next one."""

    def __init__(self, start: int = 0) -> None:
        self._begin(start)

    def _begin(self, start: int) -> None:
        self._start = start
        self._dropped = 0
        self._drops: list[float] = []
        self._moments: list[float] = []
        self._failed: list[float] = []
        self._durations: dict[str, list[float]] = {}  # milliseconds
        self._statuses: Counter[tuple[str, int]] = Counter()

    def __len__(self) -> int:
        return len(self._moments) + len(self._drops)

    def add(self, records: Sequence[Record]) -> None:
        begun, deployments, statuses, durations, _, _, _ = zip(*records, strict=True)
        self._moments += [started + duration / 1000.0 for started, duration in zip(begun, durations, strict=True)]
        self._statuses.update(zip(deployments, statuses, strict=True))
        if max(statuses) >= 400:
            self._failed += [record[0] + record[3] / 1000.0 for record in records if is_failure(record[2])]
        for name in set(deployments):
            # Sorted piece by piece: sorting a whole block at once would keep the event loop waiting for milliseconds.
            self._durations.setdefault(name, []).extend(
                sorted(
                    durations
                    if deployments.count(name) == len(durations)
                    else [duration for each, duration in zip(deployments, durations, strict=True) if each == name]
                )
            )

    def drop(self, moment: float, requests: int) -> None:
        """`requests` were answered, and not recorded."""
        self._dropped += requests
        self._drops.append(moment)

    def frame(self, stop: int) -> bytes:
        """The block, whose lines end at byte `stop`."""
        import orjson

        moments = self._moments
        first, last = min((*moments, *self._drops)), max((*moments, *self._drops))
        grain = next((each for each in _GRAINS if (last - first) / each < SLOTS), max(last - first, 1.0))
        parts: dict[str, list[object]] = {}
        body = []
        for name, durations in self._durations.items():
            durations.sort()
            numbers = [int(duration * 1000.0 + 0.5) for duration in durations]
            if numbers[0] < 0 or numbers[-1] > _LONGEST:
                numbers = [min(max(number, 0), _LONGEST) for number in numbers]
            statuses = {str(status): count for (deployment, status), count in self._statuses.items() if deployment == name}
            parts[name] = [len(numbers), statuses]
            body.append(array("I", numbers).tobytes())
        requests = Counter([int((moment - first) / grain) for moment in moments])
        failures = Counter([int((moment - first) / grain) for moment in self._failed])
        slots = array("I")
        for index in sorted(requests):
            slots.extend((index, requests[index], failures[index]))
        values = [self._start, stop, first, last, self._dropped, grain, parts]
        head, content = orjson.dumps(values), b"".join((*body, slots.tobytes()))
        self._begin(stop)
        return _HEAD.pack(_MAGIC, len(head), len(content), zlib.crc32(content, zlib.crc32(head))) + head + content


def path_of(segment: Path) -> Path:
    return segment.with_suffix(SUFFIX)


def blocks(content: bytes) -> Iterator[Block]:
    """The sound frames at the beginning of a digest, each where the one before it ended."""
    import orjson

    view, position, stop = memoryview(content), 0, 0
    while position + _HEAD.size <= len(view):
        magic, head_size, body_size, checksum = _HEAD.unpack_from(view, position)
        middle = position + _HEAD.size + head_size
        end = middle + body_size
        if magic != _MAGIC or end > len(view):
            return
        head, body = view[position + _HEAD.size : middle], view[middle:end]
        if zlib.crc32(body, zlib.crc32(head)) != checksum:
            return
        start, following, first, last, dropped, grain, named = orjson.loads(head)
        if start != stop:
            return
        numbers, taken = body.cast("I"), 0
        parts = {}
        for name, (count, statuses) in named.items():
            parts[name] = Part({int(status): number for status, number in statuses.items()}, numbers[taken : taken + count])
            taken += count
        yield Block(start, following, first, last, dropped, parts, grain, numbers[taken:], end)
        position, stop = end, following


def read(segment: Path) -> list[Block]:
    """The blocks of a segment that have digests; those beyond its end are not believed."""
    try:
        content, size = path_of(segment).read_bytes(), segment.stat().st_size
    except OSError:
        return []
    return [block for block in blocks(content) if block.stop <= size]


class DigestFile:
    """The digest of a segment that is being written. A write that fails ends it: the lines that follow speak for themselves."""

    def __init__(self, segment: Path) -> None:
        self._path = path_of(segment)
        self._digest = Digest()
        self._whole = True

    def add(self, records: Sequence[Record], stop: int) -> None:
        """`records` are in the segment, which has `stop` bytes by now."""
        if self._whole:
            self._digest.add(records)
            if len(self._digest) >= BLOCK:
                self.flush(stop)

    def drop(self, moment: float, requests: int) -> None:
        if self._whole:
            self._digest.drop(moment, requests)

    def flush(self, stop: int) -> None:
        if not self._whole or not self._digest:
            return
        try:
            frame = memoryview(self._digest.frame(stop))
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                self._whole = os.write(handle, frame) == len(frame)
            finally:
                os.close(handle)
        except (OSError, ValueError, TypeError):
            self._whole = False


def complete(segment: Path, entries: Iterable[tuple[int, Record | tuple[float, int]]], known: Sequence[Block]) -> list[Block]:
    """Add to the digest of a segment whose writer is gone what its lines still lack: `entries` are the lines after the
    `known` blocks, each with the byte where it ends; (moment, requests) for requests that were not recorded. The blocks."""
    start = known[-1].stop if known else 0
    content = bytearray(path_of(segment).read_bytes()[: known[-1].end] if known else b"")
    digest, stop = Digest(start), start
    for stop, entry in entries:
        if len(entry) == 2:
            digest.drop(entry[0], entry[1])
        else:
            digest.add((entry,))
        if len(digest) >= BLOCK:
            content += digest.frame(stop)
    if digest:
        content += digest.frame(stop)
    with contextlib.suppress(OSError, OpsmlError):  # where nothing can be written, the next reader adds up again
        files.write_atomic(path_of(segment), bytes(content))
    return list(blocks(bytes(content)))
