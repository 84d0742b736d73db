"""Datastores: the workspace's own four and those that users register, with their secrets."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from opsml_cli.domain import names
from opsml_cli.domain.errors import ConflictError
from opsml_cli.emulator import storage_keys
from opsml_cli.emulator.blob_access import account_name, default_container, local_container
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.resources import envelope, location, page, system_data, who
from opsml_cli.emulator.wire import Call, Reply, Route, WireError
from opsml_cli.local.datastores import Datastore
from opsml_cli.local.storage.account import account_key
from opsml_cli.local.storage.views import ARTIFACTS

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_]{0,254}\Z", re.ASCII)
_KINDS = ("AzureBlob", "AzureFile", "AzureDataLakeGen1", "AzureDataLakeGen2", "OneLake")
_CREDENTIALS = ("AccountKey", "Sas", "ServicePrincipal", "Certificate", "None")
_IDENTITIES = ("None", "WorkspaceSystemAssignedIdentity", "WorkspaceUserAssignedIdentity")
# What each kind must say, and how it is spelled.
_REQUIRED = {
    "AzureBlob": (),
    "AzureFile": ("accountName", "fileShareName"),
    "AzureDataLakeGen1": ("storeName",),
    "AzureDataLakeGen2": ("accountName", "filesystem"),
    "OneLake": ("oneLakeWorkspaceName",),
}
_TEXTS = ("accountName", "containerName", "endpoint", "protocol", "fileShareName", "storeName", "filesystem",
          "oneLakeWorkspaceName", "subscriptionId", "resourceGroup")  # fmt: skip
# Where each kind of credentials keeps its secret, and what else it says.
_SECRETS = {"AccountKey": "key", "Sas": "sasToken", "ServicePrincipal": "clientSecret", "Certificate": "certificate"}
_PRINCIPAL = ("authorityUrl", "clientId", "resourceUrl", "tenantId", "thumbprint")
# The share of the working directory has the same name in every workspace.
_WORKING_SHARE = "code-391ff5ac-6576-460f-ba4d-7e03433c68b6"
MAX_HOURS = 24.0


def list_datastores(call: Call) -> Reply:
    """Newest first; `isDefault`, `names`, `searchText` and `orderByAsc` as Azure has them."""
    found = list(call.served.local.datastores.list())
    query = call.query
    if "isDefault" in query:
        wanted = query["isDefault"].lower() == "true"
        found = [each for each in found if each.default is wanted]
    if query.get("names"):
        keys = {names.key(name.strip()) for name in query["names"].split(",")}
        found = [each for each in found if names.key(each.name) in keys]
    if query.get("searchText"):
        found = [each for each in found if query["searchText"].casefold() in each.name.casefold()]
    if query.get("orderByAsc", "").lower() == "true":
        found.reverse()
    return Reply(value=page(call, found, lambda one: one.name, lambda one: document(call, one)))


def get_datastore(call: Call) -> Reply:
    return Reply(value=document(call, _found(call)))


def put_datastore(call: Call) -> Reply:
    name = call.parameters["name"]
    if not _NAME.match(name):
        raise WireError(
            400,
            f"Datastore name {name} is invalid. It can only contain alphanumeric characters and underscores.",
            inner=("BadArgument", "ArgumentInvalid"),
        )
    body = Body.of(call).section("properties", required=True)
    kind = body.choice("datastoreType", _KINDS, required=True)
    credentials, secrets = _credentials(body)
    texts = {key: body.text(key, required=key in _REQUIRED[kind]) for key in _TEXTS}
    properties: dict[str, Any] = {key: text for key, text in texts.items() if text is not None}
    properties |= {
        "description": body.text("description"),
        "tags": body.texts("tags"),
        "properties": body.texts("properties"),
        "credentials": credentials,
        "serviceDataAccessAuthIdentity": body.choice("serviceDataAccessAuthIdentity", _IDENTITIES) or "None",
    }
    known = call.served.local.datastores.find(name)
    try:
        made = call.served.local.datastores.save(
            name, kind, _container(call, kind, properties), properties, secrets,
            default=body.flag("isDefault") is True, by=who(call),
        )  # fmt: skip
    except ConflictError as error:
        raise WireError(400, f"Cannot update system datastore {name}.", inner=("BadArgument",)) from error
    if known is not None:
        return Reply(value=document(call, made))
    return Reply(201, document(call, made), {"location": location(call)})


def delete_datastore(call: Call) -> Reply:
    """200 for one that was there, 204 for none."""
    name = call.parameters["name"]
    if call.served.local.datastores.find(name) is None:
        return Reply(204)
    try:
        call.served.local.datastores.delete(name)
    except ConflictError as error:
        raise WireError(400, f"Cannot delete system datastore {name}.", inner=("BadArgument",)) from error
    return Reply(200, content=b"")


def list_secrets(call: Call) -> Reply:
    """A SAS token with `expirableSecret`, the account's key without. Of the artifact store always the key: to stream the
    logs of a command job the SDK signs URLs by itself, and takes whatever it got for the key."""
    found = _found(call)
    body = Body(call.document() if call.body.strip() not in (b"", b"null") else {})
    expirable = body.flag("expirableSecret") is True
    hours = body.number("expireAfterHours") or 1.0
    if not 0 < hours <= MAX_HOURS:
        raise body.wrong("expireAfterHours", f"the value must be between 0 and {MAX_HOURS:.0f}.", "ArgumentOutOfRange")
    if found.system or found.container is not None:
        key = account_key(call.served.local.layout)
        if expirable and found.container != ARTIFACTS:
            token = storage_keys.account_sas(call.served.account, key, hours, call.site.clock.now())
            return Reply(value={"secretsType": "Sas", "sasToken": token})
        return Reply(value={"secretsType": "AccountKey", "key": base64.b64encode(key).decode()})
    kind = str(found.properties["credentials"]["credentialsType"])
    if kind == "None":
        raise WireError(400, f"Datastore {found.name} has no credentials.", inner=("BadArgument",))
    held = call.served.local.datastores.secrets(found.name)
    return Reply(value={"secretsType": kind, **held})


def document(call: Call, found: Datastore) -> dict[str, Any]:
    """A datastore as Azure shows it, without secrets."""
    properties = _own(call, found) if found.system else dict(found.properties)
    properties |= {"isDefault": found.default, "datastoreType": found.kind}
    if found.container is not None:
        # The account's name has a port, which may not be that of the start at which the datastore was registered.
        properties["accountName"] = account_name(call, call.served)
    created_by = None if found.system else found.created_by
    system = system_data(found.created_at, created_by, found.modified_at, created_by)
    if found.system:
        del system["createdBy"], system["createdByType"]
    return envelope(call, ("datastores", found.name), "datastores", properties, system)


def _own(call: Call, found: Datastore) -> dict[str, Any]:
    served = call.served
    common: dict[str, Any] = {
        "description": None,
        "tags": None,
        "properties": None,
        "credentials": {"credentialsType": "AccountKey"},
        "subscriptionId": served.subscription if found.default else None,
        "resourceGroup": served.resource_group if found.default else None,
        "accountName": account_name(call, served),
        "endpoint": "core.windows.net",
        "protocol": "https",
        "serviceDataAccessAuthIdentity": "WorkspaceSystemAssignedIdentity" if found.default else "None",
    }
    if found.container is not None:
        name = ARTIFACTS if found.container == ARTIFACTS else default_container(served)
        return {**common, "containerName": name}
    share = _WORKING_SHARE if found.name == "workspaceworkingdirectory" else f"azureml-filestore-{served.workspace_id}"
    return {**common, "fileShareName": share}


def _container(call: Call, kind: str, properties: Mapping[str, Any]) -> str | None:
    """The container here that a user's datastore names; None when it lies in another account."""
    account = str(properties.get("accountName", ""))
    ours = account == call.served.account or account.endswith(f"/_blob/{call.served.account}")
    name = properties.get("containerName")
    if kind != "AzureBlob" or not ours or name is None:
        return None
    container = local_container(call.served, str(name))
    if container is None:
        raise WireError(400, f"The container name {name} is not valid.", inner=("BadArgument", "ArgumentInvalid"))
    return container


