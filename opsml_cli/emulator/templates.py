"""Templates whose resources are written out: a workspace with the storage, vault and insights that it stands on.

Read as the resource manager and the resources' providers read them, and refused where they would refuse; of the parts, the
workspace alone is made, for this machine has no such accounts. Expressions are `[resourceId('TYPE', 'NAME')]` and
`[subscription().tenantId]`; any other is answered by 501."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.operations import PROVIDER
from opsml_cli.emulator.wire import WireError

WORKSPACE = f"{PROVIDER}/workspaces"
_STORAGE, _VAULT = "Microsoft.Storage/storageAccounts", "Microsoft.KeyVault/vaults"
_LOGS, _INSIGHTS = "Microsoft.OperationalInsights/workspaces", "Microsoft.Insights/components"
# What each provider asks for at least, and the names that it takes.
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    _STORAGE: ("location", "sku.name", "kind"),
    _VAULT: ("location", "properties.tenantId", "properties.sku.family", "properties.sku.name", "properties.accessPolicies"),
    _LOGS: ("location",),
    _INSIGHTS: ("location", "kind", "properties.Application_Type"),
    WORKSPACE: (
        "location", "identity.type", "properties.storageAccount", "properties.keyVault", "properties.applicationInsights",
    ),
}  # fmt: skip
_NAMES = {
    _STORAGE: re.compile(r"[a-z0-9]{3,24}\Z"),
    _VAULT: re.compile(r"(?=.{3,24}\Z)[A-Za-z](?:-?[A-Za-z0-9])+\Z"),
    _LOGS: re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]\Z"),
    _INSIGHTS: re.compile(r"[\w.()-]{0,259}[\w()-]\Z", re.ASCII),
    WORKSPACE: re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,32}\Z"),
}
_PARTS = {"storageAccount": _STORAGE, "keyVault": _VAULT, "applicationInsights": _INSIGHTS}
_RESOURCE_ID = re.compile(r"\[resourceId\('([^']+)', ?'([^']+)'\)\]\Z")
_TENANT = "[subscription().tenantId]"


def written_out(template: Body) -> bool:
    """Whether the resources have names and not expressions for them."""
    found = template.value.get("resources")
    if not isinstance(found, list) or not found:
        return False
    return not any(isinstance(each, Mapping) and _expression(each.get("name")) for each in found)


def workspace_of(template: Body) -> Mapping[str, Any]:
    """The template's one workspace, the whole being sound. WireError: 400 as the resource manager's, or 501."""
    for key in ("$schema", "contentVersion"):
        if not template.value.get(key):
            raise _invalid(f"the template property '{key}' is required")
    known: dict[tuple[str, str], Mapping[str, Any]] = {}
    for each in template.value["resources"]:
        _check_form(each)
        kind = next((one for one in _REQUIRED if one.casefold() == each["type"].casefold()), None)
        if kind is None:
            raise WireError(501, f"Resources of type {each['type']} are not emulated.", code="NotImplemented", form="plain")
        if (kind, each["name"].casefold()) in known:
            raise _invalid(f"the resource '{each['name']}' of type {kind} is defined twice")
        known[kind, each["name"].casefold()] = each
    for (kind, _), each in known.items():
        _check(kind, each)
        for text in each.get("dependsOn") or ():
            _reference(text, known)
    found = [each for (kind, _), each in known.items() if kind == WORKSPACE]
    if len(found) != 1:
        raise WireError(501, "Templates of one workspace are emulated.", code="NotImplemented", form="plain")
    for part, kind in _PARTS.items():
        if _reference(found[0]["properties"][part], known) != kind:
            raise _invalid(f"the property '{part}' is no resource of type {kind}")
    return found[0]


def _check_form(resource: object) -> None:
    for key in ("type", "apiVersion", "name"):
        value = resource.get(key) if isinstance(resource, Mapping) else None
        if not isinstance(value, str) or not value:
            raise _invalid(f"a resource has no property '{key}'")


def _check(kind: str, resource: Mapping[str, Any]) -> None:
    if not _NAMES[kind].match(resource["name"]):
        code = "AccountNameInvalid" if kind == _STORAGE else "VaultNameNotValid" if kind == _VAULT else "InvalidResourceName"
        raise WireError(400, f"{resource['name']} is not a valid name of {kind}.", code=code, form="plain")
    for path in _REQUIRED[kind]:
        value: Any = resource
        for key in path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is None:
            raise WireError(400, f"The property '{path}' of {resource['name']} is required.", code="BadRequest", form="plain")
        if _expression(value) and value != _TENANT and not _RESOURCE_ID.match(value):
            raise WireError(501, f"The expression {value[:100]} is not emulated.", code="NotImplemented", form="plain")


def _reference(text: object, known: Mapping[tuple[str, str], object]) -> str:
    """The type of the resource that `text` names; it must be one of the template."""
    match = _RESOURCE_ID.match(text) if isinstance(text, str) else None
    if match is None:
        raise WireError(501, f"The reference {str(text)[:100]} is not emulated.", code="NotImplemented", form="plain")
    kind = next((one for one in _REQUIRED if one.casefold() == match[1].casefold()), match[1])
    if (kind, match[2].casefold()) not in known:
        raise _invalid(f"the resource '{match[1]}/{match[2]}' is not defined in the template")
    return kind


def _expression(value: object) -> bool:
    return isinstance(value, str) and value.startswith("[") and not value.startswith("[[")


def _invalid(text: str) -> WireError:
    message = f"Deployment template validation failed: '{text}.'"
    return WireError(400, message, code="InvalidTemplate", form="plain")
