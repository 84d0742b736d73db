"""Batch endpoints on the wire: models that score registered data, by plain HTTP."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from emulator_support import Emulated
from serving_support import foreign_folder, register_own, trained_once
from waiting import until

from opsml_cli.domain.data import DataType, RegisterData
from opsml_cli.domain.job import Job
from opsml_cli.domain.model import Model
from opsml_cli.domain.progress import Silent

ROWS = "age,job,balance\n41,technician,12.5\n70,retired,0\n"


@pytest.fixture(scope="module")
def model(emulator: Emulated, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return register_own(emulator.workspace, trained_once(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="module")
def client(emulator: Emulated) -> Iterator[httpx.Client]:
    with emulator.client() as found:
        yield found


@pytest.fixture(scope="module")
def data(emulator: Emulated, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The assets `rows` (a file) and `folder` (two files, one of them no table)."""
    folder = tmp_path_factory.mktemp("rows")
    (folder / "one.csv").write_text(ROWS)
    emulator.workspace.data.register(RegisterData("rows", str(folder / "one.csv"), type=DataType.URI_FILE), Silent())
    (folder / "two.csv").write_text("age,job\n1,x\n")
    emulator.workspace.data.register(RegisterData("folder", str(folder), type=DataType.URI_FOLDER), Silent())


@pytest.fixture(scope="module")
def endpoint(emulator: Emulated, client: httpx.Client, model: Model) -> str:
    """The URL of a batch endpoint `night` whose default deployment scores with the model."""
    url = f"{emulator.ws}/batchEndpoints/night"
    created = client.put(url, json=endpoint_body())
    assert created.status_code == 201, created.text
    finish(client, created)
    made = client.put(f"{url}/deployments/score", json=deployment_body(emulator, model))
    assert made.status_code == 201, made.text
    finish(client, made)
    changed = client.put(url, json=endpoint_body(defaults={"deploymentName": "score"}))
    assert changed.status_code == 200, changed.text
    finish(client, changed)
    return url


def endpoint_body(**properties: Any) -> dict[str, Any]:
    return {"location": "local", "tags": {}, "properties": {"authMode": "aadToken", **properties}}


def deployment_body(emulator: Emulated, model: Model, **properties: Any) -> dict[str, Any]:
    reference = {"referenceType": "Id", "assetId": f"{emulator.ws}/models/{model.name}/versions/{model.version}"}
    more = {"loggingLevel": "info", "outputAction": "AppendRow", "resources": {"instanceCount": 1, "properties": {}}}
    return {"location": "local", "tags": {}, "properties": {"model": reference, **more, **properties}}


def finish(client: httpx.Client, reply: httpx.Response) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        poll = client.get(reply.headers["azure-asyncoperation"], params=None).json()
        return poll if poll["status"] in ("Succeeded", "Failed") else None

    return dict(until(ended))


def call(emulator: Emulated, name: str, inputs: Any, token: str | None = None, **headers: str) -> httpx.Response:
    bearer = {"authorization": f"Bearer {token or emulator.token('https://ml.azure.com')}"}
    with emulator.plain() as plain:
        return plain.post(
            f"{emulator.url}/_batch/{name}/jobs", json={"properties": {"inputData": inputs}}, headers={**bearer, **headers}
        )


def ended(emulator: Emulated, job: str) -> Job:
    def read() -> Job | None:
        found = emulator.workspace.jobs.get(job)
        return found if found.status.finished else None

    return until(read, 60.0)


def predictions(emulator: Emulated, job: str) -> list[list[str]]:
    folder = emulator.workspace.layout.job(job) / "outputs" / "score"
    return list(csv.reader((folder / "predictions.csv").read_text().splitlines()))


def test_an_endpoint_is_answered_as_azure_does(emulator: Emulated, client: httpx.Client) -> None:
    url = f"{emulator.ws}/batchEndpoints/shape"
    created = client.put(url, json=endpoint_body())
    assert created.status_code == 201
    properties = created.json()["properties"]
    assert (properties["authMode"], properties["provisioningState"]) == ("AADToken", "Creating")
    assert properties["scoringUri"] is None
    assert properties["defaults"] == {"deploymentName": None}
    assert properties["properties"]["BatchEndpointCreationApiVersion"] == "2024-10-01-preview"
    assert f"/mfeOperationsStatus/bebes:{emulator.names.workspace_id}:" in created.headers["azure-asyncoperation"]
    poll = finish(client, created)
    assert set(poll) == {"id", "name", "status"}
    found = client.get(url).json()["properties"]
    assert (found["scoringUri"], found["provisioningState"]) == (f"{emulator.url}/_batch/shape/jobs", "Succeeded")
    assert client.put(url, json=endpoint_body(authMode="Key")).status_code == 400
    assert client.put(url, json=endpoint_body(defaults={"deploymentName": "nobody"})).status_code == 400
    gone = client.delete(url)
    assert (gone.status_code, gone.text) == (202, "null")
    assert "/mfeOperationResults/bebes:" in gone.headers["location"]
    assert finish(client, gone)["status"] == "Succeeded"
    assert (client.get(url).status_code, client.delete(url).status_code) == (404, 204)


