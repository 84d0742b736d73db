"""Online endpoints: created without deployments, given traffic, keys and tokens, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opsml_cli.domain import names
from opsml_cli.domain.endpoint import OnlineEndpoint
from opsml_cli.domain.errors import ConflictError, NotFoundError, UsageError
from opsml_cli.emulator import endpoint_tokens, inference, resources
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.operations import Outcome
from opsml_cli.emulator.wire import Call, Reply, Route, WireError
from opsml_cli.local import annotations as notes
from opsml_cli.local.endpoint_traffic import AUTH_MODES, EndpointSettings

if TYPE_CHECKING:
    from opsml_cli.emulator.site import Served

KIND = "onlineEndpoints"
PUT_WATCH = "online endpoint"
DELETE_WATCH = "online endpoint gone"
KEYS_WATCH = "online endpoint keys"


def put(call: Call) -> Reply:
    """201 for a new endpoint, whose URIs are null until its operation has ended; 200 for one that is there."""
    body = inference.resource_body(call)
    properties = body.section("properties", required=True)
    if properties.text("compute"):
        raise WireError(
            501, "Kubernetes online endpoints are not emulated: leave compute out.", code="NotImplemented", form="plain"
        )
    name = inference.checked_name(call.parameters["endpoint"], "endpoint")
    served = call.served
    before = find(served, name)
    inference.check_unique(call, name, batch=False)
    settings = EndpointSettings(
        auth_mode=properties.choice("authMode", AUTH_MODES, required=True),
        description=properties.text("description"),
        tags=body.texts("tags"),
        traffic=inference.percents(properties, "traffic"),
        mirror=inference.percents(properties, "mirrorTraffic"),
    )
    said = {
        "properties": properties.texts("properties"),
        "identity": inference.identity(call, body),
        "public": properties.choice("publicNetworkAccess", ("Enabled", "Disabled")) or "Enabled",
        "by": resources.who(call),
    }
    endpoint = _put(served, name, settings)
    headers = call.site.operations.begin(call, "oeidp", PUT_WATCH, [endpoint.name], location="resource")
    _say(served, endpoint, {**said, "operation": operation_url(headers), "new": before is None}, call)
    state = "Creating" if before is None else "Updating"
    return Reply(201 if before is None else 200, document(call, endpoint, state), headers)


def _put(served: Served, name: str, settings: EndpointSettings) -> OnlineEndpoint:
    try:
        return served.local.online_endpoints.put(name, settings)
    except (UsageError, ConflictError, NotFoundError) as error:
        # A deployment that is not there is a wrong number of the traffic, not a missing resource.
        raise inference.invalid("Traffic", inference.told(error), action="Call") from error


def patch(call: Call) -> Reply:
    """Tags and identity of an endpoint that is there."""
    endpoint = required(call)
    body = Body.of(call)
    settings = EndpointSettings(
        auth_mode=endpoint.auth_mode,
        description=endpoint.description,
        tags=body.texts("tags") if "tags" in body else endpoint.tags,
    )
    said = _said(call.served, endpoint)
    if "identity" in body:
        said["identity"] = inference.identity(call, body)
    endpoint = _put(call.served, endpoint.name, settings)
    headers = call.site.operations.begin(call, "oeidp", PUT_WATCH, [endpoint.name], location="results")
    _say(call.served, endpoint, {**said, "operation": operation_url(headers), "new": False}, call)
    return Reply(202, document(call, endpoint, "Updating"), headers)


def get(call: Call) -> Reply:
    return Reply(value=document(call, required(call)))


def list_(call: Call) -> Reply:
    """Newest first."""
    wanted = call.query.get("name", "").casefold()
    found = [each for each in call.served.local.online_endpoints.list() if not wanted or names.key(each.name) == wanted]
    return Reply(value=resources.page(call, found, lambda each: each.name, lambda each: document(call, each)))


def delete(call: Call) -> Reply:
    """202, and the work is done; 204 when there is nothing of that name."""
    endpoint = find(call.served, call.parameters["endpoint"])
    if endpoint is None:
        return Reply(204, content=b"")
    subject = [endpoint.name, call.served.local.online_endpoints.id_of(endpoint.name)]
    headers = call.site.operations.begin(call, "oeidp", DELETE_WATCH, subject, location="results")
    call.served.local.online_endpoints.delete(endpoint.name)
    with call.served.local.store.write() as connection:
        notes.remove(connection, KIND, endpoint.name)
    return Reply(202, headers=headers)


def list_keys(call: Call) -> Reply:
    endpoint = _with_mode(call, "Key")
    keys = call.served.local.online_endpoints.keys(endpoint.name)
    return Reply(value={"primaryKey": keys.primary, "secondaryKey": keys.secondary})


def regenerate_keys(call: Call) -> Reply:
    """A new key; also when the client sends the key of now as the new value, as the SDK does."""
    endpoint = _with_mode(call, "Key")
    body = Body.of(call)
    which = body.choice("keyType", ("Primary", "Secondary"), required=True).lower()
    keys = call.served.local.online_endpoints.keys(endpoint.name)
    value = body.text("keyValue")
    if value in (keys.primary, keys.secondary):
        value = None
    call.served.local.online_endpoints.rotate_keys(endpoint.name, which, value)
    headers = call.site.operations.begin(call, "oeidp", KEYS_WATCH, [endpoint.name], location="results")
    return Reply(202, headers=headers)


def token(call: Call) -> Reply:
    endpoint = _with_mode(call, "AMLToken")
    return Reply(value=endpoint_tokens.issue(call, endpoint.name, call.served.local.online_endpoints.id_of(endpoint.name)))


# What there is


def find(served: Served, name: str) -> OnlineEndpoint | None:
    try:
        return served.local.online_endpoints.get(name)
    except (NotFoundError, UsageError):
        return None


def required(call: Call) -> OnlineEndpoint:
    found = find(call.served, call.parameters["endpoint"])
    if found is None:
        raise inference.not_found(f"Online endpoint {call.parameters['endpoint']} not found.")
    return found


def _with_mode(call: Call, mode: str) -> OnlineEndpoint:
    endpoint = required(call)
    if endpoint.auth_mode != mode:
        raise WireError(
            400,
            f"The endpoint {endpoint.name} has auth mode {endpoint.auth_mode}; this operation is for {mode}.",
            inner=("BadArgument",),
        )
    return endpoint


def _say(served: Served, endpoint: OnlineEndpoint, said: dict[str, Any], call: Call) -> None:
    """Keep what only the wire knows; `id` tells it from what was said of an earlier endpoint of that name."""
    whole = {"id": served.local.online_endpoints.id_of(endpoint.name), "modified": call.site.clock.now().isoformat(), **said}
    with served.local.store.write() as connection:
        earlier = notes.find(connection, KIND, endpoint.name)
        if earlier is not None and earlier.get("id") == whole["id"]:
            whole["by"] = earlier.get("by")
        notes.save(connection, KIND, endpoint.name, whole)


def _said(served: Served, endpoint: OnlineEndpoint) -> dict[str, Any]:
    with served.local.store.read() as connection:
        found = notes.find(connection, KIND, endpoint.name) or {}
    return found if found.get("id") == served.local.online_endpoints.id_of(endpoint.name) else {}


def operation_url(headers: Any) -> str:
    """The operation's URL without its signature, as the resource remembers it."""
    return str(headers["azure-asyncoperation"]).partition("&t=")[0]


