"""What Azure answers, row by row, as recorded traffic shows it: deployments, scoring and batch calls.

As in test_oracle.py, a row whose recording is older than October 2023 says so: it is an expectation."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jobs_live import ending_jobs
from oracle_support import BATCH, COMPONENTS, DEPLOYMENTS, ONLINE, WORKSPACES, Arm, ended, new_name, signed_in
from serving_support import ROW, end_all, register_own, trained_once

from opsml_cli.domain.data import RegisterData
from opsml_cli.domain.progress import Silent

SIZE = "Standard_DS3_v2"


@pytest.fixture(scope="module")
def arm(emulator: Any) -> Iterator[Arm]:
    with ending_jobs(emulator.workspace.root):
        yield from signed_in(emulator)
        end_all(emulator.workspace)


@pytest.fixture(scope="module")
def model(arm: Arm, emulator: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The ARM id of a model of our own."""
    found = register_own(emulator.workspace, trained_once(tmp_path_factory.getbasetemp()))
    return f"{arm.id}/models/{found.name}/versions/{found.version}"


@pytest.fixture(scope="module")
def region(arm: Arm) -> str:
    return str(arm.get("", WORKSPACES)["location"])


@pytest.fixture(scope="module")
def deployed(arm: Arm, model: str, region: str) -> tuple[str, httpx.Response]:
    """An endpoint's path, and the answer to the PUT of its deployment `blue`, which has all traffic now."""
    path = f"/onlineEndpoints/{new_name()}"
    ended(arm, arm.put(path, ONLINE, {"authMode": "Key"}, location=region).headers["azure-asyncoperation"])
    said = {"endpointComputeType": "Managed", "model": model, "instanceType": SIZE, "appInsightsEnabled": True}
    sku = {"name": "Default", "capacity": 1}
    made = arm.put(f"{path}/deployments/blue", DEPLOYMENTS, said, location=region, sku=sku)
    assert ended(arm, made.headers["azure-asyncoperation"])["status"] == "Succeeded"
    moved = arm.put(path, ONLINE, {"authMode": "Key", "traffic": {"blue": 100}}, status=200, location=region)
    ended(arm, moved.headers["azure-asyncoperation"])
    return path, made


