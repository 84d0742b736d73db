"""`opsml local …`"""

from __future__ import annotations

from typing import Annotated, cast

import typer

from opsml_cli.cli import options
from opsml_cli.cli.result import Planned, ProcessEnded
from opsml_cli.cli.session import Session
from opsml_cli.domain.emulator import EmulatorOperations
from opsml_cli.domain.errors import UnsupportedError, UsageError
from opsml_cli.domain.service import ServiceEnded, ServiceOperations, ServiceStatus, ServiceToken
from opsml_cli.services import machine


def up(
    session: Session,
    pace: Annotated[
        str | None,
        typer.Option(
            "--pace",
            metavar="PACE",
            help="How long-running operations of the emulator end: fast, azure (as long as there), polls=N or seconds=S.",
        ),
    ] = None,
    inject: Annotated[
        list[str] | None,
        typer.Option(
            "--inject",
            metavar="FAULT",
            help="Rehearse a failure of Azure, such as throttle:verb=PUT,count=2; may be repeated. Kinds: quota, crash, slow, "
            "throttle, unauthorized, error, drop.",
        ),
    ] = None,
    port: Annotated[int | None, typer.Option("--port", help="The emulator's port; else the one it had, or a free one.")] = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Run models and scoring scripts that clients of the emulator register: they are code."),
    ] = False,
    dry_run: options.DryRun = False,
) -> ServiceStatus | Planned:
    """Start what stays on this machine: the service behind pipelines, and the emulator of Azure ML.

    Both listen on loopback only and survive the terminal. A running emulator with other options is started again with these.

    Example: opsml local up
    """
    service, emulator = _service(session), _emulator(session)
    if dry_run:
        found = machine.status(service, emulator)
        both = found.running and found.emulator is not None and found.emulator.running
        return Planned("start", "the local service and the emulator", {"unchanged": both})
    return machine.up(service, emulator, pace=pace, inject=inject or (), port=port, trust=trust)


def down(
    session: Session,
    jobs: Annotated[bool, typer.Option("--jobs", help="Ask running jobs to end too.")] = False,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
) -> ServiceEnded:
    """End the local service, the emulator and every endpoint's server; running jobs go on unless --jobs.

    Example: opsml local down --yes
    """
    service, emulator = _service(session), _emulator(session)
    planned = machine.down(service, emulator, jobs=jobs, dry_run=True)
    if dry_run or not planned.ended:
        return planned
    what = ", ".join(
        f"the {process.kind}" if process.kind in ("service", "emulator") else f"{process.kind} {process.name}"
        for process in planned.ended
    )
    session.confirm(f"End {what}?", yes=yes)
    return machine.down(service, emulator, jobs=jobs, dry_run=False)


def status(session: Session) -> ServiceStatus:
    """Whether the local service and the emulator run, and every process of this workspace.

    Example: opsml local status
    """
    return machine.status(_service(session), _emulator(session))


def env(
    session: Session,
    shell: Annotated[str, typer.Option("--shell", metavar="SHELL", help="bash, fish or powershell.")] = "bash",
) -> machine.Environment:
    """Print the environment in which unmodified scripts for Azure ML find the emulator; it holds a secret.

    The emulator is started where it is down. With -o json it is one object.

    In bash or zsh: eval "$(opsml local env)".

    Example: opsml local env --shell fish
    """
    if shell not in ("bash", "fish", "powershell"):
        raise UsageError(f"--shell {shell!r} is none of bash, fish, powershell")
    return machine.environment(_emulator(session), shell)


def run(
    session: Session,
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND [ARGUMENT]...", help="What to run, after --.")],
) -> ProcessEnded:
    """Run a command for which Azure ML is this machine; its streams, signals and exit code are passed on.

    The emulator is started where it is down, and goes on.

    Example: opsml local run -- python train.py
    """
    from opsml_cli.cli import child

    found = machine.environment(_emulator(session), "bash")
    return child.run(command, child.environment(session.environment, found.variables))


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


def _emulator(session: Session) -> EmulatorOperations:
    from opsml_cli.workspaces import open_emulator

    return open_emulator(session.loaded, session.workspace)
