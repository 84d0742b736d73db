"""Azure Monitor's metrics of online endpoints, from the requests that this machine has recorded: what was not recorded is
absent, and nothing is made up."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from opsml_cli.domain.errors import NotFoundError, UsageError
from opsml_cli.emulator.bodies import duration_seconds
from opsml_cli.emulator.wire import Call, Reply, Route, WireError
from opsml_cli.local.insights import quantile
from opsml_cli.local.telemetry_reader import Request

NAMESPACE = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
_INTERVALS = ("PT1M", "PT5M", "PT15M", "PT30M", "PT1H", "PT6H", "PT12H", "P1D")
_SERIES = 10  # that are given when nobody asks for more
_MOST_POINTS = 44_640  # of a series: a month of minutes
_CLAUSE = re.compile(r"\s*(\w+)\s+eq\s+'([^']*)'\s*\Z", re.IGNORECASE)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _share(share: float) -> Callable[[Sequence[float]], float]:
    return lambda values: quantile(sorted(values), share) or 0.0


# By name: the unit, what people call it, and the value of a minute's durations (None: their number).
_METRICS: Mapping[str, tuple[str, str, Callable[[Sequence[float]], float] | None]] = {
    "RequestsPerMinute": ("Count", "Requests Per Minute", None),
    "RequestLatency": ("Milliseconds", "Request Latency", _mean),
    "RequestLatency_P50": ("Milliseconds", "Request Latency P50", _share(0.50)),
    "RequestLatency_P90": ("Milliseconds", "Request Latency P90", _share(0.90)),
    "RequestLatency_P95": ("Milliseconds", "Request Latency P95", _share(0.95)),
    "RequestLatency_P99": ("Milliseconds", "Request Latency P99", _share(0.99)),
}
_DIMENSIONS: Mapping[str, Callable[[Request], str]] = {
    "deployment": lambda request: request.deployment,
    "statusCode": lambda request: str(request.status),
    "statusCodeClass": lambda request: f"{request.status // 100}xx",
}


def get_metrics(call: Call) -> Reply:
    """Metrics of one endpoint by minute or longer interval, perhaps split by dimensions."""
    endpoint = call.parameters["endpoint"]
    try:
        name = call.served.local.online_endpoints.get(endpoint).name
    except (NotFoundError, UsageError) as error:
        raise _refused(404, "ResourceNotFound", f"The Resource '{NAMESPACE}/{endpoint}' was not found.") from error
    metrics = _names(call)
    start, end = _timespan(call)
    interval = _interval(call, start, end)
    splits = _splits(call)
    top = call.query.get("top", "")
    most = int(top) if top.isascii() and top.isdigit() else _SERIES
    width = duration_seconds(interval) or 60.0
    requests = list(call.served.local.insights.recorded(name, start.timestamp(), end.timestamp()))
    path = f"{call.served.arm_id}/onlineEndpoints/{name}"
    return Reply(
        value={
            "cost": int((end - start).total_seconds() // 60),
            "timespan": f"{_stamp(start)}/{_stamp(end)}",
            "interval": interval,
            "value": [
                {
                    "id": f"{path}/providers/Microsoft.Insights/metrics/{metric}",
                    "type": "Microsoft.Insights/metrics",
                    "name": {"value": metric, "localizedValue": _METRICS[metric][1]},
                    "displayDescription": _METRICS[metric][1],
                    "unit": _METRICS[metric][0],
                    "timeseries": _series(metric, requests, splits, start, width, most=most),
                    "errorCode": "Success",
                }
                for metric in metrics
            ],
            "namespace": NAMESPACE,
            "resourceregion": call.served.region,
        }
    )


def _series(
    metric: str, requests: Sequence[Request], splits: Mapping[str, str | None], start: datetime, width: float, *, most: int
) -> list[dict[str, Any]]:
    """One series for each combination of the dimensions' values that was seen, `most` of them."""
    groups: dict[tuple[str, ...], dict[int, dict[int, list[float]]]] = {}
    for request in requests:
        values = tuple(_DIMENSIONS[dimension](request) for dimension in splits)
        if any(wanted is not None and wanted.casefold() != value.casefold()
               for wanted, value in zip(splits.values(), values, strict=True)):  # fmt: skip
            continue
        since = request.ended - start.timestamp()
        minutes = groups.setdefault(values, {}).setdefault(int(since // width), {})
        minutes.setdefault(int(since // 60), []).append(request.duration_ms)
    of_minute = _METRICS[metric][2]
    found = []
    for values, slots in sorted(groups.items())[:most]:
        data = []
        for slot, minutes in sorted(slots.items()):
            if of_minute is None:
                # Azure's own value is one of every minute; an interval averages its minutes.
                value = sum(len(durations) for durations in minutes.values()) / (width / 60)
            else:
                value = _mean([of_minute(durations) for durations in minutes.values()])
            data.append({"timeStamp": _stamp(start + timedelta(seconds=slot * width)), "average": value})
        labels = [
            {"name": {"value": dimension.lower(), "localizedValue": dimension.lower()}, "value": value}
            for dimension, value in zip(splits, values, strict=True)
        ]
        found.append({"metadatavalues": labels, "data": data})
    return found


def _names(call: Call) -> list[str]:
    known = {name.casefold(): name for name in _METRICS}
    asked = [name.strip() for name in call.query.get("metricnames", "RequestsPerMinute").split(",") if name.strip()]
    for name in asked:
        if name.casefold() not in known:
            raise _refused(
                400,
                "BadRequest",
                f"Failed to find metric configuration for provider: Microsoft.MachineLearningServices, resource Type: "
                f"workspaces/onlineEndpoints, metric: {name}, Valid metrics: {','.join(_METRICS)}",
            )
    return [known[name.casefold()] for name in asked]


def _timespan(call: Call) -> tuple[datetime, datetime]:
    """From and until, in whole minutes; the last hour when nothing is asked."""
    text = call.query.get("timespan")
    if not text:
        end = call.site.clock.now().replace(second=0, microsecond=0) + timedelta(minutes=1)
        return end - timedelta(hours=1), end
    first, _, last = text.partition("/")
    try:
        start, end = datetime.fromisoformat(first), datetime.fromisoformat(last)
    except ValueError:
        raise _refused(400, "BadRequest", f"Invalid timespan: {text}") from None
    start, end = (each if each.tzinfo else each.replace(tzinfo=UTC) for each in (start, end))
    if start >= end:
        raise _refused(400, "BadRequest", f"Start time must be before end time: {text}")
    return start.replace(second=0, microsecond=0), end


def _interval(call: Call, start: datetime, end: datetime) -> str:
    text = call.query.get("interval", "PT1M")
    if text not in _INTERVALS:
        raise _refused(400, "BadRequest", f"Invalid time grain duration: {text}, supported ones are: {','.join(_INTERVALS)}")
    if (end - start).total_seconds() / (duration_seconds(text) or 60.0) > _MOST_POINTS:
        raise _refused(400, "BadRequest", f"The timespan has too many intervals of {text}")
    return text


def _splits(call: Call) -> dict[str, str | None]:
    """The dimensions of the filter, each with the value that is wanted; None: every value, in a series each."""
    known = {name.casefold(): name for name in _DIMENSIONS}
    found: dict[str, str | None] = {}
    text = call.query.get("$filter", "")
    for clause in re.split(r"\s+and\s+", text, flags=re.IGNORECASE) if text.strip() else ():
        match = _CLAUSE.match(clause)
        if match is None or match[1].casefold() not in known:
            raise _refused(400, "BadRequest", f"The filter is not valid: {clause}")
        found[known[match[1].casefold()]] = None if match[2] == "*" else match[2]
    return found


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _refused(status: int, code: str, message: str) -> WireError:
    return WireError(status, message, code=code)


ROUTES = (
    Route(
        "GET",
        "{ws}/onlineEndpoints/{endpoint}/providers/Microsoft.Insights/metrics",
        get_metrics,
        note="requests and latency by deployment and status, of endpoints whose requests are recorded",
    ),
)
