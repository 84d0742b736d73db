"""Online endpoints on the wire: created, deployed to, given traffic, deleted, by plain HTTP."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from emulator_support import Emulated, emulated
from online_support import BODY, delete_all, deployment_body, detail, endpoint_body, finish, keys, score, shared_endpoint
from serving_support import deploy, foreign_folder, register_own, trained_once

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
