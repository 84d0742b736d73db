"""A run as run history shows it: the RunDto, and the details with other names and signed URLs of logs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from opsml_cli.domain.job import JobKind
from opsml_cli.emulator.blob_access import signed_url
from opsml_cli.emulator.clock import stamp
from opsml_cli.emulator.jobs import automl_labels, resource
from opsml_cli.emulator.wire import Call
from opsml_cli.local.clock import parse, seconds_between
from opsml_cli.local.run_files import RunOutput
from opsml_cli.local.run_history import Run, RunKind
from opsml_cli.local.storage.views import ARTIFACTS, run_path

_EXPERIMENTS = uuid.UUID("0d9c8a3c-6d0b-4c1c-8f1f-2b1f5c7a9e10")
# Types as run history spells them.
TYPES = {
    "uri_file": "UriFile", "uri_folder": "UriFolder", "mltable": "MLTable", "mlflow_model": "MLFlowModel",
    "custom_model": "CustomModel", "triton_model": "TritonModel",
}  # fmt: skip
_MODELS = ("mlflow_model", "custom_model", "triton_model")
_TRAITS: Mapping[RunKind, tuple[str, tuple[str, ...]]] = {
    RunKind.AUTOML: ("AutoML", ("automl", "Remote.Parent")),
    RunKind.PIPELINE: ("Pipeline", ("azureml.PipelineRun", "MFE", "HTTP", "DevPlatv2")),
    RunKind.STEP: (
        "Execution", ("azureml.StepRun", "scriptRun", "remote", "AlmostCommonRuntime", "OsType:Linux", "CommonRuntime"),
    ),
    RunKind.COMMAND: ("Execution", ("script", "scriptRun", "remote", "OsType:Linux", "CommonRuntime")),
}  # fmt: skip
_CHILD = ("AutoML", ("automl", "Remote.Child", "scriptRun", "remote"))
_RUN_TYPES = {RunKind.AUTOML: "automl", RunKind.PIPELINE: "azureml.PipelineRun", RunKind.STEP: "azureml.StepRun"}


def experiment_id(call: Call, experiment: str) -> str:
    return str(uuid.uuid5(_EXPERIMENTS, f"{call.served.workspace_id}/{experiment.casefold()}"))


def document(call: Call, run: Run, *, outputs: bool = False) -> dict[str, Any]:
    """The RunDto. `outputs`: with the assets that it read and wrote, which only `rundata` tells."""
    common = _common(call, run)
    target = common["target"]
    return {
        **common,
        "runNumber": int(parse(run.created_at).timestamp()),
        "rootRunId": run.root,
        "experimentId": experiment_id(call, run.job.experiment),
        "displayName": run.display_name,
        "name": None,
        "description": _notes(call, run).get("description") if run.id == run.job.name else None,
        "createdUtc": _when(run.created_at),
        "lastModifiedUtc": _when(run.ended_at or run.started_at or run.created_at),
        "userId": common["createdBy"]["userObjectId"],
        "statusRevision": 1,
        "hidden": bool(_notes(call, run).get("archived")) if run.id == run.job.name else False,
        "runType": _RUN_TYPES.get(run.kind, "azureml.scriptrun"),
        "actionUris": {"Cancel": f"{call.site.base}{call.served.arm_id}/jobs/{run.job.name}/cancel", "Diagnose": ""},
        "cancelUri": None,
        "jobSpecification": None,
        "startTimeUtc": _when(run.started_at),
        "endTimeUtc": _when(run.ended_at),
        "compute": {"target": target, "targetType": "AmlCompute", "vmSize": None, "instanceCount": 1, "priority": None},
        "inputs": inputs(call, run) if outputs else None,
        "outputs": references(call, run) if outputs else None,
    }


def details(call: Call, run: Run, *, logs: bool) -> dict[str, Any]:
    """The run details. `logs`: with the log files that it has by now."""
    found = call.served.local.run_files.logs(run) if logs else {}
    return {
        **_common(call, run),
        "rootRunId": run.root,
        "createdTimeUtc": _when(run.created_at),
        # Here as the workspace itself writes times: `Z`, with milliseconds.
        "startTimeUtc": run.started_at,
        "endTimeUtc": run.ended_at,
        "jobCost": None,
        "logFiles": {name: signed_url(call, ARTIFACTS, run_path(run.id, name)) for name in found},
        "inputs": inputs(call, run),
        "outputs": references(call, run),
        "currentAttemptId": run.job.attempts,
    }


def tags_and_properties(call: Call, run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    if run.id == run.job.name:
        found = resource.labels_of(call, run.job, _notes(call, run))
        return found["tags"], found["properties"]
    if run.kind is not RunKind.STEP:
        return {"mlflow.source.type": "JOB", "mlflow.source.name": "automl_driver.py"}, dict(automl_labels.of_child(run))
    properties = {
        "azureml.runsource": "azureml.StepRun",
        "azureml.moduleName": run.display_name,
        "azureml.pipelinerunid": run.job.name,
        "azureml.nodeid": run.id,
    }
    if run.step is not None and run.step.origin is not None:
        properties |= {"azureml.isreused": "true", "azureml.reusedpipelinerunid": run.step.origin}
    return {"azureml.nodeid": run.id}, properties


def references(call: Call, run: Run) -> dict[str, dict[str, str]]:
    """The assets that a run wrote, by the name of the output."""
    found = {
        name: {"assetId": asset_id(call, output), "type": TYPES.get(output.type, "UriFolder")}
        for name, output in call.served.local.run_files.outputs(run).items()
    }
    if run.kind is RunKind.PIPELINE and run.status.finished:
        default = f"azureml_{run.id}_output_data_default"
        found["default"] = {"assetId": f"{_assets(call)}/data/{default}/versions/1", "type": "UriFolder"}
    return found


def asset_id(call: Call, output: RunOutput) -> str:
    """The id of what a run wrote. A model's names the run that trained it."""
    if output.type in _MODELS:
        return f"{_assets(call)}/models/azureml_{output.owner}_output_{output.owner_output}/versions/1"
    return f"{_assets(call)}/data/azureml_{output.owner}_output_data_{output.owner_output}/versions/1"