def test_a_deployment_is_answered_as_azure_does(emulator: Emulated, client: httpx.Client, endpoint: str, model: Model) -> None:
    made = client.put(f"{endpoint}/deployments/shape", json=deployment_body(emulator, model))
    properties = made.json()["properties"]
    assert (made.status_code, properties["provisioningState"], properties["loggingLevel"]) == (201, "Updating", "Info")
    assert properties["resources"] == {"instanceCount": 1, "instanceType": None, "properties": None}
    assert "/mfeOperationsStatus/bdbes:" in made.headers["azure-asyncoperation"]
    finish(client, made)
    again = client.put(f"{endpoint}/deployments/shape", json=deployment_body(emulator, model, miniBatchSize=3))
    assert (again.status_code, again.json()["properties"]["miniBatchSize"]) == (200, 3)
    names = [each["name"] for each in client.get(f"{endpoint}/deployments").json()["value"]]
    assert sorted(names) == ["score", "shape"]
    unknown = deployment_body(emulator, model)
    unknown["properties"]["model"]["assetId"] = f"{emulator.ws}/models/none/versions/1"
    assert client.put(f"{endpoint}/deployments/none", json=unknown).status_code == 404
    assert (
        client.put(f"{endpoint}/deployments/none", json=deployment_body(emulator, model, loggingLevel="Loud")).status_code
        == 400
    )
    path = deployment_body(emulator, model, outputFileName="../up.csv")
    assert client.put(f"{endpoint}/deployments/none", json=path).status_code == 400
    assert finish(client, client.delete(f"{endpoint}/deployments/shape"))["status"] == "Succeeded"


@pytest.mark.parametrize("uri", ["azureml:rows:1", "{ws}/data/rows/versions/1", "azureml:rows@latest"])
def test_rows_of_registered_data_are_scored(emulator: Emulated, endpoint: str, data: None, uri: str) -> None:
    reply = call(emulator, "night", {"x": {"uri": uri.format(ws=emulator.ws), "jobInputType": "UriFile"}})
    assert reply.status_code == 201, reply.text
    body = reply.json()
    assert body["name"].startswith("batchjob-")
    assert body["id"].endswith(f"/batchEndpoints/night/deployments/score/jobs/{body['name']}")
    assert body["type"] == "Microsoft.MachineLearningServices/workspaces/batchEndpoints/deployments/jobs"
    assert body["properties"]["status"] == "Preparing"
    assert body["properties"]["inputData"]["x"]["mode"] == "ReadOnlyMount"
    assert set(body["properties"]["interactionEndpoints"]) == {"Tracking", "Studio"}
    assert body["properties"]["tags"]["azureml.batchrun"] == "true"
    assert "/batchEndpoints/night/deployments/score?api-version=2020-09-01-dataplanepreview" in reply.headers["location"]
    assert reply.headers["azureml-model-deployment"] == "score"
    job = ended(emulator, body["name"])
    assert (job.status, job.experiment) == ("Completed", "night"), job.error
    found = predictions(emulator, job.name)
    assert [row[0] for row in found] == ["0", "1"]
    assert {row[2] for row in found} == {"one.csv"}
    assert found[1][1] == "yes"


def test_the_job_is_a_job_on_the_wire(emulator: Emulated, client: httpx.Client, endpoint: str, data: None) -> None:
    name = call(emulator, "night", {"x": {"uri": "azureml:rows:1", "jobInputType": "UriFile"}}).json()["name"]
    found = client.get(f"{emulator.ws}/jobs/{name}").json()["properties"]
    assert (found["jobType"], found["experimentName"]) == ("Pipeline", "night")
    assert found["tags"]["azureml.deploymentname"] == "score"
    job = ended(emulator, name)
    assert job.status == "Completed", job.error
    assert client.get(f"{emulator.ws}/jobs/{name}").json()["properties"]["status"] == "Completed"


