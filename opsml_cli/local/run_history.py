"""Run history: every job of the workspace and what it consists of, as a tree of runs with Azure's ids.

A training `n` has `n_setup`, `n_featurize`, one child `n_0`, `n_1`, … a trial in the order they finished, and
`n_ModelExplain`. A pipeline's children are its steps, each a GUID; a step that trains is the training's own job.
Nothing is stored for this: it is read from jobs, trials and steps. Where their files lie is told by `run_files`."""

from __future__ import annotations

import re
import sqlite3
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from opsml_cli.domain import names
from opsml_cli.domain.errors import NotFoundError
from opsml_cli.domain.job import Job, JobKind, JobState, Trial
from opsml_cli.local import job_records
from opsml_cli.local.clock import parse, stamp
from opsml_cli.local.jobs import LocalJobs
from opsml_cli.local.pipelines import records as pipeline_records
from opsml_cli.local.pipelines.records import StepRecord
from opsml_cli.local.pipelines.values import Value
from opsml_cli.local.store import Store

if TYPE_CHECKING:
    from opsml_cli.local.pipelines.operations import LocalPipelines

_CHILD = re.compile(r"(.+)_([0-9]{1,6}|setup|featurize|ModelExplain)\Z", re.ASCII | re.DOTALL)
_RUNS = uuid.UUID("6f27b1c6-5b0e-4f0f-9f4e-9a1d5f6f2c11")


class RunKind(StrEnum):
    AUTOML = "automl"
    SETUP = "setup"
    FEATURIZE = "featurize"
    TRIAL = "trial"
    EXPLAIN = "ModelExplain"
    PIPELINE = "pipeline"
    STEP = "step"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Run:
    """One run. `job` is the job it is, or is a part of; `number` and `trial` of a TRIAL, `step` of a STEP and of a training
    that a step began. `best`: the
    trial whose model the training gives out. Times are ISO 8601 UTC."""

    id: str
    kind: RunKind
    job: Job
    status: JobState
    created_at: str
    started_at: str | None
    ended_at: str | None
    parent: str | None
    root: str
    error: str | None = None
    number: int | None = None
    trial: Trial | None = None
    best: bool = False
    step: StepRecord | None = None

    @property
    def display_name(self) -> str:
        """How people call it."""
        if self.step is not None:
            return self.step.name
        return (self.job.display_name or self.id) if self.id == self.job.name else self.id

    @property
    def model_output(self) -> str:
        """What a trial calls its model among its outputs: the number is Azure's, and means nothing."""
        return _model_output(self.id)


def _model_output(run: str) -> str:
    return f"mlflow_log_model_{uuid.uuid5(_RUNS, names.key(run)).int % 1_000_000_000}"


def trial_id(job: str, number: int) -> str:
    """The run that is a training's trial, counted from 0 in the order they finished."""
    return f"{job}_{number}"


def trial_model(job: str, number: int) -> str:
    """What Azure calls the model of a trial in the registry."""
    run = trial_id(job, number)
    return f"azureml_{run}_output_{_model_output(run)}"


def step_id(run: str, step: str) -> str:
    """The GUID of a pipeline run's step, the same at every reading."""
    return str(uuid.uuid5(_RUNS, f"{names.key(run)}/{step}"))


