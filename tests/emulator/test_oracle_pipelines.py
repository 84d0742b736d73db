"""What Azure answers, row by row, as recorded traffic shows it: pipelines, their steps' runs, and what they leave.

As in test_oracle.py, a row whose recording is older than October 2023 says so: it is an expectation."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from jobs_live import ending_jobs
from oracle_support import COMPONENTS, JOBS, SCHEDULES, WORKSPACES, Arm, ended, new_name, signed_in, until

NODE_OUTPUT = "made"
CURATED = "azureml:AzureML-sklearn-1.0-ubuntu20.04-py38-cpu:1"


@pytest.fixture(scope="module")
def arm(emulator: Any) -> Iterator[Arm]:
    with ending_jobs(emulator.workspace.root):
        yield from signed_in(emulator)


def component(arm: Arm, command: str) -> str:
    """The ARM id of a new command component with one output folder."""
    path = f"/components/{new_name()}/versions/1"
    said = {
        "type": "command", "name": path.split("/")[2], "version": "1", "command": command, "environment": CURATED,
        "outputs": {NODE_OUTPUT: {"type": "uri_folder"}},
    }  # fmt: skip
    arm.put(path, COMPONENTS, {"componentSpec": said})
    return arm.id + path


def pipeline(arm: Arm, command: str) -> dict[str, Any]:
    """A pipeline of one step whose output is the pipeline's own."""
    output = {NODE_OUTPUT: {"value": f"${{{{parent.outputs.{NODE_OUTPUT}}}}}", "type": "literal"}}
    step = {"type": "command", "name": "step", "componentId": component(arm, command), "outputs": output}
    return {
        "jobType": "Pipeline", "jobs": {"step": step}, "inputs": {}, "settings": {}, "experimentName": "oracle",
        "outputs": {NODE_OUTPUT: {"jobOutputType": "uri_folder", "mode": "ReadWriteMount"}},
    }  # fmt: skip