def test_files_that_fail_count_against_the_threshold(
    emulator: Emulated, client: httpx.Client, endpoint: str, model: Model, data: None
) -> None:
    inputs = {"x": {"uri": "azureml:folder:1", "jobInputType": "UriFolder"}}
    job = ended(emulator, call(emulator, "night", inputs).json()["name"])
    assert job.status == "Completed", job.error
    assert {row[2] for row in predictions(emulator, job.name)} == {"one.csv"}
    finish(client, client.put(f"{endpoint}/deployments/strict", json=deployment_body(emulator, model, errorThreshold=0)))
    strict = call(emulator, "night", inputs, **{"azureml-model-deployment": "strict"})
    job = ended(emulator, strict.json()["name"])
    assert job.status == "Failed"
    assert "more than 0 files failed" in (job.error or "")
    finish(client, client.delete(f"{endpoint}/deployments/strict"))


@pytest.mark.parametrize(
    "uri", ["https://example.com/rows.csv", "/etc/passwd", "file:///etc/passwd", "../rows.csv", "wasbs://c@a/rows.csv"]
)
def test_paths_and_urls_are_no_inputs(emulator: Emulated, endpoint: str, uri: str) -> None:
    reply = call(emulator, "night", {"x": {"uri": uri, "jobInputType": "UriFile"}})
    assert reply.status_code == 400, reply.text
    assert reply.json()["statusCode"] == 400


def test_what_a_call_must_say(emulator: Emulated, endpoint: str, data: None) -> None:
    good = {"uri": "azureml:rows:1", "jobInputType": "UriFile"}
    assert call(emulator, "night", {}).status_code == 400
    assert call(emulator, "night", {"a": good, "b": good}).status_code == 400
    assert call(emulator, "night", {"a": {"jobInputType": "Literal", "value": 3}}).status_code == 400
    assert call(emulator, "night", {"a": {**good, "jobInputType": "Tape"}}).status_code == 400
    assert call(emulator, "nowhere", {"a": good}).status_code == 404
    assert call(emulator, "night", {"a": good}, **{"azureml-model-deployment": "nobody"}).status_code == 404
    assert call(emulator, "night", {"a": good}, token="x.y.z").status_code == 401


def test_data_that_is_not_there_makes_a_job_that_fails(emulator: Emulated, endpoint: str) -> None:
    reply = call(emulator, "night", {"x": {"uri": "azureml:none:2", "jobInputType": "UriFile"}})
    assert reply.status_code == 201, reply.text
    job = emulator.workspace.jobs.get(reply.json()["name"])
    assert job.status == "Failed"
    assert "none" in (job.error or "")


def test_a_caller_without_a_role_is_refused(emulator: Emulated, endpoint: str, data: None) -> None:
    stranger = emulator.principals.enrol(emulator.principals.create("batch stranger").id)
    secret = emulator.principals.add_secret(stranger.id, "test").text
    token = emulator.token("https://ml.azure.com", client_id=stranger.client_id, secret=secret)
    assert call(emulator, "night", {"x": {"uri": "azureml:rows:1", "jobInputType": "UriFile"}}, token=token).status_code == 403


def test_a_model_that_nobody_trusts_fails_the_job(
    emulator: Emulated, client: httpx.Client, endpoint: str, data: None, tmp_path: Path
) -> None:
    folder = foreign_folder(tmp_path / "stranger", name="stranger_loader")
    staged = emulator.workspace.models.stage(folder, "stranger")
    from opsml_cli.local.models import ModelFacts

    with staged as found, emulator.workspace.store.write() as connection:
        model = emulator.workspace.models.adopt(connection, found, "stranger", ModelFacts(own=False, trusted=False))
    finish(client, client.put(f"{endpoint}/deployments/stranger", json=deployment_body(emulator, model)))
    inputs = {"x": {"uri": "azureml:rows:1", "jobInputType": "UriFile"}}
    reply = call(emulator, "night", inputs, **{"azureml-model-deployment": "stranger"})
    job = ended(emulator, reply.json()["name"])
    assert job.status == "Failed"
    assert "nobody trusts it" in (job.error or "")


def test_listing_jobs_of_an_endpoint_is_refused_as_by_azure(emulator: Emulated, endpoint: str) -> None:
    with emulator.client() as client:
        reply = client.get(f"/mferp/managementfrontend{endpoint}/jobs")
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "UserError"
