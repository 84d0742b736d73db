"""Training: begin a job, wait for it with its trials live, and judge what it found."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from opsml_cli.domain import names
from opsml_cli.domain.clock import Clock, SystemClock
from opsml_cli.domain.durations import format_duration
from opsml_cli.domain.errors import CancelledError, GateError, NotFinishedError, OpsmlError, WorkFailedError
from opsml_cli.domain.job import AutoMLSpec, Job, JobState, TableSource
from opsml_cli.domain.progress import Progress
from opsml_cli.domain.workspace import Workspace
from opsml_cli.services.wait import slowest_poll, wait_for

if TYPE_CHECKING:
    from opsml_cli.domain.gates import Gate

# What can only be an asset: a file has a suffix, or stands behind a `/`.
_ASSET = re.compile(r"(?:azureml:)?[A-Za-z0-9][A-Za-z0-9_-]*(?::[A-Za-z0-9][A-Za-z0-9._-]*|@latest)?\Z", re.ASCII)


def table_source(text: str) -> TableSource:
    """An asset (`name`, `name:version`, `name@latest`) or a path; a file without suffix is written `./name`."""
    if _ASSET.match(text):
        return TableSource(asset=names.parse_ref(text))
    return TableSource(path=text)


def train(
    workspace: Workspace,
    spec: AutoMLSpec,
    progress: Progress,
    *,
    wait: bool = True,
    timeout: float | None = None,
    clock: Clock | None = None,
) -> Job:
    """Begin the job; with `wait`, follow it to its end, at most `timeout` seconds.

    WorkFailedError when it failed or was canceled, GateError when a gate said no, NotFinishedError after `timeout`, and
    CancelledError on Ctrl-C: in the last two the job goes on."""
    from opsml_cli.domain.gates import parse_gate

    gates = [parse_gate(text) for text in spec.gates]
    job = workspace.jobs.begin_automl(spec)
    for note in job.notes:
        progress.note(note)
    if job.status is not JobState.NOT_STARTED or job.started_at is not None:
        progress.note(f"job {job.name} does exactly this already; following it (another --seed makes it another training)")
    elif job.attempts > 1:
        progress.note(f"job {job.name} goes on: its process had died; its finished trials are kept")
    if not wait:
        progress.note(f"job {job.name} runs in the background; see it with: opsml jobs show {job.name}")
        return job
    done = follow(workspace, job.name, progress, timeout=timeout, clock=clock)
    judge(workspace, done, gates)
    return done


def follow(
    workspace: Workspace, name: str, progress: Progress, *, timeout: float | None = None, clock: Clock | None = None
) -> Job:
    """Wait for the job's end and return it; raises as `train` does, but for gates."""
    started_with = timeout

    def still_running(job: Job) -> NotFinishedError:
        return NotFinishedError(
            f"job {job.name} is {job.status} after {format_duration(started_with or 0)} of waiting; it goes on",
            fix=f"opsml jobs watch {job.name}",
        )

    try:
        job = wait_for(
            lambda: workspace.jobs.get(name),
            lambda found: found.status.finished,
            timeout=timeout,
            clock=clock or SystemClock(),
            on_update=progress.job,
            still_running=still_running,
            slowest=slowest_poll(workspace),
        )
    except KeyboardInterrupt as interrupt:
        raise CancelledError(
            f"interrupted; job {name} goes on", fix=f"opsml jobs watch {name}, or to end it: opsml jobs cancel {name} --yes"
        ) from interrupt
    failure = failure_of(job)
    if failure is not None:
        raise failure
    return job


def failure_of(job: Job) -> OpsmlError | None:
    """The error that a finished job's verdict is; None when it completed."""
    if job.status is JobState.CANCELED:
        return WorkFailedError(f"job {job.name} was canceled", fix=f"opsml jobs show {job.name} has what it found until then")
    if job.status is JobState.FAILED:
        return WorkFailedError(
            f"job {job.name} failed: {job.error or 'no reason is known'}", fix=f"the whole story: opsml jobs logs {job.name}"
        )
    return None


def judge(workspace: Workspace, job: Job, gates: Sequence[Gate]) -> None:
    """GateError naming every gate that says no to what the job found."""
    if not gates or job.automl is None:
        return
    from opsml_cli.domain.gates import evaluate

    deployed = _deployed_metrics(workspace, job) if any(gate.needs_deployed for gate in gates) else None
    verdicts = [evaluate(gate, job.automl, deployed) for gate in gates]
    refused = [verdict for verdict in verdicts if not verdict.passed]
    if refused:
        raise GateError(
            f"job {job.name} completed, and {'a gate says' if len(refused) == 1 else f'{len(refused)} gates say'} no",
            cause="; ".join(f"{verdict.gate}: {verdict.detail}" for verdict in refused),
            fix=f"opsml jobs show {job.name} has the figures; its model is registered, and nothing was deployed",
        )


def _deployed_metrics(workspace: Workspace, job: Job) -> Mapping[str, float] | None:
    """Metrics of the version of this job's model that gets the most traffic of any endpoint; None when none is served."""
    pointer = job.automl.model if job.automl is not None else None
    if pointer is None:
        return None
    served = [
        (endpoint.traffic.get(deployment.name, 0), deployment.created_at, deployment.model)
        for endpoint in workspace.online_endpoints.list()
        for deployment in endpoint.deployments
        if names.key(deployment.model.name) == names.key(pointer.name) and deployment.model.version != pointer.version
    ]
    if not served:
        return None
    model = max(served, key=lambda one: one[:2])[2]
    return workspace.models.get(names.AssetRef(model.name, model.version)).metrics