def inputs(call: Call, run: Run) -> dict[str, Any]:
    """The tables of a training."""
    if run.kind is not RunKind.AUTOML:
        return {}
    found = {}
    for name, field in (("training_data", "data"), ("validation_data", "validation_data"), ("test_data", "test_data")):
        table = run.job.spec.get(field)
        asset = table.get("asset") if isinstance(table, Mapping) else None
        if asset:
            data, _, version = str(asset).partition(":")
            found[name] = {"assetId": f"{_assets(call)}/data/{data}/versions/{version}", "type": "MLTable"}
    return found


def _assets(call: Call) -> str:
    return f"azureml://locations/{call.served.region}/workspaces/{call.served.workspace_id}"


def _common(call: Call, run: Run) -> dict[str, Any]:
    """What the RunDto and the details call the same."""
    tags, properties = tags_and_properties(call, run)
    definition = _notes(call, run).get("definition") or {}
    target = str(definition.get("computeId") or "").rpartition("/")[2] or "local"
    orchestrator, traits = _TRAITS.get(run.kind, _CHILD)
    duration = None
    if run.started_at is not None and run.ended_at is not None:
        duration = _span(max(0.0, seconds_between(run.started_at, run.ended_at)))
    return {
        "runId": run.id,
        "runUuid": _uuid(run.id),
        "parentRunUuid": None if run.parent is None else _uuid(run.parent),
        "rootRunUuid": _uuid(run.root),
        "target": target,
        "status": _status(run),
        "parentRunId": run.parent,
        "dataContainerId": f"dcid.{run.id}",
        "error": None if run.error is None else _error(call, run),
        "warnings": None,
        "tags": tags,
        "properties": properties,
        "parameters": {},
        "services": {},
        "inputDatasets": [],
        "outputDatasets": [],
        "runDefinition": None,
        "revision": 1,
        "runTypeV2": {"orchestrator": orchestrator, "traits": list(traits), "attribution": None, "computeType": "AmlCompute"},
        "settings": {},
        "computeRequest": {"nodeCount": 1, "gpuCount": 0},
        "createdBy": _user(call, run),
        "duration": duration,
        "computeDuration": duration,
    }


def _status(run: Run) -> str:
    kind = {RunKind.PIPELINE: JobKind.PIPELINE, RunKind.COMMAND: JobKind.COMMAND}.get(run.kind, JobKind.AUTOML)
    return resource.status_of(kind, run.status)


def _error(call: Call, run: Run) -> dict[str, Any]:
    return {
        "error": {
            "code": "UserError", "severity": None, "message": run.error, "messageFormat": None, "messageParameters": {},
            "referenceCode": None, "detailsUri": None, "target": None, "details": [], "innerError": None, "debugInfo": None,
            "additionalInfo": None,
        },
        "correlation": None,
        "environment": call.served.region,
        "location": call.served.region,
        "time": _when(run.ended_at),
        "componentName": "opsml",
    }  # fmt: skip


def _notes(call: Call, run: Run) -> Mapping[str, Any]:
    return resource.notes_of(call, run.job.name)


def _user(call: Call, run: Run) -> dict[str, Any]:
    name = str(_notes(call, run).get("createdBy") or "opsml")
    return {
        "userObjectId": str(uuid.uuid5(_EXPERIMENTS, name)), "userPuId": None, "userIdp": None, "userAltSecId": None,
        "userIss": None, "userTenantId": None, "userName": name, "upn": None,
    }  # fmt: skip


def _uuid(run: str) -> str:
    return str(uuid.uuid5(_EXPERIMENTS, f"run/{run}"))


def _when(text: str | None) -> str | None:
    return None if text is None else stamp(parse(text))


def _span(seconds: float) -> str:
    """`00:00:52.3211142`"""
    whole = timedelta(seconds=int(seconds))
    hours, rest = divmod(int(whole.total_seconds()), 3600)
    return f"{hours:02d}:{rest // 60:02d}:{rest % 60:02d}.{round(seconds % 1 * 10_000_000):07d}"
