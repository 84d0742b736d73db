"""Runs of pipelines: begun, read as they are, and settled when their process died."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from opsml_cli.domain import names
from opsml_cli.domain.errors import ConflictError, NotFoundError
from opsml_cli.domain.job import Job, JobKind, JobState
from opsml_cli.domain.pipeline import PipelineRun, Step
from opsml_cli.local import job_process, job_records
from opsml_cli.local.clock import now, seconds_between
from opsml_cli.local.job_records import Record
from opsml_cli.local.layout import Layout
from opsml_cli.local.pipelines import records
from opsml_cli.local.pipelines.dead_runs import settle_steps
from opsml_cli.local.pipelines.records import RunRecord, StepRecord
from opsml_cli.local.pipelines.values import Value
from opsml_cli.local.store import Store

if TYPE_CHECKING:
    import sqlite3

    from opsml_cli.local.jobs import LocalJobs
    from opsml_cli.local.pipelines.definition import PipelineDefinition
    from opsml_cli.local.pipelines.snapshot import Snapshot

RUNNER = "opsml_cli.local.pipelines.run"
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(frozen=True, slots=True)
class Labels:
    """What a run is called, and as what it counts: a command job is a run of one step. `name` None: a new one is made.
    `schedule`: the one that began it."""

    name: str | None = None
    kind: JobKind = JobKind.PIPELINE
    display_name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    schedule: str | None = None


class Runs:
    """The pipeline runs of one workspace."""

    def __init__(self, layout: Layout, store: Store, workspace: str, jobs: LocalJobs) -> None:
        self._layout = layout
        self._store = store
        self._workspace = workspace
        self._jobs = jobs

    def of_request(self, request_key: str, request_body: str | None) -> str | None:
        """The run that a client's request started; ConflictError when it asked for something else then."""
        with self._store.read() as connection:
            earlier = records.run_of_request(connection, request_key)
        if earlier is None:
            return None
        if earlier.request_body != request_body:
            raise ConflictError(
                "this request id was used for another request", fix="send a new x-ms-client-request-id for a new run"
            )
        return earlier.run

    def start(
        self,
        run: RunRecord,
        definition: PipelineDefinition,
        snapshot: Snapshot,
        experiment: str | None,
        labels: Labels | None = None,
        *,
        with_it: Callable[[sqlite3.Connection], None] | None = None,
    ) -> tuple[str, bool]:
        """Record the run and start its process. Its name, and whether this call made it (see `request_key`).
        ConflictError when the name that `labels` asks for is taken.

        `with_it` writes in the transaction that records the run; who gives it also starts what was recorded and not started
        (`launch`) if this process dies."""
        experiment = names.asset_name(experiment or definition.experiment or "Default", "experiment name")
        labels = labels or Labels()
        while True:
            name = labels.name or _new_name()
            job = Job(
                name=name,
                kind=labels.kind,
                status=JobState.NOT_STARTED,
                experiment=experiment,
                workspace=self._workspace,
                created_at=now(),
                display_name=labels.display_name or definition.display_name or run.pipeline,
                tags=dict(labels.tags),
                spec={
                    "pipeline": run.pipeline,
                    "version": run.version,
                    "inputs": {key: str(value) for key, value in run.inputs.items()},
                    **({"schedule": labels.schedule} if labels.schedule is not None else {}),
                },
            )
            named = replace(run, run=name)
            with self._store.write() as connection:
                if run.request_key is not None and records.run_of_request(connection, run.request_key) is not None:
                    break  # the same request, sent twice at once: the other was first
                # Without a launcher nobody takes the job for dead before its process was started.
                launcher = job_process.this_process(self._layout) if with_it is None else None
                if not job_records.insert(connection, Record(job, launcher=launcher)):
                    if labels.name is not None:
                        raise ConflictError(f"job {labels.name} exists", fix="choose another name")
                    continue
                records.insert_run(connection, named, snapshot.document())
                for sequence, step in enumerate(definition.steps):
                    records.save_step(
                        connection, StepRecord(name, step.name, sequence, JobState.NOT_STARTED, step.type, step.needs)
                    )
                if with_it is not None:
                    with_it(connection)
            self.launch(name)
            return name, True
        assert run.request_key is not None
        earlier = self.of_request(run.request_key, run.request_body)
        assert earlier is not None
        return earlier, False

    def launch(self, name: str) -> None:
        """Start the process of a recorded run. Of two that are started for one run, the second ends at once."""
        job_process.launch(self._layout, self._store, name, RUNNER, [str(self._layout.root), name])

    def read(self, name: str) -> PipelineRun:
        """The run as it truly is. NotFoundError when `name` is no pipeline run."""
        with self._store.read() as connection:
            record = job_records.load(connection, name)
            run = records.load_run(connection, name)
        if record is not None and run is None and record.job.kind is JobKind.PIPELINE:
            # It ended before its pipeline was put together: there are no steps, and its error says why.
            return _run_view(job_process.settle(self._layout, self._store, record).job, self._workspace, None, ())
        if record is None or run is None:
            raise NotFoundError(f"no pipeline run {name!r}", fix="opsml jobs list shows what there is")
        record = job_process.settle(self._layout, self._store, record)
        with self._store.read() as connection:
            run = records.load_run(connection, name) or run
            steps = records.steps(connection, name)
        if record.job.status.finished and any(not step.status.finished for step in steps):
            steps = list(settle_steps(self._layout, self._store, self._jobs, record))
        return _run_view(record.job, self._workspace, run, steps)


def _run_view(job: Job, workspace: str, run: RunRecord | None, steps: Sequence[StepRecord]) -> PipelineRun:
    return PipelineRun(
        run=job.name,
        pipeline=run.pipeline if run is not None else None,
        version=run.version if run is not None else None,
        status=job.status,
        steps=tuple(_step_view(step) for step in steps),
        outputs={name: value.uri or str(value) for name, value in run.outputs.items()} if run is not None else {},
        experiment=job.experiment,
        created_at=job.created_at,
        workspace=workspace,
        started_at=job.started_at,
        ended_at=job.ended_at,
        duration_seconds=job.duration_seconds,
        inputs={name: plain(value) for name, value in run.inputs.items()} if run is not None else {},
        error=job.error,
    )


def plain(value: Value) -> object:
    """The value as a reader of the run sees it: the literal itself, or how others name the content."""
    return value.literal if value.literal is not None else str(value)


def _step_view(step: StepRecord) -> Step:
    duration = None
    if step.started_at is not None and step.ended_at is not None:
        duration = max(0.0, round(seconds_between(step.started_at, step.ended_at), 3))
    return Step(
        name=step.name,
        status=step.status,
        duration_seconds=duration,
        reused=step.origin is not None,
        type=step.type,
        needs=step.needs,
        job=step.job,
        detail=step.detail,
    )


def _new_name() -> str:
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return f"pipeline-{moment}-{''.join(secrets.choice(_LETTERS) for _ in range(4))}"
