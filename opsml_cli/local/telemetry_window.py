"""The requests of a window of time, added up: from digests where they lie within it, from lines at its edges."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from opsml_cli.domain.insights import is_failure
from opsml_cli.local import processes, telemetry_digest, telemetry_reader
from opsml_cli.local.telemetry_digest import Block

_SAMPLE = 256  # one of so many values of a digest shows roughly where a quantile lies


class Window:
    """What was recorded from `start` to `end` (seconds since the epoch), in `buckets` of equal length.

    Counts are exact, but for `over_time`, where requests next to the edge of a bucket may count for its neighbour: a digest
    knows moments to 1/128 of its block. Quantiles are exact; to the microsecond where digests hold the durations."""

    def __init__(self, start: float, end: float, buckets: int) -> None:
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.dropped = 0
        self.over_time = [[0, 0] for _ in range(buckets)]
        self._start, self._end = start, end
        self._scale = buckets / (end - start)
        self._lines: dict[str, array[float]] = {}  # milliseconds
        self._digests: dict[str, list[Sequence[int]]] = {}  # sorted microseconds

    def read(self, folder: Path) -> None:
        """Add what the telemetry in `folder` holds of the window."""
        for chain in telemetry_reader.chains(folder):
            for segment in chain:
                try:
                    if segment.stat().st_mtime < self._start:
                        continue
                    self._segment(segment, live=segment is chain[-1] and _written(segment))
                except FileNotFoundError:  # retention was faster
                    continue

    def durations(self, deployments: Sequence[str]) -> Durations:
        lines = [self._lines[name] for name in deployments if name in self._lines]
        return Durations(lines, [each for name in deployments for each in self._digests.get(name, ())])

    def _segment(self, segment: Path, *, live: bool) -> None:
        blocks = telemetry_digest.read(segment)
        position = blocks[-1].stop if blocks else 0
        if not live and segment.stat().st_size > position:
            blocks = telemetry_digest.complete(segment, telemetry_reader.records_after(segment, position), blocks)
            position = blocks[-1].stop if blocks else 0
        for block in blocks:
            if block.last < self._start or block.first > self._end:
                continue
            if block.first >= self._start and block.last <= self._end:
                self._block(block)
            else:
                self._read_lines(segment, block.start, block.stop)
        self._read_lines(segment, position, None)

    def _block(self, block: Block) -> None:
        self.dropped += block.dropped
        requests = failures = 0
        for name, part in block.parts.items():
            for status, count in part.statuses.items():
                self.statuses[name, status] += count
                requests += count
                failures += count if is_failure(status) else 0
            self._digests.setdefault(name, []).append(part.durations)
        first = self._bucket(block.first)
        if first == self._bucket(block.last):
            self._count(first, requests, failures)
        else:
            for moment, some, failed in block.slots():
                self._count(self._bucket(moment), some, failed)

    def _read_lines(self, segment: Path, start: int, stop: int | None) -> None:
        for first, end in telemetry_reader.pieces(segment, start, stop):
            self._read_piece(segment, first, end)

    def _read_piece(self, segment: Path, start: int, stop: int) -> None:
        values = telemetry_reader.values_between(segment, start, stop)
        if values is not None:
            for began, deployment, status, duration, _, _, _ in values:
                ended = began + duration / 1000.0
                if self._start <= ended <= self._end:
                    self._line(ended, deployment, status, duration)
            return
        for entry in telemetry_reader.between(segment, start, stop):
            if not self._start <= entry.ended <= self._end:
                continue
            if isinstance(entry, telemetry_reader.Dropped):
                self.dropped += entry.requests
                continue
            self._line(entry.ended, entry.deployment, entry.status, entry.duration_ms)

    def _line(self, ended: float, deployment: str, status: int, duration_ms: float) -> None:
        self._lines.setdefault(deployment, array("d")).append(duration_ms)
        self.statuses[deployment, status] += 1
        self._count(self._bucket(ended), 1, int(is_failure(status)))

    def _bucket(self, moment: float) -> int:
        return min(len(self.over_time) - 1, int((moment - self._start) * self._scale))

    def _count(self, bucket: int, requests: int, failures: int) -> None:
        self.over_time[bucket][0] += requests
        self.over_time[bucket][1] += failures


def _written(segment: Path) -> bool:
    """Whether a process may still write the segment. An unknown writer is taken for one."""
    writer = segment.stem.partition("-")[2]
    return not writer.isdecimal() or processes.pid_alive(int(writer))


class Durations:
    """Durations that may be many: those of lines in milliseconds, and sorted ones of digests in microseconds."""

    def __init__(self, lines: Sequence[Sequence[float]], digests: Sequence[Sequence[int]]) -> None:
        self._exact: list[float] | None = None
        read = sorted(value for values in lines for value in values)
        if digests:
            self._sorted: list[Sequence[int]] = [*digests, [round(value * 1000.0) for value in read]]
        else:
            self._exact, self._sorted = read, []
        self._sample: list[int] = []

    def __len__(self) -> int:
        return len(self._exact) if self._exact is not None else sum(map(len, self._sorted))

    def at(self, rank: int) -> tuple[float, float]:
        """The values at `rank` and `rank` + 1 (the last one twice) in the order of size, in milliseconds."""
        if self._exact is not None:
            return self._exact[rank], self._exact[min(rank + 1, len(self._exact) - 1)]
        value, until = self._select(rank)
        if sum(until) > rank + 1:
            return value / 1000.0, value / 1000.0
        following = [values[place] for values, place in zip(self._sorted, until, strict=True) if place < len(values)]
        return value / 1000.0, min(following, default=value) / 1000.0

    def _select(self, rank: int) -> tuple[int, list[int]]:
        """The value at `rank`, and how many values of each digest are not larger."""
        low, high = self._bounds(rank)
        least = [bisect_left(values, low) for values in self._sorted]
        most = [bisect_right(values, high) for values in self._sorted]
        while low < high:
            middle = (low + high) // 2
            places = [bisect_right(values, middle, a, b) for values, a, b in zip(self._sorted, least, most, strict=True)]
            if sum(places) > rank:
                high, most = middle, places
            else:
                low, least = middle + 1, places
        return low, [bisect_right(values, low, a, b) for values, a, b in zip(self._sorted, least, most, strict=True)]

    def _bounds(self, rank: int) -> tuple[int, int]:
        """Two values that the one at `rank` lies between: each sampled value stands for those around it."""
        if not self._sample:
            self._sample = sorted(value for values in self._sorted for value in values[_SAMPLE // 2 :: _SAMPLE])
        slack = len(self._sorted) + 1
        below, above = rank // _SAMPLE - slack, rank // _SAMPLE + slack
        low = self._sample[below] if below >= 0 else min(values[0] for values in self._sorted if len(values))
        high = self._sample[above] if above < len(self._sample) else max(values[-1] for values in self._sorted if len(values))
        return low, high
