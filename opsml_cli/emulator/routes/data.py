"""Data assets: containers and versions over the workspace's own data, both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opsml_cli.domain.data import DataAsset, DataType, RegisterData
from opsml_cli.domain.errors import ConflictError
from opsml_cli.domain.names import AssetRef
from opsml_cli.emulator import uris, versions
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.resources import who
from opsml_cli.emulator.versions import Container, Version
from opsml_cli.emulator.wire import Call, Reply, Route
from opsml_cli.local.clock import now
from opsml_cli.local.storage.views import data_path

SEGMENT, NOUN = "data", "Data"
_TYPES = tuple(kind.value for kind in DataType)
_DELETIONS = ("CreatedGreaterThan", "LastAccessedGreaterThan")


def list_containers(call: Call) -> Reply:
    said = versions.said_of_all(call, SEGMENT)
    by_name = versions.by_name(call.served.local.data.versions())
    found = [Container(assets[0].name, _versions(call, assets), said.get(key, {})) for key, assets in by_name.items()]
    return versions.containers_listed(call, SEGMENT, found, _container_properties)


def get_container(call: Call) -> Reply:
    found = _container(call)
    return Reply(value=versions.container_document(call, SEGMENT, found, _container_properties(found)))


def put_container(call: Call) -> Reply:
    """Labels of an existing name, and archiving all of its versions from lists of names."""
    found = _container(call)
    Body.of(call).section("properties", required=True).choice("dataType", _TYPES)
    versions.say(call, SEGMENT, found.name)
    return get_container(call)


def list_versions(call: Call) -> Reply:
    """Of a name without versions, none."""
    name, _ = versions.names_of(call)
    found = call.served.local.data.versions(name)
    return versions.listed(call, SEGMENT, _versions(call, found))


def get_version(call: Call) -> Reply:
    name, version = versions.names_of(call)
    return Reply(value=versions.document(call, SEGMENT, _found(call, name, version)))


def put_version(call: Call) -> Reply:
    """A new version, its content copied where it lies in this workspace; or other labels of one that exists."""
    name, version = versions.names_of(call)
    body = Body.of(call).section("properties", required=True)
    kind = DataType(body.choice("dataType", _TYPES, required=True))
    uri = uris.expanded(call, body.text("dataUri", required=True), folder=kind is not DataType.URI_FILE)
    said = versions.labels(body) | {"dataUri": uri, "autoDeleteSetting": _deletion(body)}
    if kind is DataType.MLTABLE:
        said["referencedUris"] = body.words("referencedUris") or []
    ref = AssetRef(name, version)
    if call.served.local.data.find(ref) is None:
        spec = RegisterData(name, uri, version=version, type=kind, description=said["description"], tags=said["tags"])
        try:
            with uris.content(call, uri) as path:
                call.served.local.data.adopt(spec, path, said | {"createdBy": who(call)})
            return versions.written(call, SEGMENT, _found(call, name, version), new=True)
        except ConflictError:
            pass  # Somebody was quicker: theirs is the version that exists.
    shown = _found(call, name, version)
    if shown.properties["dataUri"].rstrip("/") != uri.rstrip("/") or shown.properties["dataType"] != kind.value:
        raise versions.changed_uri("data", "data uri")
    # What is neither a label nor the archive's flag stays as it was.
    said |= {member: shown.properties[member] for member in ("dataUri", "properties", "isAnonymous")}
    said |= {"createdBy": shown.created_by, "modifiedAt": now(), "modifiedBy": who(call)}
    call.served.local.data.relabel(ref, said["description"], said["tags"], said)
    return versions.written(call, SEGMENT, _found(call, name, version), new=False)


def _deletion(body: Body) -> dict[str, Any] | None:
    setting = body.section("autoDeleteSetting")
    if setting is None:
        return None
    condition = setting.choice("condition", _DELETIONS)
    return {"condition": condition and condition[0].lower() + condition[1:], "value": setting.value.get("value")}


def _found(call: Call, name: str, version: str) -> Version:
    asset = call.served.local.data.find(AssetRef(name, version))
    if asset is None:
        raise versions.missing(NOUN, name, version)
    return _versions(call, [asset])[0]


def _container(call: Call) -> Container:
    name, _ = versions.names_of(call)
    found = call.served.local.data.versions(name)
    if not found:
        raise versions.missing(NOUN, name)
    return Container(found[0].name, _versions(call, found), versions.said_of(call, SEGMENT, name))


def _container_properties(found: Container) -> dict[str, Any]:
    newest = found.versions[0]
    return {
        "latestVersion": newest.version,
        "nextVersion": found.next_number,
        "dataType": newest.properties["dataType"],
    }


def _versions(call: Call, assets: Sequence[DataAsset]) -> list[Version]:
    return versions.of_records(call, SEGMENT, assets, _properties)


def _properties(call: Call, asset: DataAsset, said: Mapping[str, Any]) -> dict[str, Any]:
    uri = said.get("dataUri") or uris.long_uri(call, "workspaceblobstore", data_path(asset))
    found = {
        "description": asset.description,
        "tags": dict(asset.tags),
        "properties": said.get("properties") or {},
        "isArchived": said.get("isArchived") is True,
        "isAnonymous": said.get("isAnonymous") is True,
        "autoDeleteSetting": said.get("autoDeleteSetting"),
        "dataUri": uri,
        "stage": None,
        "intellectualProperty": None,
        "dataType": asset.type.value,
    }
    if asset.type is DataType.MLTABLE:
        found["referencedUris"] = said.get("referencedUris") or []
    return found


_ONE = "{ws}/data/{name}"
ROUTES = (
    Route("GET", "{ws}/data", list_containers),
    Route("GET", _ONE, get_container),
    Route("PUT", _ONE, put_container, access="write"),
    Route("GET", _ONE + "/versions", list_versions),
    Route("GET", _ONE + "/versions/{version}", get_version),
    Route("PUT", _ONE + "/versions/{version}", put_version, access="write", note="content of other accounts is not fetched"),
)
