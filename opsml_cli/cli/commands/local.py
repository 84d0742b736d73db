"""`opsml local …`"""

from __future__ import annotations

from typing import Annotated, cast

import typer

from opsml_cli.cli import options
from opsml_cli.cli.result import Planned
from opsml_cli.cli.session import Session
from opsml_cli.domain.errors import UnsupportedError
from opsml_cli.domain.service import ServiceEnded, ServiceOperations, ServiceStatus, ServiceToken


def up(session: Session, dry_run: options.DryRun = False) -> ServiceStatus | Planned:
    """Start the local service: pipeline REST endpoints on this machine. It survives the terminal.

    Example: opsml local up
    """
    service = _service(session)
    if dry_run:
        status = service.status()
        return Planned("start", "the local service", {"unchanged": status.running})
    return service.up()


def down(
    session: Session,
    jobs: Annotated[bool, typer.Option("--jobs", help="Ask running jobs to end too.")] = False,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
) -> ServiceEnded:
    """End the local service and every endpoint's server; running jobs go on unless --jobs.

    Example: opsml local down --yes
    """
    service = _service(session)
    planned = service.down(jobs=jobs, dry_run=True)
    if dry_run or not planned.ended:
        return planned
    what = ", ".join(
        f"{process.kind} {process.name}" if process.kind != "service" else "the service" for process in planned.ended
    )
    session.confirm(f"End {what}?", yes=yes)
    return service.down(jobs=jobs, dry_run=False)


def status(session: Session) -> ServiceStatus:
    """Whether the local service runs, and every process of this workspace.

    Example: opsml local status
    """
    return _service(session).status()


def token(session: Session) -> ServiceToken:
    """Print the local service's bearer token, and nothing else.

    Example: opsml local token
    """
    return _service(session).token()


def _service(session: Session) -> ServiceOperations:
    workspace = session.workspace
    if workspace.kind != "local":
        raise UnsupportedError(
            f"workspace {workspace.name} is not on this machine: it has no local service", fix="add -w local to the command"
        )
    return cast(ServiceOperations, getattr(workspace, "service"))  # noqa: B009 - of local workspaces alone
