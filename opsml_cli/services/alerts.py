"""Alert rules and the verdict on an endpoint: conditions looked at in the figures of its requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opsml_cli.domain.alert import Alert, Condition, parse_objectives
from opsml_cli.domain.errors import GateError, NotAllowedError, UsageError
from opsml_cli.domain.insights import RequestStats
from opsml_cli.domain.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule (`alert`: what must not be) or an objective (`slo`: what must hold) says of the requests of its window.
    `value` is in the rule's unit, None without requests."""

    rule: str
    kind: str
    ok: bool
    value: float | None
    detail: str


@dataclass(frozen=True, slots=True)
class EndpointCheck:
    endpoint: str
    ok: bool
    rules: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class AlertDeleted:
    endpoint: str
    name: str


@dataclass(frozen=True, slots=True)
class WatchedStats:
    """Figures of an endpoint's requests, with its alerts as they stand."""

    stats: RequestStats
    alerts: tuple[Alert, ...]


def watched(workspace: Workspace, endpoint: str, window: float) -> WatchedStats:
    """The figures and the alerts. Who may not read alerts sees none."""
    stats = workspace.insights.stats(endpoint, window)
    try:
        alerts = tuple(workspace.alerts.list(endpoint))
    except NotAllowedError:
        alerts = ()
    return WatchedStats(stats, alerts)


def check(
    workspace: Workspace, endpoint: str, objectives: Sequence[str], window: float
) -> tuple[EndpointCheck, GateError | None]:
    """Look at every alert rule of the endpoint and at `objectives` (texts as of --slo) now. The error: some are broken.

    An alert rule without requests in its window is kept; an objective is not: nothing proves that it holds."""
    wanted = [condition for text in objectives for condition in parse_objectives(text, window)]
    rules = [alert.rule for alert in workspace.alerts.list(endpoint)]
    if not wanted and not rules:
        raise UsageError(
            f"there is nothing to check on endpoint {endpoint}",
            fix=f"add --slo 'p95<50ms,errors<1%', or a rule: opsml insights alerts {endpoint} --alert 'p95>100ms for 5m'",
        )
    figures: dict[float, RequestStats] = {}
    findings = []
    for condition, alert in [*((each, True) for each in rules), *((each, False) for each in wanted)]:
        if condition.window_seconds not in figures:
            figures[condition.window_seconds] = workspace.insights.stats(endpoint, condition.window_seconds)
        findings.append(_finding(condition, figures[condition.window_seconds], alert=alert))
    broken = [finding for finding in findings if not finding.ok]
    found = EndpointCheck(endpoint, not broken, tuple(findings))
    if not broken:
        return found, None
    told = "; ".join(f"{finding.rule}: {finding.detail}" for finding in broken)
    return found, GateError(f"endpoint {endpoint} fails {len(broken)} of {len(findings)} checks: {told}")


def _finding(condition: Condition, stats: RequestStats, *, alert: bool) -> Finding:
    value = condition.value(stats)
    ok = condition.met_by(stats) is not alert
    return Finding(str(condition), "alert" if alert else "slo", ok, value, condition.shown(value))
