"""Microsoft Graph, as far as it takes to make a service principal: applications, their principals and passwords."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from opsml_cli.domain.errors import ConflictError, InvalidInputError, NotFoundError
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.wire import Call, Reply, Route, WireError
from opsml_cli.local.clock import parse
from opsml_cli.local.principals import Application, Principals, Secret

_FILTER = re.compile(r"(displayName|appId|id)\s+eq\s+'((?:[^']|'')*)'\Z", re.IGNORECASE)
_MAX_DAYS = 730


def create_application(call: Call) -> Reply:
    name = _body(call, "displayName")
    with call.site.first() as workspace:
        try:
            made = Principals(workspace.layout, workspace.store).create(name)
        except InvalidInputError as error:
            raise _refused(
                400, "Request_BadRequest", f"Invalid value specified for property 'displayName': {error}."
            ) from error
    return Reply(201, _application(made))


def create_principal(call: Call) -> Reply:
    client = _body(call, "appId")
    with call.site.first() as workspace:
        try:
            made = Principals(workspace.layout, workspace.store).enrol(client)
        except NotFoundError as error:
            message = f"The appId '{client}' of the service principal does not reference a valid application object."
            raise _refused(400, "Request_BadRequest", message) from error
        except ConflictError as error:
            message = (
                "The service principal cannot be created, updated, or restored because the service principal name "
                f"{client} is already in use."
            )
            raise _refused(409, "Request_MultipleObjectsWithSameKeyValue", message) from error
    return Reply(201, _principal(call, made))


def add_password(call: Call) -> Reply:
    wanted = Body.of(call).section("passwordCredential") or Body({})
    days = 180
    ends = wanted.text("endDateTime")
    if ends:
        try:
            days = (datetime.fromisoformat(ends) - call.site.clock.now()).days
        except (ValueError, TypeError):
            days = 0
        if not 0 < days <= _MAX_DAYS:
            raise _refused(400, "Request_BadRequest", f"Invalid value specified for property 'endDateTime': {ends}.")
    with call.site.first() as workspace:
        principals = Principals(workspace.layout, workspace.store)
        made = principals.add_secret(_found(call, "application").id, wanted.text("displayName") or "", days)
    return Reply(value={**_password(made), "secretText": made.text}, headers={"cache-control": "no-store"})


def get_application(call: Call) -> Reply:
    return Reply(value=_application(_found(call, "application")))


def get_principal(call: Call) -> Reply:
    return Reply(value=_principal(call, _found(call, "principal")))


def list_applications(call: Call) -> Reply:
    return _list(call, "applications", [_application(each) for each in _all(call)])


def list_principals(call: Call) -> Reply:
    return _list(call, "servicePrincipals", [_principal(call, each) for each in _all(call) if each.object_id])


def list_users(call: Call) -> Reply:
    """Nobody: principals here are applications."""
    return Reply(value={"@odata.context": f"{call.site.base}/v1.0/$metadata#users", "value": []})


def delete_application(call: Call) -> Reply:
    found = _found(call, "application")
    with call.site.first() as workspace:
        Principals(workspace.layout, workspace.store).remove(found.id)
    return Reply(204)


def _all(call: Call) -> list[Application]:
    with call.site.first() as workspace:
        return Principals(workspace.layout, workspace.store).list()


def _found(call: Call, kind: str) -> Application:
    """By the object id of an application or principal; either by `(appId='…')`."""
    client = call.parameters.get("client", "").casefold()
    wanted = call.parameters.get("object", "").casefold()
    for each in _all(call):
        if each.client_id == client or (wanted and wanted == (each.id if kind == "application" else each.object_id)):
            return each
    message = f"Resource '{wanted or client}' does not exist or one of its queried reference-property objects are not present."
    raise _refused(404, "Request_ResourceNotFound", message)


def _list(call: Call, kind: str, found: list[dict[str, Any]]) -> Reply:
    words = call.query.get("$filter", "")
    if words:
        wanted = _FILTER.match(words.strip())
        if wanted is None:
            raise _refused(400, "Request_UnsupportedQuery", f"Unsupported query: {words}")
        key = next(name for name in ("displayName", "appId", "id") if name.casefold() == wanted[1].casefold())
        text = wanted[2].replace("''", "'").casefold()
        found = [each for each in found if each[key].casefold() == text]
    return Reply(value={"@odata.context": f"{call.site.base}/v1.0/$metadata#{kind}", "value": found})


def _body(call: Call, key: str) -> str:
    found = Body.of(call).text(key)
    if not found:
        raise _refused(400, "Request_BadRequest", f"A value is required for property '{key}' of resource.")
    return found


def _refused(status: int, code: str, message: str) -> WireError:
    return WireError(status, message, code=code, form="graph")


def _application(found: Application) -> dict[str, Any]:
    return {
        "id": found.id,
        "appId": found.client_id,
        "displayName": found.name,
        "createdDateTime": found.created_at,
        "signInAudience": "AzureADMyOrg",
        "publisherDomain": "localhost",
        "passwordCredentials": [_password(each) for each in found.secrets],
        "keyCredentials": [],
    }


def _principal(call: Call, found: Application) -> dict[str, Any]:
    return {
        "id": found.object_id,
        "appId": found.client_id,
        "displayName": found.name,
        "appDisplayName": found.name,
        "accountEnabled": True,
        "appOwnerOrganizationId": call.site.workspaces()[0].tenant,
        "servicePrincipalType": "Application",
        "servicePrincipalNames": [found.client_id],
    }


def _password(found: Secret) -> dict[str, Any]:
    return {
        "customKeyIdentifier": None,
        "displayName": found.name or None,
        "endDateTime": parse(found.ends_at).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "hint": found.hint,
        "keyId": found.key_id,
        "secretText": None,
        "startDateTime": parse(found.starts_at).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


_APPLICATIONS, _PRINCIPALS = "/v1.0/applications", "/v1.0/servicePrincipals"
_FILTERS = "filters: displayName eq, appId eq, id eq"
ROUTES = (
    Route("POST", _APPLICATIONS, create_application, "write"),
    Route("GET", _APPLICATIONS, list_applications, note=_FILTERS),
    Route("GET", _APPLICATIONS + "/{object}", get_application),
    Route("GET", _APPLICATIONS + "(appId='{client}')", get_application),
    Route("DELETE", _APPLICATIONS + "/{object}", delete_application, "write"),
    Route("POST", _APPLICATIONS + "/{object}/addPassword", add_password, "write"),
    Route("POST", _PRINCIPALS, create_principal, "write"),
    Route("GET", _PRINCIPALS, list_principals, note=_FILTERS),
    Route("GET", _PRINCIPALS + "/{object}", get_principal),
    Route("GET", "/v1.0/users", list_users, note="always an empty list: principals here are applications"),
    Route("GET", _PRINCIPALS + "(appId='{client}')", get_principal),
)
