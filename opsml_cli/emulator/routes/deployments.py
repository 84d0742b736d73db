"""Template deployments of a workspace. Of the SDK's template, which is not evaluated, the parameters are read; one that is
written out is checked as a whole."""

from __future__ import annotations

import secrets
from typing import Any

from opsml_cli.emulator import templates
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
    if properties.choice("mode", ("Incremental", "Complete"), required=True) == "Complete":
        raise _not_emulated("Of template deployments, the mode Incremental is emulated")
    template = properties.section("template", required=True)
    if templates.written_out(template):
        found = templates.workspace_of(template)
        said = found["properties"]
        values = {"workspaceName": found["name"], **{key: said.get(key) for key in ("friendlyName", "description")}}
        values["tagValues"] = found.get("tags")
    else:
        values = _given(properties, template)
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


def _given(properties: Body, template: Body) -> dict[str, Any]:
    """The parameters of the SDK's template."""
    given = properties.section("parameters", required=True)
    values = {name: given.section(name, required=True).value.get("value") for name in given.value}
    resources = template.value.get("resources")
    listed = [each for each in resources if isinstance(each, dict)] if isinstance(resources, list) else []
    kinds = {str(each.get("type", "")).casefold() for each in listed}
    kind = str(values.get("kind") or "Default")
    if TYPE.casefold() not in kinds or "workspaceName" not in values or kind.casefold() != "default":
        raise _not_emulated("Of template deployments, those of a workspace of kind Default are emulated")
    return values


def _not_emulated(what: str) -> WireError:
    return WireError(501, f"{what}; see docs/reference/emulator.md.", code="NotImplemented", form="plain")


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
    Route(
        "PUT",
        _ONE,
        put,
        "write",
        note="only templates of a workspace of kind Default; the accounts that it stands on are checked and not made",
    ),
    Route("GET", _ONE, get),
    Route("GET", _ONE + "/operationStatuses/{operation}", status),
    # The resource manager knows it under both.
    Route("GET", _ONE + "/operations", steps, note="always an empty list"),
    Route("GET", _GROUP + "/deployments/{deployment}/operations", steps, note="always an empty list"),
)
