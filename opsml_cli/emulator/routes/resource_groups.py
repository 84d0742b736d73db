"""What workspaces lie in: the tenant, subscriptions and resource groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.site import REGION
from opsml_cli.emulator.wire import Call, Reply, Route, WireError
from opsml_cli.local.azure_names import AzureNames, Directory


def subscription(call: Call) -> Reply:
    wanted = call.parameters["subscription"].casefold()
    return Reply(value=_subscription(next(each for each in call.site.workspaces() if each.subscription.casefold() == wanted)))


def subscriptions(call: Call) -> Reply:
    by_id = {each.subscription.casefold(): each for each in reversed(call.site.workspaces())}
    found = [_subscription(each) for each in by_id.values()]
    return Reply(value={"value": found, "count": {"type": "Total", "value": len(found)}})


def tenants(call: Call) -> Reply:
    tenant = call.site.workspaces()[0].tenant
    return Reply(value={"value": [{"id": f"/tenants/{tenant}", "tenantId": tenant, "displayName": "opsml on this machine"}]})


def get(call: Call) -> Reply:
    return Reply(value=_group(known_group(call)))


def put(call: Call) -> Reply:
    """201 when it is new."""
    Body.of(call)
    with call.site.first() as first:
        fresh = Directory(first).add_group(call.parameters["subscription"], call.parameters["resource_group"])
    return Reply(201 if fresh else 200, _group(known_group(call)))


def list_(call: Call) -> Reply:
    wanted = call.parameters["subscription"].casefold()
    return Reply(value={"value": [_group(each) for each in _places(call) if each.partition("/")[0].casefold() == wanted]})


def known_group(call: Call) -> str:
    """The path's `subscription/resource group` as it was made; 404 where there is none."""
    key = f"{call.parameters['subscription']}/{call.parameters['resource_group']}".casefold()
    found = next((each for each in _places(call) if each.casefold() == key), None)
    if found is None:
        name = call.parameters["resource_group"]
        raise WireError(404, f"Resource group '{name}' could not be found.", code="ResourceGroupNotFound", form="plain")
    return found


def _places(call: Call) -> Sequence[str]:
    with call.site.first() as first:
        return Directory(first).groups()


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


def _group(place: str) -> dict[str, Any]:
    subscription_id, _, name = place.partition("/")
    return {
        "id": f"/subscriptions/{subscription_id}/resourceGroups/{name}",
        "name": name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": REGION,
        "properties": {"provisioningState": "Succeeded"},
    }


_GROUPS = "/subscriptions/{subscription}/resourceGroups"
ROUTES = (
    Route("GET", "/tenants", tenants),
    Route("GET", "/subscriptions", subscriptions),
    Route("GET", "/subscriptions/{subscription}", subscription),
    Route("GET", _GROUPS, list_),
    Route("GET", _GROUPS + "/{resource_group}", get),
    Route("PUT", _GROUPS + "/{resource_group}", put, "write", note="its location is always this machine; tags are ignored"),
)
