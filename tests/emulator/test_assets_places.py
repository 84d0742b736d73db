"""Datastores and computes over the wire: what Azure answers, and what the SDK makes of it."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from emulator_support import Emulated


@pytest.fixture(scope="module")
def client(emulator: Emulated) -> Iterator[httpx.Client]:
    with emulator.client() as found:
        yield found


@pytest.fixture(scope="module")
def ml(emulator: Emulated) -> Any:
    return emulator.ml_client()


def blob_store(emulator: Emulated, container: str, **more: Any) -> dict[str, Any]:
    return {
        "properties": {
            "datastoreType": "AzureBlob",
            "accountName": f"localhost:{emulator.port}/_blob/{emulator.names.account}",
            "containerName": container,
            "endpoint": "core.windows.net",
            "protocol": "https",
            "credentials": {"credentialsType": "AccountKey", "secrets": {"secretsType": "AccountKey", "key": "c2VjcmV0"}},
            **more,
        }
    }


class TestDatastores:
    def test_the_default_one_is_found_alone(self, emulator: Emulated, client: httpx.Client) -> None:
        query = {"isDefault": "true", "count": "30", "orderByAsc": "false"}
        found = client.get(f"{emulator.ws}/datastores", params=query).json()
        assert "nextLink" not in found
        (only,) = found["value"]
        properties = only["properties"]
        assert only["name"] == "workspaceblobstore"
        assert properties["isDefault"] is True
        assert properties["containerName"] == f"azureml-blobstore-{emulator.names.workspace_id}"
        assert properties["credentials"] == {"credentialsType": "AccountKey"}
        assert properties["serviceDataAccessAuthIdentity"] == "WorkspaceSystemAssignedIdentity"
        assert (properties["subscriptionId"], properties["resourceGroup"]) == (emulator.subscription, emulator.resource_group)
        assert "createdBy" not in only["systemData"]

    def test_a_workspace_has_four_of_its_own(self, emulator: Emulated, client: httpx.Client) -> None:
        found = [
            each for each in client.get(f"{emulator.ws}/datastores").json()["value"] if each["name"].startswith("workspace")
        ]
        assert [each["name"] for each in found] == [
            "workspaceworkingdirectory", "workspaceartifactstore", "workspacefilestore", "workspaceblobstore",
        ]  # fmt: skip
        assert all(each["properties"]["tags"] is None for each in found)
        by_name = {each["name"]: each["properties"] for each in found}
        assert by_name["workspaceartifactstore"]["containerName"] == "azureml"
        assert by_name["workspacefilestore"]["fileShareName"] == f"azureml-filestore-{emulator.names.workspace_id}"
        assert by_name["workspaceartifactstore"]["subscriptionId"] is None

    def test_secrets_have_two_forms(self, emulator: Emulated, client: httpx.Client) -> None:
        url = f"{emulator.ws}/datastores/workspaceblobstore/listSecrets"
        token = client.post(url, json={"expirableSecret": True, "expireAfterHours": 1}).json()
        assert token["secretsType"] == "Sas"
        assert token["sasToken"].startswith("?")
        for part in ("srt=co", "ss=bf", "sp=rcuwdl", "sig="):
            assert part in token["sasToken"]
        key = client.post(url).json()
        assert key["secretsType"] == "AccountKey"
        assert len(base64.b64decode(key["key"])) == 64
        assert client.post(url, json={"expirableSecret": True, "expireAfterHours": 999}).status_code == 400

    def test_a_users_datastore_is_kept_without_its_secret(self, emulator: Emulated, client: httpx.Client) -> None:
        url = f"{emulator.ws}/datastores/mine"
        made = client.put(url, json=blob_store(emulator, "my-container", tags={"a": "b"}))
        assert made.status_code == 201
        assert made.json()["properties"]["credentials"] == {"credentialsType": "AccountKey"}
        assert made.json()["properties"]["tags"] == {"a": "b"}
        assert made.json()["systemData"]["createdBy"]
        assert client.put(url, json=blob_store(emulator, "my-container")).status_code == 200
        assert client.get(f"{emulator.ws}/datastores").json()["value"][0]["name"] == "mine"
        for file in emulator.workspace.root.glob("workspace.db*"):
            assert b"c2VjcmV0" not in file.read_bytes()
        (secret,) = (emulator.workspace.layout.secrets / "datastores").iterdir()
        assert secret.stat().st_mode & 0o077 == 0
        assert client.delete(url).status_code == 200
        assert client.get(url).status_code == 404
        assert client.delete(url).status_code == 204
        assert not secret.exists()

    @pytest.mark.parametrize(
        ("name", "wrong"),
        [
            ("with-dash", {}),
            ("ok", {"datastoreType": "Ftp"}),
            ("ok", {"datastoreType": None}),
            ("ok", {"credentials": None}),
            ("ok", {"credentials": {"credentialsType": "AccountKey"}}),
            ("ok", {"credentials": {"credentialsType": "Password"}}),
            ("ok", {"datastoreType": "AzureFile"}),
            ("ok", {"containerName": "No_Such_Name"}),
            ("workspaceblobstore", {"containerName": "other-one"}),
        ],
    )
    def test_what_is_refused(self, emulator: Emulated, client: httpx.Client, name: str, wrong: dict[str, Any]) -> None:
        reply = client.put(f"{emulator.ws}/datastores/{name}", json=blob_store(emulator, "fine-one", **wrong))
        assert reply.status_code == 400
        assert client.get(f"{emulator.ws}/datastores/ok").status_code == 404
        assert client.delete(f"{emulator.ws}/datastores/workspaceblobstore").status_code == 400

    def test_the_sdk_registers_uses_and_removes_one(self, emulator: Emulated, ml: Any, tmp_path: Path) -> None:
        from azure.ai.ml.entities import AccountKeyConfiguration, AzureBlobDatastore, Data
        from azure.storage.blob import BlobServiceClient

        own = ml.datastores.get("workspaceblobstore", include_secrets=True)
        key = ml.datastores._operation.list_secrets(
            name="workspaceblobstore",
            body={},
            resource_group_name=emulator.resource_group,
            workspace_name=emulator.workspace_name,
        ).key
        url = f"https://{own.account_name}.blob.core.windows.net"
        with BlobServiceClient(url, credential=key, connection_verify=str(emulator.bundle)) as service:
            service.create_container("of-the-user")
        store = AzureBlobDatastore(
            name="of_the_user", account_name=own.account_name, container_name="of-the-user",
            credentials=AccountKeyConfiguration(account_key=key), description="mine",
        )  # fmt: skip
        assert ml.datastores.create_or_update(store).description == "mine"
        assert "of_the_user" in [each.name for each in ml.datastores.list()]
        assert ml.datastores.get_default().name == "workspaceblobstore"
        (tmp_path / "a.csv").write_text("x,y\n1,2\n3,4\n")
        data = Data(name="in-the-users", version="1", path=str(tmp_path / "a.csv"), type="uri_file", datastore="of_the_user")
        made = ml.data.create_or_update(data)
        assert "/datastores/of_the_user/" in made.path
        assert emulator.workspace.data.get(_ref("in-the-users")).rows == 2
        ml.datastores.delete("of_the_user")
        assert "of_the_user" not in [each.name for each in ml.datastores.list()]


def cluster(**more: Any) -> dict[str, Any]:
    inner = {"vmSize": "Standard_DS2_v2", "scaleSettings": {"maxNodeCount": 2, "nodeIdleTimeBeforeScaleDown": "PT100S"}, **more}
    return {"location": "local", "properties": {"computeType": "AmlCompute", "properties": inner}}


class TestComputes:
    def test_a_cluster_is_made_changed_and_deleted(self, emulator: Emulated, client: httpx.Client) -> None:
        url = f"{emulator.ws}/computes/cpu-one"
        made = client.put(url, json=cluster())
        assert made.status_code == 201
        assert "location" not in made.headers
        operation = made.headers["azure-asyncoperation"]
        assert "/locations/local/computeOperationsStatus/" in operation
        assert operation.endswith("service=new")
        assert "retry-after" not in made.headers
        body = made.json()
        assert body["tags"] is None
        properties = body["properties"]
        assert properties["provisioningState"] == "Creating"
        assert properties["properties"]["vmSize"] == "STANDARD_DS2_V2"
        assert properties["properties"]["allocationState"] is None
        assert properties["properties"]["scaleSettings"] == {
            "maxNodeCount": 2, "minNodeCount": 0, "nodeIdleTimeBeforeScaleDown": "PT1M40S",
        }  # fmt: skip
        assert ended(client, operation) == {"status": "Succeeded", "percentComplete": 100.0}
        shown = client.get(url).json()
        assert shown["tags"] == {}
        assert shown["properties"]["provisioningState"] == "Succeeded"
        assert shown["properties"]["computeLocation"] == "local"
        assert shown["properties"]["properties"]["allocationState"] == "Steady"
        assert len(shown["properties"]["properties"]["nodeStateCounts"]) == 6
        assert client.put(url, json=cluster(scaleSettings={"maxNodeCount": 4})).status_code == 201
        gone = client.delete(url, params={"underlyingResourceAction": "Delete"})
        assert (gone.status_code, gone.content) == (202, b"")
        ended(client, gone.headers["azure-asyncoperation"])
        assert client.get(url).status_code == 404

    @pytest.mark.parametrize(
        ("name", "body"),
        [
            ("serverless", cluster()),
            ("x", cluster()),
            ("ends-", cluster()),
            ("fine", cluster(vmSize="Standard_Nothing")),
            ("fine", cluster(vmSize=None)),
            ("fine", cluster(vmPriority="Cheap")),
            ("fine", cluster(scaleSettings=None)),
            ("fine", cluster(scaleSettings={"minNodeCount": 1})),
            ("fine", cluster(scaleSettings={"maxNodeCount": 1, "minNodeCount": 2})),
            ("fine", cluster(scaleSettings={"maxNodeCount": 1000})),
            ("fine", {**cluster(), "location": None}),
            ("fine", {"location": "local", "properties": {"computeType": "ComputeInstance", "properties": {"vmSize": "x"}}}),
            ("fine", {"location": "local", "properties": {"computeType": "Abacus"}}),
        ],
    )
    def test_what_is_refused(self, emulator: Emulated, client: httpx.Client, name: str, body: dict[str, Any]) -> None:
        reply = client.put(f"{emulator.ws}/computes/{name}", json=body)
        assert reply.status_code == 400
        assert reply.json()["error"]["code"] == "UserError"
        assert client.get(f"{emulator.ws}/computes/fine").status_code == 404
        assert client.delete(f"{emulator.ws}/computes/fine").status_code == 400

    def test_the_sdk_begins_gets_lists_and_deletes(self, emulator: Emulated, ml: Any) -> None:
        from azure.ai.ml.entities import AmlCompute, AmlComputeSshSettings

        asked = AmlCompute(
            name="sdk-cluster", size="Standard_DS3_v2", min_instances=0, max_instances=3, tier="low_priority",
            ssh_settings=AmlComputeSshSettings(admin_username="me", admin_password="hidden-word"), tags={"a": "b"},
        )  # fmt: skip
        made = ml.compute.begin_create_or_update(asked).result()
        assert (made.name, made.size, made.max_instances, made.tier) == ("sdk-cluster", "STANDARD_DS3_V2", 3, "low_priority")
        found = ml.compute.get("sdk-cluster")
        assert found.provisioning_state == "Succeeded"
        assert found.ssh_settings.admin_username == "me"
        assert "sdk-cluster" in [each.name for each in ml.compute.list()]
        for file in emulator.workspace.root.glob("workspace.db*"):
            assert b"hidden-word" not in file.read_bytes()
        found.max_instances = 5
        assert ml.compute.begin_update(found).result().max_instances == 5
        assert emulator.workspace.compute_records.find("sdk-cluster").most == 5  # type: ignore[union-attr]
        assert any(each.name == "Standard_DS3_v2" for each in ml.compute.list_sizes())
        assert all(each.limit is not None for each in ml.compute.list_usage())
        ml.compute.begin_delete("sdk-cluster").result()
        assert "sdk-cluster" not in [each.name for each in ml.compute.list()]

    def test_sizes_and_quotas_are_of_the_region(self, emulator: Emulated, client: httpx.Client) -> None:
        root = f"/subscriptions/{emulator.subscription}/providers/Microsoft.MachineLearningServices/locations"
        for kind in ("vmSizes", "usages", "quotas"):
            assert client.get(f"{root}/local/{kind}").json()["value"]
            assert client.get(f"{root}/mars/{kind}").status_code == 400
        quotas = client.get(f"{root}/local/quotas").json()["value"]
        assert {each["name"]["value"]: each["limit"] for each in quotas}["standardDSv2Family"] == 100
        assert re.fullmatch(r"/subscriptions/.+/quotas/.+", quotas[0]["id"])


def _ref(name: str) -> Any:
    from opsml_cli.domain.names import AssetRef

    return AssetRef(name)


def ended(client: httpx.Client, operation: str) -> dict[str, Any]:
    """The operation when it has ended."""
    for _ in range(20):
        body: dict[str, Any] = client.get(operation).json()
        if body["status"] != "InProgress":
            return body
    raise AssertionError(body)
