"""The core of the emulator: the real SDK finds it, and what everybody's answers have in common."""

from __future__ import annotations

from emulator_support import Emulated


def test_the_sdk_finds_the_workspace_through_the_environment(emulator: Emulated) -> None:
    found = emulator.ml_client().workspaces.get(emulator.workspace_name)
    assert found.name == emulator.workspace_name
    assert found.discovery_url == f"{emulator.url}/discovery"


def test_a_workspace_has_the_keys_of_azures(emulator: Emulated) -> None:
    with emulator.client() as client:
        reply = client.get(emulator.ws)
    assert reply.status_code == 200
    body = reply.json()
    assert body["etag"] is None
    assert body["properties"]["provisioningState"] == "Succeeded"
    assert body["systemData"]["createdAt"].endswith("Z")
    assert body["properties"]["mlFlowTrackingUri"] == f"azureml://localhost:{emulator.port}/mlflow/v1.0{body['id']}"
