"""`opsml endpoints …`"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.result import Planned, Verdict
from opsml_cli.cli.session import Session
from opsml_cli.domain.errors import UsageError
from opsml_cli.services.endpoints import DeletedEndpoint, ShownKeys, parse_traffic, shown, start_failure

if TYPE_CHECKING:
    from opsml_cli.domain.endpoint import OnlineEndpoint


def list_(session: Session) -> Sequence[OnlineEndpoint]:
    """List endpoints, newest first.

    Example: opsml endpoints list
    """
    return session.workspace.online_endpoints.list()


def show(session: Session, endpoint: options.EndpointName) -> OnlineEndpoint:
    """Show an endpoint: where it answers, its deployments and their traffic.

    Example: opsml endpoints show bank
    """
    return session.workspace.online_endpoints.get(endpoint)


def start(
    session: Session, endpoint: options.EndpointName, dry_run: options.DryRun = False
) -> OnlineEndpoint | Planned | Verdict:
    """Bring a stopped endpoint up again, with the deployments it had.

    Example: opsml endpoints start bank
    """
    before = session.workspace.online_endpoints.get(endpoint)
    if dry_run:
        return Planned("leave running" if before.running else "start", before.name, {"running": before.running})
    after = session.workspace.online_endpoints.start(endpoint)
    if before.scoring_uri is not None and after.scoring_uri != before.scoring_uri:
        session.progress.warn(f"its port was taken by another program: it answers at {after.scoring_uri} now")
    error = start_failure(before, after)
    return after if error is None else Verdict(after, error)


def stop(session: Session, endpoint: options.EndpointName, dry_run: options.DryRun = False) -> OnlineEndpoint | Planned:
    """Stop an endpoint's server; deployments, keys and address stay.

    Example: opsml endpoints stop bank
    """
    if dry_run:
        before = session.workspace.online_endpoints.get(endpoint)
        return Planned("stop" if before.running else "leave stopped", before.name, {"running": before.running})
    return session.workspace.online_endpoints.stop(endpoint)


def keys(
    session: Session,
    endpoint: options.EndpointName,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show the keys in the clear.")] = False,
) -> ShownKeys:
    """Show an endpoint's keys, masked unless --reveal.

    Example: opsml endpoints keys bank --reveal
    """
    return shown(endpoint, session.workspace.online_endpoints.keys(endpoint), reveal=reveal)


def rotate_keys(
    session: Session,
    endpoint: options.EndpointName,
    key: Annotated[str, typer.Option("--key", help="primary or secondary.")] = "primary",
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
) -> ShownKeys | Planned:
    """Replace one of an endpoint's two keys; the other goes on working.

    Example: opsml endpoints rotate-keys bank --key secondary --yes
    """
    if key not in ("primary", "secondary"):
        raise UsageError(f"--key {key!r} is no key", cause="expected primary or secondary")
    operations = session.workspace.online_endpoints
    name = operations.get(endpoint).name
    if dry_run:
        return Planned(f"replace the {key} key of", name, {"key": key})
    session.confirm(f"Replace the {key} key of {name}? Clients that use it are refused from then on.", yes=yes)
    return shown(name, operations.rotate_keys(name, key), reveal=False)


def traffic(
    session: Session,
    endpoint: options.EndpointName,
    shares: Annotated[list[str], typer.Argument(metavar="NAME=PERCENT...", help="The sum is 100, or 0 for none.")],
    dry_run: options.DryRun = False,
) -> OnlineEndpoint | Planned:
    """Set the percentages of traffic by deployment.

    Example: opsml endpoints traffic bank blue=90 green=10
    """
    wanted = parse_traffic(shares)
    if dry_run:
        before = session.workspace.online_endpoints.get(endpoint)
        return Planned("set the traffic of", before.name, {"from": dict(before.traffic), "to": wanted})
    return session.workspace.online_endpoints.set_traffic(endpoint, wanted)


def rollback(session: Session, endpoint: options.EndpointName, dry_run: options.DryRun = False) -> OnlineEndpoint | Planned:
    """Set the traffic back to what it was before its last change.

    A canary is one change: after a success back to what served before it; after a failure, which put the traffic back itself,
    to what was before that.

    Example: opsml endpoints rollback bank
    """
    if dry_run:
        before = session.workspace.online_endpoints.get(endpoint)
        return Planned("roll back the traffic of", before.name, {"from": dict(before.traffic), "to": before.previous_traffic})
    return session.workspace.online_endpoints.rollback(endpoint)


def delete(
    session: Session,
    endpoint: options.EndpointName,
    deployment: options.Deployment = None,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
) -> DeletedEndpoint | Planned:
    """Delete an endpoint with its logs and keys, or one deployment that has no traffic.

    Example: opsml endpoints delete bank --deployment green --yes
    """
    operations = session.workspace.online_endpoints
    found = operations.get(endpoint)
    what = f"{found.name}/{deployment}" if deployment else found.name
    if dry_run:
        return Planned("delete", what, {"deployments": [each.name for each in found.deployments]})
    session.confirm(f"Delete {what}?", yes=yes)
    operations.delete(found.name, deployment)
    return DeletedEndpoint(found.name, deployment)
