"""Scoring of online endpoints on the wire: who may ask, what is answered, and what is recorded of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from emulator_support import Emulated
from online_support import BODY, delete_all, deployment_body, endpoint_body, finish, keys, score, shared_endpoint
from serving_support import register_own, trained_once
from waiting import until

from opsml_cli.domain.model import Model


@pytest.fixture(scope="module")
def model(emulator: Emulated, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return register_own(emulator.workspace, trained_once(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="module", autouse=True)
def ended(emulator: Emulated) -> Iterator[None]:
    """No server of an endpoint outlives the module."""
    yield
    delete_all(emulator)


@pytest.fixture(scope="module")
def client(emulator: Emulated) -> Iterator[httpx.Client]:
    with emulator.client() as found:
        yield found


@pytest.fixture(scope="module")
def endpoint(emulator: Emulated, client: httpx.Client, model: Model) -> str:
    return shared_endpoint(emulator, client, model)


def test_keys_are_checked_and_rotated(emulator: Emulated, client: httpx.Client, endpoint: str) -> None:
    before = keys(client, endpoint)
    assert score(emulator, "shared", None).status_code == 401
    wrong = score(emulator, "shared", "wrong")
    assert (wrong.status_code, wrong.text) == (401, "key_auth_access_denied")
    rotated = client.post(f"{endpoint}/regenerateKeys", json={"keyType": "Primary", "keyValue": before["primaryKey"]})
    assert rotated.status_code == 202
    assert finish(client, rotated)["status"] == "Succeeded"
    assert client.get(rotated.headers["location"], params=None).status_code == 200
    after = keys(client, endpoint)
    assert after["secondaryKey"] == before["secondaryKey"] != after["primaryKey"] != before["primaryKey"]
    assert score(emulator, "shared", before["primaryKey"]).status_code == 401
    assert [score(emulator, "shared", key).status_code for key in after.values()] == [200, 200]
    assert client.post(f"{endpoint}/regenerateKeys", json={"keyType": "Third"}).status_code == 400
    assert client.post(f"{endpoint}/token").status_code == 400


def test_what_the_model_refuses_is_a_failed_dependency(emulator: Emulated, client: httpx.Client, endpoint: str) -> None:
    bearer = {"authorization": f"Bearer {keys(client, endpoint)['primaryKey']}"}
    url = f"{emulator.url}/_online/shared/score"
    with emulator.plain() as plain:
        bad = plain.post(url, json={"input_data": {"columns": ["age"], "index": [0], "data": [[1]]}}, headers=bearer)
        assert bad.status_code == 424
        assert bad.headers["ms-azureml-model-error-statuscode"] == "400"
        assert plain.post(url, json=BODY, headers={**bearer, "azureml-model-deployment": "nobody"}).status_code == 404
        assert plain.post(f"{emulator.url}/_online/nowhere/score", json=BODY, headers=bearer).status_code == 404
        assert plain.post(url, content=b" " * 1_600_000, headers=bearer).status_code == 413


def test_tokens_of_amltoken_endpoints(emulator: Emulated, client: httpx.Client, model: Model) -> None:
    url = f"{emulator.ws}/onlineEndpoints/tokens"
    finish(client, client.put(url, json=endpoint_body(emulator, authMode="AMLToken")))
    token = client.post(f"{url}/token").json()
    assert token["tokenType"] == "Bearer"
    assert token["expiryTimeUtc"] - token["refreshAfterTimeUtc"] == 43200
    assert isinstance(token["expiryTimeUtc"], int)
    assert client.post(f"{url}/listKeys").status_code == 400
    assert score(emulator, "tokens", token["accessToken"]).status_code == 404  # no deployment, but let in
    assert score(emulator, "tokens", emulator.token()).status_code == 401
    assert score(emulator, "tokens", "x.y.z").status_code == 401
    client.delete(url)
    # A token is for one endpoint: not for the next of the same name.
    finish(client, client.put(url, json=endpoint_body(emulator, authMode="AMLToken")))
    assert score(emulator, "tokens", token["accessToken"]).status_code == 401
    client.delete(url)


def test_callers_of_aadtoken_endpoints_need_a_role(emulator: Emulated, client: httpx.Client) -> None:
    url = f"{emulator.ws}/onlineEndpoints/entra"
    finish(client, client.put(url, json=endpoint_body(emulator, authMode="AADToken")))
    assert score(emulator, "entra", emulator.token("https://ml.azure.com")).status_code == 404
    assert score(emulator, "entra", "x.y.z").status_code == 401
    stranger = emulator.principals.enrol(emulator.principals.create("stranger").id)
    secret = emulator.principals.add_secret(stranger.id, "test").text
    token = emulator.token("https://ml.azure.com", client_id=stranger.client_id, secret=secret)
    assert score(emulator, "entra", token).status_code == 403
    client.delete(url)


def test_insights_belong_to_a_deployment(emulator: Emulated, client: httpx.Client, endpoint: str, model: Model) -> None:
    url = f"{endpoint}/deployments/blue"
    on = client.put(url, json=deployment_body(emulator, model, appInsightsEnabled=True))
    assert on.status_code == 200
    assert on.json()["properties"]["appInsightsEnabled"] is True
    finish(client, on)
    assert emulator.workspace.online_endpoints.get("shared").insights
    key = keys(client, endpoint)["primaryKey"]
    assert score(emulator, "shared", key).status_code == 200
    until(lambda: emulator.workspace.insights.stats("shared", 3600).requests or None)
    logs = client.post(f"{url}/getLogs", json={"containerType": "InferenceServer", "tail": 100}).json()["content"]
    assert "200 in " in logs
    stored = client.post(f"{url}/getLogs", json={"containerType": "StorageInitializer"}).json()["content"]
    assert "model bank:1" in stored
    assert client.post(f"{url}/getLogs", json={"containerType": "Other"}).status_code == 400
    finish(client, client.put(url, json=deployment_body(emulator, model)))
    assert not emulator.workspace.online_endpoints.get("shared").insights


def test_mirrored_traffic_is_a_copy(emulator: Emulated, client: httpx.Client, endpoint: str, model: Model) -> None:
    url = f"{endpoint}/deployments/shadow"
    finish(client, client.put(url, json=deployment_body(emulator, model, appInsightsEnabled=True)))
    for mirror in ({"shadow": 60}, {"blue": 10}, {"nobody": 10}):
        reply = client.put(endpoint, json=endpoint_body(emulator, traffic={"blue": 100}, mirrorTraffic=mirror))
        assert reply.status_code == 400, mirror
    finish(client, client.put(endpoint, json=endpoint_body(emulator, traffic={"blue": 100}, mirrorTraffic={"shadow": 50})))
    assert client.get(endpoint).json()["properties"]["mirrorTraffic"] == {"shadow": 50}
    assert client.delete(url).status_code == 400
    key = keys(client, endpoint)["primaryKey"]

    def copied() -> bool:
        assert score(emulator, "shared", key).headers["azureml-model-deployment"] == "blue"
        return "shadow" in emulator.workspace.insights.stats("shared", 3600).by_deployment

    until(copied)
    # The deployment that serves is not recorded: only the shadow was asked for.
    finish(client, client.put(endpoint, json=endpoint_body(emulator, traffic={"blue": 100}, mirrorTraffic={})))
    finish(client, client.delete(url))
