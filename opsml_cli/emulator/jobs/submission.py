"""Taking a job: its body is checked at once; what only its content can tell is found later, and ends the job as failed.

So does Azure: a job whose data is not there is accepted, and fails."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from opsml_cli.domain import names
from opsml_cli.domain.errors import ConflictError, OpsmlError, UsageError
from opsml_cli.domain.job import AutoMLOutcome, Job, JobKind, JobState, Task
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.jobs import automl, command, common, inputs, pipeline, resource
from opsml_cli.emulator.jobs.assembly import Assembly
from opsml_cli.emulator.resources import who
from opsml_cli.emulator.wire import Call, WireError
from opsml_cli.local.clock import now
from opsml_cli.local.pipelines.runs import Labels
from opsml_cli.local.pipelines.snapshot import Snapshot

KINDS = {"AutoML": JobKind.AUTOML, "Command": JobKind.COMMAND, "Pipeline": JobKind.PIPELINE}
_OTHERS = ("Sweep", "Spark", "Labeling", "FineTuning", "Distillation")


def read(body: Body, name: str | None) -> tuple[JobKind, dict[str, Any]]:
    """The kind and every member of a job's `properties`, as Azure answers them. `name` None: of a job that is yet to run.
    400, or 501 for kinds that only Azure has."""
    word = body.choice("jobType", (*KINDS, *_OTHERS), required=True)
    if word in _OTHERS:
        raise common.not_here(f"jobType is {word}, and this machine runs {', '.join(KINDS)} jobs")
    kind = KINDS[word]
    members = common.read(body)
    if kind is JobKind.AUTOML:
        return kind, {**members, **automl.read(body)}
    return kind, {**members, **(command.read(body, name) if kind is JobKind.COMMAND else pipeline.read(body))}


def submit(call: Call, name: str, kind: JobKind, members: Mapping[str, Any]) -> tuple[Job, dict[str, Any]]:
    """Begin a job of which nothing is recorded yet. `members` are those that `read` made. The job as it was taken, and what
    is kept of its client's words. WireError for a body that Azure would refuse."""
    try:
        names.asset_name(name, "job name")
    except UsageError as error:
        raise WireError(400, f"{error.message}: {error.cause}", inner=("BadArgument", "ArgumentInvalid")) from error
    taken = checked(call, kind, members)
    if kind is JobKind.COMMAND and command.for_client(taken):
        notes = _notes(call, taken)
        resource.save_notes(call, name, notes)
        _failed(call, name, kind, taken, command.FOR_CLIENT)
        return call.served.local.jobs.get(name), notes
    assembly = Assembly(call)
    document = _assembled(call, assembly, kind, taken)
    if document is not None:
        assembly.check(document)
    notes = _notes(call, taken)
    resource.save_notes(call, name, notes)
    try:
        if document is None:
            _train(call, name, taken)
        else:
            labels = Labels(name, kind, taken["displayName"], taken["tags"])
            call.served.local.pipelines.begin_snapshot(assembly.snapshot(document), labels, taken["experimentName"])
    except ConflictError:
        raise
    except OpsmlError as error:
        reason = " ".join(part for part in (f"{error.message}.", error.cause) if part).rstrip(".")
        _failed(call, name, kind, taken, reason)
    job = call.served.local.jobs.get(name)
    if taken["displayName"] is not None and job.display_name != taken["displayName"]:
        job = call.served.local.jobs.describe(name, display_name=taken["displayName"])
    return job, notes


def checked(call: Call, kind: JobKind, members: Mapping[str, Any]) -> dict[str, Any]:
    """The members with every compute known, as Azure names it. WireError."""
    if kind is JobKind.PIPELINE:
        for place, compute in pipeline.node_computes(members).items():
            common.check_compute(call.served, compute, place)
    return {**members, "computeId": common.check_compute(call.served, members["computeId"])}


def snapshot_of(call: Call, kind: JobKind, taken: Mapping[str, Any]) -> Snapshot:
    """The local pipeline that a command or pipeline job is, its content stored. WireError for a body that Azure would refuse,
    OpsmlError for what only its content can tell."""
    assembly = Assembly(call)
    document = _assembled(call, assembly, kind, taken)
    assert document is not None
    assembly.check(document)
    return assembly.snapshot(document)


def _assembled(call: Call, assembly: Assembly, kind: JobKind, taken: Mapping[str, Any]) -> dict[str, Any] | None:
    if kind is JobKind.COMMAND:
        return command.assemble(assembly, taken)
    if kind is JobKind.PIPELINE:
        return pipeline.assemble(assembly, lambda identity: inputs.component(call, identity), taken)
    return None


def _train(call: Call, name: str, taken: Mapping[str, Any]) -> None:
    with ExitStack() as stack:
        tables = {
            field: inputs.table(call, item["uri"], wire, stack)
            for wire, field in automl.TABLES.items()
            if (item := taken["taskDetails"][wire]) is not None and "uri" in item
        }
        call.served.local.jobs.begin_automl(automl.spec(name, taken, tables))


def _failed(call: Call, name: str, kind: JobKind, taken: Mapping[str, Any], reason: str) -> None:
    outcome: AutoMLOutcome | None = None
    if kind is JobKind.AUTOML:
        details = taken["taskDetails"]
        metric = automl.METRICS[details["taskType"]][details["primaryMetric"]]
        outcome = AutoMLOutcome(task=Task(details["taskType"].lower()), metric=metric)
    call.served.local.jobs.record_failed(
        Job(
            name=name,
            kind=kind,
            status=JobState.FAILED,
            experiment=taken["experimentName"],
            workspace=call.served.local.name,
            created_at=now(),
            display_name=taken["displayName"],
            tags=taken["tags"],
            spec={"description": taken["description"]},
            automl=outcome,
        ),
        reason,
    )


def _notes(call: Call, taken: Mapping[str, Any]) -> dict[str, Any]:
    labels = ("description", "tags", "properties", "displayName", "experimentName", "isArchived")
    return {
        "definition": {key: item for key, item in taken.items() if key not in labels},
        "description": taken["description"],
        "properties": taken["properties"],
        "archived": taken["isArchived"],
        "createdBy": who(call),
    }
