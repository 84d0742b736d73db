"""What online and batch endpoints have in common on the wire: the inferencing service's refusals, names, bodies."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from opsml_cli.domain import names
from opsml_cli.domain.errors import OpsmlError, UsageError
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.clock import stamp
from opsml_cli.emulator.wire import WireError

if TYPE_CHECKING:
    from opsml_cli.emulator.site import Served
    from opsml_cli.emulator.wire import Call

PROVIDER = "Microsoft.MachineLearningServices/workspaces"
_ASSET = re.compile(
    r"(?:\A|/)(?P<kind>models|data|components|codes|environments)/(?P<name>[^/]+)/versions/(?P<version>[^/]+)/?\Z",
    re.IGNORECASE,
)


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
        return names.AssetRef(names.asset_name(found["name"]), names.version(found["version"])) if right else None
    except UsageError:
        return None


# Writing bodies


def time_of(text: str) -> str:
    """A stamp of the workspace as the wire writes it."""
    return stamp(datetime.fromisoformat(text))


def system_data(created_at: str, created_by: str | None, modified_at: str | None) -> dict[str, Any]:
    found = {"createdAt": time_of(created_at), "lastModifiedAt": time_of(modified_at or created_at)}
    return {"createdBy": created_by, **found} if created_by else found


def envelope(served: Served, path: str, kind: str, properties: Mapping[str, Any], system: Mapping[str, Any]) -> dict[str, Any]:
    """A resource at `path` below the workspace. `kind` is its type without the provider."""
    return {
        "id": f"{served.arm_id}/{path}",
        "name": path.rpartition("/")[2],
        "type": f"{PROVIDER}/{kind}",
        "properties": dict(properties),
        "systemData": dict(system),
    }


def page(call: Call, items: Sequence[dict[str, Any]], size: int = 30) -> dict[str, Any]:
    """One page of a list; `nextLink`, absent on the last page, keeps the query and adds the token."""
    token = call.query.get("$skip") or call.query.get("$skipToken") or "0"
    start = int(token) if token.isdigit() else 0
    count = call.query.get("count") or call.query.get("$top") or ""
    size = min(int(count), size) if count.isdigit() and int(count) else size
    value: dict[str, Any] = {"value": list(items[start : start + size])}
    if start + size < len(items):
        kept = "&".join(f"{name}={text}" for name, text in call.query.items() if name not in ("$skip", "$skipToken"))
        value["nextLink"] = f"{call.site.base}{call.path}?{kept}&$skip={start + size}"
    return value
