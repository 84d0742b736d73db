"""Models: containers and versions over the workspace's own registry, both ways."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from opsml_cli.domain.errors import ConflictError, InvalidInputError
from opsml_cli.domain.model import Model
from opsml_cli.domain.names import AssetRef
from opsml_cli.emulator import uris, versions
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.resources import who
from opsml_cli.emulator.versions import Container, Version
from opsml_cli.emulator.wire import Call, Reply, Route
from opsml_cli.local.clock import now
from opsml_cli.local.model_adoption import KIND, AdoptModel
from opsml_cli.local.storage.views import model_path

SEGMENT, NOUN = "models", "Model"
_TYPES = ("mlflow_model", "custom_model", "triton_model")
_JOB = re.compile(r"(?:azureml://jobs/|runs:/+|.*/dcid\.)([A-Za-z0-9][A-Za-z0-9_-]*)/")
_GROUP = "resourceGroups"


def list_containers(call: Call) -> Reply:
    said = versions.said_of_all(call, KIND)
    by_name = versions.by_name(call.served.local.models.versions())
    found = [Container(models[0].name, _versions(call, models), said.get(key, {})) for key, models in by_name.items()]
    named = [each for each in found if not all(version.properties["isAnonymous"] for version in each.versions)]
    return versions.containers_listed(call, SEGMENT, named, _container_properties)


def get_container(call: Call) -> Reply:
    found = _container(call)
    return Reply(value=versions.container_document(call, SEGMENT, found, _container_properties(found)))


def put_container(call: Call) -> Reply:
    versions.say(call, KIND, _container(call).name)
    return get_container(call)


def list_versions(call: Call) -> Reply:
    """Of a name without versions, none."""
    name, _ = versions.names_of(call)
    found = _versions(call, call.served.local.models.versions(name))
    if call.query.get("version"):
        found = [each for each in found if each.version == call.query["version"]]
    return versions.listed(call, SEGMENT, found)


def get_version(call: Call) -> Reply:
    name, version = versions.names_of(call)
    return Reply(value=versions.document(call, SEGMENT, _found(call, name, version)))


def put_version(call: Call) -> Reply:
    """A new version, its files copied where they lie in this workspace; or other labels of one that exists."""
    name, version = versions.names_of(call)
    body = Body.of(call).section("properties", required=True)
    asked = body.text("modelUri", required=True)
    uri = _kept_uri(call, asked)
    kind = body.choice("modelType", _TYPES) or "custom_model"
    said = versions.labels(body) | {
        "modelUri": uri,
        "modelType": kind,
        "flavors": _flavors(body),
        "stage": body.text("stage") or "Development",
        "jobName": _job(asked) or body.text("jobName"),
    }
    ref = AssetRef(name, version)
    if not any(each.version.casefold() == version.casefold() for each in call.served.local.models.versions(name)):
        try:
            _adopt(call, ref, said, uri)
            return versions.written(call, SEGMENT, _found(call, name, version), new=True)
        except ConflictError:
            pass  # Somebody was quicker: theirs is the version that exists.
    shown = _found(call, name, version)
    if shown.properties["modelUri"].rstrip("/") != uri.rstrip("/"):
        raise versions.changed_uri("model", "model uri")
    # What is neither a label nor the archive's flag stays as it was.
    said |= {member: shown.properties[member] for member in ("modelUri", "modelType", "flavors", "properties", "isAnonymous")}
    said |= {
        "createdBy": shown.created_by,
        "modifiedAt": now(),
        "modifiedBy": who(call),
        "jobName": shown.properties["jobName"],
    }
    call.served.local.model_adoption.relabel(ref, said["description"], said["tags"], said)
    return versions.written(call, SEGMENT, _found(call, name, version), new=False)


def _adopt(call: Call, ref: AssetRef, said: Mapping[str, Any], uri: str) -> None:
    spec = AdoptModel(
        name=ref.name,
        version=ref.version or "1",
        description=said["description"],
        tags=said["tags"],
        job=said["jobName"],
        trusted=call.site.trust,
        file_name=_file_name(uri),
        said={**said, "createdBy": who(call)},
    )
    with uris.content(call, uri) as path:
        try:
            call.served.local.model_adoption.adopt(spec, path)
        except InvalidInputError as error:
            raise versions.wrong_content(NOUN, error.message) from error


def _kept_uri(call: Call, uri: str) -> str:
    """The address under which the version is shown: a job's output or artifact by its place in a datastore."""
    if not uri.lower().startswith(("azureml://jobs/", "runs:/")):
        return uris.expanded(call, uri, folder=False, group=_GROUP)
    return uris.in_datastore(call, uri, group=_GROUP) or uri


def _job(uri: str) -> str | None:
    found = _JOB.match(uri)
    return None if found is None else found[1]


def _file_name(uri: str) -> str:
    name = PurePosixPath(uri.rstrip("/")).name
    return name if name.isprintable() and name not in ("", ".", "..") and len(name.encode()) <= 200 else "model"


def _flavors(body: Body) -> dict[str, Any]:
    return {name: {"data": flavor.texts("data") if "data" in flavor else {}} for name, flavor in body.sections("flavors")}


def _found(call: Call, name: str, version: str) -> Version:
    found = [each for each in call.served.local.models.versions(name) if each.version.casefold() == version.casefold()]
    if not found:
        raise versions.missing(NOUN, name, version)
    return _versions(call, found)[0]


def _container(call: Call) -> Container:
    name, _ = versions.names_of(call)
    found = call.served.local.models.versions(name)
    if not found:
        raise versions.missing(NOUN, name)
    return Container(found[0].name, _versions(call, found), versions.said_of(call, KIND, name))


def _container_properties(found: Container) -> dict[str, Any]:
    return {
        "latestVersion": found.versions[0].version,
        "nextVersion": found.next_number,
        "provisioningState": "Succeeded",
    }


def _versions(call: Call, models: Sequence[Model]) -> list[Version]:
    """Who made a version counts as who changed it last, until somebody does."""
    shown = versions.of_records(call, KIND, models, _properties)
    return [replace(each, modified_by=each.modified_by or each.created_by or "opsml") for each in shown]


def _properties(call: Call, model: Model, said: Mapping[str, Any]) -> dict[str, Any]:
    uri = said.get("modelUri") or uris.long_uri(call, "workspaceblobstore", model_path(model), group=_GROUP)
    flavors = said.get("flavors", {"python_function": {"data": {}}})
    return {
        "description": model.description,
        "tags": dict(model.tags),
        "properties": said.get("properties") or {},
        "isArchived": said.get("isArchived") is True,
        "isAnonymous": said.get("isAnonymous") is True,
        "autoDeleteSetting": None,
        "flavors": flavors,
        "modelType": said.get("modelType") or "mlflow_model",
        "modelUri": uri,
        "jobName": said.get("jobName") if said else model.job,
        "provisioningState": "Succeeded",
        "stage": said.get("stage") or "Development",
        "intellectualProperty": None,
    }


_ONE = "{ws}/models/{name}"
ROUTES = (
    Route("GET", "{ws}/models", list_containers),
    Route("GET", _ONE, get_container),
    Route("PUT", _ONE, put_container, access="write"),
    Route("GET", _ONE + "/versions", list_versions),
    Route("GET", _ONE + "/versions/{version}", get_version),
    Route(
        "PUT",
        _ONE + "/versions/{version}",
        put_version,
        access="write",
        note="foreign code: it is served only when the user trusts it; files of other accounts are not fetched",
    ),
)
