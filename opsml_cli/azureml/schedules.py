"""Schedules of an Azure ML workspace. A published pipeline is scheduled over the resource manager alone; a pipeline file
needs the SDK, which uploads its code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsml_cli.azureml import schedule_mapping
from opsml_cli.azureml.finishing import finished
from opsml_cli.azureml.job_mapping import state_of
from opsml_cli.azureml.wire import created_at
from opsml_cli.domain import names
from opsml_cli.domain.errors import ConflictError, InvalidInputError, NotFoundError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.domain.schedule import CreateSchedule, Schedule, ScheduledRun, ScheduleSaved, Trigger
from opsml_cli.timing import due_times

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from opsml_cli.azureml.context import Context
    from opsml_cli.azureml.pipeline_files import PipelineFile
    from opsml_cli.azureml.pipelines import AzurePipelines

VERSION = "2023-06-01-preview"
_TRIGGER_VERSION = "2024-01-01-preview"
_JOBS_VERSION = "2024-01-01-preview"
_DIGEST, _PIPELINE, _PIPELINE_VERSION = "opsml.sha256", "opsml.pipeline", "opsml.version"
_SHOWN = 5
_LOOKED_AT = 100  # jobs, newest first, for those that a schedule began
_WRITTEN = ("description", "tags", "properties", "displayName", "trigger", "action")
_FIXED = "an Azure schedule keeps the version that is the default now; run the same command after publishing another"


class AzureSchedules:
    """The `schedules` group of an Azure ML workspace."""

    def __init__(self, context: Context, pipelines: AzurePipelines) -> None:
        self._context = context
        self._pipelines = pipelines

    def create_or_update(self, spec: CreateSchedule) -> ScheduleSaved:
        names.asset_name(spec.name, "schedule name")
        schedule_mapping.check(spec.trigger)
        now = datetime.now(UTC)
        if due_times.next_due(spec.trigger, now, now) is None:
            raise InvalidInputError(f"the schedule {spec.name} is never due", cause="its times have passed, or never come")
        held = self._context.rest.find(self._path(spec.name), VERSION)
        said, job = self._action(spec)
        said[_DIGEST] = _digest(spec, said)
        properties = (held or {}).get("properties") or {}
        unchanged = (
            held is not None
            and (properties.get("properties") or {}).get(_DIGEST) == said[_DIGEST]
            and properties.get("isEnabled") is spec.enabled
        )
        if unchanged:
            assert held is not None
            return ScheduleSaved(self._view(held), True)
        trigger = schedule_mapping.to_azure(spec.trigger, now)
        if spec.trigger.start_time is None and properties and _without_start(properties["trigger"]) == _without_start(trigger):
            # A recurrence goes on counting from where it began.
            trigger["startTime"] = properties["trigger"].get("startTime") or trigger["startTime"]
        body = {
            "description": spec.description,
            "displayName": spec.display_name,
            "tags": dict(spec.tags),
            "properties": said,
            "isEnabled": spec.enabled,
            "trigger": trigger,
            "action": {"actionType": "CreateJob", "jobDefinition": job},
        }
        if spec.dry_run:
            return ScheduleSaved(self._view({"name": spec.name, "properties": body}), False)
        if job is None:
            self._put_file(spec, body)
        else:
            self._put(spec.name, body)
        return ScheduleSaved(self.get(spec.name), False)

    def get(self, name: str) -> Schedule:
        return self._view(self._found(name), runs=self._runs(name))

    def list(self, *, enabled_only: bool = False) -> Sequence[Schedule]:
        view = "EnabledOnly" if enabled_only else "All"
        found = [self._view(each) for each in self._context.rest.pages("{ws}/schedules", VERSION, listViewType=view)]
        return sorted(found, key=lambda each: each.created_at, reverse=True)

    def enable(self, name: str) -> Schedule:
        return self._switched(name, True)

    def disable(self, name: str) -> Schedule:
        return self._switched(name, False)

    def delete(self, name: str) -> None:
        """Azure refuses an enabled one too, but says so only where its operation is polled."""
        found = self._found(name)
        if found["properties"].get("isEnabled") is not False:
            raise ConflictError(
                f"the schedule {found['name']} is enabled",
                cause="Azure never deletes an enabled schedule",
                fix=f"opsml schedules disable {found['name']}, then delete it",
            )
        finished(self._context, self._context.rest.send("DELETE", self._path(name), VERSION), f"deleting schedule {name}")

    def begin_trigger(self, name: str) -> str:
        body = {"scheduleTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")}
        self._found(name)
        answer = self._context.rest.send("POST", self._path(name) + "/trigger", _TRIGGER_VERSION, body)
        return str(answer.value["submissionId"])

    # Writing

    def _action(self, spec: CreateSchedule) -> tuple[dict[str, str], dict[str, Any] | None]:
        """What is told of the pipeline in the schedule's properties, and the job; None for a file, which the SDK submits."""
        if spec.pipeline is None:
            return {}, None
        target = self._pipelines.target(spec.pipeline, spec.version)
        found = target.pipeline
        inputs = {
            name: {**item, "jobInputType": _KINDS.get(str(item["jobInputType"]), item["jobInputType"])}
            for name, item in self._pipelines.inputs.of_call(found.inputs, spec.inputs).items()
        }
        for item in inputs.values():
            if "value" in item:
                item["value"] = str(item["value"])
        job = {
            "jobType": "Pipeline",
            "componentId": target.component,
            "experimentName": spec.experiment or found.name,
            "displayName": spec.display_name,
            "inputs": inputs,
            "outputs": {},
            "jobs": {},
            "settings": dict(target.settings),
            "tags": {},
            "properties": {},
        }
        return {_PIPELINE: found.name, _PIPELINE_VERSION: found.version}, job

    def _put(self, name: str, properties: Mapping[str, Any]) -> None:
        answer = self._context.rest.send("PUT", self._path(name), VERSION, {"properties": dict(properties)})
        finished(self._context, answer, f"schedule {name}")

    def _put_file(self, spec: CreateSchedule, body: Mapping[str, Any]) -> None:
        """The SDK uploads what the file names, and makes the schedule; only then it may run."""
        from opsml_cli.azureml import sdk

        document, origin = self._job(spec)

        def create(client: MLClient) -> None:
            import io

            import yaml
            from azure.ai.ml import load_job
            from azure.ai.ml.entities import CronTrigger, JobSchedule, RecurrencePattern, RecurrenceTrigger

            job = load_job(io.StringIO(yaml.safe_dump(document, sort_keys=False)), relative_origin=origin)
            wire = body["trigger"]
            common = {"start_time": wire["startTime"], "end_time": wire.get("endTime"), "time_zone": wire["timeZone"]}
            if wire["triggerType"] == "Cron":
                trigger = CronTrigger(expression=wire["expression"], **common)
            else:
                pattern = wire["schedule"]
                trigger = RecurrenceTrigger(
                    frequency=wire["frequency"].lower(),
                    interval=wire["interval"],
                    schedule=RecurrencePattern(
                        hours=pattern["hours"],
                        minutes=pattern["minutes"],
                        week_days=[day.lower() for day in pattern.get("weekDays") or ()] or None,
                        month_days=pattern.get("monthDays"),
                    ),
                    **common,
                )
            schedule = JobSchedule(
                name=spec.name,
                trigger=trigger,
                create_job=job,
                display_name=spec.display_name,
                description=spec.description,
                tags=dict(spec.tags),
                properties=dict(body["properties"]),
                is_enabled=spec.enabled,
            )
            client.schedules.begin_create_or_update(schedule).result()

        sdk.signed_in(self._context, f"schedule {spec.name}", create)

    def _job(self, spec: CreateSchedule) -> tuple[dict[str, Any], str]:
        """The pipeline's YAML with the inputs of the schedule, and the file from which its paths start."""
        file = _file(spec)
        given = self._pipelines.inputs.of_job(file.inputs, spec.inputs)
        document = {**file.job, "inputs": {**file.job["inputs"], **given}}
        if spec.experiment is not None:
            document["experiment_name"] = spec.experiment
        return document, str(file.path.absolute())

    def _switched(self, name: str, on: bool) -> Schedule:
        found = self._found(name)
        properties = found["properties"]
        if properties.get("isEnabled") is not on:
            self._put(str(found["name"]), {**{key: properties.get(key) for key in _WRITTEN}, "isEnabled": on})
        return self.get(name)

    # Reading

    def _path(self, name: str) -> str:
        return f"{{ws}}/schedules/{names.asset_name(name, 'schedule name')}"

    def _found(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] | None = self._context.rest.find(self._path(name), VERSION)
        if found is None:
            known = [str(each["name"]) for each in self._context.rest.pages("{ws}/schedules", VERSION, listViewType="All")]
            raise NotFoundError(
                f"no schedule {name!r}", cause=did_you_mean(name, known), fix="opsml schedules list shows what there is"
            )
        return found

    def _runs(self, name: str) -> tuple[ScheduledRun, ...]:
        """The newest runs that the schedule began, among the workspace's newest pipeline jobs."""
        jobs = self._context.rest.pages("{ws}/jobs", _JOBS_VERSION, jobType="Pipeline")
        found = []
        for job in islice(jobs, _LOOKED_AT):
            properties = job.get("properties") or {}
            by = (properties.get("properties") or {}).get("azureml.genericTriggerName")
            if by is not None and names.key(str(by)) == names.key(name):
                due = _due(str(properties.get("displayName") or "")) or created_at(job)
                found.append(ScheduledRun(str(job["name"]), due, state_of(properties.get("status"))))
        return tuple(sorted(found, key=lambda run: run.due, reverse=True)[:_SHOWN])

    def _view(self, document: Mapping[str, Any], runs: tuple[ScheduledRun, ...] = ()) -> Schedule:
        properties = document["properties"]
        said = properties.get("properties") or {}
        job = (properties.get("action") or {}).get("jobDefinition") or {}
        trigger = schedule_mapping.from_azure(properties["trigger"])
        enabled = properties.get("isEnabled") is not False
        made = created_at(document)
        return Schedule(
            name=str(document["name"]),
            enabled=enabled,
            trigger=trigger,
            pipeline=said.get(_PIPELINE),
            version=said.get(_PIPELINE_VERSION),
            inputs={
                name: str(item.get("value", item.get("uri")))
                for name, item in (job.get("inputs") or {}).items()
                if isinstance(item, Mapping)
            },
            experiment=job.get("experimentName"),
            created_at=made,
            description=properties.get("description"),
            display_name=properties.get("displayName"),
            tags=properties.get("tags") or {},
            next_runs=_next_runs(trigger, made) if enabled else (),
            last_runs=runs,
            notes=(_FIXED,) if said.get(_PIPELINE) else (),
        )


