"""The workspace itself, and what it lies in: subscription and resource group."""

from __future__ import annotations

from typing import Any

from opsml_cli.emulator.access import arm_id
from opsml_cli.emulator.clock import stamp_z
from opsml_cli.emulator.site import REGION
from opsml_cli.emulator.wire import Call, Reply, Route, WireError
from opsml_cli.local.azure_names import AzureNames
from opsml_cli.local.clock import parse

TYPE = "Microsoft.MachineLearningServices/workspaces"


def get(call: Call) -> Reply:
    return Reply(value=document(call, _names(call)))


def list_in_group(call: Call) -> Reply:
    group = _known_group(call)
    return Reply(value={"value": [document(call, each) for each in call.site.workspaces() if _key(each) == group]})


def list_in_subscription(call: Call) -> Reply:
    wanted = call.parameters["subscription"].casefold()
    found = [each for each in call.site.workspaces() if each.subscription.casefold() == wanted]
    return Reply(value={"value": [document(call, each) for each in found]})


def subscription(call: Call) -> Reply:
    wanted = call.parameters["subscription"].casefold()
    found = next(each for each in call.site.workspaces() if each.subscription.casefold() == wanted)
    return Reply(value=_subscription(found))


def subscriptions(call: Call) -> Reply:
    by_id = {each.subscription: each for each in reversed(call.site.workspaces())}
    found = [_subscription(each) for each in by_id.values()]
    return Reply(value={"value": found, "count": {"type": "Total", "value": len(found)}})


def resource_group(call: Call) -> Reply:
    _known_group(call)
    return Reply(value=_group(call.parameters["subscription"], call.parameters["resource_group"]))


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
    import uuid

    return str(uuid.uuid5(uuid.UUID(found.workspace_id), purpose))


def _names(call: Call) -> AzureNames:
    served = call.served
    return next(each for each in call.site.workspaces() if each.workspace_id == served.workspace_id)


def _key(found: AzureNames) -> tuple[str, str]:
    return found.subscription.casefold(), found.resource_group.casefold()


def _known_group(call: Call) -> tuple[str, str]:
    key = call.parameters["subscription"].casefold(), call.parameters["resource_group"].casefold()
    if all(_key(each) != key for each in call.site.workspaces()):
        name = call.parameters["resource_group"]
        raise WireError(404, f"Resource group '{name}' could not be found.", code="ResourceGroupNotFound", form="plain")
    return key


def _subscription(found: AzureNames) -> dict[str, Any]:
    return {
        "id": f"/subscriptions/{found.subscription}",
        "subscriptionId": found.subscription,
        "displayName": "opsml on this machine",
        "state": "Enabled",
        "tenantId": found.tenant,
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionPolicies": {"locationPlacementId": "Public_2014-09-01", "quotaId": "Local", "spendingLimit": "Off"},
    }


def _group(subscription_id: str, name: str) -> dict[str, Any]:
    return {
        "id": f"/subscriptions/{subscription_id}/resourceGroups/{name}",
        "name": name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": REGION,
        "properties": {"provisioningState": "Succeeded"},
    }


ROUTES = (
    Route("GET", "{ws}", get),
    Route("GET", "/subscriptions/{subscription}/resourceGroups/{resource_group}/providers/" + TYPE, list_in_group),
    Route("GET", "/subscriptions/{subscription}/providers/" + TYPE, list_in_subscription),
    Route("GET", "/subscriptions/{subscription}/resourceGroups/{resource_group}", resource_group),
    Route("GET", "/subscriptions/{subscription}", subscription),
    Route("GET", "/subscriptions", subscriptions),
)
