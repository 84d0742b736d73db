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
from emulator_support import Emulated, emulated
from serving_support import ROW, deploy, foreign_folder, register_own, trained_once, until

from opsml_cli.domain.model import Model

BODY = {"input_data": {"columns": list(ROW), "index": [0], "data": [list(ROW.values())]}}


@pytest.fixture(scope="module")
def model(emulator: Emulated, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return register_own(emulator.workspace, trained_once(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="module", autouse=True)
def ended(emulator: Emulated) -> Iterator[None]:
    """No server of an endpoint outlives the module."""
    yield
    for each in emulator.workspace.online_endpoints.list():
        emulator.workspace.online_endpoints.delete(each.name)


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
        swagger = plain.get(f"{emulator.url}/_online/life/swagger.json", headers=bearer).json()
        assert swagger["servers"] == [{"url": f"{emulator.url}/_online/life"}]
        assert "/score" in swagger["paths"]
        old = plain.get(f"{emulator.url}/_online/life/swagger.json?version=2", headers=bearer).json()
        assert (old["host"], old["basePath"], old["schemes"]) == (f"localhost:{emulator.port}", "/_online/life", ["https"])
    gone = client.delete(url)
    assert (gone.status_code, gone.text) == (202, "null")
    assert "/mfeOperationResults/oeidp:" in gone.headers["location"]
    assert finish(client, gone)["status"] == "Succeeded"
    assert client.get(url).status_code == 404


@pytest.fixture(scope="module")
def endpoint(emulator: Emulated, client: httpx.Client, model: Model) -> str:
    """The URL of an endpoint `shared` whose deployment `blue` has all traffic."""
    url = f"{emulator.ws}/onlineEndpoints/shared"
    finish(client, client.put(url, json=endpoint_body(emulator)))
    assert finish(client, client.put(f"{url}/deployments/blue", json=deployment_body(emulator, model)))["status"] == "Succeeded"
    finish(client, client.put(url, json=endpoint_body(emulator, traffic={"blue": 100})))
    return url


def score(emulator: Emulated, name: str, token: str | None, **headers: str) -> httpx.Response:
    bearer = {} if token is None else {"authorization": f"Bearer {token}"}
    with emulator.plain() as plain:
        return plain.post(f"{emulator.url}/_online/{name}/score", json=BODY, headers={**bearer, **headers})


def detail(reply: httpx.Response) -> str:
    return str(reply.json()["error"]["details"][0]["message"])


def test_a_body_without_location_or_with_unknown_values_is_refused(emulator: Emulated, client: httpx.Client) -> None:
    url = f"{emulator.ws}/onlineEndpoints/wrong"
    missing = client.put(url, json={"properties": {"authMode": "Key"}})
    assert (missing.status_code, missing.json()["error"]["code"]) == (400, "LocationRequired")
    unknown = client.put(url, json=endpoint_body(emulator, authMode="Password"))
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, "UserError")
    assert "authMode" in unknown.json()["error"]["message"]
    compute = client.put(url, json=endpoint_body(emulator, compute=f"{emulator.ws}/computes/kube"))
    assert compute.status_code == 501
    assert client.get(url).status_code == 404


@pytest.mark.parametrize("name", ["1bad", "ab", "x" * 40, "under_score", "ends-"])
def test_names_follow_azures_pattern(emulator: Emulated, client: httpx.Client, name: str) -> None:
    reply = client.put(f"{emulator.ws}/onlineEndpoints/{name}", json=endpoint_body(emulator))
    assert reply.status_code == 400, reply.text
    assert reply.json()["error"]["code"] == "BadRequest"


def test_enumerations_are_answered_in_their_own_spelling(emulator: Emulated, client: httpx.Client) -> None:
    url = f"{emulator.ws}/onlineEndpoints/spelling"
    reply = client.put(url, json=endpoint_body(emulator, authMode="amltoken"))
    assert reply.json()["properties"]["authMode"] == "AMLToken"
    client.delete(url)


def test_a_name_is_taken_by_a_batch_endpoint_too(emulator: Emulated, client: httpx.Client, endpoint: str) -> None:
    body = {"location": "local", "properties": {"authMode": "AADToken"}}
    taken = client.put(f"{emulator.ws}/batchEndpoints/shared", json=body)
    assert taken.status_code == 400
    assert "There is already an endpoint with this name" in detail(taken)


def test_missing_resources_are_404(emulator: Emulated, client: httpx.Client, endpoint: str, model: Model) -> None:
    nowhere = f"{emulator.ws}/onlineEndpoints/nowhere"
    for reply in (
        client.get(nowhere),
        client.get(f"{nowhere}/deployments"),
        client.get(f"{endpoint}/deployments/nobody"),
        client.put(f"{nowhere}/deployments/blue", json=deployment_body(emulator, model)),
        client.post(f"{nowhere}/listKeys"),
    ):
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "NotFound"), reply.text
    assert client.delete(nowhere).status_code == 204
    body = deployment_body(emulator, model)
    body["properties"]["model"] = f"{emulator.ws}/models/none/versions/1"
    gone = client.put(f"{endpoint}/deployments/red", json=body)
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "UserError")


