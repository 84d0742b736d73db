"""What Azure answers, row by row, as recorded traffic shows it: jobs, endpoints and schedules.

As in test_oracle.py, a row whose recording is older than October 2023 says so: it is an expectation."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from oracle_support import (
    BATCH,
    JOBS,
    ONLINE,
    SCHEDULES,
    WORKSPACES,
    Arm,
    ended,
    inner_codes,
    new_name,
    refusal,
    signed_in,
    until,
)

YEAR_ONE = "0001-01-01T00:00:00+00:00"


@pytest.fixture(scope="module")
def arm(emulator: Any) -> Iterator[Arm]:
    yield from signed_in(emulator)


@pytest.fixture
def name() -> Callable[[], str]:
    return new_name


@pytest.fixture(scope="module")
def table(emulator: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The ARM id of a small MLTable with a column of words."""
    from azure.ai.ml.entities import Data

    folder = tmp_path_factory.mktemp("table") / "words"
    folder.mkdir()
    (folder / "MLTable").write_text("paths:\n- file: ./t.csv\ntransformations:\n- read_delimited:\n    delimiter: ','\n")
    rows = [f"{n % 17},{'red' if n % 3 else 'blue'},{'yes' if n % 17 > 8 else 'no'}" for n in range(80)]
    (folder / "t.csv").write_text("\n".join(["n,colour,y", *rows]) + "\n")
    made = emulator.ml_client().data.create_or_update(Data(name=new_name(), version="1", type="mltable", path=str(folder)))
    assert made.id is not None
    return str(made.id)


def automl(table: str, **details: Any) -> dict[str, Any]:
    """A classification with few of the fields given, as the SDK sends it."""
    return {
        "jobType": "AutoML",
        "experimentName": "oracle",
        "taskDetails": {
            "taskType": "Classification",
            "targetColumnName": "y",
            "trainingData": {"jobInputType": "mltable", "uri": table},
            "primaryMetric": "Accuracy",
            "limitSettings": {"maxTrials": 1, "maxConcurrentTrials": 1, "timeout": "PT15M"},
            "trainingSettings": {"enableStackEnsemble": False, "enableVoteEnsemble": False},
        }
        | details,
    }


@pytest.fixture(scope="module")
def submitted(arm: Arm, table: str) -> tuple[str, Any]:
    """A training's name, and the answer to its submission."""
    job = new_name()
    return job, arm.put(f"/jobs/{job}", JOBS, automl(table))


