"""Jobs on the wire: what Azure answers to a submission, a look, a change, a cancel and a wrong body."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from emulator_support import Emulated
from jobs_live import register, until

from opsml_cli.domain.job import JobState
from opsml_cli.domain.names import AssetRef
from opsml_cli.local.storage.engine import Written
from opsml_cli.local.storage.objects import Labels


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


def command(**more: Any) -> dict[str, Any]:
    given = {"jobType": "Command", "command": "echo hello", "environmentId": "azureml:some:1"}
    return {"properties": {**given, **more}}


def refusal(reply: httpx.Response) -> tuple[int, str]:
    assert reply.headers["x-ms-response-type"] == "error"
    return reply.status_code, reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("details", "named"),
    [
        ({"primaryMetric": "Beauty"}, "primaryMetric"),
        ({"targetColumnName": None}, "targetColumnName"),
        ({"limitSettings": {"maxTrials": 0}}, "maxTrials"),
        ({"limitSettings": {"timeout": "ten minutes"}}, "timeout"),
        ({"trainingSettings": {"allowedTrainingAlgorithms": ["Magic"]}}, "allowedTrainingAlgorithms"),
        ({"nCrossValidations": {"mode": "Custom"}}, "nCrossValidations.value"),
        ({"trainingData": {"jobInputType": "mltable"}}, "trainingData.uri"),
        ({"trainingData": {"jobInputType": "spreadsheet", "uri": "azureml:people:1"}}, "jobInputType"),
    ],
)
def test_a_wrong_training_is_refused_by_the_name_of_the_member(
    emulator: Emulated, client: httpx.Client, people: AssetRef, details: dict[str, Any], named: str
) -> None:
    status, message = refusal(client.put(url(emulator, "wrong"), json=automl(people, **details)))
    assert status == 400
    assert named in message
    assert client.get(url(emulator, "wrong")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        command(command=None),
        command(environmentId=None),
        command(command="echo ${{inputs.nothing}}"),
        command(command="echo ${{inputs.open"),
        command(computeId="nowhere"),
        command(experimentName="no/name"),
        command(inputs={"a": {"jobInputType": "literal"}}),
        command(limits={"jobLimitsType": "Command", "timeout": "PT0S"}),
        {"properties": {"jobType": "Dance"}},
        {"properties": {"jobType": "Pipeline", "jobs": {}}},
        {"properties": {"jobType": "Pipeline", "jobs": {"a": {"type": "command", "componentId": "azureml:gone:1"}}}},
        {},
    ],
)
def test_a_wrong_job_is_refused(emulator: Emulated, client: httpx.Client, body: dict[str, Any]) -> None:
    assert refusal(client.put(url(emulator, "wrong"), json=body))[0] == 400
    assert client.get(url(emulator, "wrong")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"properties": {"jobType": "AutoML", "taskDetails": {"taskType": "Forecasting", "trainingData": {}}}},
        {"properties": {"jobType": "Sweep"}},
        command(resources={"instanceCount": 2}),
        command(distribution={"distributionType": "PyTorch", "processCountPerInstance": 4}),
        {"properties": {"jobType": "Pipeline", "jobs": {"tune": {"type": "sweep"}}}},
    ],
)
def test_what_only_azure_can_run_is_refused_at_once(emulator: Emulated, client: httpx.Client, body: dict[str, Any]) -> None:
    status, message = refusal(client.put(url(emulator, "distant"), json=body))
    assert status == 501
    assert message.startswith("The local emulator cannot run this job")


def test_what_only_the_content_can_tell_fails_the_job(emulator: Emulated, client: httpx.Client, people: AssetRef) -> None:
    """A job whose data is not there is accepted, and fails."""
    gone = {"jobInputType": "uri_file", "uri": "azureml://datastores/workspaceblobstore/paths/gone.csv"}
    bodies = {
        "no-asset": automl(people, trainingData={"jobInputType": "mltable", "uri": "azureml:gone:7"}),
        "no-path": command(command="cat ${{inputs.table}}", inputs={"table": gone}),
        "no-code": command(codeId=f"{emulator.ws}/codes/gone/versions/1"),
        "no-column": automl(people, targetColumnName="gone"),
    }
    for name, body in bodies.items():
        assert client.put(url(emulator, name), json=body).status_code == 201, name
        ended(emulator, name)
        assert client.get(url(emulator, name)).json()["properties"]["status"] == "Failed"
        details = client.get(f"/history/v1.0{emulator.ws}/runs/{name}/details", headers=data_plane(emulator)).json()
        assert "gone" in details["error"]["error"]["message"], name
    assert "gone" in client.get(url(emulator, "no-asset")).json()["properties"]["properties"]["errors"]


def test_a_url_is_no_input(emulator: Emulated, client: httpx.Client) -> None:
    """Row 47, and what comes of it here: nothing is fetched from where a body says."""
    given = {"table": {"jobInputType": "uri_file", "uri": f"{emulator.url}/metadata/endpoints"}}
    body = command(command="cat ${{inputs.table}}", inputs=given)
    assert client.put(url(emulator, "from-a-url"), json=body).status_code == 201
    ended(emulator, "from-a-url")
    error = emulator.workspace.jobs.get("from-a-url").error
    assert error is not None and "does not lie in this workspace" in error


def test_code_is_found_when_the_emulator_has_moved_to_another_port(emulator: Emulated, client: httpx.Client) -> None:
    storage = emulator.workspace.storage
    storage.make("codes-here")
    storage.put("codes-here", "src/main.py", [b"print('from the snapshot')"], Written(Labels(), {}))
    uri = f"https://localhost:1/_blob/{emulator.names.account}.blob.core.windows.net:443/codes-here/src"
    code = f"{emulator.ws}/codes/moved/versions/1"
    assert client.put(code, json={"properties": {"codeUri": uri}}).status_code == 201
    assert client.put(url(emulator, "moved"), json=command(command="python main.py", codeId=code)).status_code == 201
    ended(emulator, "moved")
    assert emulator.workspace.jobs.get("moved").error is None
    assert "from the snapshot" in emulator.workspace.jobs.logs("moved")[0]


def test_literals_never_become_commands(emulator: Emulated, client: httpx.Client, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    word = f"a b; touch {mark} $(touch {mark})"
    given = {"word": {"jobInputType": "literal", "value": word}}
    body = command(command="echo ${{inputs.word}} > ${{outputs.told}}/word.txt", inputs=given)
    body["properties"]["outputs"] = {"told": {"jobOutputType": "uri_folder"}}
    assert client.put(url(emulator, "literal"), json=body).status_code == 201
    ended(emulator, "literal")
    run = emulator.workspace.history.get("literal")
    assert (emulator.workspace.run_files.outputs(run)["told"].path / "word.txt").read_text() == f"{word}\n"
    assert not mark.exists()


def test_only_labels_of_a_job_may_change(emulator: Emulated, client: httpx.Client) -> None:
    """Row 49."""
    body = command(displayName="first", tags={"a": "1"}, properties={"fixed": "yes"})
    assert client.put(url(emulator, "labelled"), json=body).status_code == 201
    ended(emulator, "labelled")
    for change in ({"command": "echo other"}, {"experimentName": "other"}, {"properties": {"fixed": "no"}}):
        status, message = refusal(client.put(url(emulator, "labelled"), json=command(**{**body["properties"], **change})))
        assert status == 400
        assert message.startswith("A job with this name already exists.")
        assert message.endswith("Only description, tags, displayName, properties, and isArchived can be updated.")
    changed = {"displayName": "second", "tags": {"b": "2"}, "description": "told", "properties": {"fixed": "yes", "more": "1"}}
    reply = client.put(url(emulator, "labelled"), json=command(**changed))
    assert reply.status_code == 200
    shown = reply.json()["properties"]
    assert (shown["displayName"], shown["tags"], shown["description"]) == ("second", {"b": "2"}, "told")
    assert shown["properties"]["fixed"] == "yes" and shown["properties"]["more"] == "1"
    assert emulator.workspace.jobs.get("labelled").display_name == "second"
    assert client.put(url(emulator, "labelled"), json=command(**changed, isArchived=True)).status_code == 200
    assert "labelled" not in listed(emulator, client)
    assert "labelled" in listed(emulator, client, listViewType="ArchivedOnly")
    again = client.put(url(emulator, "labelled"), json=shown_again(client.get(url(emulator, "labelled"))))
    assert again.status_code == 200, again.text


def shown_again(reply: httpx.Response) -> dict[str, Any]:
    """What was read, sent back as it is."""
    return {"properties": reply.json()["properties"]}


def listed(emulator: Emulated, client: httpx.Client, **query: str) -> list[str]:
    found: list[str] = []
    link: str | None = f"{emulator.ws}/jobs"
    while link is not None:
        reply = client.get(link, params=query if link.startswith("/") else None).json()
        found += [job["name"] for job in reply["value"]]
        link = reply.get("nextLink")
    return found


def test_jobs_are_listed_newest_first_by_kind_and_tag(emulator: Emulated, client: httpx.Client) -> None:
    for number in range(2):
        body = command(tags={"group": f"g{number}"})
        assert client.put(url(emulator, f"listed-{number}"), json=body).status_code == 201
        ended(emulator, f"listed-{number}")
    found = listed(emulator, client, jobType="Command")
    assert found.index("listed-1") < found.index("listed-0")
    assert "minimal" not in found
    assert listed(emulator, client, tag="group=g1") == ["listed-1"]
    assert set(listed(emulator, client, tag="group")) == {"listed-0", "listed-1"}
    assert set(listed(emulator, client, **{"$top": "1"})) == set(listed(emulator, client))


def test_canceling_ends_the_command(emulator: Emulated, client: httpx.Client) -> None:
    """Rows 50 and 51."""
    assert client.put(url(emulator, "long"), json=command(command="sleep 600")).status_code == 201
    until(lambda: client.get(url(emulator, "long")).json()["properties"]["status"] == "Running", "the command's begin")
    reply = client.post(url(emulator, "long", "/cancel"))
    assert (reply.status_code, reply.content) == (202, b"null")
    assert "azure-asyncoperation" not in reply.headers
    place = reply.headers["location"]
    assert f"/mfeOperationResults/jc:{emulator.names.workspace_id}:long" in place
    until(lambda: client.get(place).status_code == 200, "the end of the operation")
    assert client.get(place).content == b""
    assert client.get(url(emulator, "long")).json()["properties"]["status"] == "Canceled"


def data_plane(emulator: Emulated) -> dict[str, str]:
    """Run history takes the tokens of Azure ML, as the resource manager's."""
    return {"authorization": f"Bearer {emulator.token()}"}


