"""Run history: runs, their children, details and outputs, and where outputs lie."""

from __future__ import annotations

import re
import threading
from typing import Any

from opsml_cli.domain.errors import NotFoundError
from opsml_cli.domain.job import JobState
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.jobs import labels, run_document
from opsml_cli.emulator.resources import page
from opsml_cli.emulator.uris import long_uri
from opsml_cli.emulator.wire import Call, Reply, Route, WireError
from opsml_cli.local.run_files import MODEL_ARTIFACT
from opsml_cli.local.run_history import Run, RunKind
from opsml_cli.local.storage.views import output_path, run_path

_ASSET = re.compile(r"azureml://locations/[^/]+/workspaces/([^/]+)/(data|models)/azureml_(.+)/versions/1\Z")


class Followers:
    """Trainings that somebody was looking at when they were not over yet. Whoever did gets one look more at the finished
    log, under the state `Finalizing`, before the run is Completed and, as on Azure, without logs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: set[tuple[str, str]] = set()

    def finalizing(self, workspace: str, run: Run) -> bool:
        key = (workspace, run.id)
        with self._lock:
            if not run.status.finished:
                self._seen.add(key)
                return False
            if key not in self._seen:
                return False
            self._seen.discard(key)
            return run.status is JobState.COMPLETED


_FOLLOWERS = Followers()


def get_run(call: Call) -> Reply:
    return Reply(value=run_document.document(call, _found(call)))


def get_details(call: Call) -> Reply:
    run = _found(call)
    finalizing = run.kind is RunKind.AUTOML and _FOLLOWERS.finalizing(call.served.workspace_id, run)
    # The parent of a completed training has no logs; its children have.
    shown = run.kind is not RunKind.AUTOML or run.status is not JobState.COMPLETED or finalizing
    found = run_document.details(call, run, logs=shown)
    return Reply(value={**found, "status": "Finalizing"} if finalizing else found)


def get_children(call: Call) -> Reply:
    """Newest first, in pages."""
    children = call.served.local.history.children(_found(call))
    found = page(call, children, lambda run: run.id, lambda run: run_document.document(call, run))
    return Reply(value={**found, "continuationToken": None})


def get_run_data(call: Call) -> Reply:
    """One run with its outputs."""
    body = Body.of(call)
    return Reply(value=_run_data(call, _named(call, body.text("runId", required=True))))


def get_batch_run_data(call: Call) -> Reply:
    """Many runs with their outputs, each under the key that the client gave it."""
    found: dict[str, Any] = {}
    failed: dict[str, Any] = {}
    for key, asked in Body.of(call).sections("requests"):
        try:
            found[key] = _run_data(call, _named(call, asked.text("runId", required=True)))
        except WireError as error:
            failed[key] = {"error": {"code": error.code, "message": error.message}}
    return Reply(value={"successfulResults": found, "failedResults": failed})


def patch_run(call: Call) -> Reply:
    """Labels of a job: display name, description, tags and properties (added to those there are), hidden."""
    run = _found(call)
    body = Body.of(call)
    if run.id != run.job.name:
        raise WireError(400, f"Run {run.id} is a part of {run.job.name} and cannot be changed.", inner=("BadArgument",))
    labels.change(
        call,
        run.job,
        description=body.text("description"),
        display_name=body.text("displayName"),
        tags=body.texts("tags") or None,
        properties=body.texts("properties"),
        archived=body.flag("hidden"),
        merge=True,
    )
    return Reply(value=run_document.document(call, _named(call, run.id)))


def get_service_instances(call: Call) -> Reply:
    """A job on this machine offers no services of its own."""
    _found(call)
    return Reply(value={"instances": {}})


def resolve_data(call: Call) -> Reply:
    """Where outputs of runs lie, by their asset ids."""
    found = {}
    for asset in Body.of(call).words("values") or []:
        place = _place(call, asset)
        if place is not None:
            found[asset] = {"uri": place[0], "type": place[1], "legacyDatasetType": None}
    return Reply(value={"values": found})


def resolve_models(call: Call) -> Reply:
    found = {}
    for asset in Body.of(call).words("values") or []:
        place = _place(call, asset)
        if place is not None:
            found[asset] = {"path": place[0], "type": place[1]}
    return Reply(value={"values": found})


def _place(call: Call, asset: str) -> tuple[str, str] | None:
    """The address and the type of the content behind an asset's id; None for what is none of a run of this workspace."""
    match = _ASSET.match(asset)
    if match is None or match[1].casefold() != call.served.workspace_id.casefold():
        return None
    between = "_output_data_" if match[2] == "data" else "_output_"
    name = match[3]
    # Names may hold these words too: the split that names a run and one of its outputs is the right one.
    for end in (found.start() for found in re.finditer(between, name)):
        place = _output(call, name[:end], name[end + len(between) :])
        if place is not None:
            return place
    return None


def _output(call: Call, owner: str, name: str) -> tuple[str, str] | None:
    try:
        run = call.served.local.history.get(owner)
    except NotFoundError:
        return None
    if name == "default" and run.kind is RunKind.PIPELINE:
        return long_uri(call, "workspaceartifactstore", run_path(run.id)), "UriFolder"
    output = call.served.local.run_files.outputs(run).get(name)
    if output is None:
        return None
    kind = run_document.TYPES.get(output.type, "UriFolder")
    if run.kind is RunKind.TRIAL:
        return long_uri(call, "workspaceartifactstore", run_path(run.id, MODEL_ARTIFACT)), kind
    path = output_path(run.id, name)
    return long_uri(call, "workspaceblobstore", path if output.path.is_file() else f"{path}/"), kind


def _run_data(call: Call, run: Run) -> dict[str, Any]:
    return {
        "runMetadata": run_document.document(call, run, outputs=True),
        "runDefinition": None,
        "jobSpecification": None,
        "systemSettings": None,
    }


def _found(call: Call) -> Run:
    return _named(call, call.parameters["run"])


def _named(call: Call, name: str) -> Run:
    try:
        return call.served.local.history.get(name)
    except NotFoundError as error:
        raise WireError(
            404,
            f"Run {name} was not found",
            message_format="Run {runId} was not found",
            parameters={"runId": name},
            inner=("NotFoundError",),
        ) from error


_HISTORY = "/history/v1.0{ws}"
_PARENTS = ("", "/experiments/{experiment}", "/experimentids/{experiment}")
ROUTES = (
    *(
        route
        for parent in _PARENTS
        for route in (
            Route("GET", f"{_HISTORY}{parent}/runs/{{run}}", get_run),
            Route("PATCH", f"{_HISTORY}{parent}/runs/{{run}}", patch_run, access="write", note="labels of jobs"),
            Route("GET", f"{_HISTORY}{parent}/runs/{{run}}/details", get_details),
            Route("GET", f"{_HISTORY}{parent}/runs/{{run}}/children", get_children),
        )
    ),
    Route("GET", f"{_HISTORY}/runs/{{run}}/serviceinstances/{{node}}", get_service_instances, note="always none"),
    Route("POST", f"{_HISTORY}/rundata", get_run_data),
    Route("POST", f"{_HISTORY}/batchrundata", get_batch_run_data),
    Route("POST", "/data/v1.0{ws}/dataversion/batchGetResolvedUris", resolve_data, note="outputs of runs"),
    Route("POST", "/modelregistry/v1.0{ws}/models/batchGetResolvedUris", resolve_models, note="outputs of runs"),
)