class TestAutoML:
    def test_row_37_an_unknown_job(self, arm: Arm, name: Callable[[], str]) -> None:
        unknown = name()
        error = refusal(arm("GET", f"/jobs/{unknown}", JOBS), 404)
        assert (error["code"], error["message"]) == ("UserError", f"Job {unknown} not found.")
        assert [each["type"] for each in error["additionalInfo"]] == [
            "ComponentName", "Correlation", "Environment", "Location", "Time", "InnerError", "MessageFormat",
            "MessageParameters",
        ]  # fmt: skip
        assert inner_codes(error) == ["NotFound", "JobNotFound"]

    def test_row_38_a_new_job(self, arm: Arm, submitted: tuple[str, Any]) -> None:
        job, answer = submitted
        found = answer.json()["properties"]
        assert (found["status"], found["outputs"], found["tags"], found["properties"]) == ("NotStarted", {}, {}, {})
        limits = found["taskDetails"]["limitSettings"]
        assert (limits["maxNodes"], limits["maxCoresPerTrial"], limits["exitScore"]) == (1, -1, None)
        assert found["taskDetails"]["trainingSettings"]["trainingMode"] == "Auto"
        assert found["queueSettings"]["jobTier"] == "Null"
        assert "azure-asyncoperation" not in answer.headers
        assert answer.headers["location"].startswith(f"{arm.url}{arm.id}/jobs/{job}?api-version=")

    def test_row_39_modes_are_read_without_case(self, arm: Arm, name: Callable[[], str], table: str) -> None:
        answer = arm.put(f"/jobs/{name()}", JOBS, automl(table, featurizationSettings={"mode": "off"}))
        assert answer.json()["properties"]["taskDetails"]["featurizationSettings"]["mode"] == "Off"

    def test_row_40_while_it_runs(self, arm: Arm, submitted: tuple[str, Any]) -> None:
        job, _ = submitted

        def begun() -> Any:
            found = arm.get(f"/jobs/{job}", JOBS)["properties"]
            return found if found["status"] not in {"NotStarted", "Queued", "Preparing", "Starting"} else None

        found = until(120, begun)
        assert found["tags"].keys() >= {"_aml_system_automl_mltable_data_json", "model_explain_run"}
        properties = found["properties"]
        assert properties.keys() >= {"num_iterations", "AMLSettingsJsonString"}
        assert (properties["primary_metric"], properties["Orchestrator"]) == ("accuracy", "AutoML")
        assert properties["SetupRunId"] == f"{job}_setup"
        assert found["outputs"] == {}

    def test_rows_41_and_45_completed(self, arm: Arm, submitted: tuple[str, Any]) -> None:
        # Expectation: a recording of August 2022, and dumps of February 2024 that users published.
        job, _ = submitted
        found = until(240, lambda: self._ended(arm, job))
        assert found["status"] == "Completed", found["properties"].get("errors")
        assert re.fullmatch(rf"{job}_\d+", found["tags"]["automl_best_child_run_id"])
        assert "ProblemInfoJsonString" in found["properties"]
        assert found["properties"]["FeaturizationRunId"] == f"{job}_featurize"
        assert found["outputs"] == {}
        scores, algorithms = (found["tags"][key].split(";") for key in ("score_000", "run_algorithm_000"))
        assert len(scores) == len(algorithms)

    def test_rows_43_and_44_run_history(self, arm: Arm, emulator: Any, submitted: tuple[str, Any]) -> None:
        # Expectation: dumps of February 2024 that users published.
        job, _ = submitted
        until(240, lambda: self._ended(arm, job))
        details = arm.client.get(f"{arm.url}/history/v1.0{arm.id}/runs/{job}/details").json()
        best = details["outputs"]["best_model"]
        assert details["logFiles"] == {}
        assert best["type"] == "MLFlowModel"
        asset = (
            rf"azureml://locations/[^/]+/workspaces/[^/]+/models/azureml_({job}_\d+)_output_(mlflow_log_model_\d+)/versions/1"
        )
        matched = re.fullmatch(asset, best["assetId"])
        assert matched is not None
        assert details["inputs"]["training_data"]["type"] == "MLTable"
        child = arm.client.get(f"{arm.url}/history/v1.0{arm.id}/runs/{matched[1]}/details").json()
        assert child["outputs"][matched[2]]["assetId"] == best["assetId"]
        assert child["properties"].keys() >= {"run_algorithm", "score", "iteration", "model_output_path"}
        assert child["parentRunId"] == job
        assert child["logFiles"]
        with emulator.plain() as plain:
            for url in child["logFiles"].values():
                assert "sig=" in url
                assert plain.get(url).status_code == 200

    def test_row_42_words_without_featurization_fail_while_running(self, arm: Arm, name: Callable[[], str], table: str) -> None:
        # Expectation: a recording of August 2022.
        job = name()
        arm.put(f"/jobs/{job}", JOBS, automl(table, featurizationSettings={"mode": "off"}))
        found = until(120, lambda: self._ended(arm, job))
        assert found["status"] == "Failed"
        assert found["properties"]["errors"].startswith("Setup iteration failed:")
        assert "FeaturizationRequired" in found["properties"]["errors"]
        assert "automl_best_child_run_id" not in found["tags"]

    def _ended(self, arm: Arm, job: str) -> Any:
        found = arm.get(f"/jobs/{job}", JOBS)["properties"]
        return found if found["status"] in {"Completed", "Failed", "Canceled"} else None


def command(**more: Any) -> dict[str, Any]:
    given = {"jobType": "Command", "command": "echo hello", "environmentId": "azureml:some:33", "experimentName": "oracle"}
    return given | more