def finished(arm: Arm, job: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = arm.get(f"/jobs/{job}", JOBS)["properties"]
        return found if found["status"] in {"Completed", "Failed", "Canceled"} else None

    ended_as: dict[str, Any] = until(120, look)
    return ended_as


def history(arm: Arm, path: str) -> Any:
    answer = arm.client.get(f"{arm.url}/history/v1.0{arm.id}/runs/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def completed(arm: Arm) -> tuple[str, str]:
    """A completed pipeline's name, and the id of its step's run. The step left an empty file."""
    job = new_name()
    arm.put(f"/jobs/{job}", JOBS, pipeline(arm, f"touch ${{{{outputs.{NODE_OUTPUT}}}}}/empty.txt"))
    assert finished(arm, job)["status"] == "Completed"
    [step] = history(arm, f"{job}/children")["value"]
    return job, step["runId"]


class TestPipelines:
    def test_row_52_a_canceled_one(self, arm: Arm) -> None:
        # Expectation: a recording of September 2022.
        job = new_name()
        arm.put(f"/jobs/{job}", JOBS, pipeline(arm, "sleep 600"))
        assert arm("POST", f"/jobs/{job}/cancel", JOBS).status_code == 202
        found = finished(arm, job)
        assert found["status"] == "Canceled"
        assert found["outputs"][NODE_OUTPUT]["uri"] is None

    def test_row_53_the_run_of_a_step_is_an_empty_job(self, arm: Arm, completed: tuple[str, str]) -> None:
        # Expectation: a recording of November 2022.
        found = arm.get(f"/jobs/{completed[1]}", JOBS)
        assert "properties" not in found
        assert found.keys() >= {"id", "name", "type"}

    def test_row_54_and_a_whole_run_in_run_history(self, arm: Arm, completed: tuple[str, str]) -> None:
        # Expectation: a recording of November 2022.
        job, step = completed
        found = history(arm, step)
        assert (found["runId"], found["parentRunId"], found["rootRunId"]) == (step, job, job)
        assert (found["status"], found["runType"], found["outputs"]) == ("Completed", "azureml.StepRun", None)
        assert found.keys() >= {
            "runUuid", "runNumber", "experimentId", "startTimeUtc", "endTimeUtc", "createdUtc", "duration", "dataContainerId",
            "runTypeV2", "properties", "tags", "inputs", "target",
        }  # fmt: skip

    def test_row_55_run_data_names_its_outputs(self, arm: Arm, completed: tuple[str, str]) -> None:
        # Expectation: a recording of November 2022.
        found = arm.client.post(f"{arm.url}/history/v1.0{arm.id}/rundata", json={"runId": completed[1]}).json()
        assert found["jobSpecification"] is None
        assert found["runMetadata"]["outputs"][NODE_OUTPUT] == {"assetId": self._asset(arm, completed[1]), "type": "UriFolder"}

    def test_row_56_the_output_s_address(self, arm: Arm, completed: tuple[str, str]) -> None:
        # Expectation: a recording of September 2022.
        asset = self._asset(arm, completed[1])
        [found] = self._resolved(arm, asset).values()
        assert found.keys() == {"uri", "type", "legacyDatasetType"}
        assert (found["type"], found["legacyDatasetType"]) == ("UriFolder", None)
        long_form = r"azureml://subscriptions/[^/]+/resourcegroups/[^/]+/workspaces/[^/]+/datastores/[^/]+/paths/.+/"
        assert re.fullmatch(long_form, found["uri"])

    def test_row_57_a_part_of_an_empty_object(self, arm: Arm, emulator: Any, completed: tuple[str, str]) -> None:
        # Expectation: a recording of November 2022.
        [found] = self._resolved(arm, self._asset(arm, completed[1])).values()
        datastore, path = re.fullmatch(r".*/datastores/([^/]+)/paths/(.+)", found["uri"]).groups()  # type: ignore[union-attr]
        store = arm.get(f"/datastores/{datastore}", "2024-10-01-preview")["properties"]
        asked = {"expirableSecret": True, "expireAfterHours": 1}
        right = arm("POST", f"/datastores/{datastore}/listSecrets", "2024-10-01-preview", asked).json()["sasToken"]
        url = f"https://{store['accountName']}.blob.{store['endpoint']}/{store['containerName']}/{path}empty.txt{right}"
        with emulator.plain() as plain:
            part = plain.get(url, headers={"x-ms-range": "bytes=0-33554431"})
            whole = plain.get(url)
        assert (part.status_code, part.headers["x-ms-error-code"]) == (416, "InvalidRange")
        assert part.headers["content-range"] == "bytes */0"
        assert (whole.status_code, whole.content) == (200, b"")

    def _asset(self, arm: Arm, run: str) -> str:
        place = arm.get("", WORKSPACES)
        return (
            f"azureml://locations/{place['location']}/workspaces/{place['properties']['workspaceId']}"
            f"/data/azureml_{run}_output_data_{NODE_OUTPUT}/versions/1"
        )

    def _resolved(self, arm: Arm, asset: str) -> dict[str, Any]:
        answer = arm.client.post(f"{arm.url}/data/v1.0{arm.id}/dataversion/batchGetResolvedUris", json={"values": [asset]})
        found: dict[str, Any] = answer.json()["values"]
        assert found.keys() == {asset}
        return found


class TestTriggered:
    def test_row_76_a_job_of_a_schedule(self, arm: Arm) -> None:
        name = new_name()
        job = pipeline(arm, "echo hello") | {"outputs": {}}
        job["jobs"]["step"].pop("outputs")
        job["inputs"] = {"run": {"jobInputType": "literal", "value": "${{name}}"}}
        action = {"actionType": "CreateJob", "jobDefinition": job}
        trigger = {"triggerType": "Cron", "expression": "15 10 * * 1", "startTime": "2099-01-01 00:00:00", "timeZone": "UTC"}
        made = arm.put(f"/schedules/{name}", SCHEDULES, {"action": action, "trigger": trigger})
        ended(arm, made.headers["azure-asyncoperation"])
        answer = arm("POST", f"/schedules/{name}/trigger", "2024-01-01-preview", {"scheduleTime": "2024-02-19T00:00:00"})
        assert answer.status_code == 200, answer.text
        started = answer.json()["submissionId"]
        assert started.startswith(f"{name}-")
        assert uuid.UUID(started.removeprefix(f"{name}-"))
        found = arm.get(f"/jobs/{started}", JOBS)["properties"]
        assert found["displayName"] == f"{name}-20240219T000000Z"
        assert (found["properties"]["runSource"], found["properties"]["azureml.genericTriggerName"]) == ("Schedule", name)
        assert [found[key] for key in ("jobs", "inputs", "outputs", "settings", "computeId")] == [None] * 5
        assert started in found["properties"]["azureml.parameters"]