@pytest.mark.parametrize(
    ("traffic", "word"), [({"blue": 50}, "adds up"), ({"blue": 101}, "percentage"), ({"nobody": 100}, "no deployment")]
)
def test_traffic_must_fit(emulator: Emulated, client: httpx.Client, endpoint: str, traffic: dict[str, int], word: str) -> None:
    reply = client.put(endpoint, json=endpoint_body(emulator, traffic=traffic))
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "BadRequest")
    assert word in detail(reply)
    assert client.get(endpoint).json()["properties"]["traffic"] == {"blue": 100}


def test_traffic_before_a_deployment_is_refused(emulator: Emulated, client: httpx.Client) -> None:
    url = f"{emulator.ws}/onlineEndpoints/early"
    reply = client.put(url, json=endpoint_body(emulator, traffic={"blue": 100}))
    assert reply.status_code == 400, reply.text
    assert client.get(url).status_code == 404


def test_a_deployment_with_traffic_is_not_deleted(emulator: Emulated, client: httpx.Client, endpoint: str) -> None:
    reply = client.delete(f"{endpoint}/deployments/blue")
    assert reply.status_code == 400, reply.text
    assert client.get(f"{endpoint}/deployments/blue").status_code == 200


def test_sizes_and_quota(emulator: Emulated, client: httpx.Client, endpoint: str, model: Model) -> None:
    url = f"{endpoint}/deployments/large"
    unknown = client.put(url, json=deployment_body(emulator, model, instanceType="Standard_Huge_v9"))
    assert unknown.status_code == 400
    assert "VmSize" in detail(unknown)
    gpu = client.put(url, json=deployment_body(emulator, model, instanceType="Standard_NC6s_v3"))
    assert gpu.json()["error"]["details"][0]["code"] == "InferencingClientCreateDeploymentFailed"
    # A fifth more than asked for is kept for upgrades, in whole machines.
    assert "Current usage/limit: 0/0. Additional needed: 12 " in detail(gpu)
    many = {**deployment_body(emulator, model, instanceType="Standard_DS5_v2"), "sku": {"name": "Default", "capacity": 6}}
    assert "Current usage/limit: 8/100. Additional needed: 128 " in detail(client.put(url, json=many))
    assert client.get(url).status_code == 404


def test_a_model_that_fails_makes_a_failed_deployment_with_a_reason(
    emulator: Emulated, client: httpx.Client, endpoint: str, tmp_path: Path
) -> None:
    from opsml_cli.domain.model import RegisterModel

    folder = foreign_folder(tmp_path / "broken", load="raise RuntimeError('no weights')", name="broken_loader")
    broken = emulator.workspace.models.register(RegisterModel("broken", str(folder), trust=True)).model
    url = f"{endpoint}/deployments/green"
    poll = finish(client, client.put(url, json=deployment_body(emulator, broken)))
    assert poll["status"] == "Failed"
    assert poll["error"]["message"].startswith("User container has crashed or terminated")
    assert "no weights" in poll["error"]["message"]
    assert client.get(url).json()["properties"]["provisioningState"] == "Failed"
    logs = client.post(f"{url}/getLogs", json={"tail": 50}).json()["content"]
    assert "no weights" in logs
    # Others serve on, and traffic cannot be given to it.
    assert client.put(endpoint, json=endpoint_body(emulator, traffic={"green": 100})).status_code == 400
    assert score(emulator, "shared", keys(client, endpoint)["primaryKey"]).status_code == 200
    assert finish(client, client.delete(url))["status"] == "Succeeded"


def test_code_that_nobody_trusts_is_not_run(
    emulator: Emulated, client: httpx.Client, endpoint: str, model: Model, tmp_path: Path
) -> None:
    code = {"codeId": f"{emulator.ws}/codes/mine/versions/1", "scoringScript": "score.py"}
    url = f"{endpoint}/deployments/script"
    begun = client.put(url, json=deployment_body(emulator, model, codeConfiguration=code))
    assert begun.status_code == 201
    poll = finish(client, begun)
    assert (poll["status"], poll["error"]["code"]) == ("Failed", "BadArgument")
    assert "score.py" in poll["error"]["message"]
    assert "score.py" in client.post(f"{url}/getLogs", json={}).json()["content"]
    client.delete(url)


