"""Schedules: created, switched, triggered, deleted. The local service begins their runs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from opsml_cli.domain import names
from opsml_cli.domain.errors import NotFoundError, OpsmlError, UsageError
from opsml_cli.domain.job import JobKind
from opsml_cli.emulator import schedule_document
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.jobs import common, resource, submission
from opsml_cli.emulator.jobs.pipeline import CREATION
from opsml_cli.emulator.operations import Outcome
from opsml_cli.emulator.resources import page, who
from opsml_cli.emulator.wire import Call, Reply, Route, WireError
from opsml_cli.local import annotations as notes_of
from opsml_cli.local.clock import now, stamp
from opsml_cli.local.pipelines import records as pipeline_records
from opsml_cli.local.schedule_records import ScheduleRecord

if TYPE_CHECKING:
    from opsml_cli.emulator.site import Served

PUT_WATCH = "schedule"
DELETE_WATCH = "schedule gone"
REFUSED_WATCH = "schedule kept"
_NOTES = "schedule"
_KINDS = {JobKind.PIPELINE: "Pipeline", JobKind.COMMAND: "Command"}
_VIEWS = {"enabledonly": (True,), "disabledonly": (False,), "all": (False, True)}


def put(call: Call) -> Reply:
    """201 for a new schedule and for one that is there; its operation begins as `Creating` either way."""
    name = call.parameters["name"]
    try:
        names.asset_name(name, "schedule name")
    except UsageError as error:
        raise WireError(400, f"{error.message}: {error.cause}", inner=("BadArgument", "ArgumentInvalid")) from error
    properties = Body.of(call).section("properties", required=True)
    trigger, shown = schedule_document.read_trigger(properties.section("trigger", required=True))
    known = _known(call.served, name)
    notes = {} if known is None else _notes(call.served, name)
    moment = datetime.now(UTC)
    record = ScheduleRecord(
        id=uuid.uuid4().hex,
        name=name,
        enabled=properties.flag("isEnabled") is not False,
        # Without a start time Azure runs the first job at once.
        next_at=stamp(moment) if known is None and trigger.start_time is None else None,
        created_at=stamp(moment),
        counted_from=stamp(moment),
        trigger=trigger,
        description=properties.text("description"),
        display_name=properties.text("displayName"),
        tags=properties.texts("tags"),
    )
    record, definition = _with_action(call, properties.section("action", required=True), record, known, notes)
    said = {
        "definition": definition,
        "trigger": shown,
        "properties": properties.texts("properties"),
        "createdBy": notes.get("createdBy") or who(call),
    }
    if known is not None:
        said |= {"modifiedAt": now(), "modifiedBy": who(call)}
    with call.served.local.store.write() as connection:
        notes_of.save(connection, _NOTES, name, said)
    record, _ = call.served.local.schedules.save(record, moment)
    headers = call.site.operations.begin(call, "s", PUT_WATCH, [record.name], location="resource", running="Creating")
    return Reply(201, {"properties": schedule_document.document(record, said, "Creating")}, headers)


def get(call: Call) -> Reply:
    record = _found(call)
    return Reply(value=_shown(call, record))


def list_(call: Call) -> Reply:
    """Newest first; those of `listViewType`, the enabled ones unless it says otherwise."""
    text = call.query.get("listViewType", "EnabledOnly")
    wanted = _VIEWS.get(text.lower())
    if wanted is None:
        raise WireError(400, f"The listViewType '{text}' is not valid.", inner=("BadArgument", "ArgumentInvalid"))
    found = [each for each in call.served.local.schedules.records() if each.enabled in wanted]
    return Reply(value=page(call, found, lambda each: each.name, lambda each: _shown(call, each)))


def delete(call: Call) -> Reply:
    """202 always; that an enabled schedule stays is told by the operation alone. 204 when there is nothing of that name."""
    record = _known(call.served, call.parameters["name"])
    if record is None:
        return Reply(204, content=b"")
    watch = REFUSED_WATCH if record.enabled else DELETE_WATCH
    headers = call.site.operations.begin(call, "s", watch, [record.name], location="results", running="Deleting")
    if not record.enabled:
        call.served.local.schedules.delete(record.name)
        with call.served.local.store.write() as connection:
            notes_of.remove(connection, _NOTES, record.name)
    return Reply(202, None, headers)


def trigger(call: Call) -> Reply:
    """A run now, under the time that the body says; enabled or not."""
    record = _found(call)
    body = Body.of(call) if call.body else Body({})
    text = body.text("scheduleTime")
    try:
        moment = datetime.now(UTC) if text is None else datetime.fromisoformat(text)
    except ValueError:
        raise body.wrong("scheduleTime", f"the value {text!r} is no time.") from None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    run = call.served.local.schedules.runs.begin_now(record, moment.astimezone(UTC))
    return Reply(value={"submissionId": run, "scheduleActionType": "CreateJob"})


# What a schedule runs


def _with_action(
    call: Call, action: Body, record: ScheduleRecord, known: ScheduleRecord | None, notes: Mapping[str, Any]
) -> tuple[ScheduleRecord, dict[str, Any] | None]:
    """The record with what it runs, and the job as Azure shows it (None: what the command line made)."""
    kind = action.choice("actionType", ("CreateJob", "InvokeBatchEndpoint", "ImportData", "CreateMonitor"), required=True)
    if kind != "CreateJob":
        raise common.not_here(f"a schedule's action is {kind}, and this machine's schedules create jobs")
    body = action.section("jobDefinition", required=True)
    shown: dict[str, Any] = {}
    if not body.value.get("jobs") and body.text("sourceJobId") is not None:
        shown["experimentName"] = body.text("experimentName") or ""
        body = _source(call, body)
    elif known is not None and not body.value.get("jobs") and known.problem is None and not notes.get("definition"):
        # The client hands back what it read of a schedule of the command line.
        return _as(record, known), None
    word, members = submission.read(body, None)
    if word not in _KINDS:
        raise common.not_here(
            f"a schedule's job is of kind {word.value}, and this machine's schedules run pipelines and commands"
        )
    taken = submission.checked(call, word, members)
    snapshot, problem = _snapshot(call, word, taken)
    given = {
        name: item["value"]
        for name, item in (taken.get("inputs") or {}).items()
        if word is JobKind.PIPELINE and item.get("jobInputType") == "literal" and CREATION.search(item["value"])
    }
    record = record.with_(
        snapshot=snapshot,
        problem=problem,
        inputs=given,
        experiment=taken["experimentName"],
        run_kind=word.value,
        run_tags=taken["tags"],
    )
    return record, schedule_document.job_definition(_KINDS[word], {**taken, **shown})


def _snapshot(call: Call, kind: JobKind, taken: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The hash of the stored pipeline; or why there is none: Azure takes the schedule all the same, and its runs fail."""
    try:
        made = submission.snapshot_of(call, kind, taken)
    except (WireError, OpsmlError) as error:
        if isinstance(error, WireError) and error.status == 501:
            raise
        return None, error.message
    with call.served.local.store.write() as connection:
        pipeline_records.insert_snapshot(connection, made.sha256, made.document())
    return made.sha256, None


