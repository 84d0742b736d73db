"""Making an Azure ML workspace with what it stands on, as one deployment of the resource manager."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opsml_cli.azureml import errors
from opsml_cli.azureml.context import WORKSPACE_VERSION
from opsml_cli.domain.access import CreateWorkspace, WorkspaceState
from opsml_cli.domain.errors import NotFoundError

if TYPE_CHECKING:
    from opsml_cli.azureml.context import Context

_DEPLOYMENTS = "2022-09-01"
_GROUPS = "2022-09-01"


class AzureCreation:
    """The CreationOperations port on Azure. The deployment's name follows from the workspace's: asking again finds it."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def begin(self, spec: CreateWorkspace) -> WorkspaceState:
        held = self._workspace()
        if held is not None:
            return WorkspaceState(self._context.place.name, str(held["location"]), _state(held["properties"]), unchanged=True)
        group = self._context.rest.find(self._group, _GROUPS)
        if group is None:
            raise NotFoundError(
                f"no resource group {self._context.place.resource_group!r}",
                fix=f"az group create -n {self._context.place.resource_group} -l {spec.location or 'REGION'}",
            )
        location = spec.location or str(group["location"])
        if not spec.dry_run:
            body = {"properties": {"mode": "Incremental", "template": self._template(location, spec.description)}}
            self._context.rest.send("PUT", self._deployment, _DEPLOYMENTS, body)
        return WorkspaceState(self._context.place.name, location, "Creating")

    def state(self) -> WorkspaceState:
        place = self._context.place
        held = self._workspace()
        deployment = self._context.rest.find(self._deployment, _DEPLOYMENTS)
        if deployment is not None and str(deployment["properties"].get("provisioningState")) in ("Failed", "Canceled"):
            error = errors.failed(deployment["properties"], f"workspace {place.workspace_name}")
            return WorkspaceState(place.name, place.resource_group, "Failed", error.cause or error.message)
        if held is not None:
            return WorkspaceState(place.name, str(held["location"]), _state(held["properties"]))
        if deployment is None:
            raise NotFoundError(f"no workspace {place.workspace_name!r}", fix="opsml -w azure workspace create")
        return WorkspaceState(place.name, place.resource_group, "Creating", "storage, key vault and insights come first")

    def _workspace(self) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = self._context.rest.find("{ws}", WORKSPACE_VERSION)
        return found

    @property
    def _group(self) -> str:
        place = self._context.place
        return f"/subscriptions/{place.subscription_id}/resourceGroups/{place.resource_group}"

    @property
    def _deployment(self) -> str:
        return f"{self._group}/providers/Microsoft.Resources/deployments/opsml-{self._context.place.workspace_name}"

    def _template(self, location: str, description: str | None) -> dict[str, Any]:
        """Storage, key vault, log analytics and application insights, and the workspace on top of them. Names that are
        unique in the world are made of the workspace's id, so that a second attempt finds the first one's parts."""
        place = self._context.place
        ending = hashlib.sha256(place.arm_id.casefold().encode()).hexdigest()[:12]
        plain = "".join(letter for letter in place.workspace_name.lower() if letter.isalnum())
        storage, vault = f"st{plain[:9]}{ending}", f"kv{plain[:9]}{ending}"
        # Log Analytics takes no underscore, and no hyphen at the end.
        logs = f"log-{place.workspace_name.replace('_', '-')}-{ending[:4]}"
        insights = f"appi-{place.workspace_name}"

        def resource(type_: str, version: str, name: str, **more: Any) -> dict[str, Any]:
            return {"type": type_, "apiVersion": version, "name": name, "location": location, **more}

        def identity_of(kind: str, name: str) -> str:
            return f"[resourceId('{kind}', '{name}')]"

        parts = {
            "storageAccount": ("Microsoft.Storage/storageAccounts", storage),
            "keyVault": ("Microsoft.KeyVault/vaults", vault),
            "applicationInsights": ("Microsoft.Insights/components", insights),
        }
        log_id = identity_of("Microsoft.OperationalInsights/workspaces", logs)
        return {
            "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
            "contentVersion": "1.0.0.0",
            "resources": [
                resource(
                    "Microsoft.Storage/storageAccounts",
                    "2023-01-01",
                    storage,
                    sku={"name": "Standard_LRS"},
                    kind="StorageV2",
                    properties={
                        "minimumTlsVersion": "TLS1_2",
                        "allowBlobPublicAccess": False,
                        "supportsHttpsTrafficOnly": True,
                    },
                ),
                resource(
                    "Microsoft.KeyVault/vaults",
                    "2023-02-01",
                    vault,
                    properties={
                        "tenantId": "[subscription().tenantId]",
                        "sku": {"family": "A", "name": "standard"},
                        "accessPolicies": [],
                        "enableSoftDelete": True,
                    },
                ),
                resource(
                    "Microsoft.OperationalInsights/workspaces",
                    "2022-10-01",
                    logs,
                    properties={"sku": {"name": "PerGB2018"}, "retentionInDays": 30},
                ),
                resource(
                    "Microsoft.Insights/components",
                    "2020-02-02",
                    insights,
                    kind="web",
                    properties={"Application_Type": "web", "WorkspaceResourceId": log_id},
                    dependsOn=[log_id],
                ),
                resource(
                    "Microsoft.MachineLearningServices/workspaces",
                    WORKSPACE_VERSION,
                    place.workspace_name,
                    identity={"type": "SystemAssigned"},
                    sku={"name": "Basic", "tier": "Basic"},
                    properties={
                        "friendlyName": place.workspace_name,
                        "description": description or "",
                        **{name: identity_of(*part) for name, part in parts.items()},
                    },
                    dependsOn=[identity_of(*part) for part in parts.values()],
                ),
            ],
        }


def _state(properties: Mapping[str, Any]) -> str:
    state = str(properties.get("provisioningState") or "Succeeded")
    return state if state in ("Succeeded", "Failed") else "Creating"
