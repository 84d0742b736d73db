"""Online endpoints on the wire: created, deployed to, given traffic, scored, deleted, by plain HTTP."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from emulator_support import Emulated
from serving_support import ROW, register_own, trained_once

from opsml_cli.domain.model import Model

BODY = {"input_data": {"columns": list(ROW), "index": [0], "data": [list(ROW.values())]}}


@pytest.fixture(scope="module")
def model(emulator: Emulated, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return register_own(emulator.workspace, trained_once(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="module")
def client(emulator: Emulated) -> Iterator[httpx.Client]:
    with emulator.client() as found:
        yield found


def finish(client: httpx.Client, reply: httpx.Response, seconds: float = 90.0) -> dict[str, Any]:
    """The last poll of a long-running operation."""
    assert reply.status_code in (200, 201, 202), reply.text
    deadline = time.monotonic() + seconds
    while True:
        poll = client.get(reply.headers["azure-asyncoperation"], params=None)
        assert poll.status_code == 200, poll.text
        if poll.json()["status"] in ("Succeeded", "Failed"):
            return dict(poll.json())
        assert time.monotonic() < deadline, poll.text
        time.sleep(0.1)


def endpoint_body(emulator: Emulated, **properties: Any) -> dict[str, Any]:
    return {
        "location": "local",
        "tags": {},
        "properties": {"authMode": "Key", **properties},
        "identity": {"type": "SystemAssigned"},
    }


def deployment_body(emulator: Emulated, model: Model, **properties: Any) -> dict[str, Any]:
    return {
        "location": "local",
        "tags": {},
        "sku": {"name": "Default", "capacity": 1},
        "properties": {
            "endpointComputeType": "Managed",
            "model": f"{emulator.ws}/models/{model.name}/versions/{model.version}",
            "instanceType": "Standard_DS3_v2",
            "appInsightsEnabled": False,
            **properties,
        },
    }


def keys(client: httpx.Client, url: str) -> Mapping[str, str]:
    return dict(client.post(f"{url}/listKeys").json())


def test_the_whole_life_of_an_endpoint(emulator: Emulated, client: httpx.Client, model: Model) -> None:
    url = f"{emulator.ws}/onlineEndpoints/life"
    created = client.put(url, json=endpoint_body(emulator, description="for people"))
    assert created.status_code == 201, created.text
    properties = created.json()["properties"]
    assert (properties["provisioningState"], properties["scoringUri"], properties["swaggerUri"]) == ("Creating", None, None)
    assert created.json()["kind"] == "Managed"
    assert created.headers["location"].startswith(f"{emulator.url}{url}?api-version=")
    operation = created.headers["azure-asyncoperation"]
    assert f"/locations/local/mfeOperationsStatus/oeidp:{emulator.names.workspace_id}:" in operation
    assert created.headers["x-ms-async-operation-timeout"] == "PT30M"
    assert "retry-after" not in created.headers
    assert finish(client, created)["status"] == "Succeeded"
    found = client.get(url).json()
    assert found["properties"]["scoringUri"] == f"{emulator.url}/_online/life/score"
    assert found["properties"]["traffic"] == {}
    assert found["properties"]["properties"]["azureml.onlineendpointid"] == f"{emulator.ws}/onlineEndpoints/life".lower()

    deployed = client.put(f"{url}/deployments/blue", json=deployment_body(emulator, model))
    assert deployed.status_code == 201, deployed.text
    body = deployed.json()
    assert body["properties"]["provisioningState"] == "Updating"
    assert body["sku"] == {"name": "Default", "tier": "Standard", "capacity": 1}
    assert body["properties"]["requestSettings"]["maxConcurrentRequestsPerInstance"] == 1
    assert body["properties"]["egressPublicNetworkAccess"] == "Enabled"
    assert ":od" not in deployed.headers["azure-asyncoperation"]
    assert "/mfeOperationsStatus/od:" in deployed.headers["azure-asyncoperation"]
    assert finish(client, deployed)["status"] == "Succeeded"
    assert client.get(f"{url}/deployments/blue").json()["properties"]["provisioningState"] == "Succeeded"
    # The first deployment gets no traffic by itself.
    assert client.get(url).json()["properties"]["traffic"] == {}
    scoring = found["properties"]["scoringUri"]
    bearer = {"authorization": f"Bearer {keys(client, url)['primaryKey']}"}
    with emulator.plain() as plain:
        assert plain.post(scoring, json=BODY, headers=bearer).status_code == 404
        named = plain.post(scoring, json=BODY, headers={**bearer, "azureml-model-deployment": "blue"})
        assert named.status_code == 200, named.text
    changed = client.put(url, json=endpoint_body(emulator, traffic={"blue": 100}))
    assert changed.status_code == 200, changed.text
    assert finish(client, changed)["status"] == "Succeeded"
    assert client.get(url).json()["properties"]["traffic"] == {"blue": 100}
    with emulator.plain() as plain:
        scored = plain.post(scoring, json=BODY, headers=bearer)
        assert scored.status_code == 200, scored.text
        assert scored.json() in (["yes"], ["no"])
        assert scored.headers["azureml-model-deployment"] == "blue"
        assert scored.headers["server"] == "azureml-frontdoor"
        assert scored.headers["x-request-id"]
        assert scored.headers["x-ms-run-function-failed"] == "False"
        assert "paths" in plain.get(f"{emulator.url}/_online/life/swagger.json", headers=bearer).json()
    gone = client.delete(url)
    assert (gone.status_code, gone.text) == (202, "null")
    assert "/mfeOperationResults/oeidp:" in gone.headers["location"]
    assert finish(client, gone)["status"] == "Succeeded"
    assert client.get(url).status_code == 404
