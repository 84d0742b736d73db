"""A job of the workspace as the resource manager shows it, however it came to be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from opsml_cli.domain.automl_document import from_document
from opsml_cli.domain.compute import SERVERLESS
from opsml_cli.domain.job import Job, JobKind, JobState
from opsml_cli.emulator.jobs import automl, automl_labels, command
from opsml_cli.emulator.resources import envelope, system_data
from opsml_cli.emulator.wire import Call
from opsml_cli.local import annotations as records

NOTES = "job"
TYPES = {JobKind.AUTOML: "AutoML", JobKind.COMMAND: "Command", JobKind.PIPELINE: "Pipeline"}
# What Azure calls a job that was taken and has not begun.
_WAITING = {JobKind.COMMAND: "Starting", JobKind.PIPELINE: "Preparing"}


def notes_of(call: Call, name: str) -> dict[str, Any]:
    """What a client said of the job: `definition` (the members that make it), `description`, `properties`, `archived`,
    `createdBy`. Empty for a job of the command line."""
    with call.served.local.store.read() as connection:
        return records.find(connection, NOTES, name) or {}


def all_notes(call: Call) -> dict[str, dict[str, Any]]:
    """The same of every job, by its name without case."""
    with call.served.local.store.read() as connection:
        return {name: said for (name, _), said in records.of_kind(connection, NOTES).items()}


def save_notes(call: Call, name: str, notes: Mapping[str, Any]) -> None:
    with call.served.local.store.write() as connection:
        records.save(connection, NOTES, name, notes)


def status_of(kind: JobKind, status: JobState) -> str:
    return _WAITING.get(kind, status.value) if status is JobState.NOT_STARTED else status.value


def document(call: Call, job: Job, notes: Mapping[str, Any], *, taken: bool = False) -> dict[str, Any]:
    """The whole resource. `taken`: as the answer to its submission has it, whatever it does by now."""
    if taken:
        job = replace(job, status=JobState.NOT_STARTED, started_at=None, error=None)
    definition = notes.get("definition") or _definition(job)
    labels = labels_of(call, job, notes)
    known = {
        key: item
        for key, item in definition.items()
        if key not in ("identity", "componentId", "computeId", "notificationSetting")
    }
    properties = {
        "description": notes.get("description", job.spec.get("description")),
        "tags": labels["tags"],
        "properties": labels["properties"],
        "displayName": job.display_name or job.name,
        "status": status_of(job.kind, job.status),
        "experimentName": job.experiment,
        "services": services(call, job.name),
        "computeId": definition.get("computeId"),
        "isArchived": bool(notes.get("archived")),
        "identity": definition.get("identity"),
        "componentId": definition.get("componentId"),
        "notificationSetting": definition.get("notificationSetting"),
        "secretsConfiguration": {} if job.kind is JobKind.AUTOML else None,
        "jobType": TYPES[job.kind],
        **known,
    }
    system = system_data(job.created_at, notes.get("createdBy"))
    if job.kind is JobKind.COMMAND and command.for_client(properties):
        endpoint = (
            f"{call.site.base}/execution/v1.0{call.served.arm_id}/experiments/{job.experiment}/startlocalrun?runId={job.name}"
        )
        own = {"services": {"Local": _service("Local", endpoint)}, "computeId": None, "outputs": {}}
        properties |= {**own, "status": job.status.value}
        system = {}
    return envelope(call, ("jobs", job.name), "jobs", properties, system)


def labels_of(call: Call, job: Job, notes: Mapping[str, Any]) -> dict[str, dict[str, str | None]]:
    """`tags` and `properties`: the client's, and what the service adds as the work goes on."""
    said: dict[str, str | None] = dict(notes.get("properties") or {})
    definition = notes.get("definition") or {}
    if job.kind is JobKind.AUTOML:
        run = call.served.local.history.of_job(job)
        added = automl_labels.of(call, run, definition or _definition(job))
        return {"tags": {**job.tags, **added.tags}, "properties": {**said, **added.properties}}
    compute = str(definition.get("computeId") or "").rpartition("/")[2]
    added_properties: dict[str, str | None] = {}
    if job.kind is JobKind.COMMAND:
        added_properties["_azureml.ComputeTargetType"] = "amlctrain"
        if compute and compute.lower() != SERVERLESS:
            added_properties["_azureml.ClusterName"] = compute
        if definition.get("codeId"):
            added_properties["ContentSnapshotId"] = _version_of(str(definition["codeId"]))
    else:
        settings = definition.get("settings") or {}
        added_properties |= {
            "azureml.DevPlatv2": "true",
            "azureml.DatasetAccessMode": "Asset",
            "azureml.runsource": "azureml.PipelineRun",
            "runSource": "MFE",
            "runType": "HTTP",
            "azureml.parameters": "{}",
            "azureml.continue_on_step_failure": str(bool(settings.get("continue_on_step_failure"))),
            "azureml.continue_on_failed_optional_input": "True",
            "azureml.enforceRerun": str(bool(settings.get("force_rerun"))),
            "azureml.defaultComputeName": compute or str(settings.get("default_compute") or "").rpartition("/")[2],
            "azureml.defaultDataStoreName": str(settings.get("default_datastore") or "workspaceblobstore"),
            "azureml.pipelineComponent": "pipelinerun",
        }
        if job.spec.get("schedule"):
            added_properties |= {
                "azureml.parameters": json.dumps(job.spec["inputs"]),
                "azureml.runLineageType": "genericTrigger",
                "azureml.genericTriggerName": str(job.spec["schedule"]),
                "azureml.genericTriggerVersionId": "1",
                "runSource": "Schedule",
            }
    return {"tags": dict(job.tags), "properties": {**added_properties, **said}}


def services(call: Call, run: str) -> dict[str, Any]:
    served = call.served
    host = call.site.base.removeprefix("https://")
    studio = f"https://ml.azure.com/runs/{run}?wsid=/subscriptions/{served.subscription}/resourcegroups/{served.resource_group}"
    endpoints = {
        "Tracking": f"azureml://{host}/mlflow/v1.0{served.arm_id}?",
        "Studio": f"{studio}/workspaces/{served.name}",
    }
    return {name: _service(name, endpoint) for name, endpoint in endpoints.items()}


def _service(name: str, endpoint: str) -> dict[str, Any]:
    return {
        "jobServiceType": name, "port": None, "endpoint": endpoint, "status": None, "errorMessage": None, "properties": None,
        "nodes": None,
    }  # fmt: skip


def _definition(job: Job) -> dict[str, Any]:
    """The members that make a job which no client of the wire submitted."""
    base: dict[str, Any] = {"computeId": None, "identity": None, "componentId": None, "notificationSetting": None}
    if job.kind is JobKind.AUTOML:
        details = automl.details_of(from_document(job.spec))
        return {**base, **automl.members(details)}
    if job.kind is JobKind.COMMAND:
        return {**base, **command.unknown(job.name)}
    # Of a pipeline that was started elsewhere Azure does not show the definition either.
    return {**base, "settings": None, "jobs": None, "inputs": None, "outputs": None, "sourceJobId": None}


def _version_of(arm_id: str) -> str:
    return arm_id.rstrip("/").rpartition("/")[2].rpartition(":")[2]
