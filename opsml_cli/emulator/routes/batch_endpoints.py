"""Batch endpoints: created, given a default deployment, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.errors import NotFoundError, UsageError
from opsml_cli.emulator import inference, resources
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.operations import Outcome
from opsml_cli.emulator.wire import Call, Reply, Route, WireError
from opsml_cli.local.batch.records import PIPELINE, BatchEndpoint

if TYPE_CHECKING:
    from opsml_cli.emulator.site import Served

KIND = "batchEndpoints"
PUT_WATCH = "batch endpoint"
DELETE_WATCH = "batch endpoint gone"
_AUTH_MODES = ("AADToken", "Key", "AMLToken")


def put(call: Call) -> Reply:
    """201 for a new endpoint, whose scoring URI is null until its operation has ended; 200 for one that is there."""
    body = inference.resource_body(call)
    properties = body.section("properties", required=True)
    if properties.choice("authMode", _AUTH_MODES, required=True) != "AADToken":
        raise properties.wrong("authMode", "the value of a batch endpoint must be AADToken.")
    name = inference.checked_name(call.parameters["endpoint"], "endpoint")
    inference.check_unique(call, name, batch=True)
    defaults = properties.section("defaults")
    return _put(
        call,
        name,
        default=None if defaults is None else defaults.text("deploymentName"),
        description=properties.text("description"),
        tags=body.texts("tags"),
        settings={"properties": properties.texts("properties"), "identity": inference.identity(call, body)},
    )


def patch(call: Call) -> Reply:
    """Tags of an endpoint that is there."""
    found = required(call.served, call.parameters["endpoint"])
    tags = Body.of(call).texts("tags")
    reply = _put(call, found.name, default=found.default, description=found.description, tags=tags, settings={})
    return Reply(202, reply.value, reply.headers)


def _put(
    call: Call, name: str, *, default: str | None, description: str | None, tags: dict[str, str], settings: dict[str, Any]
) -> Reply:
    group = call.served.local.batch_catalog
    said = {"by": resources.who(call), "version": call.api_version} if not group.exists(name) else {}
    try:
        endpoint, new = group.put(name, default=default, description=description, tags=tags, settings={**settings, **said})
    except UsageError as error:
        raise WireError(400, f"{inference.told(error)}.", inner=("BadArgument", "ArgumentInvalid")) from error
    headers = call.site.operations.begin(call, "bebes", PUT_WATCH, [endpoint.name], location="resource")
    state = "Creating" if new else "Updating"
    return Reply(201 if new else 200, document(call, endpoint, state), headers)


def get(call: Call) -> Reply:
    return Reply(value=document(call, required(call.served, call.parameters["endpoint"])))


def list_(call: Call) -> Reply:
    found = call.served.local.batch_catalog.list()
    return Reply(value=resources.page(call, found, lambda each: each.name, lambda each: document(call, each)))


def delete(call: Call) -> Reply:
    """202, and the work is done; 204 when there is nothing of that name. Its runs stay."""
    name = call.parameters["endpoint"]
    if not call.served.local.batch_catalog.exists(name):
        return Reply(204, content=b"")
    headers = call.site.operations.begin(call, "bebes", DELETE_WATCH, [name], location="results")
    call.served.local.batch_catalog.delete(name)
    return Reply(202, headers=headers)


def list_keys(call: Call) -> Reply:
    found = required(call.served, call.parameters["endpoint"])
    raise WireError(400, f"The batch endpoint {found.name} has auth mode AADToken and no keys.", inner=("BadArgument",))


def required(served: Served, name: str) -> BatchEndpoint:
    try:
        return served.local.batch_catalog.get(name)
    except NotFoundError:
        raise inference.not_found(f"Batch endpoint {name} not found.") from None


def document(call: Call, endpoint: BatchEndpoint, state: str | None = None) -> dict[str, Any]:
    """The resource; `state` None: what its newest operation says."""
    served = call.served
    if state is None:
        pending = call.site.operations.pending(served, PUT_WATCH, [endpoint.name])
        new = endpoint.created_at == endpoint.modified_at
        state = ("Creating" if new else "Updating") if pending else "Succeeded"
    more = {
        **endpoint.settings.get("properties", {}),
        "BatchEndpointCreationApiVersion": endpoint.settings.get("version"),
        "azureml.onlineendpointid": f"{served.arm_id}/batchEndpoints/{endpoint.name}",
    }
    if any(each.kind == PIPELINE for each in endpoint.deployments.values()):
        more["ComponentDeployment.Enabled"] = "True"
    properties = {
        "description": endpoint.description,
        "properties": more,
        "scoringUri": None if state == "Creating" else f"{call.site.base}/_batch/{endpoint.name}/jobs",
        "swaggerUri": None,
        "authMode": "AADToken",
        "provisioningState": state,
        "defaults": {"deploymentName": endpoint.default},
    }
    found = resources.envelope(
        call,
        ("batchEndpoints", endpoint.name),
        KIND,
        properties,
        inference.system_data(endpoint.created_at, endpoint.settings.get("by"), endpoint.modified_at),
        location=served.region,
        tags=dict(endpoint.tags),
        identity=endpoint.settings.get("identity"),
        sku=None,
    )
    return {**found, "kind": None}


def _present(served: Served, subject: Sequence[str]) -> Outcome:
    if not served.local.batch_catalog.exists(subject[0]):
        return Outcome(False, f"The endpoint {subject[0]} was deleted meanwhile.")
    return Outcome(True)


def _gone(served: Served, subject: Sequence[str]) -> Outcome:
    del served, subject  # the record went before the operation was answered
    return Outcome(True)


_ONE = "{ws}/batchEndpoints/{endpoint}"

ROUTES = (
    Route("GET", "{ws}/batchEndpoints", list_),
    Route("GET", _ONE, get),
    Route("PUT", _ONE, put, "write"),
    Route("PATCH", _ONE, patch, "write"),
    Route("DELETE", _ONE, delete, "write"),
    Route("POST", _ONE + "/listkeys", list_keys, "write", note="always refused: batch endpoints have no keys"),
)
WATCHES = {PUT_WATCH: _present, DELETE_WATCH: _gone}