def test_many_runs_are_read_at_once(emulator: Emulated, client: httpx.Client) -> None:
    client.put(url(emulator, "batched"), json=command())
    asked = {"one": {"runId": "batched", "selectRunMetadata": True}, "other": {"runId": "nothing"}}
    reply = client.post(f"/history/v1.0{emulator.ws}/batchrundata", json={"requests": asked})
    found = reply.json()
    assert (reply.status_code, found.keys()) == (200, {"successfulResults", "failedResults"})
    assert found["successfulResults"]["one"]["runMetadata"]["runId"] == "batched"
    assert "nothing" in found["failedResults"]["other"]["error"]["message"]
    ended(emulator, "batched")


def test_inputs_of_a_group_reach_the_nodes(emulator: Emulated, client: httpx.Client, tmp_path: Path) -> None:
    register(emulator.workspace, tmp_path, "grouped")
    specification = {
        "type": "command", "name": "tell", "version": "1", "command": "wc -l < ${{inputs.table}}; echo ${{inputs.times}} times",
        "inputs": {"table": {"type": "uri_file"}, "times": {"type": "integer"}},
        "environment": "azureml:AzureML-sklearn-1.0-ubuntu20.04-py38-cpu:1",
    }  # fmt: skip
    component = f"{emulator.ws}/components/tell/versions/1"
    assert client.put(component, json={"properties": {"componentSpec": specification}}).status_code == 201
    given = {
        "about.table": {"jobInputType": "uri_file", "uri": "azureml:grouped:1"},
        "about.times": {"jobInputType": "literal", "value": "3"},
    }
    bound = {
        name: {"job_input_type": "literal", "value": f"${{{{parent.inputs.about.{name}}}}}"} for name in ("table", "times")
    }
    node = {"type": "command", "name": "tell", "componentId": component, "inputs": bound}
    reply = client.put(
        url(emulator, "groups"), json={"properties": {"jobType": "Pipeline", "inputs": given, "jobs": {"tell": node}}}
    )
    assert reply.status_code == 201, reply.text
    ended(emulator, "groups")
    log = emulator.workspace.jobs.logs("groups")[0]
    assert "tell | 201" in log and "tell | 3 times" in log
    child = client.get(f"/history/v1.0{emulator.ws}/runs/groups/children", headers=data_plane(emulator)).json()["value"][0]
    # Row 53: the resource manager knows of a step that it is there.
    assert set(client.get(url(emulator, child["runId"])).json()) == {"id", "name", "type", "systemData"}


