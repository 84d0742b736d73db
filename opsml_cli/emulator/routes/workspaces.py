"""Workspaces: the first one, which is the local workspace itself, and further ones beside it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any

from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.emulator.access import arm_id
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.clock import stamp_z
from opsml_cli.emulator.operations import PROVIDER
from opsml_cli.emulator.routes.resource_groups import known_group
from opsml_cli.emulator.site import REGION
from opsml_cli.emulator.wire import Call, Reply, Route, WireError, refused
from opsml_cli.local.azure_names import AzureNames, Directory
from opsml_cli.local.clock import parse

TYPE = f"{PROVIDER}/workspaces"


def get(call: Call) -> Reply:
    return Reply(value=document(call, _names(call)))


def put(call: Call) -> Reply:
    """A further workspace (201), or new words for one that is there (200). Done when it is answered."""
    body = Body.of(call)
    properties = body.section("properties") or Body({})
    kind = body.text("kind") or "Default"
    if kind.casefold() != "default":
        raise WireError(501, f"Workspaces of kind {kind} are not emulated.", code="NotImplemented", form="plain")
    group = known_group(call)
    name = call.parameters["workspace"]
    words = Words(properties.text("friendlyName"), properties.text("description"), body.texts("tags") or None)
    made, fresh = add(call, group, name, words)
    return Reply(201 if fresh else 200, document(call, made))


def patch(call: Call) -> Reply:
    body = Body.of(call)
    properties = body.section("properties") or Body({})
    tags = body.texts("tags") if "tags" in body else None
    words = Words(properties.text("friendlyName"), properties.text("description"), tags)
    return Reply(value=document(call, describe(call, _names(call), words)))


def delete(call: Call) -> Reply:
    """Done when it is answered. 409 for the first one, which is the local workspace itself."""
    found = _names(call)
    with call.site.first() as first:
        Directory(first).remove(found)
    return Reply(content=b"")


def list_in_group(call: Call) -> Reply:
    group = known_group(call)
    found = [each for each in call.site.workspaces() if each.place.casefold() == group.casefold()]
    return Reply(value={"value": [document(call, each) for each in found]})


def list_in_subscription(call: Call) -> Reply:
    wanted = call.parameters["subscription"].casefold()
    found = [each for each in call.site.workspaces() if each.subscription.casefold() == wanted]
    return Reply(value={"value": [document(call, each) for each in found]})


@dataclass(frozen=True, slots=True)
class Words:
    """What a client says of a workspace; None: as it was."""

    friendly_name: str | None
    description: str | None
    tags: dict[str, str] | None


def add(call: Call, place: str, name: str, words: Words) -> tuple[AzureNames, bool]:
    """The workspace of that name in `place` (`subscription/resource group`); the flag: it is new."""
    subscription, _, group = place.partition("/")
    with call.site.first() as first:
        try:
            made, fresh = Directory(first).add(subscription, group, name)
        except InvalidInputError as error:
            message = f"Workspace name '{name}' is invalid: {error.cause}."
            raise WireError(400, message, inner=("BadArgument", "ArgumentInvalid")) from error
    return describe(call, made, words), fresh


def describe(call: Call, found: AzureNames, words: Words) -> AzureNames:
    changed = replace(
        found,
        friendly_name=found.friendly_name if words.friendly_name is None else words.friendly_name,
        description=found.description if words.description is None else words.description,
        tags=found.tags if words.tags is None else words.tags,
    )
    if changed != found:
        with call.site.first() as first:
            Directory(first).describe(changed)
    return changed


def document(call: Call, found: AzureNames) -> dict[str, Any]:
    """A workspace as Azure shows it."""
    whole = arm_id(found.subscription, found.resource_group, found.name)
    group = f"/subscriptions/{found.subscription}/resourceGroups/{found.resource_group}/providers"
    host = call.site.base.removeprefix("https://")
    created = stamp_z(parse(found.created_at))
    identity = _guid(found, "identity")
    return {
        "id": whole,
        "name": found.name,
        "type": TYPE,
        "location": REGION,
        "tags": found.tags or {},
        "etag": None,
        "kind": "Default",
        "sku": {"name": "Basic", "tier": "Basic"},
        "identity": {"type": "SystemAssigned", "principalId": identity, "tenantId": found.tenant},
        "properties": {
            "friendlyName": found.friendly_name or found.name,
            "description": found.description,
            "storageAccount": f"{group}/Microsoft.Storage/storageAccounts/{found.account}",
            "keyVault": f"{group}/Microsoft.Keyvault/vaults/kv{found.account}",
            "applicationInsights": f"{group}/Microsoft.insights/components/ai{found.account}",
            "containerRegistry": None,
            "hbiWorkspace": False,
            "tenantId": found.tenant,
            "imageBuildCompute": None,
            "provisioningState": "Succeeded",
            "managedNetwork": {
                "isolationMode": "Disabled",
                "changeableIsolationModes": ["AllowInternetOutbound", "AllowOnlyApprovedOutbound"],
            },
            "v1LegacyMode": False,
            "softDeleteEnabled": False,
            "creationTime": created,
            "notebookInfo": {
                "resourceId": _guid(found, "notebook").replace("-", ""),
                "fqdn": f"ml-{found.name}-{REGION}-{found.workspace_id}.{REGION}.notebooks.azure.net",
                "isPrivateLinkEnabled": False,
                "notebookPreparationError": None,
            },
            "storageHnsEnabled": False,
            "workspaceId": found.workspace_id,
            "linkedModelInventoryArmId": None,
            "privateLinkCount": 0,
            "publicNetworkAccess": "Enabled",
            "ipAllowlist": [],
            "discoveryUrl": f"{call.site.base}/discovery",
            "mlFlowTrackingUri": f"azureml://{host}/mlflow/v1.0{whole}",
            "serverlessComputeSettings": None,
            "sdkTelemetryAppInsightsKey": _guid(found, "telemetry"),
            "sasGetterUri": "",
            "enableDataIsolation": False,
            "systemDatastoresAuthMode": "accessKey",
            "enableServiceSideCMKEncryption": False,
            "EnableSoftwareBillOfMaterials": False,
        },
        "systemData": {
            "createdAt": created,
            "createdBy": "opsml-local",
            "createdByType": "Application",
            "lastModifiedAt": created,
            "lastModifiedBy": "opsml-local",
            "lastModifiedByType": "Application",
        },
    }


def _guid(found: AzureNames, purpose: str) -> str:
    """A GUID that belongs to the workspace for ever, for a thing that has none here."""
    return str(uuid.uuid5(uuid.UUID(found.workspace_id), purpose))


def _names(call: Call) -> AzureNames:
    served = call.served
    return next(each for each in call.site.workspaces() if each.workspace_id == served.workspace_id)


_IN_GROUP = "/subscriptions/{subscription}/resourceGroups/{resource_group}/providers/" + TYPE
ROUTES = (
    Route("GET", "{ws}", get),
    # Not `{ws}`: it need not be there yet.
    Route("PUT", _IN_GROUP + "/{workspace}", put, "write", note="at once; storage, networks, keys and identities are ignored"),
    Route("PATCH", "{ws}", patch, "write", note="names, description and tags; the rest is ignored"),
    Route("DELETE", "{ws}", delete, "write", note="at once, with all that is in it; not the first workspace"),
    Route("GET", _IN_GROUP, list_in_group),
    Route("GET", "/subscriptions/{subscription}/providers/" + TYPE, list_in_subscription),
    refused("POST", "{ws}/listKeys", "the account's keys are those of the datastores"),
    refused("POST", "{ws}/resyncKeys"),
    refused("POST", "{ws}/diagnose"),
    refused("POST", "{ws}/provisionManagedNetwork"),
)
