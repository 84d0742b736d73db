"""What a stolen secret opens: its own door, and no other."""

from __future__ import annotations

import httpx
import pytest
from emulator_support import Emulated

VERSION = {"api-version": "2023-10-01"}


@pytest.fixture(scope="module")
def endpoint_key(emulator: Emulated) -> str:
    """The key of an online endpoint that is there, without a deployment."""
    with emulator.client() as client:
        region = client.get(emulator.ws).json()["location"]
        body = {"location": region, "properties": {"authMode": "Key"}}
        begun = client.put(f"{emulator.ws}/onlineEndpoints/stolen", params=VERSION, json=body)
        assert begun.status_code == 201, begun.text
        answer = client.post(f"{emulator.ws}/onlineEndpoints/stolen/listKeys", params=VERSION)
    return str(answer.json()["primaryKey"])


def _bearer(emulator: Emulated, token: str) -> httpx.Client:
    return emulator.plain(headers={"authorization": f"Bearer {token}"}, params=VERSION)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", "/onlineEndpoints/stolen"), ("POST", "/onlineEndpoints/stolen/listKeys"), ("PUT", "/jobs/mine"),
     ("POST", "/datastores/workspaceblobstore/listSecrets"), ("DELETE", "/onlineEndpoints/stolen")],
)  # fmt: skip
def test_an_endpoint_s_key_manages_nothing(emulator: Emulated, endpoint_key: str, method: str, path: str) -> None:
    with _bearer(emulator, endpoint_key) as client:
        assert client.request(method, emulator.ws + path, json={}).status_code == 401


def test_an_endpoint_s_key_calls_no_other_endpoint(emulator: Emulated, endpoint_key: str) -> None:
    with emulator.client() as client:
        region = client.get(emulator.ws).json()["location"]
        body = {"location": region, "properties": {"authMode": "Key"}}
        assert client.put(f"{emulator.ws}/onlineEndpoints/other", params=VERSION, json=body).status_code == 201
    with _bearer(emulator, endpoint_key) as client:
        assert client.post("/_online/other/score", json={"input_data": []}).status_code == 401


def test_a_token_of_the_resource_manager_scores_nothing(emulator: Emulated, endpoint_key: str) -> None:
    assert endpoint_key
    with _bearer(emulator, emulator.token()) as client:
        assert client.post("/_online/stolen/score", json={"input_data": []}).status_code == 401


@pytest.mark.parametrize(
    "uri", ["/etc/passwd", "file:///etc/passwd", "../../../etc/passwd", "http://127.0.0.1:1/x", "~/.ssh/id_rsa"]
)
def test_over_http_no_path_and_no_address_becomes_an_input(emulator: Emulated, uri: str) -> None:
    """A batch call of a good token with an input that is no registered asset: nothing of this machine is read."""
    component = {"name": "show", "type": "command", "command": "cat ${{inputs.given}}", "environment": "azureml:AzureML-a:1",
                 "inputs": {"given": {"type": "uri_file"}}}  # fmt: skip
    step = {"type": "command", "inputs": {"given": "${{parent.inputs.given}}"}}
    with emulator.client() as client:
        region = client.get(emulator.ws).json()["location"]

        def put(path: str, body: object) -> None:
            answer = client.put(emulator.ws + path, params={"api-version": "2024-01-01-preview"}, json=body)
            assert answer.status_code in (200, 201), answer.text

        put("/components/show/versions/1", {"properties": {"componentSpec": component}})
        pipeline = {"name": "shows", "type": "pipeline", "inputs": {"given": {"type": "uri_file"}},
                    "jobs": {"show": step | {"componentId": f"{emulator.ws}/components/show/versions/1"}}}  # fmt: skip
        put("/components/shows/versions/1", {"properties": {"componentSpec": pipeline}})
        put("/batchEndpoints/shows", {"location": region, "properties": {"authMode": "AADToken"}})
        configuration = {
            "deploymentConfigurationType": "PipelineComponent",
            "componentId": {"referenceType": "Id", "assetId": f"{emulator.ws}/components/shows/versions/1"},
        }
        put(
            "/batchEndpoints/shows/deployments/one",
            {"location": region, "properties": {"deploymentConfiguration": configuration}},
        )
        call = {"properties": {"inputData": {"given": {"jobInputType": "UriFile", "uri": uri}}}}
        answer = client.post("/_batch/shows/jobs", json=call, headers={"azureml-model-deployment": "one"})
    assert 400 <= answer.status_code < 500, answer.text
    assert "no registered asset" in answer.text
    assert "root:" not in answer.text
