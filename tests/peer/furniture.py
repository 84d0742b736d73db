"""What the SDK's tests expect to find in the workspace that they run in."""

from __future__ import annotations

from pathlib import Path

import httpx
import yaml

CONFIGS = Path(__file__).parent / "configs"
COMPUTES = ("cpu-cluster", "gpu-cluster", "testCompute", "automl-cpu-cluster")
ENVIRONMENT = "AzureML-sklearn-1.0-ubuntu20.04-py38-cpu"
COMPONENT = "microsoftsamples_command_component_basic"


def furnish(client: httpx.Client, workspace: str) -> None:
    """Make it through the emulator's own wire. `workspace` is the ARM id."""
    region = client.get(workspace, params={"api-version": "2024-10-01-preview"}).json()["location"]
    cluster = {"vmSize": "Standard_DS3_v2", "vmPriority": "Dedicated", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 4}}
    for name in COMPUTES:
        body = {"location": region, "properties": {"computeType": "AmlCompute", "properties": cluster}}
        _put(client, f"{workspace}/computes/{name}", "2023-08-01-preview", body)
    train = yaml.safe_load((CONFIGS / "dsl_pipeline" / "e2e_registered_components" / "train.yml").read_text(encoding="utf-8"))
    # As it stands in their workspace: under a name that the SDK's own schema refuses in a file.
    registered = {"properties": {"componentSpec": train | {"name": "Train"}}}
    _put(client, f"{workspace}/components/Train/versions/31", "2024-01-01-preview", registered)
    spec = {
        "name": COMPONENT,
        "version": "1",
        "type": "command",
        "command": "echo hello",
        "environment": f"azureml:{ENVIRONMENT}:33",
    }
    _put(
        client, f"{workspace}/components/{COMPONENT}/versions/1", "2024-01-01-preview", {"properties": {"componentSpec": spec}}
    )


def _put(client: httpx.Client, path: str, version: str, body: object) -> None:
    answer = client.put(path, params={"api-version": version}, json=body)
    if not answer.is_success:
        print(f"furnishing {path}: {answer.status_code} {answer.text}")