def test_a_job_of_a_registered_pipeline_component(emulator: Emulated, client: httpx.Client) -> None:
    """The SDK sends the component's nodes beside its id, and none of its outputs. A node may name its component by a label."""
    said = "${{outputs.made}}/said.txt"
    step = {
        "type": "command", "name": "greet", "version": "1",
        "command": f"echo ${{{{inputs.who}}}} ${{{{inputs.word}}}} > {said}",
        "inputs": {"who": {"type": "string"}, "word": {"type": "string"}}, "outputs": {"made": {"type": "uri_folder"}},
        "distribution": {"type": "mpi", "process_count_per_instance": 1},
        "environment": "azureml:AzureML-sklearn-1.0-ubuntu20.04-py38-cpu:1",
    }  # fmt: skip
    components = f"{emulator.ws}/components"
    assert client.put(f"{components}/greet/versions/1", json={"properties": {"componentSpec": step}}).status_code == 201
    bound = {"who": "${{parent.name}}", "word": "${{parent.inputs.word}}"}
    node = {
        "type": "command", "name": "only", "componentId": f"{components}/greet/labels/default",
        "inputs": {name: {"job_input_type": "literal", "value": value} for name, value in bound.items()},
        "outputs": {"made": {"type": "literal", "value": "${{parent.outputs.made}}"}},
        "distribution": {"distribution_type": "Mpi", "process_count_per_instance": "${{parent.inputs.processes}}"},
        "limits": {"timeout": "${{parent.inputs.seconds}}"}, "computeId": "${{parent.inputs.place}}",
    }  # fmt: skip
    inputs = {"word": "hello", "processes": "1", "seconds": "50", "place": "serverless"}
    whole = {
        "type": "pipeline", "name": "greeting", "version": "1", "jobs": {"only": node},
        "inputs": {name: {"type": "string", "default": value} for name, value in inputs.items()},
        "outputs": {"made": {"type": "uri_folder"}, "spare": {"type": "uri_folder"}},
    }  # fmt: skip
    assert client.put(f"{components}/greeting/versions/1", json={"properties": {"componentSpec": whole}}).status_code == 201
    body = {
        "jobType": "Pipeline", "componentId": f"{components}/greeting/versions/1", "jobs": {"only": node},
        "inputs": {"word": {"jobInputType": "literal", "value": "ciao"}}, "outputs": {},
    }  # fmt: skip
    reply = client.put(url(emulator, "greeted"), json={"properties": body})
    assert reply.status_code == 201, reply.text
    ended(emulator, "greeted")
    run = emulator.workspace.pipelines.run("greeted")
    assert run.status is JobState.COMPLETED, run
    assert set(run.outputs) == {"made"}  # no step writes the other
    folder = emulator.workspace.layout.job("greeted") / "outputs" / "made"
    assert (folder / "said.txt").read_text() == "greeted ciao\n"
    body["inputs"] = {"processes": {"jobInputType": "literal", "value": "2"}}
    assert client.put(url(emulator, "crowd"), json={"properties": body}).status_code == 501
    body["inputs"] = {"seconds": {"jobInputType": "literal", "value": "soon"}}
    assert "timeout" in refusal(client.put(url(emulator, "late"), json={"properties": body}))[1]