def test_a_rehearsed_crash_is_a_failed_deployment(
    emulator: Emulated, client: httpx.Client, endpoint: str, model: Model
) -> None:
    url = f"{endpoint}/deployments/crashing"
    emulator.faults.add("crash")
    try:
        assert finish(client, client.put(url, json=deployment_body(emulator, model)))["status"] == "Failed"
        assert client.get(url).json()["properties"]["provisioningState"] == "Failed"
        # The next attempt is spared.
        assert finish(client, client.put(url, json=deployment_body(emulator, model)))["status"] == "Succeeded"
        assert client.get(url).json()["properties"]["provisioningState"] == "Succeeded"
    finally:
        emulator.faults.clear()
        finish(client, client.delete(url))


def test_what_was_said_of_a_deployment_goes_with_it(
    emulator: Emulated, client: httpx.Client, endpoint: str, model: Model
) -> None:
    url = f"{endpoint}/deployments/again"
    body = {**deployment_body(emulator, model), "tags": {"first": "yes"}}
    finish(client, client.put(url, json=body))
    emulator.workspace.online_endpoints.delete("shared", "again")
    deploy(emulator.workspace, model, endpoint="shared", deployment="again")
    assert client.get(url).json()["tags"] == {}
    finish(client, client.delete(url))


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


def test_scale_and_tags_change_by_patch(emulator: Emulated, client: httpx.Client, endpoint: str) -> None:
    url = f"{endpoint}/deployments/blue"
    reply = client.patch(url, json={"sku": {"name": "Default", "capacity": 2}, "tags": {"team": "blue"}})
    assert reply.status_code == 202, reply.text
    assert finish(client, reply)["status"] == "Succeeded"
    found = client.get(url).json()
    assert (found["sku"]["capacity"], found["tags"]) == (2, {"team": "blue"})
    assert client.get(endpoint).json()["properties"]["traffic"] == {"blue": 100}
    finish(client, client.patch(url, json={"sku": {"name": "Default", "capacity": 1}}))
    finish(client, client.patch(endpoint, json={"tags": {"a": "b"}}))
    assert client.get(endpoint).json()["tags"] == {"a": "b"}
    skus = client.get(f"{url}/skus").json()["value"]
    assert skus[0]["sku"]["name"] == "Default"


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


def test_an_operation_outlives_the_emulator(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with emulated(tmp_path) as first, first.client() as client:
        model = register_own(first.workspace, trained_once(tmp_path_factory.getbasetemp()))
        url = f"{first.ws}/onlineEndpoints/lasting"
        finish(client, client.put(url, json=endpoint_body(first)))
        begun = client.put(f"{url}/deployments/blue", json=deployment_body(first, model))
        operation = begun.headers["azure-asyncoperation"].removeprefix(first.url)
    with emulated(tmp_path) as second, second.client() as client:
        begun.headers["azure-asyncoperation"] = second.url + operation
        assert finish(client, begun)["status"] == "Succeeded"
        assert client.get(f"{url}/deployments/blue").json()["properties"]["provisioningState"] == "Succeeded"
        assert finish(client, client.delete(url))["status"] == "Succeeded"


def test_endpoints_of_the_command_line_are_on_the_wire(emulator: Emulated, client: httpx.Client, model: Model) -> None:
    deploy(emulator.workspace, model, endpoint="local-made")
    url = f"{emulator.ws}/onlineEndpoints/local-made"
    found = client.get(url).json()
    assert (found["properties"]["provisioningState"], found["properties"]["traffic"]) == ("Succeeded", {"blue": 100})
    deployment = client.get(f"{url}/deployments").json()["value"][0]
    assert deployment["properties"]["model"] == f"{emulator.ws}/models/{model.name}/versions/{model.version}"
    assert "local-made" in [each["name"] for each in client.get(f"{emulator.ws}/onlineEndpoints").json()["value"]]
    key = emulator.workspace.online_endpoints.keys("local-made").secondary
    assert score(emulator, "local-made", key).json() in (["yes"], ["no"])
    assert finish(client, client.delete(url))["status"] == "Succeeded"
    assert "local-made" not in [each.name for each in emulator.workspace.online_endpoints.list()]
