"""Reading jobs as they go: their states as a stream, and their logs as lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from opsml_cli.domain.clock import Clock, SystemClock
from opsml_cli.domain.errors import NotFoundError
from opsml_cli.domain.job import Job, JobKind, Trial
from opsml_cli.domain.workspace import Workspace
from opsml_cli.services import pipeline, train

if TYPE_CHECKING:
    from opsml_cli.domain.pipeline import PipelineRun

_POLL_SECONDS = 0.25
_REMOTE_POLL_SECONDS = 3.0
_STAMPED = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z) (.*)\Z", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Watched:
    """A job as it is now, and the trials that finished since the last look."""

    job: Job
    fresh: tuple[Trial, ...] = ()


@dataclass(frozen=True, slots=True)
class JobLogLine:
    """One line of a job's log. `timestamp` None: a line that the process or a library printed by itself."""

    job: str
    timestamp: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Downloaded:
    """What was copied, and where."""

    name: str
    files: tuple[str, ...]


def show(workspace: Workspace, name: str) -> Job | PipelineRun:
    """The job, or the pipeline run that it is."""
    job = workspace.jobs.get(name)
    return workspace.pipelines.run(name) if job.kind is JobKind.PIPELINE else job


def watch(workspace: Workspace, name: str, clock: Clock | None = None) -> Iterator[Watched | PipelineRun]:
    """Every change until the job has ended; then WorkFailedError unless it completed. NotFoundError at once."""
    workspace.jobs.get(name)
    return _changes(workspace, name, clock or SystemClock())


def _changes(workspace: Workspace, name: str, clock: Clock) -> Iterator[Watched | PipelineRun]:
    seen: Job | PipelineRun | None = None
    told: set[str] = set()
    while True:
        value = show(workspace, name)
        if value != seen:
            seen = value
            if isinstance(value, Job):
                trials = value.automl.leaderboard if value.automl is not None else ()
                fresh = tuple(trial for trial in trials if trial.trial not in told)
                told.update(trial.trial for trial in fresh)
                yield Watched(value, fresh)
            else:
                yield value
        if value.status.finished:
            break
        clock.sleep(_pause(workspace))
    failure = train.failure_of(value) if isinstance(value, Job) else pipeline.failure_of(value)
    if failure is not None:
        raise failure


def _pause(workspace: Workspace) -> float:
    return _POLL_SECONDS if workspace.kind == "local" else _REMOTE_POLL_SECONDS


def log_lines(workspace: Workspace, name: str, *, tail: int | None = None) -> list[JobLogLine]:
    """The log as it is now, or its last `tail` lines."""
    text, position = "", 0
    while True:
        more, position = workspace.jobs.logs(name, position)
        if not more:
            break
        text += more
    # Nothing else ends a line: neither what a progress bar draws over itself, nor a page break or a separator of Unicode.
    lines = text.removesuffix("\n").split("\n") if text else []
    return [
        _line(name, line) for line in (lines if tail is None else lines[len(lines) - tail :] if tail < len(lines) else lines)
    ]


def follow_log(workspace: Workspace, name: str, *, tail: int | None = None, clock: Clock | None = None) -> Iterator[JobLogLine]:
    """The log line by line until the job has ended. NotFoundError at once."""
    workspace.jobs.get(name)
    return _followed(workspace, name, tail, clock or SystemClock())


def _followed(workspace: Workspace, name: str, tail: int | None, clock: Clock) -> Iterator[JobLogLine]:
    rest, position, first = "", 0, True
    while True:
        # The state is read before the log, so that nothing written before the end is missed.
        finished = workspace.jobs.get(name).status.finished
        text = rest
        while True:
            more, position = workspace.jobs.logs(name, position)
            if not more:
                break
            text += more
        lines = text.split("\n")
        rest = lines.pop()
        if first and tail is not None:
            lines = lines[max(0, len(lines) - tail) :]
        first = False
        for line in lines:
            yield _line(name, line)
        if finished:
            if rest:
                yield _line(name, rest)
            return
        clock.sleep(_pause(workspace))


def _line(job: str, text: str) -> JobLogLine:
    match = _STAMPED.match(text)
    return JobLogLine(job, match[1], match[2]) if match else JobLogLine(job, None, text)


def leaderboard(workspace: Workspace, name: str) -> list[Trial]:
    """The job's trials, best first, the metric that ranks them first in each. NotFoundError for a job without trials."""
    job = workspace.jobs.get(name)
    if job.automl is None:
        raise NotFoundError(f"job {job.name} is a {job.kind} job: it has no leaderboard", fix=f"opsml jobs show {job.name}")
    metric = job.automl.metric
    return [_metric_first(trial, metric) for trial in job.automl.leaderboard]


def _metric_first(trial: Trial, metric: str | None) -> Trial:
    if metric is None or metric not in trial.metrics:
        return trial
    return replace(trial, metrics={metric: trial.metrics[metric], **trial.metrics})