class RunHistory:
    """The runs of one local workspace."""

    def __init__(self, store: Store, jobs: LocalJobs, pipelines: Callable[[], LocalPipelines]) -> None:
        self._store = store
        self._jobs = jobs
        self._pipelines = pipelines

    def get(self, run: str) -> Run:
        """The run as it is now; NotFoundError when there is none of that id."""
        try:
            job = self._jobs.get(run)
            if job.kind is not JobKind.AUTOML:
                self._settle(run)
            return replace(self.of_job(job), step=self._trained_by(job))
        except NotFoundError:
            found = self._child(run) or self._step(run)
            if found is None:
                raise
            return found

    def of_job(self, job: Job) -> Run:
        """The job itself as a run."""
        kind = {JobKind.AUTOML: RunKind.AUTOML, JobKind.PIPELINE: RunKind.PIPELINE}.get(job.kind, RunKind.COMMAND)
        return Run(
            job.name, kind, job, job.status, job.created_at, job.started_at, job.ended_at, job.parent,
            job.parent or job.name, job.error,
        )  # fmt: skip

    def children(self, run: Run) -> Sequence[Run]:
        """Its children, newest first as Azure lists them."""
        if run.kind is RunKind.AUTOML:
            return list(reversed(self._parts(run)))
        if run.kind is not RunKind.PIPELINE:
            return []
        self._settle(run.id)
        with self._store.read() as connection:
            steps = pipeline_records.steps(connection, run.id)
        return [self._of_step(run.job, step) for step in reversed(steps)]

    def best_child(self, run: Run) -> Run | None:
        """The trial whose model a completed training gives out."""
        return next((child for child in self.trials(run) if child.best), None)

    def trials(self, run: Run) -> Sequence[Run]:
        """The finished trials of a training, in the order they finished."""
        return [part for part in self._parts(run) if part.kind is RunKind.TRIAL]

    def pipeline_outputs(self, run: Run) -> Mapping[str, Value]:
        """The outputs of a completed pipeline run by name."""
        with self._store.read() as connection:
            record = pipeline_records.load_run(connection, run.id)
        return {} if record is None else record.outputs

    def _settle(self, run: str) -> None:
        """A dead run's steps are ended by looking at it; one that could not begin has none."""
        with suppress(NotFoundError):
            self._pipelines().run(run)

    # The parts of a training

    def _parts(self, run: Run) -> list[Run]:
        """Oldest first."""
        job = run.job
        with self._store.read() as connection:
            trials = job_records.trials(connection, job.name)
            ends = job_records.trial_ends(connection, job.name)
        best = job.automl.best.trial if job.status is JobState.COMPLETED and job.automl and job.automl.best else None
        found = [
            _trial(run, number, trial, end or job.ended_at, best=trial.trial == best)
            for number, (trial, end) in enumerate(zip(trials, ends, strict=True))
        ]
        parts: list[Run] = []
        if job.started_at is not None:
            searched = found[0].started_at if found else job.ended_at
            status = JobState.COMPLETED if found else job.status
            parts.append(_part(run, RunKind.SETUP, status, job.started_at, searched))
            if found:
                parts.append(_part(run, RunKind.FEATURIZE, JobState.COMPLETED, searched, searched))
        parts += found
        if found and job.status is JobState.COMPLETED:
            parts.append(_part(run, RunKind.EXPLAIN, JobState.COMPLETED, found[-1].ended_at, job.ended_at))
        return parts

    def _child(self, run: str) -> Run | None:
        match = _CHILD.match(run)
        if match is None:
            return None
        try:
            parent = self.of_job(self._jobs.get(match[1]))
        except NotFoundError:
            return None
        wanted = names.key(run)
        parts = self._parts(parent) if parent.kind is RunKind.AUTOML else []
        return next((part for part in parts if names.key(part.id) == wanted), None)

    # The steps of a pipeline run

    def _step(self, run: str) -> Run | None:
        try:
            wanted = str(uuid.UUID(run))
        except ValueError:
            return None
        with self._store.read() as connection:
            owner = _owner_of_step(connection, wanted)
            if owner is None:
                return None
            steps = pipeline_records.steps(connection, owner[0])
        step = next(step for step in steps if step.name == owner[1])
        return self._of_step(self._jobs.get(owner[0]), step)

    def _trained_by(self, job: Job) -> StepRecord | None:
        """The step of a pipeline run whose training the job is."""
        if job.parent is None:
            return None
        with self._store.read() as connection:
            steps = pipeline_records.steps(connection, job.parent)
        return next((step for step in steps if step.job is not None and names.key(step.job) == names.key(job.name)), None)

    def _of_step(self, job: Job, step: StepRecord) -> Run:
        if step.type == "automl" and step.job is not None and step.origin is None:
            return replace(self.of_job(self._jobs.get(step.job)), step=step)
        return Run(
            step_id(job.name, step.name), RunKind.STEP, job, step.status, job.created_at, step.started_at, step.ended_at,
            job.name, job.name, step.detail if step.status is JobState.FAILED else None, step=step,
        )  # fmt: skip


def _part(run: Run, kind: RunKind, status: JobState, started: str | None, ended: str | None) -> Run:
    begin = started or run.created_at
    return Run(f"{run.id}_{kind.value}", kind, run.job, status, begin, started, ended, run.id, run.root)


def _trial(run: Run, number: int, trial: Trial, ended: str | None, *, best: bool) -> Run:
    started = None if ended is None else stamp(parse(ended) - timedelta(seconds=trial.duration_seconds))
    error = trial.detail if trial.state is JobState.FAILED else None
    return Run(
        trial_id(run.id, number), RunKind.TRIAL, run.job, trial.state, started or run.created_at, started, ended, run.id,
        run.root, error, number, trial, best,
    )  # fmt: skip


def _owner_of_step(connection: sqlite3.Connection, wanted: str) -> tuple[str, str] | None:
    """Run and step behind a step's id."""
    for row in connection.execute("SELECT run_key, name FROM steps"):
        if step_id(row["run_key"], row["name"]) == wanted:
            return row["run_key"], row["name"]
    return None
