"""How request figures and log lines are shown."""

from __future__ import annotations

from typing import Any

from opsml_cli.cli.render.alert import alert_document, alert_line
from opsml_cli.cli.render.base import Rendering
from opsml_cli.domain.durations import format_duration
from opsml_cli.domain.insights import DeploymentStats, Latency, LogLine, RequestStats
from opsml_cli.services.alerts import WatchedStats
from opsml_cli.services.insights import InsightsSwitched

_BARS = " ▁▂▃▄▅▆▇█"


def _latency(latency: Latency) -> dict[str, float | None]:
    return {"p50": latency.p50, "p95": latency.p95, "p99": latency.p99}


def _deployment(stats: DeploymentStats) -> dict[str, object]:
    return {"requests": stats.requests, "failures": stats.failures, "latency_ms": _latency(stats.latency_ms)}


def _stats(stats: RequestStats) -> dict[str, object]:
    return {
        "endpoint": stats.endpoint,
        "window_seconds": stats.window_seconds,
        "requests": stats.requests,
        "failures": stats.failures,
        "unauthenticated": stats.unauthenticated,
        "latency_ms": _latency(stats.latency_ms),
        "by_deployment": {name: _deployment(each) for name, each in stats.by_deployment.items()},
        "by_status": dict(stats.by_status),
        "over_time": [
            {"start": start, "requests": requests, "failures": failed} for start, requests, failed in stats.over_time
        ],
        "enabled": stats.enabled,
        "dropped": stats.dropped,
    }


def _milliseconds(latency: Latency) -> str:
    if latency.p50 is None or latency.p95 is None or latency.p99 is None:
        return "no requests"
    return f"p50 {latency.p50:.1f} ms, p95 {latency.p95:.1f} ms, p99 {latency.p99:.1f} ms"


def drawing(counts: list[int]) -> str:
    """A bar for each count, the highest one full; a count above zero is never drawn as nothing."""
    most = max(counts, default=0)
    if most == 0:
        return " " * len(counts)
    return "".join(_BARS[0 if count == 0 else max(1, round(count / most * 8))] for count in counts)


def _view(stats: RequestStats, _width: int) -> str:
    window = format_duration(stats.window_seconds)
    lines = [
        f"{stats.endpoint}: {stats.requests} requests, {stats.failures} failures in {window}",
        f"  latency    {_milliseconds(stats.latency_ms)}",
    ]
    if stats.unauthenticated:
        lines.append(f"  {stats.unauthenticated} requests without a valid key: refused, and no failures of the endpoint")
    for name, each in stats.by_deployment.items():
        lines.append(f"  {name}: {each.requests} requests, {each.failures} failures, {_milliseconds(each.latency_ms)}")
    if stats.by_status:
        lines.append("  status     " + ", ".join(f"{status}: {count}" for status, count in stats.by_status.items()))
    if stats.requests:
        bars = [requests for _, requests, _ in stats.over_time]
        failed = [failures for _, _, failures in stats.over_time]
        lines.append(f"  requests   |{drawing(bars)}| most {max(bars)} in {format_duration(stats.window_seconds / len(bars))}")
        if any(failed):
            lines.append(f"  failures   |{drawing(failed)}| most {max(failed)}")
        lines.append(f"              {'-' + window:<{max(0, len(bars) - 3)}}now")
    if stats.dropped:
        lines.append(f"  {stats.dropped} further requests were answered without being recorded: the disk was too slow or full")
    if not stats.enabled:
        lines.append(f"  requests are not recorded now: opsml insights enable {stats.endpoint}")
    return "\n".join(lines)


def _line(line: LogLine) -> dict[str, object]:
    document: dict[str, object] = {
        "timestamp": line.timestamp,
        "level": line.level,
        "kind": line.kind,
        "deployment": line.deployment,
        "message": line.message,
    }
    if line.kind == "request":
        document |= {"status": line.status, "duration_ms": line.duration_ms}
    return document


def _line_view(line: LogLine, _width: int) -> str:
    return f"{line.timestamp}  {line.level:<7}  {line.kind:<9}  {line.deployment or '-'}  {_lines(line.message)}"


def _lines(message: str) -> str:
    """A message of several lines goes on behind a bar, so that nobody can forge another of the log."""
    first, *others = message.rstrip("\r\n").replace("\r\n", "\n").replace("\r", "\\r").split("\n")
    return "\n".join([first, *(f"  | {line}" for line in others)])


def _switched(result: InsightsSwitched) -> dict[str, object]:
    document: dict[str, object] = {"endpoint": result.endpoint, "insights": result.insights, "unchanged": result.unchanged}
    if result.dry_run:
        document["dry_run"] = True
    return document


def _switched_view(result: InsightsSwitched, _width: int) -> str:
    state = "recorded" if result.insights else "not recorded"
    if result.unchanged:
        return f"{result.endpoint}: requests are {state} already, unchanged"
    return f"{result.endpoint}: requests {'would be' if result.dry_run else 'are'} {state} from now on"


def _watched(found: WatchedStats) -> dict[str, object]:
    return {**_stats(found.stats), "alerts": [alert_document(alert) for alert in found.alerts]}


def _watched_view(found: WatchedStats, width: int) -> str:
    return "\n".join([_view(found.stats, width), *(f"  alert      {alert_line(alert)}" for alert in found.alerts)])


RENDERINGS: dict[type[Any], Rendering] = {
    WatchedStats: Rendering(
        document=_watched,
        view=_watched_view,
        columns=("endpoint", "window_seconds", "requests", "failures", "latency_ms", "by_deployment"),
        outputs=lambda found: {"requests": str(found.stats.requests), "failures": str(found.stats.failures)},
    ),
    LogLine: Rendering(
        document=_line,
        view=_line_view,
        columns=("timestamp", "level", "kind", "deployment", "message", "status", "duration_ms"),
    ),
    InsightsSwitched: Rendering(document=_switched, view=_switched_view),
}