@pytest.fixture(scope="module")
def rows(emulator: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a registered table, as a caller writes it."""
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    path.write_text("age,job,balance\n41,technician,12.5\n")
    made = emulator.workspace.data.register(RegisterData("oracle-rows", str(path)), Silent()).asset
    return f"azureml:{made.name}:{made.version}"


def batch_endpoint(arm: Arm, region: str) -> str:
    path = f"/batchEndpoints/{new_name()}"
    ended(arm, arm.put(path, BATCH, {"authMode": "AADToken"}, location=region).headers["azure-asyncoperation"])
    return path


@pytest.fixture(scope="module")
def scoring(arm: Arm, model: str, region: str) -> tuple[str, httpx.Response]:
    """A batch endpoint's path, and the answer to the PUT of its deployment of a model, `night`."""
    path = batch_endpoint(arm, region)
    said = {"model": {"referenceType": "Id", "assetId": model}, "loggingLevel": "info", "outputAction": "AppendRow",
            "resources": {"instanceCount": 1, "properties": {}}}  # fmt: skip
    made = arm.put(f"{path}/deployments/night", BATCH, said, location=region)
    ended(arm, made.headers["azure-asyncoperation"])
    return path, made


def called(arm: Arm, emulator: Any, path: str, deployment: str, inputs: dict[str, Any]) -> httpx.Response:
    url = arm.get(path, BATCH)["properties"]["scoringUri"]
    headers = {
        "authorization": f"Bearer {emulator.token('https://ml.azure.com')}",
        "azureml-model-deployment": deployment,
    }
    with emulator.plain(headers=headers) as plain:
        answer = plain.post(url, json={"properties": {"inputData": inputs}})
    assert answer.status_code == 201, answer.text
    return answer


class TestOnline:
    def test_row_61_a_new_deployment(self, deployed: tuple[str, httpx.Response]) -> None:
        # Expectation: a recording of October 2022.
        body = deployed[1].json()
        found = body["properties"]
        assert (found["provisioningState"], found["appInsightsEnabled"]) == ("Updating", True)
        waiting = {"maxQueueWait", "requestTimeout", "maxConcurrentRequestsPerInstance"}
        assert found["requestSettings"].keys() == waiting
        assert None not in found["requestSettings"].values()
        assert (found["egressPublicNetworkAccess"], found["instanceType"]) == ("Enabled", SIZE)
        assert body["sku"]["tier"] == "Standard"
        assert "/mfeOperationsStatus/od:" in deployed[1].headers["azure-asyncoperation"]

    def test_row_62_an_answer_of_the_model(self, arm: Arm, emulator: Any, deployed: tuple[str, httpx.Response]) -> None:
        # Expectation: a recording of October 2022.
        path = deployed[0]
        key = arm("POST", f"{path}/listKeys", ONLINE).json()["primaryKey"]
        body = {"input_data": {"columns": list(ROW), "index": [0], "data": [list(ROW.values())]}}
        with emulator.plain(headers={"authorization": f"Bearer {key}"}) as plain:
            scored = plain.post(arm.get(path, ONLINE)["properties"]["scoringUri"], json=body)
        assert scored.status_code == 200, scored.text
        assert isinstance(scored.json(), list)
        assert scored.headers["azureml-model-deployment"] == "blue"
        assert scored.headers["server"] == "azureml-frontdoor"
        assert scored.headers["x-request-id"]


class TestBatch:
    def test_row_66_a_new_deployment(self, scoring: tuple[str, httpx.Response]) -> None:
        # Expectation: a recording of April 2023.
        found = scoring[1].json()["properties"]
        assert (found["provisioningState"], found["loggingLevel"]) == ("Updating", "Info")
        assert found["resources"]["properties"] is None

    def test_row_67_a_call_of_a_model(self, arm: Arm, emulator: Any, scoring: tuple[str, httpx.Response], rows: str) -> None:
        # Expectation: a recording of April 2023.
        answer = called(arm, emulator, scoring[0], "night", {"x": {"uri": rows, "jobInputType": "UriFile"}})
        body = answer.json()
        assert body["name"].startswith("batchjob-")
        assert uuid.UUID(body["name"].removeprefix("batchjob-"))
        found = body["properties"]
        assert found["status"] == "Preparing"
        assert "interactionEndpoints" in found
        assert "services" not in found
        assert {each["mode"] for each in found["inputData"].values()} == {"ReadOnlyMount"}
        assert f"{scoring[0]}/deployments/night?" in answer.headers["location"]

    def test_row_68_a_call_of_a_component(self, arm: Arm, emulator: Any, region: str) -> None:
        # Expectation: a recording of December 2022.
        name = new_name()
        step = {"type": "command", "command": "echo hello", "environment": "azureml:AzureML-sklearn-1.0-ubuntu20.04-py38-cpu:1"}
        arm.put(f"/components/{name}-step/versions/1", COMPONENTS,
                {"componentSpec": {**step, "name": f"{name}-step", "version": "1"}})  # fmt: skip
        node = {"type": "command", "name": "hello", "componentId": f"{arm.id}/components/{name}-step/versions/1"}
        whole = {"type": "pipeline", "name": name, "version": "1", "jobs": {"hello": node}}
        arm.put(f"/components/{name}/versions/1", COMPONENTS, {"componentSpec": whole})
        path = batch_endpoint(arm, region)
        component = {"referenceType": "Id", "assetId": f"{arm.id}/components/{name}/versions/1"}
        said = {"deploymentConfiguration": {"deploymentConfigurationType": "PipelineComponent", "componentId": component}}
        made = arm.put(f"{path}/deployments/flow", BATCH, said, location=region)
        ended(arm, made.headers["azure-asyncoperation"])
        body = called(arm, emulator, path, "flow", {}).json()
        assert uuid.UUID(body["name"])
        assert body["id"].endswith(f"/batchEndpoints//jobs/{body['name']}")
        assert body["properties"]["properties"]["runSource"] == "BatchDeployment"

    def test_row_69_the_calls_of_an_endpoint_are_not_listed(self, arm: Arm, scoring: tuple[str, httpx.Response]) -> None:
        # Expectation: what users saw in 2026; the body is not told.
        url = f"{arm.url}/mferp/managementfrontend{arm.id}{scoring[0]}/jobs"
        assert arm.client.get(url, params={"api-version": "2020-09-01-dataplanepreview"}).status_code == 400
