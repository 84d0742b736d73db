"""Template deployments, as far as the SDK makes workspaces with them: the template is not evaluated, its parameters are
read."""

from __future__ import annotations

import secrets
from typing import Any

from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.clock import stamp
from opsml_cli.emulator.routes.resource_groups import known_group
from opsml_cli.emulator.routes.workspaces import TYPE, Words, add
from opsml_cli.emulator.wire import Call, Reply, Route, WireError
from opsml_cli.local import annotations as kept

_KIND = "template-deployment"


def put(call: Call) -> Reply:
    """201; the workspace is there when the operation is polled."""
    group = known_group(call)
    properties = Body.of(call).section("properties", required=True)
    template = properties.section("template", required=True).value
    given = properties.section("parameters", required=True)
    values = {name: given.section(name, required=True).value.get("value") for name in given.value}
    kinds = {str(each.get("type", "")).casefold() for each in template.get("resources", ()) if isinstance(each, dict)}
    kind = str(values.get("kind") or "Default")
    if TYPE.casefold() not in kinds or "workspaceName" not in values or kind.casefold() != "default":
        raise WireError(
            501,
            "Of template deployments, those of a workspace of kind Default are emulated; see docs/reference/emulator.md.",
            code="NotImplemented",
            form="plain",
        )
    tags = values.get("tagValues")
    words = Words(
        str(values["friendlyName"]) if values.get("friendlyName") else None,
        str(values["description"]) if values.get("description") else None,
        {str(key): str(value) for key, value in tags.items()} if isinstance(tags, dict) else None,
    )
    add(call, group, str(values["workspaceName"]), words)
    document = _document(call, values)
    with call.site.first() as first, first.store.write() as connection:
        kept.save(connection, _KIND, f"{group}/{call.parameters['deployment']}", document)
    url = f"{call.site.base}{call.path}/operationStatuses/{secrets.randbelow(10**20):020d}"
    headers = {"azure-asyncoperation": f"{url}?api-version={call.api_version}", **call.site.operations.pacing()}
    return Reply(201, {**document, "properties": {**document["properties"], "provisioningState": "Accepted"}}, headers)


def get(call: Call) -> Reply:
    return Reply(value=_found(call))


def status(call: Call) -> Reply:
    _found(call)
    return Reply(value={"status": "Succeeded"}, headers=call.site.operations.pacing())


def steps(call: Call) -> Reply:
    """What the deployment did, one by one: nothing is told here."""
    _found(call)
    return Reply(value={"value": []})


def _found(call: Call) -> dict[str, Any]:
    group, name = known_group(call), call.parameters["deployment"]
    with call.site.first() as first, first.store.read() as connection:
        found = kept.find(connection, _KIND, f"{group}/{name}")
    if found is None:
        raise WireError(404, f"Deployment '{name}' could not be found.", code="DeploymentNotFound", form="plain")
    return found


def _document(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": call.path,
        "name": call.parameters["deployment"],
        "type": "Microsoft.Resources/deployments",
        "properties": {
            "mode": "Incremental",
            "provisioningState": "Succeeded",
            "timestamp": stamp(call.site.clock.now()),
            "duration": "PT0S",
            "correlationId": None,
            "outputs": {},
            "outputResources": [],
            "parameters": {"workspaceName": {"type": "String", "value": values["workspaceName"]}},
        },
    }


_GROUP = "/subscriptions/{subscription}/resourceGroups/{resource_group}"
_ONE = _GROUP + "/providers/Microsoft.Resources/deployments/{deployment}"
ROUTES = (
    Route("PUT", _ONE, put, "write", note="only templates of a workspace of kind Default, as the SDK sends them"),
    Route("GET", _ONE, get),
    Route("GET", _ONE + "/operationStatuses/{operation}", status),
    # The resource manager knows it under both.
    Route("GET", _ONE + "/operations", steps, note="always an empty list"),
    Route("GET", _GROUP + "/deployments/{deployment}/operations", steps, note="always an empty list"),
)
