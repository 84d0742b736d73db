"""Azure's jobs and runs as opsml's values. Nothing here asks anybody anything."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from opsml_cli.azureml import automl_job, wire
from opsml_cli.domain import automl_document
from opsml_cli.domain.errors import ContractError
from opsml_cli.domain.job import AutoMLOutcome, BestTrial, Job, JobKind, JobState, Trial
from opsml_cli.domain.metric_names import higher_is_better

BEST_CHILD_TAG = "automl_best_child_run_id"
_STATES = {
    "notstarted": JobState.NOT_STARTED,
    "unapproved": JobState.NOT_STARTED,
    "queued": JobState.PREPARING,
    "starting": JobState.PREPARING,
    "preparing": JobState.PREPARING,
    "provisioning": JobState.PREPARING,
    "scheduled": JobState.PREPARING,
    "running": JobState.RUNNING,
    "finalizing": JobState.RUNNING,
    "notresponding": JobState.RUNNING,
    "paused": JobState.RUNNING,
    "completed": JobState.COMPLETED,
    "failed": JobState.FAILED,
    "cancelrequested": JobState.CANCEL_REQUESTED,
    "canceled": JobState.CANCELED,
}
_KINDS = {"automl": JobKind.AUTOML, "pipeline": JobKind.PIPELINE}
_ERROR_LENGTH = 2000
_TIMES = ("started_at", "ended_at", "duration_seconds")


def state_of(status: object) -> JobState:
    """Azure's status; one that is not known counts as running."""
    return _STATES.get(str(status or "").casefold(), JobState.RUNNING)


def kind_of(job_type: object) -> JobKind:
    """Azure's job type; every kind that runs one program counts as a command."""
    return _KINDS.get(str(job_type or "").casefold(), JobKind.COMMAND)


def stamp_of(text: object) -> str | None:
    """A time of Azure's (up to seven digits, `Z` or an offset) as opsml writes it; None for none, and for its year 1."""
    if not text or str(text).startswith("0001-"):
        return None
    try:
        return wire.stamp(str(text)) or None
    except ContractError:
        return None


def seconds_between(start: str | None, end: str | None) -> float | None:
    if start is None or end is None:
        return None
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())


def job_of(resource: Mapping[str, Any], workspace: str, run: Mapping[str, Any] | None = None) -> Job:
    """A job's ARM resource, with the times and the error that only its run knows."""
    properties = resource.get("properties") or {}
    run = run or {}
    kind = kind_of(properties.get("jobType"))
    status = state_of(properties.get("status") or run.get("status"))
    started, ended = stamp_of(run.get("startTimeUtc")), stamp_of(run.get("endTimeUtc"))
    spec: dict[str, Any] = {}
    outcome = None
    if kind is JobKind.AUTOML:
        asked = automl_job.from_arm(properties)
        spec = automl_document.to_document(asked)
        outcome = AutoMLOutcome(task=asked.task, metric=asked.metric)
    created = (resource.get("systemData") or {}).get("createdAt") or run.get("createdUtc")
    return Job(
        name=str(resource["name"]),
        kind=kind,
        status=status,
        experiment=str(properties.get("experimentName") or run.get("experimentName") or "Default"),
        workspace=workspace,
        created_at=stamp_of(created) or "",
        started_at=started,
        ended_at=ended if status.finished else None,
        duration_seconds=seconds_between(started, ended) if status.finished else None,
        error=error_of(properties, run) if status is JobState.FAILED else None,
        display_name=properties.get("displayName") or run.get("displayName"),
        parent=run.get("parentRunId"),
        tags=automl_job.user_tags(properties.get("tags")),
        spec=spec,
        automl=outcome,
    )


def with_times(job: Job, run: Mapping[str, Any] | None) -> Job:
    """The job with the times that its run tells; without a run they are unknown."""
    if run is None:
        reason = (
            {}
            if job.status is JobState.NOT_STARTED
            else dict.fromkeys(_TIMES, "a list did not find it: opsml jobs show has it")
        )
        return replace(job, unknown=reason)
    started, ended = stamp_of(run.get("startTimeUtc")), stamp_of(run.get("endTimeUtc")) if job.status.finished else None
    return replace(job, started_at=started, ended_at=ended, duration_seconds=seconds_between(started, ended))


def job_of_run(run: Mapping[str, Any], workspace: str, experiment: str) -> Job:
    """A run that is no job of its own for the resource manager: a trial, or a step."""
    status = state_of(run.get("status"))
    started, ended = stamp_of(run.get("startTimeUtc")), stamp_of(run.get("endTimeUtc"))
    orchestrator = str((run.get("runTypeV2") or {}).get("orchestrator") or "").casefold()
    return Job(
        name=str(run["runId"]),
        kind=_KINDS.get(orchestrator, JobKind.COMMAND) if not run.get("parentRunId") else JobKind.COMMAND,
        status=status,
        experiment=experiment,
        workspace=workspace,
        created_at=stamp_of(run.get("createdUtc")) or "",
        started_at=started,
        ended_at=ended if status.finished else None,
        duration_seconds=seconds_between(started, ended) if status.finished else None,
        error=error_of({}, run) if status is JobState.FAILED else None,
        display_name=run.get("displayName"),
        parent=run.get("parentRunId"),
        tags=automl_job.user_tags(run.get("tags")),
    )


