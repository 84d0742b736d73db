"""Roles of principals: assignments on the workspace, its resource group and its subscription, and the definitions."""

from __future__ import annotations

import re
import uuid
from typing import Any

from opsml_cli.domain.errors import ConflictError, InvalidInputError, NotFoundError
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.clock import stamp
from opsml_cli.emulator.wire import Call, Reply, Route, WireError
from opsml_cli.local.clock import parse
from opsml_cli.local.principals import Application, Assignment, Principals, covers
from opsml_cli.local.roles import ROLES, Role, find

PROVIDER = "/providers/Microsoft.Authorization"
_SCOPES = ("{ws}", "/subscriptions/{subscription}/resourceGroups/{resource_group}", "/subscriptions/{subscription}")
_FILTER = re.compile(r"(?:principalId|assignedTo\()\s*(?:eq\s*)?'?([0-9a-f-]{36})'?\)?", re.IGNORECASE)
_ROLE_NAME = re.compile(r"roleName\s+eq\s+'([^']*)'", re.IGNORECASE)


def put_assignment(call: Call) -> Reply:
    properties = Body.of(call).section("properties", required=True)
    definition = properties.text("roleDefinitionId", required=True)
    principal = properties.text("principalId", required=True)
    name = call.parameters["assignment"]
    try:
        uuid.UUID(name)
    except ValueError:
        message = f"The role assignment ID '{name}' is not valid. The role assignment ID must be a GUID."
        raise WireError(400, message, code="InvalidRoleAssignmentId", form="plain") from None
    with call.site.first() as workspace:
        principals = Principals(workspace.layout, workspace.store)
        try:
            made, fresh = principals.assign(principal, definition.rpartition("/")[2], _scope(call), name.lower())
            return Reply(201 if fresh else 200, _assignment(call, principals.get(principal), made))
        except NotFoundError as error:
            message = f"Principal {principal} does not exist in the directory {call.site.workspaces()[0].tenant}."
            raise WireError(400, message, code="PrincipalNotFound", form="plain") from error
        except InvalidInputError as error:
            message = f"The specified role definition with ID '{definition.rpartition('/')[2]}' does not exist."
            raise WireError(400, message, code="RoleDefinitionDoesNotExist", form="plain") from error
        except ConflictError as error:
            code = "RoleAssignmentExists" if "exists" in error.message else "RoleAssignmentUpdateNotPermitted"
            raise WireError(409, error.message[:1].upper() + error.message[1:] + ".", code=code, form="plain") from error


def get_assignment(call: Call) -> Reply:
    application, held = _held(call)
    return Reply(value=_assignment(call, application, held))


def delete_assignment(call: Call) -> Reply:
    """200 with what it was; 204 when there was none."""
    with call.site.first() as workspace:
        removed = Principals(workspace.layout, workspace.store).unassign(call.parameters["assignment"].lower())
    return Reply(204) if removed is None else Reply(value=_assignment(call, *removed))


def list_assignments(call: Call) -> Reply:
    """Those on the scope and above it, and without `atScope()` those below it too."""
    words, scope = call.query.get("$filter", ""), _scope(call)
    wanted = _FILTER.search(words)
    if words and wanted is None and "atscope" not in words.lower():
        raise WireError(400, f"The filter '{words}' is not supported.", code="UnsupportedQuery", form="plain")
    found = [
        _assignment(call, application, held)
        for application in _applications(call)
        for held in application.assignments
        if covers(held.scope, scope) or ("atscope" not in words.lower() and covers(scope, held.scope))
        if wanted is None or application.object_id == wanted[1].lower()
    ]
    return Reply(value={"value": found})


def list_permissions(call: Call) -> Reply:
    """What the caller may do on the scope, one entry a role."""
    assert call.principal is not None
    with call.site.first() as workspace:
        caller = Principals(workspace.layout, workspace.store).get(call.principal.client_id).seen_from(_scope(call))
    held = {name.casefold() for name in caller.roles}
    return Reply(value={"value": [_permission(role) for role in ROLES if role.name.casefold() in held]})


