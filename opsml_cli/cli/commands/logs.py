"""`opsml logs`"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.session import Session

if TYPE_CHECKING:
    from opsml_cli.domain.insights import LogLine


def logs(
    session: Session,
    endpoint: options.EndpointName,
    deployment: options.Deployment = None,
    tail: Annotated[int | None, typer.Option("--tail", metavar="N", min=1, help="The last N lines only.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until interrupted.")] = False,
    since: options.Since = None,
    grep: Annotated[
        str | None, typer.Option("--grep", metavar="RE", help="Lines whose message matches a regular expression.")
    ] = None,
    level: Annotated[
        str | None, typer.Option("--level", metavar="LEVEL", help="The lowest level: debug, info, warning or error.")
    ] = None,
    container: Annotated[bool, typer.Option("--container", help="What the server wrote, without request lines.")] = False,
) -> Iterator[LogLine]:
    """Show what the endpoint's server wrote and the requests it recorded, as one stream in the order of time.

    Example: opsml logs bank --since 10m --level warning --follow
    """
    from opsml_cli.domain.insights import LogQuery

    query = LogQuery(
        deployment=deployment,
        tail=tail,
        follow=follow,
        since_seconds=since,
        grep=grep,
        level=level,
        kind="container" if container else None,
    )
    return session.workspace.insights.logs(endpoint, query)