class TestCommand:
    def test_row_46_on_a_cluster(self, arm: Arm, name: Callable[[], str]) -> None:
        # Expectation: a recording of April 2023.
        job, cluster = name(), name()
        sized = {"computeType": "AmlCompute", "properties": {"vmSize": "Standard_DS3_v2",
                 "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 1}}}  # fmt: skip
        arm.put(f"/computes/{cluster}", "2023-08-01-preview", sized, location=arm.get("", WORKSPACES)["location"])
        found = arm.put(f"/jobs/{job}", JOBS, command(computeId=f"{arm.id}/computes/{cluster}")).json()["properties"]
        assert found["status"] == "Starting"
        folder = f"azureml://datastores/workspaceartifactstore/ExperimentRun/dcid.{job}"
        assert found["outputs"]["default"]["uri"] == folder
        assert found["resources"]["shmSize"] == "2g"
        assert found["services"].keys() >= {"Tracking", "Studio"}
        assert found["services"]["Tracking"]["endpoint"].endswith("?")

    def test_row_47_a_missing_input_is_accepted(self, arm: Arm, name: Callable[[], str]) -> None:
        # Expectation: a recording of September 2022. It fails later, while running.
        missing = {"table": {"jobInputType": "uri_file", "uri": "https://nowhere.invalid/table.csv"}}
        arm.put(f"/jobs/{name()}", JOBS, command(command="cat ${{inputs.table}}", inputs=missing))

    def test_row_48_for_the_client_s_own_machine(self, arm: Arm, name: Callable[[], str]) -> None:
        answer = arm.put(f"/jobs/{name()}", JOBS, command(resources={"properties": {"IsLocal": True}})).json()
        found = answer["properties"]
        assert (found["status"], found["computeId"]) == ("NotStarted", None)
        assert list(found["services"]) == ["Local"]
        assert answer["systemData"] == {}

    def test_row_49_its_definition_stays(self, arm: Arm, name: Callable[[], str]) -> None:
        # Expectation: what users saw in 2025; the status is not told.
        path = f"/jobs/{name()}"
        arm.put(path, JOBS, command())
        answer = arm("PUT", path, JOBS, {"properties": command(command="echo other")})
        assert 400 <= answer.status_code < 500
        message = answer.json()["error"]["message"]
        assert message.startswith("A job with this name already exists.")
        assert message.endswith("Only description, tags, displayName, properties, and isArchived can be updated.")

    def test_rows_50_and_51_cancelling(self, arm: Arm, name: Callable[[], str]) -> None:
        # Expectation: a recording of April 2023.
        job = name()
        arm.put(f"/jobs/{job}", JOBS, command(command="sleep 60"))
        answer = arm("POST", f"/jobs/{job}/cancel", "2023-04-01-preview")
        assert (answer.status_code, answer.content) == (202, b"null")
        assert "azure-asyncoperation" not in answer.headers
        assert answer.headers["x-ms-async-operation-timeout"] == "PT1H"
        location = answer.headers["location"]
        workspace_id = arm.get("", WORKSPACES)["properties"]["workspaceId"]
        assert re.search(rf"/locations/[^/]+/mfeOperationResults/jc:{workspace_id}:{job}\b", location)

        def look() -> Any:
            poll = arm.client.get(location)
            if poll.status_code == 202:
                assert (poll.json(), "location" in poll.headers) == ({}, True)
                return None
            return poll

        last = until(60, look)
        assert (last.status_code, last.content) == (200, b"")
        assert arm.get(f"/jobs/{job}", JOBS)["properties"]["status"] in {"CancelRequested", "Canceled"}


class TestEndpoints:
    def test_rows_58_and_59_a_new_endpoint(self, arm: Arm, name: Callable[[], str]) -> None:
        region, endpoint = arm.get("", WORKSPACES)["location"], name()
        answer = arm.put(f"/onlineEndpoints/{endpoint}", ONLINE, {"authMode": "Key"}, location=region)
        body = answer.json()
        found = body["properties"]
        assert (found["provisioningState"], found["scoringUri"], found["swaggerUri"]) == ("Creating", None, None)
        assert body["kind"] == "Managed"
        assert answer.headers["location"].startswith(f"{arm.url}{arm.id}/onlineEndpoints/{endpoint}")
        assert answer.headers["x-ms-async-operation-timeout"] == "PT30M"
        operation = answer.headers["azure-asyncoperation"]
        workspace_id = arm.get("", WORKSPACES)["properties"]["workspaceId"]
        subscription = arm.id.split("/")[2]
        matched = re.match(
            rf"{arm.url}/subscriptions/{subscription}/providers/Microsoft.MachineLearningServices/locations/{region}"
            rf"/mfeOperationsStatus/oeidp:{workspace_id}:([0-9a-f-]{{36}})\?api-version={ONLINE}",
            operation,
        )
        assert matched is not None, operation
        assert uuid.UUID(matched[1])
        poll = arm.client.get(operation).json()
        if poll["status"] != "Succeeded":
            assert (poll["status"], poll["endTime"], poll["percentComplete"]) == ("Updating", YEAR_ONE, 0.0)
        last = ended(arm, operation)
        assert (last["status"], last["percentComplete"]) == ("Succeeded", 0.0)
        assert last["endTime"] != YEAR_ONE

    def test_rows_60_and_64_its_addresses_and_its_end(self, arm: Arm, name: Callable[[], str]) -> None:
        # Expectation: a recording of October 2022. The host is the emulator's own.
        region, path = arm.get("", WORKSPACES)["location"], f"/onlineEndpoints/{name()}"
        ended(arm, arm.put(path, ONLINE, {"authMode": "Key"}, location=region).headers["azure-asyncoperation"])
        found = arm.get(path, ONLINE)["properties"]
        assert found["scoringUri"].endswith("/score")
        assert found["swaggerUri"].endswith("/swagger.json")
        assert found["traffic"] == {}
        deleted = arm("DELETE", path, ONLINE)
        assert (deleted.status_code, deleted.content) == (202, b"null")
        assert "/mfeOperationResults/" in deleted.headers["location"]
        assert ended(arm, deleted.headers["azure-asyncoperation"])["status"] == "Succeeded"
        assert arm("GET", path, ONLINE).status_code == 404

    def test_row_63_a_token(self, arm: Arm, name: Callable[[], str]) -> None:
        # Expectation: a recording of October 2022.
        region, path = arm.get("", WORKSPACES)["location"], f"/onlineEndpoints/{name()}"
        ended(arm, arm.put(path, ONLINE, {"authMode": "AMLToken"}, location=region).headers["azure-asyncoperation"])
        token = arm("POST", f"{path}/token", ONLINE).json()
        assert token["tokenType"] == "Bearer"
        assert token["accessToken"]
        assert token["expiryTimeUtc"] - token["refreshAfterTimeUtc"] == 43200

    def test_row_65_a_batch_endpoint(self, arm: Arm, name: Callable[[], str]) -> None:
        # Expectation: a recording of April 2023.
        region = arm.get("", WORKSPACES)["location"]
        answer = arm.put(f"/batchEndpoints/{name()}", BATCH, {"authMode": "aadToken"}, location=region)
        found = answer.json()["properties"]
        assert (found["authMode"], found["scoringUri"]) == ("AADToken", None)
        assert found["defaults"] == {"deploymentName": None}
        operation = answer.headers["azure-asyncoperation"]
        assert "/mfeOperationsStatus/bebes:" in operation
        assert arm.client.get(operation).json().keys() == {"id", "name", "status"}
        ended(arm, operation)


def schedule(**more: Any) -> dict[str, Any]:
    step = {"type": "command", "name": "hello", "componentId": "azureml:hello:1"}
    job = {"jobType": "Pipeline", "jobs": {"hello": step}, "inputs": {}, "outputs": {}, "settings": {}}
    trigger = {"triggerType": "Cron", "expression": "15 10 * * 1", "startTime": "2026-01-01 00:00:00", "timeZone": "UTC"}
    return {
        "action": {"actionType": "CreateJob", "jobDefinition": job},
        "trigger": trigger,
        "tags": {},
        "properties": {},
    } | more


class TestSchedules:
    @pytest.fixture
    def made(self, arm: Arm, name: Callable[[], str]) -> tuple[str, Any]:
        found = name()
        return found, arm.put(f"/schedules/{found}", SCHEDULES, schedule())

    def test_rows_70_and_73_a_new_schedule(self, arm: Arm, made: tuple[str, Any]) -> None:
        _, answer = made
        body = answer.json()
        assert list(body) == ["properties"]
        assert (body["properties"]["provisioningState"], body["properties"]["isEnabled"]) == ("Creating", True)
        job = body["properties"]["action"]["jobDefinition"]
        assert (job["status"], job["experimentName"]) == ("NotStarted", "Default")
        operation = answer.headers["azure-asyncoperation"]
        assert "/mfeOperationsStatus/s:" in operation
        last = ended(arm, operation)
        assert "mfeOperationResults" in last["id"]
        assert last["status"] == "Succeeded"
        assert last.keys() >= {"startTime", "endTime"}

    def test_row_71_reading_it(self, arm: Arm, made: tuple[str, Any]) -> None:
        found, answer = made
        ended(arm, answer.headers["azure-asyncoperation"])
        listed = arm.get("/schedules", SCHEDULES, listViewType="EnabledOnly")["value"]
        for document in (arm.get(f"/schedules/{found}", SCHEDULES), next(each for each in listed if each["name"] == found)):
            assert document.keys() == {"name", "properties", "systemData"}

    def test_rows_72_74_and_75_disabling_and_deleting(self, arm: Arm, made: tuple[str, Any]) -> None:
        # Expectation: a recording of April 2023.
        found, answer = made
        path = f"/schedules/{found}"
        ended(arm, answer.headers["azure-asyncoperation"])
        refused = arm("DELETE", path, SCHEDULES)
        assert (refused.status_code, refused.content) == (202, b"null")
        last = ended(arm, refused.headers["azure-asyncoperation"])
        message = f"Cannot delete an active trigger {found}"
        assert last["status"] == "Failed"
        assert last["error"] == {"code": "UserError", "message": message, "details": [], "additionalInfo": []}
        assert arm.get(path, SCHEDULES)["properties"]["isEnabled"] is True

        disabled = arm.put(path, SCHEDULES, schedule(isEnabled=False))
        ended(arm, disabled.headers["azure-asyncoperation"])
        assert arm.get(path, SCHEDULES)["properties"]["isEnabled"] is False
        deleted = arm("DELETE", path, SCHEDULES)
        assert ended(arm, deleted.headers["azure-asyncoperation"])["status"] == "Succeeded"
        error = refusal(arm("GET", path, SCHEDULES), 404)
        assert (error["code"], error["message"]) == ("UserError", f"Resource Trigger {found} not found")