def list_definitions(call: Call) -> Reply:
    wanted = _ROLE_NAME.search(call.query.get("$filter", ""))
    found = [role for role in ROLES if wanted is None or role.name.casefold() == wanted[1].casefold()]
    return Reply(value={"value": [_definition(call, role) for role in found]})


def get_definition(call: Call) -> Reply:
    role = find(call.parameters["definition"])
    if role is None:
        name = call.parameters["definition"]
        message = f"The role definition with ID '{name}' was not found."
        raise WireError(404, message, code="RoleDefinitionDoesNotExist", form="plain")
    return Reply(value=_definition(call, role))


def _applications(call: Call) -> list[Application]:
    with call.site.first() as workspace:
        return Principals(workspace.layout, workspace.store).list()


def _held(call: Call) -> tuple[Application, Assignment]:
    name = call.parameters["assignment"].lower()
    for application in _applications(call):
        for held in application.assignments:
            if held.id == name:
                return application, held
    raise WireError(404, f"The role assignment '{name}' is not found.", code="RoleAssignmentNotFound", form="plain")


def _scope(call: Call) -> str:
    """The scope as the path names it: all before the provider."""
    return call.path[: call.path.lower().rindex(PROVIDER.lower())]


def _definition_id(call: Call, role: str) -> str:
    return f"/subscriptions/{call.parameters['subscription']}{PROVIDER}/roleDefinitions/{role}"


def _assignment(call: Call, application: Application, held: Assignment) -> dict[str, Any]:
    created = stamp(parse(held.created_at))
    return {
        "properties": {
            "roleDefinitionId": _definition_id(call, held.role),
            "principalId": application.object_id,
            "principalType": "ServicePrincipal",
            "scope": held.scope,
            "condition": None,
            "conditionVersion": None,
            "createdOn": created,
            "updatedOn": created,
            "createdBy": None if call.principal is None else call.principal.object_id,
            "updatedBy": None if call.principal is None else call.principal.object_id,
            "delegatedManagedIdentityResourceId": None,
            "description": None,
        },
        "id": f"{held.scope}{PROVIDER}/roleAssignments/{held.id}",
        "type": "Microsoft.Authorization/roleAssignments",
        "name": held.id,
    }


def _definition(call: Call, role: Role) -> dict[str, Any]:
    return {
        "properties": {
            "roleName": role.name,
            "type": "BuiltInRole",
            "description": role.description,
            "assignableScopes": ["/"],
            "permissions": [_permission(role)],
        },
        "id": _definition_id(call, role.id),
        "type": "Microsoft.Authorization/roleDefinitions",
        "name": role.id,
    }


def _permission(role: Role) -> dict[str, list[str]]:
    return {"actions": list(role.actions), "notActions": list(role.denied), "dataActions": [], "notDataActions": []}


_ASSIGNMENTS, _DEFINITIONS = PROVIDER + "/roleAssignments", PROVIDER + "/roleDefinitions"
_ONE, _DEFINITION = _ASSIGNMENTS + "/{assignment}", _DEFINITIONS + "/{definition}"
ROUTES = tuple(
    route
    for scope in _SCOPES
    for route in (
        Route("PUT", scope + _ONE, put_assignment, "write"),
        Route("GET", scope + _ONE, get_assignment),
        Route("DELETE", scope + _ONE, delete_assignment, "write"),
        Route("GET", scope + _ASSIGNMENTS, list_assignments, note="filters: principalId eq, assignedTo(), atScope()"),
        Route("GET", scope + _DEFINITIONS, list_definitions, note="built-in roles only; filter roleName eq"),
        Route("GET", scope + _DEFINITION, get_definition),
        Route("GET", scope + PROVIDER + "/permissions", list_permissions),
    )
)