def _source(call: Call, body: Body) -> Body:
    """The job that ran and is to run again, in place of its id."""
    name = (body.text("sourceJobId") or "").rstrip("/").rpartition("/")[2]
    try:
        job = call.served.local.jobs.get(name)
    except NotFoundError:
        raise body.wrong("sourceJobId", f"Job {name} not found.") from None
    definition = resource.notes_of(call, job.name).get("definition")
    if not definition:
        raise common.not_here(f"the job {name} was not submitted over Azure's wire; publish its pipeline and schedule that")
    experiment = body.text("experimentName") or job.experiment
    whole = {
        **definition,
        "jobType": resource.TYPES[job.kind],
        "experimentName": experiment,
        "sourceJobId": body.text("sourceJobId"),
    }
    return Body(whole, body.place)


def _as(record: ScheduleRecord, known: ScheduleRecord) -> ScheduleRecord:
    return record.with_(
        pipeline=known.pipeline,
        version=known.version,
        snapshot=known.snapshot,
        inputs=known.inputs,
        experiment=known.experiment,
        run_kind=known.run_kind,
        run_tags=known.run_tags,
    )


# What there is


def _known(served: Served, name: str) -> ScheduleRecord | None:
    try:
        return served.local.schedules.record(name)
    except NotFoundError:
        return None


def _found(call: Call) -> ScheduleRecord:
    record = _known(call.served, call.parameters["name"])
    if record is None:
        raise WireError(404, f"Resource Trigger {call.parameters['name']} not found", inner=("NotFound",))
    return record


def _notes(served: Served, name: str) -> dict[str, Any]:
    with served.local.store.read() as connection:
        return notes_of.find(connection, _NOTES, name) or {}


def _shown(call: Call, record: ScheduleRecord) -> dict[str, Any]:
    pending = call.site.operations.pending(call.served, PUT_WATCH, [record.name])
    return schedule_document.whole(record, _notes(call.served, record.name), "Creating" if pending else "Succeeded")


def _done(served: Served, subject: Sequence[str]) -> Outcome:
    del served, subject  # the record was written before the operation was answered
    return Outcome(True)


def _kept(served: Served, subject: Sequence[str]) -> Outcome:
    del served
    return Outcome(False, f"Cannot delete an active trigger {subject[0]}")


_ONE = "{ws}/schedules/{name}"
ROUTES = (
    Route("GET", "{ws}/schedules", list_),
    Route("GET", _ONE, get),
    Route(
        "PUT", _ONE, put, "write",
        note="pipeline and command jobs by cron or recurrence; the local service begins the runs while it is up; "
        "monitors, imports and batch endpoints answer 501",
    ),
    Route("DELETE", _ONE, delete, "write"),
    Route("POST", _ONE + "/trigger", trigger, "write"),
)  # fmt: skip
WATCHES = {PUT_WATCH: _done, DELETE_WATCH: _done, REFUSED_WATCH: _kept}
