"""Watching an endpoint of this machine: its requests in figures, and its logs."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain.clock import Clock, SystemClock
from opsml_cli.domain.endpoint import OnlineEndpoint
from opsml_cli.domain.errors import NotFoundError
from opsml_cli.domain.insights import DeploymentStats, Latency, LogLine, LogQuery, RequestStats, is_failure
from opsml_cli.domain.line_filter import LineFilter
from opsml_cli.domain.names import key
from opsml_cli.local import log_stream, telemetry_reader
from opsml_cli.local.clock import stamp
from opsml_cli.local.layout import Layout
from opsml_cli.local.telemetry_window import Durations, Window

if TYPE_CHECKING:
    from opsml_cli.local.endpoints import LocalEndpoints

BUCKETS = 30  # of the window, in `over_time`


class LocalInsights:
    """The `insights` group of a local workspace."""

    def __init__(self, layout: Layout, endpoints: LocalEndpoints, clock: Clock | None = None) -> None:
        self._layout = layout
        self._endpoints = endpoints
        self._clock = clock or SystemClock()

    def enable(self, name: str) -> OnlineEndpoint:
        return self._endpoints.set_insights(name, True)

    def disable(self, name: str) -> OnlineEndpoint:
        return self._endpoints.set_insights(name, False)

    def stats(self, name: str, since_seconds: float) -> RequestStats:
        """The requests recorded in the last `since_seconds`; quantiles are exact, to the microsecond. Memory: four bytes a
        request."""
        endpoint = self._endpoints.get(name)
        return request_stats(
            self._layout.endpoint(name) / log_stream.REQUEST_FOLDER, endpoint.name, since_seconds, enabled=endpoint.insights
        )

    def recorded(self, name: str, start: float, end: float) -> Iterator[telemetry_reader.Request]:
        """The recorded requests that were answered from `start` until before `end`, seconds since the epoch, one writing
        process after the other."""
        folder = self._layout.endpoint(self._endpoints.get(name).name) / log_stream.REQUEST_FOLDER
        for chain in telemetry_reader.chains(folder):
            for entry in telemetry_reader.entries(chain, start):
                if isinstance(entry, telemetry_reader.Request) and start <= entry.ended < end:
                    yield entry

    def logs(self, name: str, query: LogQuery) -> Iterator[LogLine]:
        keep = LineFilter(query)
        endpoint = self._endpoints.get(name)
        known = [deployment.name for deployment in endpoint.deployments]
        if query.deployment is not None and key(query.deployment) not in map(key, known):
            raise NotFoundError(
                f"endpoint {endpoint.name!r} has no deployment {query.deployment!r}",
                cause=f"it has: {', '.join(known)}" if known else "it has none",
                fix=f"opsml logs {endpoint.name}",
            )
        folder = self._layout.endpoint(name)
        return log_stream.follow(folder, query, keep, self._clock) if query.follow else log_stream.read(folder, query, keep)


def request_stats(folder: Path, endpoint: str, since_seconds: float, *, enabled: bool) -> RequestStats:
    """What the telemetry in `folder` says of the window of `since_seconds` that ends now."""
    end = time.time()
    start = end - since_seconds
    window = Window(start, end, BUCKETS)
    window.read(folder)
    requests: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    for (name, status), count in window.statuses.items():
        requests[name] += count
        failures[name] += count if is_failure(status) else 0
        statuses[status] += count
    everything = latency(window.durations(list(requests)))
    width = since_seconds / BUCKETS
    return RequestStats(
        endpoint=endpoint,
        window_seconds=since_seconds,
        requests=requests.total(),
        failures=failures.total(),
        latency_ms=everything,
        # Requests that reached no deployment (no key, too large, …) count for the endpoint alone.
        by_deployment={
            name: DeploymentStats(
                requests[name],
                failures[name],
                everything if len(requests) == 1 else latency(window.durations([name])),
            )
            for name in sorted(requests)
            if name
        },
        by_status={str(status): statuses[status] for status in sorted(statuses)},
        over_time=tuple(
            (stamp(datetime.fromtimestamp(start + index * width, UTC)), some, failed)
            for index, (some, failed) in enumerate(window.over_time)
        ),
        enabled=enabled,
        dropped=window.dropped,
    )


def latency(durations: Durations) -> Latency:
    """Quantiles, linear between the two nearest values; None without values."""
    count = len(durations)
    if not count:
        return Latency(None, None, None)
    found = []
    for share in (0.50, 0.95, 0.99):
        position = share * (count - 1)
        low = math.floor(position)
        below, above = durations.at(low)
        found.append(round(below + (above - below) * (position - low), 3))
    return Latency(*found)


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Of sorted values, linear between the two nearest; None without values."""
    if not ordered:
        return None
    position = share * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return round(ordered[low] + (ordered[high] - ordered[low]) * (position - low), 3)
