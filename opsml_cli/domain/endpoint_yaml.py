"""Azure ML's YAML of a managed online endpoint, as `az ml online-endpoint create -f` reads it."""

from __future__ import annotations

from collections.abc import Mapping

from opsml_cli.domain import names
from opsml_cli.domain.azure_fields import checked, choice, whole
from opsml_cli.domain.deployment import EndpointSpec
from opsml_cli.domain.fields import FieldError, Fields

_AUTH = {"key": "Key", "aml_token": "AMLToken", "aad_token": "AADToken", "amltoken": "AMLToken", "aadtoken": "AADToken"}
ACCESS = {"enabled": "Enabled", "disabled": "Disabled"}
# What `az … show` writes and `create` reads over.
READ_ONLY = ("id", "provisioning_state", "creation_context", "scoring_uri", "openapi_uri", "location", "kind")
KUBERNETES = "opsml deploys managed online endpoints, and Kubernetes ones need a cluster that is attached to an Azure workspace"
_MOST_MIRRORED = 50  # percent, Azure's own limit


def endpoint(fields: Fields) -> EndpointSpec:
    """The endpoint that the file describes. FieldError names the key."""
    if fields.raw("compute") is not None:
        raise FieldError(("compute",), "compute makes it a Kubernetes endpoint", KUBERNETES)
    name = checked(fields, "name", names.endpoint_name)
    if name is None:
        raise FieldError(("name",), "name is missing", "an endpoint's file names it")
    for key in READ_ONLY:
        fields.raw(key)
    found = EndpointSpec(
        name=name,
        auth_mode=choice(fields, "auth_mode", _AUTH) or "Key",
        description=fields.text("description"),
        tags=fields.texts("tags"),
        properties=fields.texts("properties"),
        traffic=_percents(fields, "traffic"),
        mirror_traffic=_mirror(fields),
        public_network_access=choice(fields, "public_network_access", ACCESS),
        identities=_identity(fields),
    )
    fields.done()
    return found


def _percents(fields: Fields, key: str) -> dict[str, int] | None:
    section = fields.section(key)
    if section is None:
        return None
    keys = section.keys()
    found = {name: whole(section, name, 0) or 0 for name in keys}
    wrong = next((name for name, percent in found.items() if percent > 100), None)
    if wrong is not None:
        raise section.problem(wrong, "a percentage, 0 to 100")
    total = sum(found.values())
    if key == "traffic" and total not in (0, 100):
        raise FieldError(section.where, f"{key} adds up to {total} percent", "expected 100, or 0 for none")
    return found


def _mirror(fields: Fields) -> dict[str, int] | None:
    found = _percents(fields, "mirror_traffic")
    given = {name: percent for name, percent in (found or {}).items() if percent}
    if len(given) > 1:
        raise FieldError(("mirror_traffic",), "mirror_traffic names more than one deployment", "expected one at most")
    if any(percent > _MOST_MIRRORED for percent in given.values()):
        raise FieldError(("mirror_traffic",), "mirror_traffic is too much", f"expected 0 to {_MOST_MIRRORED} percent")
    return found


def _identity(fields: Fields) -> tuple[str, ...]:
    section = fields.section("identity")
    if section is None:
        return ()
    kind = (section.text("type") or "").replace("_", "").casefold()
    if kind not in ("systemassigned", "userassigned"):
        raise section.problem("type", "system_assigned or user_assigned")
    given = section.raw("user_assigned_identities")
    found: list[str] = []
    for each in given if isinstance(given, list) else [] if given is None else [given]:
        text = each.get("resource_id") if isinstance(each, Mapping) else each
        if not isinstance(text, str):
            raise section.problem("user_assigned_identities", "a list of resource ids")
        found.append(text.removeprefix("azureml:"))
    for key in ("principal_id", "tenant_id"):
        section.raw(key)
    section.done()
    if kind == "userassigned" and not found:
        raise FieldError((*section.where, "user_assigned_identities"), "identity.user_assigned_identities is missing")
    return tuple(found) if kind == "userassigned" else ()
