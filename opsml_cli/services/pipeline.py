"""Pipelines: begin a run, follow its steps live, and end with its verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from opsml_cli.domain.clock import Clock, SystemClock
from opsml_cli.domain.durations import format_duration
from opsml_cli.domain.errors import CancelledError, NotFinishedError, WorkFailedError
from opsml_cli.domain.job import JobState
from opsml_cli.domain.pipeline import PipelineRun, TriggerPipeline
from opsml_cli.domain.progress import Progress
from opsml_cli.domain.workspace import Workspace
from opsml_cli.services.wait import wait_for


@dataclass(frozen=True, slots=True)
class PipelineUrl:
    """Where a pipeline is triggered. `command`, when asked for, holds no secret."""

    pipeline: str
    version: str
    url: str | None
    command: str | None = None


@dataclass(frozen=True, slots=True)
class PipelineDeleted:
    """What `pipeline delete` took away; its runs stay."""

    pipeline: str
    versions: tuple[str, ...]


def trigger(
    workspace: Workspace,
    spec: TriggerPipeline,
    progress: Progress,
    *,
    wait: bool = True,
    timeout: float | None = None,
    clock: Clock | None = None,
) -> PipelineRun:
    """Trigger a published pipeline; with `wait`, follow the run to its end, at most `timeout` seconds.

    WorkFailedError when it failed or was canceled, NotFinishedError after `timeout`, CancelledError on Ctrl-C; in the last
    two the run goes on."""
    wait = wait and not spec.dry_run
    return _followed(
        workspace, lambda: workspace.pipelines.begin_trigger(spec), progress, wait=wait, timeout=timeout, clock=clock
    )


def run(
    workspace: Workspace,
    path: str,
    inputs: Mapping[str, str],
    experiment: str | None,
    progress: Progress,
    *,
    wait: bool = True,
    timeout: float | None = None,
    clock: Clock | None = None,
) -> PipelineRun:
    """Run a pipeline file without publishing it; otherwise as `trigger`."""
    return _followed(
        workspace,
        lambda: workspace.pipelines.begin_run(path, inputs, experiment),
        progress,
        wait=wait,
        timeout=timeout,
        clock=clock,
    )


def _followed(
    workspace: Workspace,
    begin: Callable[[], PipelineRun],
    progress: Progress,
    *,
    wait: bool,
    timeout: float | None,
    clock: Clock | None,
) -> PipelineRun:
    begun = begin()
    name = begun.run
    if not wait:
        if name:
            progress.note(f"run {name} goes on; follow it with: opsml jobs watch {name}")
        return begun

    def still_running(run: PipelineRun) -> NotFinishedError:
        return NotFinishedError(
            f"run {name} is {run.status} after {format_duration(timeout or 0)} of waiting; it goes on",
            fix=f"opsml jobs watch {name}",
        )

    try:
        ended = wait_for(
            lambda: workspace.pipelines.run(name),
            lambda found: found.status.finished,
            timeout=timeout,
            clock=clock or SystemClock(),
            on_update=progress.run,
            still_running=still_running,
            slowest=0.5,
        )
    except KeyboardInterrupt as interrupt:
        raise CancelledError(
            f"interrupted; run {name} goes on", fix=f"opsml jobs watch {name}, or to end it: opsml jobs cancel {name} --yes"
        ) from interrupt
    failure = failure_of(ended)
    if failure is not None:
        raise failure
    return ended


def failure_of(run: PipelineRun) -> WorkFailedError | None:
    """The error that a finished run's verdict is; None when it completed."""
    if run.status is JobState.COMPLETED:
        return None
    if run.status is JobState.CANCELED:
        return WorkFailedError(f"run {run.run} was canceled", fix=f"opsml jobs show {run.run} says how far it came")
    return WorkFailedError(
        f"run {run.run} failed: {run.error or 'no reason is known'}", fix=f"the whole story: opsml jobs logs {run.run}"
    )