def _credentials(body: Body) -> tuple[dict[str, Any], dict[str, Any]]:
    """The credentials without their secret, and the secret."""
    section = body.section("credentials", required=True)
    kind = section.choice("credentialsType", _CREDENTIALS, required=True)
    shown: dict[str, Any] = {"credentialsType": kind}
    if kind in ("ServicePrincipal", "Certificate"):
        shown |= {key: section.text(key, required=key in ("clientId", "tenantId")) for key in _PRINCIPAL if key in section}
        for key in ("clientId", "tenantId"):
            section.text(key, required=True)
    if kind == "None":
        return shown, {}
    secrets = section.section("secrets", required=True)
    return shown, {_SECRETS[kind]: secrets.text(_SECRETS[kind], required=True)}


def _found(call: Call) -> Datastore:
    name = call.parameters["name"]
    found = call.served.local.datastores.find(name) if _NAME.match(name) else None
    if found is None:
        raise WireError(
            404,
            f"Could not find datastore: {name}",
            inner=("NotFound", "DatastoreNotFound"),
            message_format="Could not find datastore: {datastoreName}",
            parameters={"datastoreName": name},
        )
    return found


_ONE = "{ws}/datastores/{name}"
ROUTES = (
    Route("GET", "{ws}/datastores", list_datastores),
    Route("GET", _ONE, get_datastore),
    Route("PUT", _ONE, put_datastore, access="write", note="content only for the workspace's own storage account"),
    Route("DELETE", _ONE, delete_datastore, access="write"),
    Route("POST", _ONE + "/listSecrets", list_secrets, access="write"),
)
