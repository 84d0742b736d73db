"""`opsml insights alerts` and `opsml insights check`"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.result import Planned, Verdict
from opsml_cli.cli.session import Session

if TYPE_CHECKING:
    from opsml_cli.domain.alert import Alert
    from opsml_cli.services.alerts import AlertDeleted


def alerts(
    session: Session,
    endpoint: options.EndpointName,
    alert: Annotated[
        list[str] | None,
        typer.Option("--alert", metavar="RULE", help="A new rule, as 'p95>100ms for 5m' or 'errors>1%'; repeatable."),
    ] = None,
    delete: Annotated[str | None, typer.Option("--delete", metavar="NAME", help="Delete this rule.")] = None,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
) -> Sequence[Alert] | AlertDeleted | Planned:
    """List the alert rules of an endpoint and how they stand; with --alert add some, with --delete take one away.

    What can be measured: p50, p95, p99 (ms or s), errors (% of requests), failures, requests, rate (requests a second), over
    a window such as 'for 5m'. The local service looks every five seconds; a rule that begins to fire is told in `opsml logs`.

    Example: opsml insights alerts bank --alert 'p95>100ms for 5m' --alert 'errors>1%'
    """
    from opsml_cli.domain.alert import parse_alert
    from opsml_cli.domain.errors import UsageError
    from opsml_cli.services.alerts import AlertDeleted

    group = session.workspace.alerts
    rules = [parse_alert(text) for text in alert or ()]
    if delete is not None:
        if rules:
            raise UsageError("--alert and --delete do not go together", fix="run the command twice")
        if dry_run:
            known = [each.name for each in group.list(endpoint)]
            return Planned("delete", f"alert {delete} of endpoint {endpoint}", {"found": delete in known})
        session.confirm(f"Delete alert {delete} of endpoint {endpoint}?", yes=yes)
        group.delete(endpoint, delete)
        return AlertDeleted(endpoint, delete)
    if dry_run:
        known = [str(each.rule) for each in group.list(endpoint)]
        return Planned("watch", f"endpoint {endpoint}", {"new": [str(rule) for rule in rules if str(rule) not in known]})
    for rule in rules:
        group.create(endpoint, rule)
    if rules and not session.workspace.online_endpoints.get(endpoint).insights:
        session.progress.warn(f"requests are not recorded, so no rule sees any: opsml insights enable {endpoint}")
    return group.list(endpoint)


def check(
    session: Session,
    endpoint: options.EndpointName,
    slo: Annotated[
        list[str] | None,
        typer.Option("--slo", metavar="CONDITIONS", help="What must hold besides, as 'p95<50ms,errors<1%'; repeatable."),
    ] = None,
    since: options.Since = None,
) -> Verdict:
    """Check the endpoint's alert rules, and --slo over the last five minutes or --since, now. Exit code 10: something is
    broken. An objective without a single request is broken: nothing proves that it holds.

    Example: opsml insights check bank --slo 'p95<50ms,errors<1%' --since 15m
    """
    from opsml_cli.domain.alert import WINDOW
    from opsml_cli.services.alerts import check

    found, error = check(session.workspace, endpoint, slo or (), since or WINDOW)
    return Verdict(found, error)