def test_a_schedule_shows_a_command_without_the_place_of_its_artifacts(emulator: Emulated, client: httpx.Client) -> None:
    job = command()["properties"]
    trigger = {"triggerType": "Cron", "expression": "0 6 * * 1", "startTime": "2099-01-01 00:00:00"}
    body = {"trigger": trigger, "action": {"actionType": "CreateJob", "jobDefinition": job}}
    reply = client.put(f"{emulator.ws}/schedules/mornings", json={"properties": body})
    assert reply.status_code == 201, reply.text
    assert reply.json()["properties"]["action"]["jobDefinition"]["outputs"] == {}
    assert client.put(url(emulator, "once"), json={"properties": job}).status_code == 201
    ended(emulator, "once")
    again = {"jobType": "Command", "sourceJobId": f"{emulator.ws}/jobs/once"}
    body["action"] = {"actionType": "CreateJob", "jobDefinition": again}
    reply = client.put(f"{emulator.ws}/schedules/again", json={"properties": body})
    assert reply.json()["properties"]["action"]["jobDefinition"]["experimentName"] == ""
    assert emulator.workspace.schedules.record("again").experiment == "Default"


def test_a_pipeline_component_takes_no_unknown_input() -> None:
    from opsml_cli.emulator.jobs.pipeline import _opened
    from opsml_cli.emulator.wire import WireError

    specification = {"type": "pipeline", "inputs": {"mode": {"type": "string", "default": "a"}}, "jobs": {}}
    assert _opened(specification, {"mode": "b"}, {})[1] == {"mode": "b"}
    with pytest.raises(WireError, match="no input 'mdoe'"):
        _opened(specification, {"mdoe": "b"}, {})


@pytest.mark.parametrize("text", ['"\\ud800"', "NaN", "1e999", "9" * 5000, "[" * 5000 + "]" * 5000])
def test_what_cannot_be_answered_again_is_refused_and_every_list_goes_on(
    emulator: Emulated, client: httpx.Client, people: AssetRef, text: str
) -> None:
    import json

    body = json.dumps(automl(people, limitSettings={"timeout": "PT10S", "maxTrials": 1}))
    for where in ('"displayName": %s, "jobType"', '"tags": {"a": %s}, "jobType"', '"properties": {"b": %s}, "jobType"'):
        content = body.replace('"jobType"', where % text, 1).encode()
        reply = client.put(url(emulator, "odd"), content=content, headers={"content-type": "application/json"})
        assert reply.status_code == 400, reply.text
    assert client.get(url(emulator, "odd")).status_code == 404
    assert client.get(f"{emulator.ws}/jobs").status_code == 200
