"""Jobs on the wire: what Azure answers to a submission, a look, a change, a cancel and a wrong body."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from emulator_support import Emulated
from jobs_live import register, until

from opsml_cli.domain.names import AssetRef


@pytest.fixture(scope="module")
def client(emulator: Emulated) -> httpx.Client:
    return emulator.client()


@pytest.fixture(scope="module")
def people(emulator: Emulated, tmp_path_factory: pytest.TempPathFactory) -> AssetRef:
    return register(emulator.workspace, tmp_path_factory.mktemp("people"))


def url(emulator: Emulated, name: str, action: str = "") -> str:
    return f"{emulator.ws}/jobs/{name}{action}"


def automl(asset: AssetRef, **details: Any) -> dict[str, Any]:
    """The body of an AutoML job with nothing in it that need not be there."""
    task = {
        "taskType": "Classification",
        "trainingData": {"jobInputType": "mltable", "uri": f"azureml:{asset}"},
        "targetColumnName": "label",
        **details,
    }
    return {"properties": {"jobType": "AutoML", "taskDetails": task}}


def ended(emulator: Emulated, name: str) -> None:
    until(lambda: emulator.workspace.jobs.get(name).status.finished, f"the end of {name}")


def test_an_automl_job_is_answered_with_its_defaults(emulator: Emulated, client: httpx.Client, people: AssetRef) -> None:
    """Row 38."""
    reply = client.put(url(emulator, "minimal"), json=automl(people, limitSettings={"timeout": "PT10S", "maxTrials": 1}))
    assert reply.status_code == 201
    assert reply.headers["location"] == f"{emulator.url}{url(emulator, 'minimal')}?api-version=2024-10-01-preview"
    assert "azure-asyncoperation" not in reply.headers
    shown = reply.json()["properties"]
    assert (shown["status"], shown["outputs"], shown["tags"], shown["properties"]) == ("NotStarted", {}, {}, {})
    assert shown["queueSettings"] == {"jobTier": "Null", "priority": None}
    details = shown["taskDetails"]
    limits = details["limitSettings"]
    assert (limits["maxNodes"], limits["maxCoresPerTrial"], limits["exitScore"]) == (1, -1, None)
    assert details["trainingSettings"]["trainingMode"] == "Auto"
    given = {"description": None, "uri": f"azureml:{people}", "mode": "ReadOnlyMount", "pathOnCompute": None}
    assert details["trainingData"] == {**given, "jobInputType": "mltable"}
    assert shown["services"]["Tracking"]["endpoint"].endswith("?")
    ended(emulator, "minimal")


def test_an_unknown_job(emulator: Emulated, client: httpx.Client) -> None:
    """Row 37."""
    reply = client.get(url(emulator, "nothing"))
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["message"]) == (404, "UserError", "Job nothing not found.")
    kinds = [item["type"] for item in error["additionalInfo"]]
    assert kinds == [
        "ComponentName", "Correlation", "Environment", "Location", "Time", "InnerError", "MessageFormat", "MessageParameters",
    ]  # fmt: skip
    inner = error["additionalInfo"][5]["info"]["value"]
    assert (inner["code"], inner["innerError"]["code"]) == ("NotFound", "JobNotFound")