_KINDS = {
    "Literal": "literal",
    "UriFile": "uri_file",
    "UriFolder": "uri_folder",
    "MLTable": "mltable",
    "MLFlowModel": "mlflow_model",
    "CustomModel": "custom_model",
    "TritonModel": "triton_model",
}


def _file(spec: CreateSchedule) -> PipelineFile:
    from opsml_cli.azureml import pipeline_files

    if spec.inline is not None:
        return pipeline_files.read_text(spec.inline.text, Path(spec.inline.beside).expanduser())
    assert spec.path is not None
    return pipeline_files.read(Path(spec.path).expanduser())


def _digest(spec: CreateSchedule, said: Mapping[str, str]) -> str:
    """SHA-256 of all that was asked for; whether it is enabled stands beside it."""
    value = asdict(spec)
    for key in ("enabled", "dry_run", "path", "inline", "version"):
        del value[key]
    if spec.pipeline is None:
        value["file"] = _file(spec).digest
    return hashlib.sha256(json.dumps([value, dict(said)], sort_keys=True, default=str).encode()).hexdigest()


def _without_start(trigger: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in trigger.items() if key != "startTime" and value}


def _next_runs(trigger: Trigger, made: str) -> tuple[str, ...]:
    now = datetime.now(UTC)
    anchor = datetime.fromisoformat(made) if made else now
    found = due_times.next_times(schedule_mapping.as_acted_on(trigger), now, anchor, _SHOWN)
    return tuple(moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") for moment in found)


def _due(display_name: str) -> str | None:
    """The time at the end of a scheduled run's display name."""
    try:
        moment = datetime.strptime(display_name.rpartition("-")[2], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
