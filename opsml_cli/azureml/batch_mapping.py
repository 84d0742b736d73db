"""Documents of Azure's batch endpoints in our words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opsml_cli.azureml import pipeline_records, wire
from opsml_cli.domain import batch_wire, pipeline_deployment
from opsml_cli.domain.batch import BatchDeployment, BatchEndpoint, BatchRun, BatchState
from opsml_cli.domain.pipeline import PipelineRun
from opsml_cli.domain.pointer import ModelPointer

DIGEST = pipeline_deployment.DIGEST
component_of = pipeline_records.component_id
default_of = pipeline_records.default_of
created_at = wire.created_at
# What decides that a deployment is as it was asked for.
_COMPARED = (
    "compute",
    "description",
    "errorThreshold",
    "loggingLevel",
    "maxConcurrencyPerInstance",
    "miniBatchSize",
    "outputAction",
    "outputFileName",
    "retrySettings",
    "environmentVariables",
)


def _state(document: Mapping[str, Any]) -> BatchState:
    text = pipeline_records.state_of(document) or "Creating"
    return next((each for each in BatchState if each.casefold() == text.casefold()), BatchState.UPDATING)


def endpoint_of(document: Mapping[str, Any], deployments: Sequence[Mapping[str, Any]]) -> BatchEndpoint:
    name = str(document["name"])
    properties = document.get("properties") or {}
    return BatchEndpoint(
        name=name,
        state=_state(document),
        default=default_of(document),
        deployments=tuple(deployment_of(name, each) for each in deployments),
        created_at=created_at(document),
        scoring_uri=properties.get("scoringUri"),
        description=properties.get("description"),
        tags=document.get("tags") or {},
        auth_mode=str(properties.get("authMode") or "AADToken"),
    )


def deployment_of(endpoint: str, document: Mapping[str, Any]) -> BatchDeployment:
    properties = document.get("properties") or {}
    component = component_of(document)
    identity = str((properties.get("model") or {}).get("assetId") or "")
    code = properties.get("codeConfiguration") or {}
    compute = str(properties.get("compute") or "")
    errors = properties.get("provisioningErrors") or ()
    return BatchDeployment(
        name=str(document["name"]),
        endpoint=endpoint,
        type="model" if component is None else "pipeline",
        state=_state(document),
        created_at=created_at(document),
        model=ModelPointer(wire.from_id(identity, "models"), identity.rpartition("/")[2]) if identity else None,
        scoring_script=code.get("scoringScript"),
        component=None if component is None else _component(component),
        compute=compute.rpartition("/")[2] or None,
        settings=batch_wire.read(properties) if component is None else None,
        description=properties.get("description"),
        tags=document.get("tags") or {},
        detail="; ".join(str(each.get("message") or each) for each in errors) or None,
    )


def _component(identity: str) -> str:
    parts = identity.split("/")
    return f"{parts[-3]}:{parts[-1]}" if len(parts) > 2 and "components" in parts else identity


def same(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether the deployment that is there is ready, and is what was asked for."""
    if _state(held) is not BatchState.SUCCEEDED:
        return False
    there, asked = held.get("properties") or {}, wanted["properties"]
    digest = asked["properties"].get(DIGEST)
    if (there.get("properties") or {}).get(DIGEST) != digest or dict(held.get("tags") or {}) != wanted["tags"]:
        return False
    for key in _COMPARED:
        if key in asked and _plain(there.get(key)) != _plain(asked[key]):
            return False
    identity, wish = (there.get("model") or {}).get("assetId"), (asked.get("model") or {}).get("assetId")
    instances = (there.get("resources") or {}).get("instanceCount") or 1
    return bool(_plain(identity) == _plain(wish)) and instances == (asked.get("resources") or {}).get("instanceCount", 1)


def runs_on(held: Mapping[str, Any], compute: str | None) -> bool:
    """Whether the component of the deployment, if it has one, runs on the compute that is asked for."""
    settings = ((held.get("properties") or {}).get("deploymentConfiguration") or {}).get("settings") or {}
    there = settings.get("default_compute") or settings.get("ComponentDeployment.Settings.default_compute")
    return compute is None or there is None or str(there).rpartition("/")[2].casefold() == compute.casefold()


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.casefold()
    return value or None if isinstance(value, dict) else value


def run_of(found: PipelineRun, deployment: str) -> BatchRun:
    """A run with its deployment. How many results there are Azure keeps in the run's logs alone."""
    endpoint = found.pipeline
    if endpoint is None:
        from opsml_cli.azureml.pipeline_runs import endpoint_of as endpoint_of_run

        endpoint = endpoint_of_run(found.run, found.experiment)
    return BatchRun(
        run=found.run,
        endpoint=endpoint,
        deployment=deployment,
        status=found.status,
        experiment=found.experiment,
        workspace=found.workspace,
        created_at=found.created_at,
        inputs=found.inputs,
        outputs=found.outputs,
        steps=found.steps,
        started_at=found.started_at,
        ended_at=found.ended_at,
        duration_seconds=found.duration_seconds,
        error=found.error,
    )
