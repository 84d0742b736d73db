"""Environments: recorded as they are described; jobs run with this installation's own packages."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opsml_cli.domain.errors import OpsmlError
from opsml_cli.emulator import documents, versions
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.versions import Container, Version
from opsml_cli.emulator.wire import Call, Reply, Route, WireError
from opsml_cli.local.assets import AssetVersion

SEGMENT, NOUN = "environments", "Environment"
# Families of Azure's curated environments, which lie in its own registry.
_CURATED = re.compile(
    r"(?:AzureML|sklearn|tensorflow|acpt|python-sdk|ai-ml-automl|responsibleai|minimal|lightgbm|foundation-model|mlflow)-",
    re.IGNORECASE,
)
_RESERVED = re.compile(r"(?:AzureML|Microsoft)-", re.IGNORECASE)
_ROUTE_KINDS = ("livenessRoute", "readinessRoute", "scoringRoute")


def registry_id(name: str, version: str) -> str | None:
    """The address of a curated environment in Azure's registry; None for a name that is none of its families'."""
    return f"azureml://registries/azureml/environments/{name}/versions/{version}" if _CURATED.match(name) else None


def list_containers(call: Call) -> Reply:
    found = documents.containers(call, SEGMENT, call.served.local.assets.versions(SEGMENT))
    named = [each for each in found if not each.versions[0].properties["isAnonymous"]]
    return versions.containers_listed(call, SEGMENT, named, _container_properties)


def get_container(call: Call) -> Reply:
    found = _container(call)
    return Reply(value=versions.container_document(call, SEGMENT, found, _container_properties(found)))


def put_container(call: Call) -> Reply:
    if call.served.local.assets.find(SEGMENT, _container(call).name) is None:
        raise _reserved(call.parameters["name"])
    versions.say(call, SEGMENT, _container(call).name)
    return get_container(call)


def list_versions(call: Call) -> Reply:
    name, _ = versions.names_of(call, dots=True)
    found = call.served.local.assets.versions(SEGMENT, name)
    if not found and registry_id(name, "1") is not None:
        return versions.listed(call, SEGMENT, [_curated(call, name, "1")])
    return versions.listed(call, SEGMENT, [_shown(each, newest=place == 0) for place, each in enumerate(found)])


def get_version(call: Call) -> Reply:
    name, version = versions.names_of(call, dots=True)
    found = call.served.local.assets.find(SEGMENT, name, version)
    if found is not None:
        return Reply(value=versions.document(call, SEGMENT, _newest(call, found)))
    if registry_id(name, version) is not None:
        return Reply(value=versions.document(call, SEGMENT, _curated(call, name, version)))
    raise versions.missing(NOUN, name, version)


def put_version(call: Call) -> Reply:
    """A new version, or labels of one that exists. An anonymous one that is there already is answered as if it were new."""
    name, version = versions.names_of(call, dots=True)
    if _RESERVED.match(name):
        raise _reserved(name)
    versions.names_of(call)
    body = Body.of(call).section("properties", required=True)
    said = versions.labels(body)
    content = _content(body)

    def change(old: AssetVersion | None) -> Mapping[str, Any]:
        if old is not None and any(old.document["properties"].get(key) != value for key, value in content.items()):
            raise versions.changed_uri("environment", "definition")
        own = {**said, "properties": {key: text for key, text in said["properties"].items() if key != "azureml.labels"}}
        return documents.kept(call, old, {**own, **content, "environmentType": "UserCreated", "provisioningState": "Succeeded",
                                          "stage": body.text("stage") or "Development"})  # fmt: skip

    made, new = call.served.local.assets.save(SEGMENT, name, version, change)
    reply = versions.written(call, SEGMENT, _newest(call, made), new=new or said["isAnonymous"])
    return Reply(reply.status, reply.value, {**reply.headers, "build-id": secrets.token_hex(16)})


def _content(body: Body) -> dict[str, Any]:
    """What cannot be changed: image or build, packages, system."""
    image, build = body.text("image"), body.section("build")
    conda = body.text("condaFile")
    if image is None and build is None:
        raise WireError(
            400,
            "An environment needs an image or a build context.",
            inner=("BadArgument", "ArgumentInvalid"),
        )
    if build is not None and (image is not None or conda is not None):
        raise WireError(400, "A build context excludes image and condaFile.", inner=("BadArgument", "ArgumentInvalid"))
    return {
        "image": image,
        "build": None
        if build is None
        else {
            "contextUri": build.text("contextUri", required=True),
            "dockerfilePath": build.text("dockerfilePath") or "Dockerfile",
        },
        "condaFile": None if conda is None else _as_json(body, conda),
        "osType": body.choice("osType", ("Linux", "Windows")) or "Linux",
        "inferenceConfig": _inference(body),
        "autoRebuild": body.choice("autoRebuild", ("Disabled", "OnBaseImageUpdate")) or "Disabled",
    }


def _as_json(body: Body, text: str) -> str:
    """The packages of a conda file, which clients send as YAML, as JSON text."""
    from opsml_cli.documents import parse_document

    try:
        value = parse_document(text, source="condaFile", folder=Path()).value
    except OpsmlError as error:
        raise body.wrong("condaFile", f"the value is no valid YAML: {error.message}") from error
    if not isinstance(value, Mapping):
        raise body.wrong("condaFile", "the value describes no conda environment.")
    try:
        return json.dumps(value, indent=2)
    except (TypeError, ValueError) as error:
        raise body.wrong("condaFile", "the value holds what JSON cannot.") from error


def _inference(body: Body) -> dict[str, Any] | None:
    section = body.section("inferenceConfig")
    if section is None:
        return None
    found: dict[str, Any] = {}
    for kind in _ROUTE_KINDS:
        route = section.section(kind)
        found[kind] = None if route is None else {"path": route.text("path", required=True), "port": route.integer("port", 1)}
    return found


def _curated(call: Call, name: str, version: str) -> Version:
    """One of Azure's own environments. What is in it is Azure's to know; every version is taken for one that there is."""
    created = next(each for each in call.site.workspaces() if each.workspace_id == call.served.workspace_id).created_at
    properties = {
        "description": None,
        "tags": {},
        "properties": {"azureml.labels": "latest"},
        "isArchived": False,
        "isAnonymous": False,
        "image": f"mcr.microsoft.com/azureml/curated/{name.lower().removeprefix('azureml-')}:{version}",
        "build": None,
        "condaFile": None,
        "osType": "Linux",
        "inferenceConfig": None,
        "autoRebuild": "Disabled",
        "environmentType": "Curated",
        "provisioningState": "Succeeded",
        "stage": None,
    }
    return Version(name, version, created, (created, 0), properties, "Microsoft", created)


def _reserved(name: str) -> WireError:
    return WireError(
        400, f"The environment name '{name}' begins with a reserved word.", inner=("BadArgument", "ArgumentInvalid")
    )


def _newest(call: Call, found: AssetVersion) -> Version:
    newest = call.served.local.assets.find(SEGMENT, found.name)
    return _shown(found, newest=newest is not None and newest.sequence == found.sequence)


def _shown(found: AssetVersion, *, newest: bool) -> Version:
    """The newest version carries the label `latest`."""
    properties = dict(found.document["properties"])
    properties["properties"] = {**properties["properties"], **({"azureml.labels": "latest"} if newest else {})}
    return documents.version_of(found, properties)


def _container(call: Call) -> Container:
    name, _ = versions.names_of(call, dots=True)
    found = call.served.local.assets.versions(SEGMENT, name)
    if found:
        return documents.container(call, SEGMENT, name, found)
    if registry_id(name, "1") is None:
        raise versions.missing(NOUN, name)
    return Container(name, [_curated(call, name, "1")])


def _container_properties(found: Container) -> dict[str, Any]:
    return {
        "latestVersion": found.versions[0].version,
        "nextVersion": found.next_number,
        "provisioningState": "Succeeded",
    }


_ONE = "{ws}/environments/{name}"
ROUTES = (
    Route("GET", "{ws}/environments", list_containers),
    Route("GET", _ONE, get_container),
    Route("PUT", _ONE, put_container, access="write"),
    Route("GET", _ONE + "/versions", list_versions),
    Route("GET", _ONE + "/versions/{version}", get_version),
    Route("PUT", _ONE + "/versions/{version}", put_version, access="write", note="recorded; no image is built"),
)
