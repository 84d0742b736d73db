"""What is PUT for online endpoints and deployments: whole documents, since Azure takes no part of one alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opsml_cli.azureml.endpoint_mapping import REVISION, SHARE, Wish, traffic_of, wish_tags

if TYPE_CHECKING:
    from opsml_cli.domain.deployment import EndpointSpec

_NO_SHARE = "-"
# Members of a deployment that the service fills in by itself and that a PUT must not repeat.
_READ_ONLY = ("provisioningState", "privateNetworkConnection")


def new_endpoint(region: str, wish: Wish) -> dict[str, Any]:
    """The body of an endpoint that is made for a wish."""
    return {
        "location": region,
        "kind": "Managed",
        "identity": {"type": "SystemAssigned"},
        "tags": wish_tags(wish),
        "properties": {"authMode": "Key", "properties": {}, "traffic": {}, "mirrorTraffic": {}},
    }


def changed_endpoint(
    resource: Mapping[str, Any], *, tags: Mapping[str, str], traffic: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """The whole endpoint, as a PUT wants it, with other tags and perhaps other traffic."""
    properties = resource.get("properties") or {}
    identity = resource.get("identity") or {"type": "SystemAssigned"}
    body_identity: dict[str, Any] = {"type": identity.get("type") or "SystemAssigned"}
    if identity.get("userAssignedIdentities"):
        body_identity["userAssignedIdentities"] = {name: {} for name in identity["userAssignedIdentities"]}
    kept = {
        key: value
        for key, value in (properties.get("properties") or {}).items()
        if key not in ("azureml.onlineendpointid", "AzureAsyncOperationUri")
    }
    body: dict[str, Any] = {
        "authMode": properties.get("authMode") or "Key",
        "description": properties.get("description"),
        "properties": kept,
        "traffic": dict(traffic_of(resource) if traffic is None else traffic),
        "mirrorTraffic": dict(properties.get("mirrorTraffic") or {}),
        "publicNetworkAccess": properties.get("publicNetworkAccess") or "Enabled",
    }
    return {
        "location": resource["location"],
        "kind": resource.get("kind") or "Managed",
        "identity": body_identity,
        "tags": dict(tags),
        "properties": {key: value for key, value in body.items() if value is not None},
    }


def put_endpoint(region: str, spec: EndpointSpec, resource: Mapping[str, Any] | None) -> dict[str, Any]:
    """The body of an endpoint as `spec` wants it; opsml's own tags, and traffic that it leaves out, stay as they are."""
    before = resource or {}
    held = before.get("properties") or {}
    kept = {tag: text for tag, text in (before.get("tags") or {}).items() if tag.startswith("opsml.")}
    mirror = spec.mirror_traffic if spec.mirror_traffic is not None else held.get("mirrorTraffic")
    traffic = spec.traffic if spec.traffic is not None else traffic_of(before)
    properties: dict[str, Any] = {
        "authMode": spec.auth_mode,
        "description": spec.description,
        "properties": dict(spec.properties),
        "traffic": {name: percent for name, percent in traffic.items() if percent},
        "mirrorTraffic": dict(mirror or {}),
        "publicNetworkAccess": spec.public_network_access or held.get("publicNetworkAccess"),
    }
    identity: dict[str, Any] = {"type": "SystemAssigned"}
    if spec.identities:
        identity = {"type": "UserAssigned", "userAssignedIdentities": {name: {} for name in spec.identities}}
    return {
        "location": before.get("location") or region,
        "kind": "Managed",
        "identity": identity,
        "tags": {**kept, **spec.tags},
        "properties": {name: value for name, value in properties.items() if value is not None},
    }


def new_deployment(region: str, wish: Wish, model_id: str | None) -> dict[str, Any]:
    """The body of a deployment: of a registered MLflow model without code, or of what the wish says beside it."""
    model = {} if model_id is None else {"model": model_id}
    return {
        "location": region,
        "kind": "Managed",
        "sku": {"name": "Default", "capacity": wish.instance_count},
        "tags": deployment_tags(wish),
        "properties": {
            "endpointComputeType": "Managed",
            **model,
            "instanceType": wish.instance_type,
            "appInsightsEnabled": wish.insights,
            "environmentVariables": {},
            "properties": {},
            "scaleSettings": {"scaleType": "Default"},
            **wish.properties,
        },
    }


def deployment_tags(wish: Wish) -> dict[str, str]:
    return {**wish.tags, REVISION: wish.revision, SHARE: _NO_SHARE if wish.share is None else str(wish.share)}


def changed_deployment(resource: Mapping[str, Any], *, insights: bool) -> dict[str, Any]:
    """The whole deployment with Application Insights on or off: Azure takes no part of it alone. Everything else is sent as it
    is, so that what served goes on."""
    properties = {
        key: value for key, value in (resource.get("properties") or {}).items() if value is not None and key not in _READ_ONLY
    }
    properties["properties"] = {
        key: value
        for key, value in (properties.get("properties") or {}).items()
        if key not in ("azureml.onlineendpointid", "AzureAsyncOperationUri")
    }
    properties["appInsightsEnabled"] = insights
    sku = resource.get("sku") or {}
    return {
        "location": resource["location"],
        "kind": resource.get("kind") or "Managed",
        "sku": {"name": sku.get("name") or "Default", "capacity": sku.get("capacity") or 1},
        "tags": dict(resource.get("tags") or {}),
        "properties": properties,
    }