def document(call: Call, endpoint: OnlineEndpoint, state: str | None = None) -> dict[str, Any]:
    """The resource; `state` None: what its newest operation says."""
    served = call.served
    said = _said(served, endpoint)
    if state is None:
        pending = call.site.operations.pending(served, PUT_WATCH, [endpoint.name])
        state = ("Creating" if said.get("new") else "Updating") if pending else "Succeeded"
    path = ("onlineEndpoints", endpoint.name)
    base = f"{call.site.base}/_online/{endpoint.name}"
    more = {
        **said.get("properties", {}),
        "azureml.onlineendpointid": f"{served.arm_id}/onlineEndpoints/{endpoint.name}".lower(),
    }
    if "operation" in said:
        more["AzureAsyncOperationUri"] = said["operation"]
    properties = {
        "description": endpoint.description,
        "properties": more,
        "scoringUri": None if state == "Creating" else f"{base}/score",
        "swaggerUri": None if state == "Creating" else f"{base}/swagger.json",
        "authMode": endpoint.auth_mode,
        "provisioningState": state,
        "compute": None,
        "traffic": {name: percent for name, percent in endpoint.traffic.items() if percent},
        "mirrorTraffic": {name: percent for name, percent in endpoint.mirror_traffic.items() if percent},
        "publicNetworkAccess": said.get("public", "Enabled"),
    }
    system = inference.system_data(endpoint.created_at, said.get("by"), said.get("modified"))
    whole = resources.envelope(call, path, KIND, properties, system)
    return {
        **whole,
        "kind": "Managed",
        "location": served.region,
        "tags": dict(endpoint.tags),
        "identity": said.get("identity") or {"type": "SystemAssigned", "principalId": served.workspace_id},
    }


# How the operations stand


def _present(served: Served, subject: Sequence[str]) -> Outcome:
    if find(served, subject[0]) is None:
        return Outcome(False, f"The endpoint {subject[0]} was deleted meanwhile.")
    return Outcome(True)


def _gone(served: Served, subject: Sequence[str]) -> Outcome:
    name, identity = subject
    endpoint = find(served, name)
    return Outcome(True if endpoint is None or served.local.online_endpoints.id_of(name) != identity else None)


_ONE = "{ws}/onlineEndpoints/{endpoint}"

ROUTES = (
    Route("GET", "{ws}/onlineEndpoints", list_),
    Route("GET", _ONE, get),
    Route("PUT", _ONE, put, "write", note="compute (Kubernetes) is refused; initial keys are ignored"),
    Route("PATCH", _ONE, patch, "write"),
    Route("DELETE", _ONE, delete, "write"),
    Route("POST", _ONE + "/listKeys", list_keys, "write"),
    Route("POST", _ONE + "/regenerateKeys", regenerate_keys, "write"),
    Route("POST", _ONE + "/token", token, "write"),
)
WATCHES = {PUT_WATCH: _present, DELETE_WATCH: _gone, KEYS_WATCH: _present}
