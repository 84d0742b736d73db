"""`opsml workspace …`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.result import Planned, Verdict
from opsml_cli.cli.session import Session
from opsml_cli.domain.access import DEFAULT_ROLE
from opsml_cli.workspaces import Choice, choose

if TYPE_CHECKING:
    from opsml_cli.domain.access import WorkspaceState
    from opsml_cli.services.share import SharedWorkspace


def show(session: Session) -> Choice:
    """Show the workspace that commands act on, and why it is that one.

    Example: opsml workspace show -o json
    """
    return choose(session.loaded)


def create(
    session: Session,
    location: Annotated[
        str | None, typer.Option("--location", metavar="REGION", help="The Azure region; by default the resource group's.")
    ] = None,
    description: options.Description = None,
    no_wait: options.NoWait = False,
    wait_timeout: options.WaitTimeout = None,
    dry_run: options.DryRun = False,
) -> WorkspaceState | Planned | Verdict:
    """Make the workspace that the settings name: on Azure with its storage, key vault and insights, in its resource group.

    Example: opsml workspace create --location westeurope -w azure
    """
    from opsml_cli.domain.access import CreateWorkspace
    from opsml_cli.domain.clock import SystemClock
    from opsml_cli.domain.errors import NotFinishedError, WorkFailedError
    from opsml_cli.services.wait import wait_for

    creation = session.workspace.creation
    begun = creation.begin(CreateWorkspace(location, description, dry_run))
    if dry_run:
        details: dict[str, object] = {"location": begun.location, "unchanged": begun.unchanged}
        return Planned("leave unchanged" if begun.unchanged else "create", f"workspace {begun.name}", details)
    if no_wait or begun.finished:
        return begun
    found = wait_for(
        creation.state,
        lambda state: state.finished,
        timeout=wait_timeout,
        clock=SystemClock(),
        on_update=lambda state: session.progress.phase(f"workspace {state.name}: {state.detail or state.state}"),
        still_running=lambda state: NotFinishedError(
            f"workspace {state.name} is being made still", fix="opsml workspace create, to go on waiting"
        ),
        slowest=5.0,
    )
    if found.state == "Failed":
        return Verdict(found, WorkFailedError(f"workspace {found.name} could not be made", cause=found.detail))
    return found


def share(
    session: Session,
    principal: Annotated[
        str | None,
        typer.Argument(metavar="[PRINCIPAL]", help="An object id, an application's name, or a user's address."),
    ] = None,
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="Azure's name of a role.")] = DEFAULT_ROLE,
    create_principal: Annotated[
        str | None, typer.Option("--create-principal", metavar="NAME", help="Make a service principal, and share with it.")
    ] = None,
    secret_file: Annotated[
        Path | None,
        typer.Option("--secret-file", metavar="FILE", help="Where its secret goes (0600); NAME.env unless given."),
    ] = None,
    dry_run: options.DryRun = False,
) -> SharedWorkspace | Planned:
    """Give somebody a role on the workspace.

    With --create-principal an application with a service principal is made; its secret is written to a file (0600) and never
    shown: `set -a; . FILE` signs in with it.

    Example: opsml workspace share --create-principal ci-retrain -w azure
    """
    from opsml_cli.domain.errors import UsageError
    from opsml_cli.services.share import share_with, share_with_new

    if (principal is None) == (create_principal is None):
        raise UsageError("give a principal, or --create-principal NAME", cause="one of the two")
    if secret_file is not None and create_principal is None:
        raise UsageError("--secret-file is for --create-principal")
    file = None
    if create_principal is not None:
        file = (secret_file or Path(f"{create_principal}.env")).expanduser().absolute()
        if file.exists():
            raise UsageError(f"{file} exists already", fix="give another --secret-file, or remove it")
    if dry_run:
        details: dict[str, object] = {"role": role, "secret_file": None if file is None else str(file)}
        action = "share with" if principal is not None else "make, and share with,"
        return Planned(action, str(principal or create_principal), details)
    access = session.workspace.access
    if create_principal is None or file is None:
        return share_with(access, str(principal), role)
    return share_with_new(access, create_principal, role, file, session.output.masking.add)
