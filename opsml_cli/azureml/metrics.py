"""Azure Monitor's metrics of an online endpoint, as figures of a window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.insights import DeploymentStats, Latency, RequestStats, is_failure

if TYPE_CHECKING:
    from opsml_cli.azureml.context import Context

VERSION = "2018-01-01"
REQUESTS = "RequestsPerMinute"
LATENCIES = ("RequestLatency_P50", "RequestLatency_P95", "RequestLatency_P99")
_MOST_SERIES = 200  # deployments times statuses; Azure gives ten unless asked for more
BUCKETS = 30  # of the window, in `over_time`
# Grains that Azure keeps, and up to which window each is asked for: a series should stay some thousand points.
_GRAINS = (("PT1M", 60.0, 86400.0), ("PT5M", 300.0, 5 * 86400.0), ("PT1H", 3600.0, float("inf")))


@dataclass(frozen=True, slots=True)
class Point:
    """One interval's value of a series. `moment` is its start, seconds since the epoch; `labels` by dimension."""

    moment: float
    value: float
    labels: Mapping[str, str]


def read(context: Context, endpoint: str, since_seconds: float, now: datetime | None = None) -> RequestStats:
    """The window of `since_seconds` that ends now. Requests are exact to the grain; each quantile is the mean of Azure's own
    quantiles of the intervals, weighted by their requests: Azure keeps no single durations."""
    end = now or datetime.now(UTC)
    start = end - timedelta(seconds=since_seconds)
    grain, width = next((name, width) for name, width, most in _GRAINS if since_seconds <= most)
    counted = list(_points(context, endpoint, REQUESTS, ("deployment", "statusCode"), (start, end, grain)))
    quantiles = [list(_points(context, endpoint, metric, ("deployment",), (start, end, grain))) for metric in LATENCIES]
    return figures(endpoint, since_seconds, counted, quantiles, start=start.timestamp(), width=width)


def figures(
    endpoint: str, seconds: float, counted: list[Point], quantiles: list[list[Point]], *, start: float, width: float
) -> RequestStats:
    """Add up series: a count's value is requests a minute, so an interval of five has five times as many."""
    minutes = width / 60
    by_deployment: dict[str, list[float]] = {}
    by_status: dict[str, float] = {}
    weights: dict[tuple[str, float], float] = {}
    buckets = [[0.0, 0.0] for _ in range(BUCKETS)]
    for point in counted:
        requests = point.value * minutes
        status = point.labels.get("statuscode", "")
        failed = requests if status.isdecimal() and is_failure(int(status)) else 0.0
        name = point.labels.get("deployment", "")
        sums = by_deployment.setdefault(name, [0.0, 0.0])
        sums[0] += requests
        sums[1] += failed
        if status:
            by_status[status] = by_status.get(status, 0.0) + requests
        weights[name, point.moment] = weights.get((name, point.moment), 0.0) + requests
        bucket = buckets[min(BUCKETS - 1, max(0, int((point.moment + width / 2 - start) / seconds * BUCKETS)))]
        bucket[0] += requests
        bucket[1] += failed

    def latency(name: str | None) -> Latency:
        return Latency(*(_weighted(points, weights, name) for points in quantiles))

    total = [sum(sums[index] for sums in by_deployment.values()) for index in (0, 1)]
    return RequestStats(
        endpoint=endpoint,
        window_seconds=seconds,
        requests=round(total[0]),
        failures=round(total[1]),
        latency_ms=latency(None),
        by_deployment={
            name: DeploymentStats(round(sums[0]), round(sums[1]), latency(name))
            for name, sums in sorted(by_deployment.items())
            if name and round(sums[0])
        },
        by_status={status: round(by_status[status]) for status in sorted(by_status) if round(by_status[status])},
        over_time=tuple(
            (_stamp(start + index * seconds / BUCKETS), round(requests), round(failed))
            for index, (requests, failed) in enumerate(buckets)
        ),
        enabled=True,
        dropped=0,
    )


def _weighted(points: list[Point], weights: Mapping[tuple[str, float], float], name: str | None) -> float | None:
    total = weight = 0.0
    for point in points:
        deployment = point.labels.get("deployment", "")
        if name is not None and deployment != name:
            continue
        share = weights.get((deployment, point.moment), 0.0)
        total += point.value * share
        weight += share
    return round(total / weight, 3) if weight else None


def _points(
    context: Context, endpoint: str, metric: str, dimensions: tuple[str, ...], window: tuple[datetime, datetime, str]
) -> Iterator[Point]:
    start, end, grain = window
    document = context.rest.get(
        f"{{ws}}/onlineEndpoints/{endpoint}/providers/Microsoft.Insights/metrics",
        VERSION,
        **{
            "metricnames": metric,
            "timespan": f"{_stamp(start.timestamp())}/{_stamp(end.timestamp() + 60)}",
            "interval": grain,
            "aggregation": "Average",
            "top": str(_MOST_SERIES),
            "$filter": " and ".join(f"{dimension} eq '*'" for dimension in dimensions),
        },
    )
    yield from points_of(document)


def points_of(document: Mapping[str, Any]) -> Iterator[Point]:
    """Every value of an answer of Azure Monitor; intervals without one are left out."""
    for metric in document.get("value") or ():
        for series in metric.get("timeseries") or ():
            labels = {
                str(each["name"]["value"]).casefold(): str(each.get("value") or "")
                for each in series.get("metadatavalues") or ()
            }
            for point in series.get("data") or ():
                value = point.get("average")
                if value:
                    yield Point(datetime.fromisoformat(point["timeStamp"]).timestamp(), float(value), labels)


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
