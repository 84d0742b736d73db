"""Polling: the state of long-running operations, each kind in its own shape."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from opsml_cli.emulator.clock import stamp
from opsml_cli.emulator.operations import PROVIDER, Operation
from opsml_cli.emulator.site import Served
from opsml_cli.emulator.wire import Call, Reply, Route, WireError

_NEVER = "0001-01-01T00:00:00+00:00"
_LOCATION = "/subscriptions/{subscription}/providers/" + PROVIDER + "/locations/{region}"


def status(call: Call) -> Reply:
    """200 with the state, whatever it is."""
    _, operation = _find(call)
    return Reply(value=_document(call, operation), headers=call.site.operations.pacing())


def results(call: Call) -> Reply:
    """202 while it runs, then 200 with an empty body; the error of one that failed."""
    served, operation = _find(call)
    if not operation.ended_at:
        url = call.site.operations.results_url(call, served, operation.id)
        return Reply(202, {}, {"location": url, **call.site.operations.pacing()})
    if not operation.succeeded:
        raise WireError(400, operation.message, code=operation.code)
    return Reply(content=b"")


def _find(call: Call) -> tuple[Served, Operation]:
    """Look where it may be: most ids name their workspace."""
    wanted = call.parameters["operation"]
    if "s" in call.query and not call.site.identity.signed(f"{wanted}\n{call.query.get('t', '')}", call.query["s"]):
        raise WireError(400, "The signature of the operation's URL is invalid.", inner=("BadArgument",))
    for names in call.site.workspaces():
        if ":" in wanted and names.workspace_id not in wanted:
            continue
        with call.site.serve(names) as served:
            operation = call.site.operations.look(served, wanted)
            if operation is not None:
                return served, operation
    raise WireError(404, f"Operation {wanted} not found.", inner=("NotFound",))


def _document(call: Call, operation: Operation) -> dict[str, Any]:
    prefix = operation.prefix
    ended = bool(operation.ended_at)
    word = operation.running if not ended else "Succeeded" if operation.succeeded else "Failed"
    if prefix == "compute" and operation.succeeded:
        return {"status": word if ended else "InProgress", "percentComplete": 100.0 if ended else 0.0}
    path = call.path.replace("mfeOperationsStatus", "mfeOperationResults") if prefix == "s" else call.path
    found: dict[str, Any] = {"id": path, "name": operation.id, "status": word}
    if ended and not operation.succeeded:
        error = {"code": operation.code, "message": operation.message, "details": [], "additionalInfo": []}
        return {"error": error, **found}
    started = stamp(datetime.fromisoformat(operation.started_at))
    end = stamp(datetime.fromisoformat(operation.ended_at)) if ended else _NEVER
    if prefix == "s" and ended:
        found |= {"startTime": started, "endTime": end}
    elif prefix in ("oe", "oeidp", "od"):
        found |= {"startTime": started, "endTime": end, "percentComplete": 0.0}
    return found


ROUTES = (
    Route("GET", _LOCATION + "/mfeOperationsStatus/{operation}", status),
    Route("GET", _LOCATION + "/mfeOperationResults/{operation}", results),
    Route("GET", _LOCATION + "/computeOperationsStatus/{operation}", status),
)
