"""How alert rules and the verdict on an endpoint are shown."""

from __future__ import annotations

from opsml_cli.cli.render.base import Rendering
from opsml_cli.domain.alert import Alert
from opsml_cli.services.alerts import AlertDeleted, EndpointCheck, Finding


def alert_document(alert: Alert) -> dict[str, object]:
    """The fields of `insights alerts`."""
    return {
        "endpoint": alert.endpoint,
        "name": alert.name,
        "rule": str(alert.rule),
        "state": alert.state.value,
        "value": alert.value,
        "since": alert.since,
        "created_at": alert.created_at,
    }


def alert_line(alert: Alert) -> str:
    value = "" if alert.value is None else f"  {alert.rule.shown(alert.value)}"
    return f"{alert.state:<8} {alert.rule}{value}"


def _finding(finding: Finding) -> dict[str, object]:
    return {
        "rule": finding.rule,
        "kind": finding.kind,
        "ok": finding.ok,
        "value": finding.value,
        "detail": finding.detail,
    }


def _check(check: EndpointCheck) -> dict[str, object]:
    return {"endpoint": check.endpoint, "ok": check.ok, "rules": [_finding(each) for each in check.rules]}


def _check_view(check: EndpointCheck, _width: int) -> str:
    lines = [f"{check.endpoint}: {'all is well' if check.ok else 'not well'}"]
    lines += [f"  {'ok  ' if each.ok else 'FAIL'}  {each.kind:<5}  {each.rule}: {each.detail}" for each in check.rules]
    return "\n".join(lines)


def _check_summary(check: EndpointCheck) -> str:
    lines = [f"### {check.endpoint}: {'ok' if check.ok else 'failed'}", "", "| rule | ok | found |", "|---|---|---|"]
    lines += [f"| {each.rule} | {'yes' if each.ok else '**no**'} | {each.detail} |" for each in check.rules]
    return "\n".join(lines) + "\n"


RENDERINGS: dict[type, Rendering] = {
    Alert: Rendering(
        document=alert_document,
        columns=("name", "rule", "state", "value", "since"),
        view=lambda alert, _width: alert_line(alert),
    ),
    AlertDeleted: Rendering(
        document=lambda deleted: {"endpoint": deleted.endpoint, "name": deleted.name, "deleted": True},
        view=lambda deleted, _width: f"deleted alert {deleted.name} of {deleted.endpoint}",
    ),
    EndpointCheck: Rendering(
        document=_check,
        columns=("endpoint", "ok", "rules"),
        view=_check_view,
        outputs=lambda check: {"ok": str(check.ok).lower()},
        summary=_check_summary,
    ),
}
