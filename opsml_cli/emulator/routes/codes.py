"""Code snapshots: found by their hash under any name, uploaded to a container of their own."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from opsml_cli.emulator import documents, versions
from opsml_cli.emulator.blob_access import account_url
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.storage_keys import service_sas
from opsml_cli.emulator.versions import Container
from opsml_cli.emulator.wire import Call, Reply, Route, WireError
from opsml_cli.local import annotations as notes
from opsml_cli.local.assets import AssetVersion
from opsml_cli.local.storage.account import account_key

SEGMENT, NOUN = "codes", "Code"
_UPLOADS = "pendingUpload"
_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
UPLOAD_HOURS = 8.0


def list_versions(call: Call) -> Reply:
    """With `hash`, the versions that hold this content, whatever their name; otherwise those of the name."""
    name, _ = versions.names_of(call)
    assets = call.served.local.assets
    if "hash" in call.query:
        found = assets.matching(SEGMENT, "properties.properties.hash_sha256", call.query["hash"])
        wanted = call.query.get("hashVersion")
        if wanted is not None:
            found = [each for each in found if _labels(each).get("hash_version") == wanted]
    else:
        found = assets.versions(SEGMENT, name)
    return versions.listed(call, SEGMENT, [documents.version_of(each) for each in found])


def get_version(call: Call) -> Reply:
    return Reply(value=versions.document(call, SEGMENT, documents.version_of(_found(call))))


def put_version(call: Call) -> Reply:
    name, version = versions.names_of(call)
    body = Body.of(call).section("properties", required=True)
    uri = body.text("codeUri", required=True)
    if not uri.lower().startswith("https://"):
        raise body.wrong("codeUri", f"the value {uri!r} is no https address.")
    said = versions.labels(body)

    def change(old: AssetVersion | None) -> Mapping[str, Any]:
        if old is not None and old.document["properties"]["codeUri"] != uri:
            raise versions.changed_uri("code", "code uri")
        return documents.kept(call, old, {**said, "codeUri": uri, "provisioningState": "Succeeded"})

    made, new = call.served.local.assets.save(SEGMENT, name, version, change)
    return versions.written(call, SEGMENT, documents.version_of(made), new=new)


def start_upload(call: Call) -> Reply:
    """A container for the version's files, with a token for it: the same one until the version is there."""
    name, version = versions.names_of(call)
    kind = Body.of(call).choice("pendingUploadType", ("None", "TemporaryBlobReference")) or "TemporaryBlobReference"
    if kind == "None":
        raise WireError(400, "The pendingUploadType 'None' is not supported.", inner=("BadArgument", "ArgumentInvalid"))
    served = call.served
    with served.local.store.write() as connection:
        upload = notes.find(connection, _UPLOADS, f"{SEGMENT}/{name}", version)
        if upload is None:
            suffix = "".join(secrets.choice(_LETTERS) for _ in range(26))
            upload = {"container": f"{served.workspace_id}-{suffix}", "id": secrets.token_hex(16)}
            notes.save(connection, _UPLOADS, f"{SEGMENT}/{name}", upload, version)
    container = upload["container"]
    served.local.storage.make(container)
    token = service_sas(
        served.account, account_key(served.local.layout), container, None,
        permissions="racwl", hours=UPLOAD_HOURS, now=call.site.clock.now(),
    )  # fmt: skip
    group = f"/subscriptions/{served.subscription}/resourceGroups/{served.resource_group}/providers"
    return Reply(
        value={
            "pendingUploadId": upload["id"],
            "pendingUploadType": kind,
            "blobReferenceForConsumption": {
                "blobUri": f"{account_url(call, served)}:443/{container}",
                "storageAccountArmId": f"{group}/Microsoft.Storage/storageAccounts/{served.account}",
                "credential": {"credentialType": "SAS", "sasUri": f"{account_url(call, served)}/{container}?{token}"},
            },
        }
    )


def list_containers(call: Call) -> Reply:
    found = documents.containers(call, SEGMENT, call.served.local.assets.versions(SEGMENT))
    return versions.containers_listed(call, SEGMENT, found, _container_properties)


def get_container(call: Call) -> Reply:
    name, _ = versions.names_of(call)
    found = call.served.local.assets.versions(SEGMENT, name)
    if not found:
        raise versions.missing(NOUN, name)
    container = documents.container(call, SEGMENT, name, found)
    return Reply(value=versions.container_document(call, SEGMENT, container, _container_properties(container)))


def _container_properties(found: Container) -> dict[str, Any]:
    return {
        "latestVersion": found.versions[0].version,
        "nextVersion": found.next_number,
        "provisioningState": "Succeeded",
    }


def _found(call: Call) -> AssetVersion:
    name, version = versions.names_of(call)
    found = call.served.local.assets.find(SEGMENT, name, version)
    if found is None:
        raise versions.missing(NOUN, name, version)
    return found


def _labels(found: AssetVersion) -> Mapping[str, Any]:
    properties: Mapping[str, Any] = found.document["properties"]["properties"]
    return properties


_ONE = "{ws}/codes/{name}"
_VERSION = _ONE + "/versions/{version}"
ROUTES = (
    Route("GET", "{ws}/codes", list_containers),
    Route("GET", _ONE, get_container),
    Route("GET", _ONE + "/versions", list_versions, note="by name, or by hash across names"),
    Route("GET", _VERSION, get_version),
    Route("PUT", _VERSION, put_version, access="write"),
    Route("POST", _VERSION + "/startPendingUpload", start_upload, access="write"),
)
