"""`opsml insights …`"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.session import Session

if TYPE_CHECKING:
    from opsml_cli.services.alerts import WatchedStats
    from opsml_cli.services.insights import InsightsSwitched

_WINDOW = 3600.0  # seconds
_REFRESH = 2.0


def enable(session: Session, endpoint: options.EndpointName, dry_run: options.DryRun = False) -> InsightsSwitched:
    """Record the endpoint's requests from now on: time, deployment, status, duration, sizes, user agent. No inputs.

    Example: opsml insights enable bank
    """
    from opsml_cli.services.insights import switch

    return switch(session.workspace, endpoint, True, dry_run=dry_run)


def disable(session: Session, endpoint: options.EndpointName, dry_run: options.DryRun = False) -> InsightsSwitched:
    """Stop recording the endpoint's requests; what was recorded stays until it is old.

    Example: opsml insights disable bank
    """
    from opsml_cli.services.insights import switch

    return switch(session.workspace, endpoint, False, dry_run=dry_run)


def show(
    session: Session,
    endpoint: options.EndpointName,
    since: options.Since = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on, with new figures every two seconds.")] = False,
) -> WatchedStats | Iterator[WatchedStats]:
    """Show requests, failures and latency of the last hour, or of --since.

    Example: opsml insights show bank --since 15m
    """
    from opsml_cli.services.alerts import watched

    window = since or _WINDOW
    if not watch:
        return watched(session.workspace, endpoint, window)
    return _watched(session, endpoint, window)


def _watched(session: Session, endpoint: str, window: float) -> Iterator[WatchedStats]:
    from opsml_cli.services.alerts import watched

    while True:
        begun = time.monotonic()
        yield watched(session.workspace, endpoint, window)
        # Reading millions of records takes its time: watching may use a fifth of it.
        time.sleep(max(_REFRESH, 4 * (time.monotonic() - begun)))
