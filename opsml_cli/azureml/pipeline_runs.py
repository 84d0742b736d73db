"""Runs of pipelines on Azure: read from the resource manager and run history, without the SDK."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opsml_cli.azureml.job_mapping import error_of, job_of, seconds_between, stamp_of, state_of
from opsml_cli.azureml.run_history import RunHistory
from opsml_cli.domain import pipeline_deployment
from opsml_cli.domain.errors import NotFoundError
from opsml_cli.domain.job import JobKind, JobState
from opsml_cli.domain.pipeline import PipelineRun, Step

if TYPE_CHECKING:
    from opsml_cli.azureml.context import Context

VERSION = "2024-01-01-preview"
_DEPLOYMENT_TAG = "azureml.deploymentname"
_SOURCE, _BATCH = "runSource", "BatchDeployment"
_NAMED = re.compile(r"(.+)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


class PipelineRuns:
    """The pipeline runs of one workspace."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._history = RunHistory(context)

    def exists(self, name: str) -> bool:
        return self._context.rest.find(f"{{ws}}/jobs/{name}", VERSION) is not None

    def read(self, name: str) -> PipelineRun:
        """The run as it is, with its step tree. NotFoundError when `name` is no pipeline run."""
        resource = self._context.rest.find(f"{{ws}}/jobs/{name}", VERSION)
        properties = (resource or {}).get("properties") or {}
        if resource is None or str(properties.get("jobType") or "").casefold() != JobKind.PIPELINE:
            raise NotFoundError(f"no pipeline run {name!r}", fix="opsml jobs list shows what there is")
        run = self._history.find(str(resource["name"]))
        job = job_of(resource, self._context.place.name, run)
        children = () if run is None else self._history.children(job.name)
        said = {**(properties.get("tags") or {}), **(properties.get("properties") or {})}
        deployment = str(said.get(_DEPLOYMENT_TAG) or "")
        own = deployment.startswith(pipeline_deployment.PREFIX)
        version = deployment.removeprefix(pipeline_deployment.PREFIX) if own or said.get(_SOURCE) == _BATCH else None
        return PipelineRun(
            run=job.name,
            pipeline=None if version is None else endpoint_of(job.name, job.experiment),
            version=version,
            status=job.status,
            steps=tuple(step_of(child) for child in children),
            outputs=self._outputs(job.name) if job.status is JobState.COMPLETED else {},
            experiment=job.experiment,
            created_at=job.created_at,
            workspace=job.workspace,
            started_at=job.started_at,
            ended_at=job.ended_at,
            duration_seconds=job.duration_seconds,
            inputs=_inputs(properties),
            error=job.error,
        )

    def _outputs(self, run: str) -> dict[str, str]:
        """Where each named output lies; run history alone knows."""
        found = {}
        for name, output in self._history.outputs(run).items():
            if name != "default":
                found[name] = self._history.resolved(output.asset_id) or output.asset_id
        return found


def run_name(endpoint: str) -> str:
    """A new name for a run of the endpoint: it tells the endpoint, which Azure keeps nowhere else."""
    return f"{endpoint}-{uuid.uuid4()}"


def endpoint_of(run: str, experiment: str) -> str:
    """Of a run that somebody else called: Azure names the experiment after the endpoint, unless the call does."""
    match = _NAMED.match(run)
    return experiment if match is None else match[1]


def step_of(run: Mapping[str, Any]) -> Step:
    """A child run of a pipeline."""
    status = state_of(run.get("status"))
    properties = run.get("properties") or {}
    started, ended = stamp_of(run.get("startTimeUtc")), stamp_of(run.get("endTimeUtc"))
    orchestrator = str((run.get("runTypeV2") or {}).get("orchestrator") or "").casefold()
    return Step(
        name=str(properties.get("azureml.moduleName") or run.get("displayName") or run["runId"]),
        status=status,
        duration_seconds=seconds_between(started, ended) if status.finished else None,
        reused=str(properties.get("azureml.isreused") or "").casefold() == "true",
        type={"automl": "automl", "pipeline": "pipeline"}.get(orchestrator, "command"),
        job=str(run["runId"]),
        detail=error_of({}, run) if status is JobState.FAILED else None,
    )


def _inputs(properties: Mapping[str, Any]) -> dict[str, object]:
    return {
        name: value.get("value", value.get("uri"))
        for name, value in (properties.get("inputs") or {}).items()
        if isinstance(value, Mapping)
    }
