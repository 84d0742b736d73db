"""Computes: made, waited for, and made on the way when a job asks for one that is not there."""

from __future__ import annotations

from opsml_cli.domain.clock import Clock, SystemClock
from opsml_cli.domain.compute import SERVERLESS, Compute, ComputeCreated, ComputeState, CreateCompute
from opsml_cli.domain.errors import NotFinishedError, NotFoundError, WorkFailedError
from opsml_cli.domain.progress import Progress
from opsml_cli.domain.workspace import Workspace
from opsml_cli.services.wait import wait_for


def ready(
    workspace: Workspace,
    made: ComputeCreated,
    progress: Progress,
    *,
    timeout: float | None = None,
    clock: Clock | None = None,
) -> ComputeCreated:
    """Wait until the compute's state is final, at most `timeout` seconds: NotFinishedError after them."""
    if made.compute.state.finished:
        return made
    found = wait_for(
        lambda: workspace.computes.get(made.compute.name),
        lambda compute: compute.state.finished,
        timeout=timeout,
        clock=clock or SystemClock(),
        on_update=lambda compute: progress.phase(f"compute {compute.name}: {compute.state}"),
        still_running=lambda compute: NotFinishedError(
            f"compute {compute.name} is {compute.state} still", fix=f"opsml compute show {compute.name}"
        ),
        slowest=5.0,
    )
    return ComputeCreated(found, made.unchanged)


def failure_of(compute: Compute) -> WorkFailedError | None:
    if compute.state is not ComputeState.FAILED:
        return None
    return WorkFailedError(f"compute {compute.name} could not be made", cause=compute.error)


def ensure(workspace: Workspace, spec: CreateCompute, progress: Progress, *, timeout: float | None = None) -> None:
    """Make the cluster unless one of that name is there, whatever its size and scale. WorkFailedError when it failed."""
    if spec.name.casefold() == SERVERLESS:
        return
    spec.check()
    try:
        if workspace.computes.get(spec.name).state is not ComputeState.FAILED:
            return
    except NotFoundError:
        progress.note(f"compute {spec.name} is not there: making it, {spec.size} with at most {spec.max_nodes} nodes")
    made = workspace.computes.begin_create(spec)
    if spec.dry_run:
        return
    done = ready(workspace, made, progress, timeout=timeout)
    failure = failure_of(done.compute)
    if failure is not None:
        raise failure
