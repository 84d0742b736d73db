"""What online and batch endpoints have in common on the wire: the inferencing service's refusals, names, bodies."""

from __future__ import annotations

import json
import re
import secrets
from typing import TYPE_CHECKING, Any

from opsml_cli.domain import names
from opsml_cli.domain.errors import NotFoundError, OpsmlError, UsageError
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.resources import when
from opsml_cli.emulator.wire import WireError
from opsml_cli.local import custom_models

if TYPE_CHECKING:
    from opsml_cli.emulator.site import Served
    from opsml_cli.emulator.wire import Call

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ASSET = re.compile(
    r"(?:\A|/)(?P<kind>models|data|components|codes|environments)/(?P<name>[^/]+)/versions/(?P<version>[^/]+)/?\Z",
    re.IGNORECASE,
)
_FILE_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}\Z", re.ASCII)
_IDENTITIES = ("SystemAssigned", "UserAssigned", "SystemAssigned,UserAssigned", "None")


# Refusals


def invalid(field: str, text: str, *, action: str = "CreateDeployment", status: int = 400) -> WireError:
    """The inferencing service's own validation error, as the management front end passes it on."""
    problem = {
        "errors": {field: [text]},
        "type": "https://tools.ietf.org/html/rfc7231#section-6.5.1",
        "title": "One or more validation errors occurred.",
        "status": status,
        "traceId": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01",
    }
    return WireError(
        status,
        "The request is invalid.",
        code="BadRequest",
        details=[
            (
                f"InferencingClient{action}Failed",
                f"InferencingClient HttpRequest error, error detail: {json.dumps(problem, separators=(',', ':'))}",
            )
        ],
    )


def not_found(what: str) -> WireError:
    """404 of an endpoint or deployment. `what` is told to people; Azure says the title alone."""
    problem = {"title": "Not Found", "status": 404, "detail": what}
    return WireError(
        404,
        "The specified resource was not found.",
        code="NotFound",
        details=[("InferencingClientCallFailed", json.dumps(problem))],
        inner=("NotFound",),
    )


def name_taken() -> WireError:
    return invalid(
        "",
        "There is already an endpoint with this name, Endpoint name needs to be unique within a region. Try some other name.",
        action="CreateEndpoint",
    )


def told(error: OpsmlError) -> str:
    """A local refusal in one sentence."""
    return error.message if error.cause is None else f"{error.message}: {error.cause}"


# Reading requests


def resource_body(call: Call) -> Body:
    """The body of a PUT of a resource that has a location, which the resource manager itself asks for."""
    body = Body.of(call)
    if not body.text("location"):
        raise WireError(400, "The location property is required for this definition.", code="LocationRequired", form="plain")
    return body


def identity(call: Call, body: Body) -> dict[str, Any]:
    """Who the endpoint is, as its resource says."""
    given = body.section("identity")
    kind = (given.choice("type", _IDENTITIES) if given is not None else None) or "SystemAssigned"
    found: dict[str, Any] = {"type": kind}
    if "SystemAssigned" in kind:
        found |= {"principalId": call.served.workspace_id, "tenantId": call.site.workspaces()[0].tenant}
    if given is not None and "UserAssigned" in kind.split(","):
        found["userAssignedIdentities"] = given.value.get("userAssignedIdentities")
    return found


def check_unique(call: Call, name: str, *, batch: bool) -> None:
    """Names are unique in a region, among all workspaces, online and batch: 400 when another endpoint has this one."""
    for place in call.site.workspaces():
        with call.site.serve(place) as served:
            own = served.arm_id == call.served.arm_id
            online = served.local.online_endpoints.record(name) is not None
            taken = (served.local.batch_catalog.exists(name) and not (own and batch)) or (online and not (own and not batch))
        if taken:
            raise name_taken()


def plain_file_name(body: Body, key: str) -> str | None:
    """A file's name without any folder; 400 for anything else."""
    found = body.text(key)
    if found is not None and (not _FILE_NAME.match(found) or found in (".", "..")):
        raise body.wrong(key, "the value must be the name of a file.")
    return found


def model_of(call: Call, found: names.AssetRef) -> str:
    """The registered model as `name:version`; 404 when it is not there."""
    try:
        model = call.served.local.models.get(found)
    except NotFoundError as error:
        parameters = {"modelId": str(found)}
        raise WireError(404, f"Model {found} not found.", inner=("NotFound", "ModelNotFound"), parameters=parameters) from error
    return f"{model.name}:{model.version}"


def mount_of(call: Call, model: str) -> str:
    """The name of what was registered as the model (`name:version`, or empty), which a container has below AZUREML_MODEL_DIR;
    "" for a single file, which lies there itself."""
    name, _, version = model.partition(":")
    return custom_models.mount_of(call.served.local.layout, call.served.local.store, name, version)


def percents(body: Body, name: str) -> dict[str, int] | None:
    """Percent by deployment; None when it is not given."""
    found = body.section(name)
    return None if found is None else {each: found.integer(each) or 0 for each in found.value}


def checked_name(text: str, kind: str) -> str:
    """`text` when Azure takes it as a name of an endpoint or deployment; 400 otherwise."""
    try:
        return names.endpoint_name(text)
    except UsageError as error:
        message = f"The {kind} name '{text}' is invalid: {error.cause}."
        raise invalid("Name", message, action="Call" if "endpoint" in kind else "CreateDeployment") from None


def asset(reference: str, kind: str, served: Served) -> names.AssetRef | None:
    """The registered asset of this workspace that an ARM id, an `azureml:` id or an asset URI names; None for anything else,
    such as an id of another workspace or of a registry."""
    text = reference.casefold()
    if text.startswith("azureml://registries/") or (
        text.startswith("/") and not text.startswith(served.arm_id.casefold() + "/")
    ):
        return None
    found = _ASSET.search(reference)
    try:
        if found is None:
            return names.parse_ref(reference) if text.startswith("azureml:") and "/" not in text else None
        right = found["kind"].casefold() == kind
        # The service's own versions, of anonymous assets, are longer than those that people give.
        version = found["version"] if _GUID.fullmatch(found["version"]) else names.version(found["version"])
        return names.AssetRef(names.asset_name(found["name"]), version) if right else None
    except UsageError:
        return None


# Writing bodies


def system_data(created_at: str, created_by: str | None, modified_at: str | None) -> dict[str, Any]:
    """As endpoints and deployments have it: without the kinds of who did it."""
    return {
        "createdAt": when(created_at),
        "createdBy": created_by or "opsml",
        "lastModifiedAt": when(modified_at or created_at),
    }
