"""What Azure answers, row by row, as recorded traffic shows it: general answers, storage and assets.

Shapes and literals are compared, never ids, dates or signatures. A row whose recording is older than October 2023, or which
only users tell of, is an expectation: its comment says where it comes from. Other rows are in the files
test_oracle_*.py beside this one; test_oracle_rows.py sees that none is without a test."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from oracle_support import (
    ASSETS,
    CODES,
    COMPONENTS,
    DATASTORES,
    MODELS,
    WORKSPACES,
    Arm,
    inner_codes,
    new_name,
    refusal,
    signed_in,
)

NET_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?"


@pytest.fixture(scope="module")
def arm(emulator: Any) -> Iterator[Arm]:
    yield from signed_in(emulator)


@pytest.fixture
def name() -> Callable[[], str]:
    return new_name


class TestWorkspace:
    def test_row_1_its_properties(self, arm: Arm) -> None:
        answer = arm.get("", WORKSPACES)
        properties = answer["properties"]
        assert properties.keys() >= {
            "friendlyName", "storageAccount", "keyVault", "applicationInsights", "containerRegistry", "tenantId", "workspaceId",
            "discoveryUrl", "mlFlowTrackingUri", "notebookInfo", "managedNetwork",
        }  # fmt: skip
        assert properties["provisioningState"] == "Succeeded"
        assert answer["etag"] is None
        # Azure's host is `{region}.api.azureml.ms`; here it is the emulator's own.
        assert re.fullmatch(r"azureml://[^/]+/mlflow/v1\.0" + re.escape(arm.id), properties["mlFlowTrackingUri"])

    def test_row_2_its_dates_end_in_z_and_others_in_an_offset(self, arm: Arm) -> None:
        assert re.fullmatch(NET_TIME + "Z", arm.get("", WORKSPACES)["systemData"]["createdAt"])
        store = arm.get("/datastores/workspaceblobstore", DATASTORES)
        assert re.fullmatch(NET_TIME + r"\+00:00", store["systemData"]["createdAt"])

    def test_row_3_discovery_needs_no_token(self, arm: Arm) -> None:
        # Expectation: a recording of September 2022.
        with httpx.Client(verify=arm.client._transport._pool._ssl_context) as stranger:  # type: ignore[attr-defined]
            answer = stranger.get(arm.get("", WORKSPACES)["properties"]["discoveryUrl"])
        assert answer.status_code == 200
        services = answer.json()
        assert services.keys() >= {
            "api", "catalog", "experimentation", "gallery", "history", "hyperdrive", "labeling", "modelmanagement", "pipelines",
            "studio",
        }  # fmt: skip
        assert all(str(url).startswith("https://") for url in services.values())


class TestEveryAnswer:
    def test_row_4_its_headers(self, arm: Arm) -> None:
        headers = arm("GET", "", WORKSPACES).headers
        assert (headers["cache-control"], headers["pragma"], headers["expires"]) == ("no-cache", "no-cache", "-1")
        assert headers["request-context"].startswith("appId=cid-v1:")
        assert headers["x-ms-response-type"] == "standard"
        assert headers["x-ms-routing-request-id"].endswith(headers["x-ms-correlation-request-id"])
        float(headers["x-request-time"])

    def test_row_5_a_refusal_says_so_in_its_headers(self, arm: Arm) -> None:
        answer = arm("GET", "/jobs/nobody", "2024-01-01-preview")
        assert (answer.status_code, answer.headers["x-ms-response-type"]) == (404, "error")

    def test_row_6_an_operation_never_hints_in_seconds(self, arm: Arm, name: Callable[[], str]) -> None:
        region = arm.get("", WORKSPACES)["location"]
        begun = arm.put(f"/onlineEndpoints/{name()}", "2022-02-01-preview", {"authMode": "Key"}, location=region)
        poll = arm.client.get(begun.headers["azure-asyncoperation"])
        assert "retry-after" not in begun.headers
        assert "retry-after" not in poll.headers


class TestDatastores:
    def test_row_7_the_default_one(self, arm: Arm) -> None:
        # Expectation: a recording of September 2022.
        answer = arm.get("/datastores", DATASTORES, isDefault="true", count="30", orderByAsc="false")
        [store] = answer["value"]
        workspace_id = arm.get("", WORKSPACES)["properties"]["workspaceId"]
        assert store["properties"]["isDefault"] is True
        assert store["properties"]["containerName"] == f"azureml-blobstore-{workspace_id}"
        assert "nextLink" not in answer

    def test_row_8_those_of_a_fresh_workspace(self, arm: Arm) -> None:
        stores = arm.get("/datastores", DATASTORES)["value"]
        by_name = {store["name"]: store["properties"] for store in stores}
        system = ["workspaceblobstore", "workspacefilestore", "workspaceartifactstore", "workspaceworkingdirectory"]
        assert by_name.keys() >= set(system)
        assert by_name["workspaceartifactstore"]["containerName"] == "azureml"
        assert all(by_name[each]["tags"] is None for each in system)
        created = [store["systemData"]["createdAt"] for store in stores]
        assert created == sorted(created, reverse=True)

    def test_row_9_a_signature_for_the_account(self, arm: Arm) -> None:
        asked = {"expirableSecret": True, "expireAfterHours": 1}
        secrets = arm("POST", "/datastores/workspaceblobstore/listSecrets", DATASTORES, asked).json()
        assert secrets.keys() == {"secretsType", "sasToken"}
        assert secrets["secretsType"] == "Sas"
        assert secrets["sasToken"].startswith("?")
        assert {"srt=co", "ss=bf", "sp=rcuwdl"} <= set(secrets["sasToken"][1:].split("&"))

    def test_row_10_without_a_body_the_account_key(self, arm: Arm) -> None:
        # Expectation: recordings of October and November 2022.
        answer = arm("POST", "/datastores/workspaceblobstore/listSecrets", DATASTORES)
        assert answer.status_code == 200, answer.text
        assert answer.json()["secretsType"] == "AccountKey"
        assert answer.json()["key"]


SHORT = "azureml://datastores/workspaceblobstore/paths/somewhere/file.csv"


def uri_file(uri: str = SHORT, **more: Any) -> dict[str, Any]:
    return {
        "dataUri": uri,
        "dataType": "uri_file",
        "isAnonymous": False,
        "isArchived": False,
        "tags": {},
        "properties": {},
    } | more


class TestData:
    def test_rows_11_and_12_a_new_version(self, arm: Arm, name: Callable[[], str]) -> None:
        path = f"/data/{name()}/versions/2"
        answer = arm.put(path, ASSETS, uri_file())
        assert answer.headers["location"].startswith(arm.url + arm.id + path + "?api-version=")
        body = answer.json()
        assert body["name"] == "2"
        assert body["properties"]["dataUri"] == (
            "azureml:/" + arm.id.replace("resourceGroups", "resourcegroups").replace(
                "/providers/Microsoft.MachineLearningServices", ""
            ) + SHORT.removeprefix("azureml:/")
        )  # fmt: skip
        system = body["systemData"]
        assert system.keys() >= {"createdBy", "createdByType", "lastModifiedAt"}
        assert "lastModifiedBy" not in system

    def test_row_13_archiving_it(self, arm: Arm, name: Callable[[], str]) -> None:
        path = f"/data/{name()}/versions/1"
        before = arm.put(path, ASSETS, uri_file()).json()["systemData"]
        answer = arm.put(path, ASSETS, uri_file(isArchived=True), status=200)
        assert "location" not in answer.headers
        after = answer.json()["systemData"]
        assert after["createdAt"] == before["createdAt"]
        assert after["lastModifiedAt"] > before["lastModifiedAt"]
        assert after["lastModifiedBy"]

    def test_row_14_its_path_stays(self, arm: Arm, name: Callable[[], str]) -> None:
        # Expectation: what users see; the status is not told, only that it is an error of theirs.
        path = f"/data/{name()}/versions/1"
        arm.put(path, ASSETS, uri_file())
        answer = arm("PUT", path, ASSETS, {"properties": uri_file(SHORT + ".other")})
        assert 400 <= answer.status_code < 500
        error = answer.json()["error"]
        assert error["code"] == "UserError"
        assert error["message"].startswith("A data version with this name and version already exists.")
        assert error["message"].endswith("Only tags, description, and isArchived can be updated.")

    def test_row_15_any_address_is_taken_as_it_is(self, arm: Arm, name: Callable[[], str]) -> None:
        answer = arm.put(f"/data/{name()}/versions/1", ASSETS, uri_file("https://bla") | {"dataType": "uri_folder"})
        assert answer.json()["properties"]["dataUri"] == "https://bla"

    def test_row_16_versions_may_be_words(self, arm: Arm, name: Callable[[], str]) -> None:
        asset = name()
        arm.put(f"/data/{asset}/versions/foobar", ASSETS, uri_file())
        container = arm.get(f"/data/{asset}", ASSETS)["properties"]
        assert (container["latestVersion"], container["nextVersion"]) == ("foobar", "1")
        assert container["dataType"] == "uri_file"
        assert container["tags"] is None

    def test_row_17_listing_is_newest_first_without_the_archived(self, arm: Arm, name: Callable[[], str]) -> None:
        asset = name()
        for version in ("1", "2", "3"):
            arm.put(f"/data/{asset}/versions/{version}", ASSETS, uri_file())
        arm.put(f"/data/{asset}/versions/2", ASSETS, uri_file(isArchived=True), status=200)
        active = arm.get(f"/data/{asset}/versions", ASSETS, listViewType="ActiveOnly")["value"]
        assert [each["name"] for each in active] == ["3", "1"]


def command_component(name: str, **more: Any) -> dict[str, Any]:
    spec = {
        "name": name,
        "version": "1",
        "type": "command",
        "command": "echo hello",
        "is_deterministic": True,
        "environment": "azureml:AzureML-sklearn-1.0-ubuntu20.04-py38-cpu:2",
        "_source": "YAML.COMPONENT",
    }
    return {"componentSpec": spec | more, "isAnonymous": False, "isArchived": False, "properties": {}, "tags": {}}


class TestComponents:
    def test_row_18_an_unknown_one(self, arm: Arm, name: Callable[[], str]) -> None:
        unknown = name()
        error = refusal(arm("GET", f"/components/{unknown}", COMPONENTS), 404)
        assert (error["code"], error["message"]) == ("UserError", f"Not found component {unknown}.")
        assert inner_codes(error) == ["NotFound", "ComponentNotFound"]

    def test_row_19_the_service_rewrites_its_spec(self, arm: Arm, name: Callable[[], str]) -> None:
        component = name()
        body = arm.put(f"/components/{component}/versions/1", COMPONENTS, command_component(component)).json()
        spec = body["properties"]["componentSpec"]
        assert (spec["is_deterministic"], spec["version"]) == ("True", "1")
        environment = "azureml://registries/azureml/environments/AzureML-sklearn-1.0-ubuntu20.04-py38-cpu/versions/2"
        assert spec["environment"] == environment
        assert spec["resources"]["instance_count"] == "1"
        assert "_source" not in spec
        assert body["properties"]["stage"] == "Development"

    def test_row_20_its_inputs_say_whether_they_are_optional(self, arm: Arm, name: Callable[[], str]) -> None:
        component = name()
        inputs = {"rate": {"type": "number", "default": 10.99, "optional": True}, "table": {"type": "uri_folder"}}
        body = arm.put(f"/components/{component}/versions/1", COMPONENTS, command_component(component, inputs=inputs)).json()
        found = body["properties"]["componentSpec"]["inputs"]
        assert (found["rate"]["optional"], found["rate"]["default"]) == ("True", "10.99")
        assert found["table"]["optional"] == "False"

    def test_row_21_the_next_version_is_a_time(self, arm: Arm, name: Callable[[], str]) -> None:
        component = name()
        arm.put(f"/components/{component}/versions/1", COMPONENTS, command_component(component))
        container = arm.get(f"/components/{component}", COMPONENTS)["properties"]
        assert container["latestVersion"] is None
        assert re.fullmatch(r"\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-\d{7}", container["nextVersion"])

    def test_row_22_equal_anonymous_ones_are_one(self, arm: Arm, name: Callable[[], str]) -> None:
        properties = command_component("azureml_anonymous", command=f"echo {name()}") | {"isAnonymous": True}
        path = f"/components/azureml_anonymous/versions/{uuid.uuid4().hex}"
        first, second = (arm.put(path, COMPONENTS, properties).json() for _ in range(2))
        assert uuid.UUID(first["id"].rpartition("/")[2])
        assert second["systemData"]["createdAt"] == first["systemData"]["createdAt"]
        assert second["properties"]["stage"] == "Logged"

    def test_row_23_its_code_stays(self, arm: Arm, name: Callable[[], str]) -> None:
        # Expectation: a recording of November 2022.
        component = name()
        code = arm.id + "/codes/{}/versions/1"
        path = f"/components/{component}/versions/1"
        arm.put(path, COMPONENTS, command_component(component, code=code.format("one")))
        other = {"properties": command_component(component, code=code.format("two"))}
        error = refusal(arm("PUT", path, COMPONENTS, other), 400)
        assert error["code"] == "UserError"
        assert error["message"] == (
            f'Failed to update component {component} since field "code" is immutable, try specifying a new version.'
        )
        assert inner_codes(error) == ["BadArgument", "ArgumentInvalid", "UpdateComponentFailed"]

    def test_row_24_long_lists_come_in_pages(self, arm: Arm, name: Callable[[], str]) -> None:
        component = name()
        made = [str(number) for number in range(52)]
        for version in made:
            arm.put(f"/components/{component}/versions/{version}", COMPONENTS, command_component(component, version=version))
        page = arm.get(f"/components/{component}/versions", COMPONENTS, listViewType="ActiveOnly")
        pages = [page]
        while "nextLink" in page:
            query = httpx.URL(page["nextLink"]).params
            assert page["nextLink"].startswith("https://")
            assert (query["api-version"], query["listViewType"]) == (COMPONENTS, "ActiveOnly")
            assert query["$skipToken"]
            page = arm.client.get(page["nextLink"]).json()
            pages.append(page)
        assert len(pages) > 1
        assert sorted(each["name"] for page in pages for each in page["value"]) == sorted(made)


def code_version(arm: Arm, name: str, digest: str) -> httpx.Response:
    """Register a code version by the way of the SDK: a pending upload says where its content goes."""
    pending = arm(
        "POST", f"/codes/{name}/versions/1/startPendingUpload", CODES, {"pendingUploadType": "TemporaryBlobReference"}
    )
    assert pending.status_code == 200, pending.text
    reference = pending.json()["blobReferenceForConsumption"]
    properties = {
        "codeUri": reference["blobUri"] + "/source",
        "isAnonymous": True,
        "properties": {"hash_sha256": digest, "hash_version": "202208"},
    }
    return arm.put(f"/codes/{name}/versions/1", CODES, properties)


class TestCodes:
    def test_row_25_the_same_content_has_one_name(self, arm: Arm, name: Callable[[], str]) -> None:
        owner, other, digest = name(), name(), uuid.uuid4().hex * 2
        code_version(arm, owner, digest)
        [found] = arm.get(f"/codes/{other}/versions", CODES, hash=digest, hashVersion="202208")["value"]
        assert found["id"].endswith(f"/codes/{owner}/versions/1")

    def test_row_26_where_it_lies(self, arm: Arm, name: Callable[[], str]) -> None:
        code = name()
        code_version(arm, code, uuid.uuid4().hex * 2)
        found = arm.get(f"/codes/{code}/versions/1", CODES)["properties"]
        assert found["provisioningState"] == "Succeeded"
        assert found["codeUri"].startswith("https://")
        assert ".blob.core.windows.net:443/" in found["codeUri"]
        assert "/azureml-blobstore-" not in found["codeUri"]

    def test_row_27_again_is_no_new_one(self, arm: Arm, name: Callable[[], str]) -> None:
        # Expectation: a recording of August 2022.
        code = name()
        first = code_version(arm, code, uuid.uuid4().hex * 2).json()
        same = {key: first["properties"][key] for key in ("codeUri", "isAnonymous", "properties")}
        again = arm.put(f"/codes/{code}/versions/1", CODES, same, status=200).json()
        assert again["systemData"]["createdAt"] == first["systemData"]["createdAt"]


CONDA = "name: small\nchannels: [conda-forge]\ndependencies:\n- python=3.11\n"


class TestEnvironments:
    def test_row_28_packages_come_back_as_json(self, arm: Arm, name: Callable[[], str]) -> None:
        import json

        properties = {"image": "mcr.microsoft.com/azureml/openmpi", "condaFile": CONDA, "isAnonymous": False}
        answer = arm.put(f"/environments/{name()}/versions/1", ASSETS, properties)
        found = answer.json()["properties"]
        assert json.loads(found["condaFile"])["name"] == "small"
        assert (found["environmentType"], found["osType"]) == ("UserCreated", "Linux")
        assert found["properties"]["azureml.labels"] == "latest"
        assert answer.headers["build-id"]

    def test_row_29_an_anonymous_one_again(self, arm: Arm) -> None:
        # Expectation: a recording of April 2023.
        path = f"/environments/CliV2AnonymousEnvironment/versions/{uuid.uuid4().hex}"
        properties = {"image": "mcr.microsoft.com/azureml/openmpi", "condaFile": CONDA, "isAnonymous": True}
        first, second = (arm.put(path, ASSETS, properties).json() for _ in range(2))
        assert second["systemData"]["createdAt"] == first["systemData"]["createdAt"]


MLFLOW = {
    "modelType": "mlflow_model",
    "modelUri": "azureml://datastores/workspaceblobstore/paths/models/one",
    "flavors": {"python_function": {"data": {"loader_module": "mlflow.sklearn"}}},
    "isAnonymous": False,
    "isArchived": False,
    "tags": {},
    "properties": {},
}


class TestModels:
    def test_row_30_a_new_version(self, arm: Arm, name: Callable[[], str]) -> None:
        found = arm.put(f"/models/{name()}/versions/3", MODELS, MLFLOW).json()["properties"]
        assert "/resourceGroups/" in found["modelUri"]
        assert found["flavors"] == MLFLOW["flavors"]
        assert found["jobName"] is None
        assert (found["stage"], found["provisioningState"]) == ("Development", "Succeeded")

    def test_row_31_the_same_again(self, arm: Arm, name: Callable[[], str]) -> None:
        # Expectation: a recording of November 2022.
        path = f"/models/{name()}/versions/1"
        arm.put(path, MODELS, MLFLOW)
        arm.put(path, MODELS, MLFLOW, status=200)


class TestComputes:
    def test_rows_32_to_36_the_life_of_a_cluster(self, arm: Arm, name: Callable[[], str]) -> None:
        # Expectation: a recording of August 2022.
        version, path = "2023-08-01-preview", f"/computes/{name()}"
        cluster = {"computeType": "AmlCompute", "properties": {"vmSize": "Standard_DS2_v2", "vmPriority": "Dedicated",
                   "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 2}}}  # fmt: skip
        region = arm.get("", WORKSPACES)["location"]
        begun = arm.put(path, version, cluster, location=region)
        body = begun.json()
        assert body["properties"]["properties"]["vmSize"] == "STANDARD_DS2_V2"
        assert body["properties"]["provisioningState"] == "Creating"
        assert body["tags"] is None
        operation = begun.headers["azure-asyncoperation"]
        assert f"/locations/{region}/computeOperationsStatus/" in operation
        assert "service=new" in operation
        assert "location" not in begun.headers
        while (poll := arm.client.get(operation).json())["status"] != "Succeeded":
            assert poll["status"] == "Creating"
        assert poll == {"status": "Succeeded", "percentComplete": 100.0}
        found = arm.get(path, version)["properties"]
        assert found["computeLocation"] == region
        assert found["properties"]["allocationState"] in {"Resizing", "Steady"}
        assert len(found["properties"]["nodeStateCounts"]) == 6
        arm.put(path, version, cluster, location=region)
        deleted = arm("DELETE", path, version, underlyingResourceAction="Delete")
        assert (deleted.status_code, deleted.content) == (202, b"")
