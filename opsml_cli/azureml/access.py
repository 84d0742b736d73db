"""Who may use an Azure ML workspace: role assignments, and service principals made through Microsoft Graph."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.access import NewPrincipal, Shared, ShareWorkspace
from opsml_cli.domain.errors import (
    BusyError,
    ConflictError,
    ContractError,
    InvalidInputError,
    NotFoundError,
    OpsmlError,
    UsageError,
)
from opsml_cli.domain.fields import did_you_mean

if TYPE_CHECKING:
    from opsml_cli.azureml.context import Context

VERSION = "2022-04-01"
SECRET_DAYS = 180
# A principal that was made a moment ago is not known everywhere yet.
_TRIES, _PAUSE = 12, 5.0
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)
_AUTHORIZATION = "{ws}/providers/Microsoft.Authorization"


class AzureAccess:
    """The AccessOperations port on Azure. Sharing needs the right to assign roles, making principals that to make
    applications in the tenant."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def share(self, spec: ShareWorkspace) -> Shared:
        """As the port says. What is asked twice is one assignment: its id follows from scope, role and principal."""
        scope = self._context.place.arm_id
        role = self._role(spec.role)
        object_id, kind = self._principal(spec.principal)
        shared = Shared(spec.principal, object_id, str(role["properties"]["roleName"]), scope, False)
        if self._holds(object_id, str(role["id"])):
            return Shared(shared.principal, object_id, shared.role, scope, True)
        if spec.dry_run:
            return shared
        name = uuid.uuid5(uuid.NAMESPACE_URL, f"{scope}|{role['name']}|{object_id}".casefold())
        properties = {"roleDefinitionId": role["id"], "principalId": object_id}
        if kind is not None:
            properties["principalType"] = kind
        return shared if self._assign(str(name), properties) else Shared(shared.principal, object_id, shared.role, scope, True)

    def create_principal(self, name: str) -> NewPrincipal:
        """As the port says; the secret is good for half a year."""
        found = self._graph_list("applications", f"displayName eq {_quoted(name)}")
        if len(found) > 1:
            ids = ", ".join(str(one.get("appId")) for one in found)
            raise ConflictError(f"several applications are named {name!r}", cause=ids, fix="choose another name")
        application = found[0] if found else self._graph("POST", "applications", {"displayName": name})
        client_id = str(application["appId"])
        principals = self._graph_list("servicePrincipals", f"appId eq {_quoted(client_id)}")
        principal = principals[0] if principals else self._enrolled(client_id)
        ends = (datetime.now(UTC) + timedelta(days=SECRET_DAYS)).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {"passwordCredential": {"displayName": "opsml", "endDateTime": ends}}
        secret = self._graph("POST", f"applications/{application['id']}/addPassword", body)
        return NewPrincipal(name, str(principal["id"]), client_id, self._tenant(), bool(found), str(secret["secretText"]))

    # --- roles

    def _role(self, wanted: str) -> Mapping[str, Any]:
        path = f"{_AUTHORIZATION}/roleDefinitions"
        if not _GUID.match(wanted):
            found = list(self._context.rest.pages(path, VERSION, **{"$filter": f"roleName eq {_quoted(wanted)}"}))
            if found:
                return found[0]
        everything = list(self._context.rest.pages(path, VERSION))
        by_id = next((one for one in everything if str(one["name"]).casefold() == wanted.casefold()), None)
        if by_id is not None:
            return by_id
        known = [str(one["properties"]["roleName"]) for one in everything]
        raise UsageError(
            f"no role is named {wanted!r}", cause=did_you_mean(wanted, known), fix="such as AzureML Data Scientist"
        )

    def _holds(self, object_id: str, role: str) -> bool:
        query = {"$filter": f"principalId eq {_quoted(object_id)}"}
        held = self._context.rest.pages(f"{_AUTHORIZATION}/roleAssignments", VERSION, **query)
        wanted = role.rpartition("/")[2].casefold()
        return any(
            str(one["properties"].get("roleDefinitionId", "")).rpartition("/")[2].casefold() == wanted
            and str(one["properties"].get("principalId", "")).casefold() == object_id.casefold()
            for one in held
        )

    def _assign(self, name: str, properties: Mapping[str, Any]) -> bool:
        """Whether the assignment is new."""
        path = f"{_AUTHORIZATION}/roleAssignments/{name}"
        for attempt in range(1, _TRIES + 1):
            try:
                self._context.rest.send("PUT", path, VERSION, {"properties": properties})
            except ConflictError as error:
                if isinstance(error, BusyError):
                    raise
                return False
            except (InvalidInputError, NotFoundError) as error:
                unknown = "does not exist in the directory" in str(error.cause) or "PrincipalNotFound" in str(error.cause)
                if not unknown or attempt == _TRIES:
                    raise
                self._context.clock.sleep(_PAUSE)
            else:
                return True
        raise AssertionError("the last attempt returns or raises")

    # --- the directory

    def _principal(self, wanted: str) -> tuple[str, str | None]:
        """The object id and Azure's word for its kind, where known."""
        if _GUID.match(wanted):
            return wanted.lower(), None
        if "@" in wanted:
            found = self._graph_list("users", f"userPrincipalName eq {_quoted(wanted)} or mail eq {_quoted(wanted)}")
            kind = "User"
        else:
            found = self._graph_list("servicePrincipals", f"displayName eq {_quoted(wanted)}")
            kind = "ServicePrincipal"
        if not found:
            raise NotFoundError(
                f"no {'user' if kind == 'User' else 'application'} {wanted!r} in the directory",
                fix="give the object id, or make one: opsml -w azure workspace share --create-principal NAME",
            )
        if len(found) > 1:
            ids = ", ".join(str(one["id"]) for one in found)
            raise ConflictError(f"several principals are named {wanted!r}", cause=ids, fix="give one of these object ids")
        return str(found[0]["id"]), kind

    def _enrolled(self, client_id: str) -> Mapping[str, Any]:
        """The application's service principal, made once the directory knows the application everywhere."""
        for attempt in range(1, _TRIES + 1):
            try:
                return self._graph("POST", "servicePrincipals", {"appId": client_id})
            except (InvalidInputError, NotFoundError):
                if attempt == _TRIES:
                    raise
                self._context.clock.sleep(_PAUSE)
        raise AssertionError("the last attempt returns or raises")

    def _graph(self, method: str, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        url = f"{self._context.cloud.graph}/v1.0/{path}"
        value = self._context.rest.send(method, url, "", body, audience="graph").value
        if not isinstance(value, Mapping):
            raise ContractError(f"Microsoft Graph gave no document for {path}")
        return value

    def _graph_list(self, path: str, condition: str) -> Sequence[Mapping[str, Any]]:
        url = f"{self._context.cloud.graph}/v1.0/{path}"
        found = self._context.rest.get(url, "", audience="graph", **{"$filter": condition})
        values = found.get("value") if isinstance(found, Mapping) else None
        if not isinstance(values, list):
            raise ContractError(f"Microsoft Graph gave no list of {path}")
        return values

    def _tenant(self) -> str:
        """What the new principal signs in under: the tenant that was told, else that of the workspace."""
        told = self._context.settings.tenant_id or self._context.environment.get("AZURE_TENANT_ID")
        if told:
            return told
        try:
            return str(self._context.record["properties"]["tenantId"])
        except (KeyError, OpsmlError) as error:
            raise ContractError("the workspace names no tenant", fix="set OPSML_AZURE__TENANT_ID") from error


def _quoted(text: str) -> str:
    """A text in an OData filter."""
    return "'" + text.replace("'", "''") + "'"