def error_of(properties: Mapping[str, Any], run: Mapping[str, Any]) -> str | None:
    """Why a job failed, in Azure's words: the run's error, else what AutoML left among the properties."""
    error = run.get("error")
    if isinstance(error, Mapping):
        inner = error.get("error") if isinstance(error.get("error"), Mapping) else error
        assert isinstance(inner, Mapping)
        message = inner.get("message") or inner.get("code")
        if message:
            return _shortened(str(message))
    for source in (properties.get("properties"), run.get("properties")):
        text = (source or {}).get("errors") if isinstance(source, Mapping) else None
        if text and text != "{}":
            return _shortened(_inner_message(str(text)))
    return None


def trials_of(
    children: Sequence[Mapping[str, Any]], metrics: Mapping[str, Mapping[str, float]], metric: str | None
) -> tuple[Trial, ...]:
    """The trials among a training's children, best first: those that have an iteration; setup, featurization and
    explanation are none. A trial whose metrics are not known yet has its score alone."""
    found = []
    for child in children:
        properties = child.get("properties") or {}
        if not str(properties.get("iteration") or "").isdecimal() and not _numbered(str(child.get("runId") or "")):
            continue
        measured = dict(metrics.get(str(child["runId"])) or {})
        score = _number(properties.get("score"))
        if metric is not None and score is not None:
            measured.setdefault(metric, score)
        started, ended = stamp_of(child.get("startTimeUtc")), stamp_of(child.get("endTimeUtc"))
        state = state_of(child.get("status"))
        found.append(
            Trial(
                trial=str(child["runId"]),
                algorithm=algorithm_of(properties),
                state=state,
                metrics=measured,
                duration_seconds=seconds_between(started, ended) or 0.0,
                parameters=_parameters(properties),
                detail=error_of({}, child) if state is JobState.FAILED else None,
            )
        )
    return ranked(found, metric)


def ranked(trials: Sequence[Trial], metric: str | None) -> tuple[Trial, ...]:
    """Best first; those without the metric last, without a rank."""
    if metric is None:
        return tuple(trials)
    sign = -1.0 if higher_is_better(metric) else 1.0
    ordered = sorted(trials, key=lambda trial: sign * trial.metrics[metric] if metric in trial.metrics else float("inf"))
    return tuple(replace(trial, rank=rank) if metric in trial.metrics else trial for rank, trial in enumerate(ordered, start=1))


def best_of(job: Job, resource: Mapping[str, Any], trials: Sequence[Trial]) -> BestTrial | None:
    """The trial that Azure calls the best once the training is done; until then the one ahead."""
    named = ((resource.get("properties") or {}).get("tags") or {}).get(BEST_CHILD_TAG)
    chosen = next((trial for trial in trials if trial.trial == named), None)
    if chosen is None:
        metric = job.automl.metric if job.automl is not None else None
        chosen = next((trial for trial in trials if metric in trial.metrics), None)
    return None if chosen is None else BestTrial(chosen.trial, chosen.algorithm, chosen.metrics)


def best_in_tags(resource: Mapping[str, Any], metric: str | None) -> BestTrial | None:
    """The best trial of a completed training as its own tags tell it, with the ranking metric alone; None when they do not."""
    tags = (resource.get("properties") or {}).get("tags") or {}
    named = str(tags.get(BEST_CHILD_TAG) or "")
    iteration = named.rpartition("_")[2]
    columns = [str(tags.get(name) or "").split(";") for name in ("iteration_000", "run_algorithm_000", "score_000")]
    if metric is None or not named or len({len(column) for column in columns}) != 1 or iteration not in columns[0]:
        return None
    place = columns[0].index(iteration)
    score = _number(columns[2][place])
    return None if score is None else BestTrial(named, columns[1][place], {metric: score})


def algorithm_of(properties: Mapping[str, Any]) -> str:
    return str(properties.get("run_algorithm") or properties.get("run_name") or "unknown")


def _parameters(properties: Mapping[str, Any]) -> dict[str, object]:
    """What Azure tells of a trial's configuration."""
    found: dict[str, object] = {}
    if properties.get("run_preprocessor"):
        found["preprocessor"] = properties["run_preprocessor"]
    try:
        pipeline = json.loads(str(properties.get("pipeline_spec") or "null"))
        objects = pipeline.get("objects") if isinstance(pipeline, dict) else None
        for each in objects or ():
            if isinstance(each, dict) and each.get("spec_class") == "sklearn":
                found.update(each.get("param_kwargs") or {})
    except ValueError:
        pass
    return found


def _numbered(run: str) -> bool:
    return run.rpartition("_")[2].isdecimal()


def _number(text: object) -> float | None:
    try:
        value = float(str(text))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _inner_message(text: str) -> str:
    """AutoML's errors are a sentence and then a JSON document with the reason."""
    head, brace, rest = text.partition("{")
    if not brace:
        return text
    try:
        document = json.loads(brace + rest)
    except ValueError:
        return text
    while isinstance(document, dict):
        message = document.get("message")
        if isinstance(message, str) and message:
            return f"{head.strip().rstrip(':')}: {message}" if head.strip() else message
        document = next((value for value in document.values() if isinstance(value, dict)), None)
    return text


def _shortened(text: str) -> str:
    one = " ".join(text.split())
    return one if len(one) <= _ERROR_LENGTH else one[: _ERROR_LENGTH - 1] + "…"
