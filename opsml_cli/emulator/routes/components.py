"""Components: specifications as the service rewrites them, and as the client sent them for whoever runs them."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from opsml_cli.emulator import component_spec, documents, versions
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.routes.environments import registry_id
from opsml_cli.emulator.versions import Container
from opsml_cli.emulator.wire import Call, Reply, Route, WireError
from opsml_cli.local.assets import AssetVersion

SEGMENT = "components"
ANONYMOUS = "azureml_anonymous"
DEFAULT = "azureml_default"
_ENVIRONMENT = re.compile(r"azureml:([^/:@]+)(?::([^/:@]+)|@(latest))\Z", re.IGNORECASE)


def list_containers(call: Call) -> Reply:
    found = documents.containers(call, SEGMENT, call.served.local.assets.versions(SEGMENT))
    named = [each for each in found if each.name != ANONYMOUS]
    return versions.containers_listed(call, SEGMENT, named, lambda one: _container_properties(call, one))


def get_container(call: Call) -> Reply:
    found = _container(call)
    return Reply(value=versions.container_document(call, SEGMENT, found, _container_properties(call, found)))


def put_container(call: Call) -> Reply:
    versions.say(call, SEGMENT, _container(call).name)
    return get_container(call)


def list_versions(call: Call) -> Reply:
    name, _ = versions.names_of(call)
    found = call.served.local.assets.versions(SEGMENT, name)
    return versions.listed(call, SEGMENT, [documents.version_of(each) for each in found])


def get_version(call: Call) -> Reply:
    name, version = versions.names_of(call)
    # The label `default` is asked for as a version; nobody having set it, it is on the latest.
    found = call.served.local.assets.find(SEGMENT, name, None if version == DEFAULT else version)
    if found is None:
        raise _missing(f"{name}:{version}")
    document = versions.document(call, SEGMENT, documents.version_of(found))
    if version == DEFAULT:
        document["id"] = f"{call.served.arm_id}/{SEGMENT}/{found.name}/labels/default"
    return Reply(value=document)


def put_version(call: Call) -> Reply:
    """A new version, or labels of one that exists. Anonymous ones are one when their content is, under the service's own
    version."""
    name, version = versions.names_of(call)
    body = Body.of(call).section("properties", required=True)
    spec = body.section("componentSpec", required=True)
    component_spec.check(spec)
    said = versions.labels(body)
    anonymous = said["isAnonymous"] or name == ANONYMOUS
    environment = _environment(call, spec)
    if anonymous:
        version = _own_version(component_spec.rewritten(spec.value, None, environment))
    rewritten = component_spec.rewritten(spec.value, None if anonymous else version, environment)
    properties = {
        **said,
        "isAnonymous": anonymous,
        "componentSpec": rewritten,
        "provisioningState": "Succeeded",
        "stage": "Logged" if anonymous else "Development",
    }

    def change(old: AssetVersion | None) -> Mapping[str, Any]:
        if old is None:
            return documents.kept(call, None, properties, spec=dict(spec.value))
        if anonymous:
            return old.document
        field = component_spec.changed_field(old.document["properties"]["componentSpec"], rewritten)
        if field is not None:
            raise _immutable(name, field)
        return documents.kept(call, old, properties)

    made, new = call.served.local.assets.save(SEGMENT, name, version, change)
    return versions.written(call, SEGMENT, documents.version_of(made), new=new or anonymous)


def _environment(call: Call, spec: Body) -> Any:
    """The component's environment as the service names it: by id in this workspace, or in Azure's registry."""
    value = spec.value.get("environment")
    found = _ENVIRONMENT.match(value) if isinstance(value, str) else None
    if found is None:
        return value
    name, version = found[1], found[2]
    known = call.served.local.assets.find("environments", name, version)
    if known is not None:
        return f"azureml:{call.served.arm_id}/environments/{known.name}/versions/{known.version}"
    # Of a curated environment, whose versions are Azure's to know, the latest is taken for the first.
    curated = registry_id(name, version or "1")
    if curated is None:
        raise WireError(
            404,
            f"Environment version with name: {name}:{version or 'latest'} not found.",
            inner=("NotFound", "EnvironmentNotFound"),
        )
    return curated


def _own_version(spec: Mapping[str, Any]) -> str:
    """The version that the service gives to an anonymous component: the same for the same content."""
    text = json.dumps(component_spec.identity(spec), sort_keys=True, ensure_ascii=False)
    return str(uuid.UUID(hashlib.sha256(text.encode()).hexdigest()[:32]))


def _immutable(name: str, field: str) -> WireError:
    return WireError(
        400,
        f'Failed to update component {name} since field "{field}" is immutable, try specifying a new version.',
        inner=("BadArgument", "ArgumentInvalid", "UpdateComponentFailed"),
    )


def _missing(name: str) -> WireError:
    return WireError(404, f"Not found component {name}.", inner=("NotFound", "ComponentNotFound"))


def _container(call: Call) -> Container:
    name, _ = versions.names_of(call)
    found = call.served.local.assets.versions(SEGMENT, name)
    if not found:
        raise _missing(name)
    return documents.container(call, SEGMENT, name, found)


def _container_properties(call: Call, found: Container) -> dict[str, Any]:
    moment: datetime = call.site.clock.now().astimezone(UTC)
    said = found.said
    return {
        "description": said.get("description") or "",
        "tags": said.get("tags") or {},
        "properties": said.get("properties") or {},
        "latestVersion": None,
        "nextVersion": moment.strftime("%Y-%m-%d-%H-%M-%S-%f") + "0",
        "provisioningState": "Succeeded",
    }


_ONE = "{ws}/components/{name}"
ROUTES = (
    Route("GET", "{ws}/components", list_containers),
    Route("GET", _ONE, get_container),
    Route("PUT", _ONE, put_container, access="write"),
    Route("GET", _ONE + "/versions", list_versions),
    Route("GET", _ONE + "/versions/{version}", get_version),
    Route("PUT", _ONE + "/versions/{version}", put_version, access="write"),
)
