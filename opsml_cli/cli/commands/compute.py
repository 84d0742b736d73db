"""`opsml compute …`"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.result import Planned, Verdict
from opsml_cli.cli.session import Session
from opsml_cli.domain.compute import DEFAULT_SIZE, Compute, ComputeCreated, CreateCompute
from opsml_cli.services import computes as services

Name = Annotated[str, typer.Argument(metavar="NAME", help="The compute's name.")]


def list_(session: Session) -> Sequence[Compute]:
    """List computes. In a local workspace jobs run on this machine, whatever compute they name.

    Example: opsml compute list
    """
    return session.workspace.computes.list()


def show(session: Session, name: Name) -> Compute:
    """Show a compute.

    Example: opsml compute show cpu-cluster -w azure
    """
    return session.workspace.computes.get(name)


def create(
    session: Session,
    name: Name,
    size: Annotated[str, typer.Option("--size", metavar="SIZE", help="Azure's name of a machine size.")] = DEFAULT_SIZE,
    min_nodes: Annotated[int, typer.Option("--min-nodes", min=0, help="Nodes that stay without work.")] = 0,
    max_nodes: Annotated[int, typer.Option("--max-nodes", min=1, help="The most nodes.")] = 1,
    idle: Annotated[
        float,
        typer.Option("--idle", parser=options.seconds, metavar="DURATION", help="How long an idle node stays."),
    ] = 120.0,
    low_priority: Annotated[bool, typer.Option("--low-priority", help="Cheaper nodes that may be taken away.")] = False,
    description: options.Description = None,
    no_wait: options.NoWait = False,
    wait_timeout: options.WaitTimeout = None,
    dry_run: options.DryRun = False,
) -> ComputeCreated | Planned | Verdict:
    """Make a compute cluster, or change the scale of the one that is there.

    Example: opsml compute create cpu-cluster --size Standard_DS3_v2 --max-nodes 4 -w azure
    """
    spec = CreateCompute(name, size, min_nodes, max_nodes, idle, low_priority, description, dry_run)
    made = session.workspace.computes.begin_create(spec)
    if dry_run:
        found = made.compute
        details: dict[str, object] = {
            "size": found.size,
            "min_nodes": found.min_nodes,
            "max_nodes": found.max_nodes,
            "unchanged": made.unchanged,
        }
        return Planned("leave unchanged" if made.unchanged else "create", f"compute {found.name}", details)
    if no_wait:
        return _verdict(made)
    return _verdict(services.ready(session.workspace, made, session.progress, timeout=wait_timeout))


def _verdict(made: ComputeCreated) -> ComputeCreated | Verdict:
    failure = services.failure_of(made.compute)
    return made if failure is None else Verdict(made, failure)
