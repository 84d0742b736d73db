"""Jobs: submitted, shown, listed, relabelled, canceled. What runs is the local engine's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opsml_cli.domain.errors import NotFoundError
from opsml_cli.domain.job import Job, JobKind
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.jobs import common, labels, resource, submission
from opsml_cli.emulator.operations import Outcome
from opsml_cli.emulator.resources import location, page, system_data, viewed
from opsml_cli.emulator.site import Served
from opsml_cli.emulator.wire import Call, Reply, Route, WireError
from opsml_cli.local.run_history import Run

_CANCEL = "job-cancel"
_TYPE = "Microsoft.MachineLearningServices/workspaces/jobs"


def put_job(call: Call) -> Reply:
    """A new job, begun; or other labels of one that exists."""
    name = call.parameters["name"]
    body = Body.of(call).section("properties", required=True)
    kind, members = submission.read(body, name)
    try:
        known = call.served.local.jobs.get(name)
    except NotFoundError:
        job, notes = submission.submit(call, name, kind, members)
        taken = resource.document(call, job, notes, taken=True)
        return Reply(201, taken, {"location": location(call)})
    return _relabelled(call, known, kind, members)


def get_job(call: Call) -> Reply:
    run = _found(call)
    if run.id != run.job.name or run.parent is not None:
        # Parts of jobs are known to run history alone.
        system = system_data(run.created_at, resource.notes_of(call, run.job.name).get("createdBy"))
        identity = f"{call.served.arm_id}/jobs/{run.id}"
        return Reply(value={"id": identity, "name": run.id, "type": _TYPE, "systemData": system})
    return Reply(value=resource.document(call, run.job, resource.notes_of(call, run.id)))


def list_jobs(call: Call) -> Reply:
    """Newest first, those of `jobType`, `tag` and `listViewType`."""
    said = resource.all_notes(call)

    def notes(job: Job) -> Mapping[str, Any]:
        return said.get(job.name.casefold(), {})

    kinds = {word.casefold(): kind for word, kind in submission.KINDS.items()}
    wanted = call.query.get("jobType")
    found: Sequence[Job] = call.served.local.jobs.list()
    if wanted is not None:
        found = [job for job in found if job.kind is kinds.get(wanted.casefold())]
    tag = call.query.get("tag")
    if tag is not None:
        key, equals, value = tag.partition("=")
        found = [job for job in found if key in job.tags and (not equals or job.tags[key] == value)]
    found = viewed(call, found, lambda job: bool(notes(job).get("archived")))
    return Reply(
        value=page(call, found, lambda job: job.name, lambda job: resource.document(call, _whole(call, job), notes(job)))
    )


def cancel_job(call: Call) -> Reply:
    run = _found(call)
    name = run.job.name
    headers = call.site.operations.begin(call, "jc", _CANCEL, [name], location="results", minutes=60)
    call.served.local.jobs.cancel(name)
    return Reply(202, None, headers)


def delete_job(call: Call) -> Reply:
    _found(call)
    raise common.not_here("jobs are kept for ever, with what came out of them. Archive it instead")


def canceled(served: Served, subject: Sequence[str]) -> Outcome:
    """Whether the job has come to an end."""
    return Outcome(True if served.local.jobs.get(subject[0]).status.finished else None)


def missing(name: str) -> WireError:
    return WireError(
        404,
        f"Job {name} not found.",
        inner=("NotFound", "JobNotFound"),
        message_format="Job {jobId} not found.",
        parameters={"jobId": name},
    )


def _found(call: Call) -> Run:
    name = call.parameters["name"]
    try:
        return call.served.local.history.get(name)
    except NotFoundError as error:
        raise missing(name) from error


def _whole(call: Call, job: Job) -> Job:
    """A listed job, with what an unfinished training has found so far."""
    return call.served.local.jobs.get(job.name) if job.kind is JobKind.AUTOML and not job.status.finished else job


def _relabelled(call: Call, job: Job, kind: JobKind, members: Mapping[str, Any]) -> Reply:
    notes = resource.notes_of(call, job.name)
    shown = resource.document(call, job, notes)["properties"]
    if kind is not job.kind:
        raise labels.immutable("jobType")
    for key, value in members.items():
        if key not in labels.MUTABLE and not _same(call, key, value, shown.get(key)):
            raise labels.immutable(key)
    labels.change(
        call,
        job,
        description=members["description"],
        display_name=members["displayName"],
        tags=members["tags"],
        properties=members["properties"],
        archived=members["isArchived"],
        merge=False,
    )
    return Reply(value=resource.document(call, call.served.local.jobs.get(job.name), resource.notes_of(call, job.name)))


def _same(call: Call, key: str, value: Any, shown: Any) -> bool:
    if key == "computeId" and isinstance(value, str):
        value = common.check_compute(call.served, value)
        return str(value).casefold() == str(shown).casefold()
    return bool(value == shown)


_ONE = "{ws}/jobs/{name}"
ROUTES = (
    Route("GET", "{ws}/jobs", list_jobs, note="by jobType, tag and listViewType"),
    Route("GET", _ONE, get_job),
    Route(
        "PUT", _ONE, put_job, access="write",
        note="AutoML classification and regression on tables, Command and Pipeline; an environment is named and not built: "
        "commands run in opsml's own Python; other kinds, tasks and nodes, and more than one instance or process, answer 501",
    ),
    Route("POST", _ONE + "/cancel", cancel_job, access="write"),
    Route("DELETE", _ONE, delete_job, access="write", coverage="refused", note="jobs are kept; archive them"),
)  # fmt: skip
WATCHES = {_CANCEL: canceled}
