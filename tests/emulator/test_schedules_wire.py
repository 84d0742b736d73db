"""Schedules of the real SDK: kept beside those of the command line, and run by the local engine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from emulator_support import Emulated
from pipeline_support import ended, small_pipeline
from waiting import until

from opsml_cli.domain.job import JobState
from opsml_cli.domain.pipeline import PublishPipeline
from opsml_cli.domain.schedule import CreateSchedule, CronTrigger
from opsml_cli.local.clock import parse
from opsml_cli.local.scheduler import Scheduler

PIPELINE = """\
type: pipeline
experiment_name: nightly
inputs: {word: "x", who: "${{name}}"}
settings: {default_compute: azureml:serverless}
jobs:
  only:
    type: command
    command: echo "${{inputs.word}} by ${{inputs.who}}" > ${{outputs.out}}/said.txt
    environment: azureml://registries/azureml/environments/sklearn-1.5/labels/latest
    inputs: {word: "${{parent.inputs.word}}", who: "${{parent.inputs.who}}"}
    outputs: {out: {type: uri_folder}}
"""


@pytest.fixture(scope="module")
def client(emulator: Emulated) -> Any:
    return emulator.ml_client()


@pytest.fixture(scope="module")
def made(emulator: Emulated, client: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The schedule `nightly` of the SDK. It is due in the far future."""
    from azure.ai.ml import load_job
    from azure.ai.ml.entities import JobSchedule, RecurrenceTrigger

    path = tmp_path_factory.mktemp("p") / "pipeline.yml"
    path.write_text(PIPELINE)
    trigger = RecurrenceTrigger(
        frequency="day", interval=1, start_time="2099-01-01 00:00:00", time_zone="W. Europe Standard Time"
    )
    schedule = JobSchedule(name="nightly", trigger=trigger, create_job=load_job(path), tags={"team": "risk"})
    yield client.schedules.begin_create_or_update(schedule).result()


def test_the_command_line_sees_it(emulator: Emulated, made: Any) -> None:
    assert (made.name, made.provisioning_state, made.is_enabled) == ("nightly", "Succeeded", True)
    found = emulator.workspace.schedules.get("nightly")
    assert (found.enabled, found.experiment, found.tags) == (True, "nightly", {"team": "risk"})
    assert found.next_runs[0] == "2098-12-31T23:00:00.000Z"


def test_row_76_a_triggered_run(emulator: Emulated, client: Any, made: Any) -> None:
    name = client.schedules.trigger("nightly", schedule_time="2024-02-19T00:00:00").job_name
    assert name.startswith("nightly-")
    run = ended(emulator.workspace, name)
    assert run.status is JobState.COMPLETED, run
    said = emulator.workspace.layout.step(name, "only") / "outputs" / "out" / "said.txt"
    assert said.read_text() == f"x by {name}\n"
    with emulator.client() as http:
        found = http.get(f"{emulator.ws}/jobs/{name}").json()["properties"]
    assert found["displayName"] == "nightly-20240219T000000Z"
    assert {key: found[key] for key in ("jobs", "inputs", "outputs", "settings", "computeId")} == dict.fromkeys(
        ("jobs", "inputs", "outputs", "settings", "computeId")
    )
    assert found["properties"]["runSource"] == "Schedule"
    assert found["properties"]["azureml.runLineageType"] == "genericTrigger"
    assert found["properties"]["azureml.genericTriggerName"] == "nightly"
    assert name in found["properties"]["azureml.parameters"]


def test_it_runs_when_it_is_due(emulator: Emulated, made: Any) -> None:
    local = emulator.workspace
    due = parse(local.schedules.get("nightly").next_runs[0])
    before = {run.run for run in local.schedules.get("nightly").last_runs}
    Scheduler(local.store, local.schedules.runs, lambda: due + timedelta(seconds=1)).tick()
    (name,) = {run.run for run in local.schedules.get("nightly").last_runs} - before
    assert ended(local, name).status is JobState.COMPLETED


def test_one_of_the_command_line_is_switched_by_the_sdk(emulator: Emulated, client: Any, tmp_path: Path) -> None:
    local = emulator.workspace
    try:
        local.pipelines.publish(PublishPipeline(str(small_pipeline(tmp_path)), "small"))
        made = CreateSchedule("mondays", CronTrigger("0 6 * * 1", "Europe/Zurich"), pipeline="small", inputs={"word": "y"})
        local.schedules.create_or_update(made)
        shown = client.schedules.get("mondays")
        assert (shown.trigger.expression, shown.trigger.time_zone) == ("0 6 * * 1", "W. Europe Standard Time")
        client.schedules.begin_disable("mondays").result()
        found = local.schedules.get("mondays")
        assert (found.enabled, found.pipeline, found.inputs) == (False, "small", {"word": "y"})
        assert "mondays" not in [each.name for each in client.schedules.list()]
        client.schedules.begin_delete("mondays").result()
        assert "mondays" not in [each.name for each in local.schedules.list()]
    finally:
        local.service.down(jobs=False, dry_run=False)
        until(lambda: not local.service.status().running)


def test_deleting_an_enabled_one_fails_in_the_operation(client: Any, made: Any) -> None:
    from azure.core.exceptions import HttpResponseError

    poller = client.schedules.begin_delete("nightly")
    with pytest.raises(HttpResponseError, match="Cannot delete an active trigger nightly"):
        poller.result()
    assert client.schedules.get("nightly").is_enabled


@pytest.mark.parametrize(
    ("change", "member"),
    [
        ({"trigger": {"triggerType": "Cron", "expression": "0 6 * *"}}, "triggerType"),
        ({"trigger": {"triggerType": "Daily"}}, "triggerType"),
        ({"trigger": {"triggerType": "Cron"}}, "expression"),
        ({"trigger": {"triggerType": "Recurrence", "frequency": "Day"}}, "interval"),
        ({"trigger": {"triggerType": "Recurrence", "frequency": "Fortnight", "interval": 1}}, "frequency"),
        ({"trigger": {"triggerType": "Cron", "expression": "* * * * *", "timeZone": "Mars"}}, "time zone"),
        ({"trigger": {"triggerType": "Cron", "expression": "* * * * *", "endTime": "2020-01-01 00:00:00"}}, "endTime"),
        ({"action": {"actionType": "CreateJob"}}, "jobDefinition"),
        ({"action": {"actionType": "Dance", "jobDefinition": {}}}, "actionType"),
        ({"action": {"actionType": "CreateJob", "jobDefinition": {"jobType": "Pipeline"}}}, "jobs"),
        ({"action": {"actionType": "CreateJob", "jobDefinition": {"jobType": "Pipeline", "sourceJobId": "/x/jobs/no"}}}, "no"),
    ],
)
def test_what_azure_refuses(emulator: Emulated, change: dict[str, Any], member: str) -> None:
    job = {"jobType": "Pipeline", "jobs": {"one": {"type": "command", "componentId": "azureml:c:1"}}}
    body = {
        "trigger": {"triggerType": "Cron", "expression": "0 6 * * 1"},
        "action": {"actionType": "CreateJob", "jobDefinition": job},
    } | change
    with emulator.client() as http:
        answer = http.put(f"{emulator.ws}/schedules/refused", json={"properties": body})
        assert answer.status_code == 400, answer.text
        assert member in answer.json()["error"]["message"]
        assert http.get(f"{emulator.ws}/schedules/refused").status_code == 404


def test_days_and_months_of_cron_have_no_effect_as_on_azure(emulator: Emulated) -> None:
    trigger = {"triggerType": "Cron", "expression": "0 6 15 3 1", "startTime": "2026-01-01 00:00:00"}
    job = {"jobType": "Pipeline", "jobs": {"one": {"type": "command", "componentId": "azureml:missing:1"}}}
    body = {"trigger": trigger, "action": {"actionType": "CreateJob", "jobDefinition": job}, "isEnabled": True}
    with emulator.client() as http:
        answer = http.put(f"{emulator.ws}/schedules/odd", json={"properties": body})
        assert answer.json()["properties"]["trigger"]["expression"] == "0 6 15 3 1"
        found = emulator.workspace.schedules.get("odd")
        assert parse(found.next_runs[1]) - parse(found.next_runs[0]) == timedelta(days=7)
        # Accepted, though its component is not there: what it begins fails.
        assert http.post(f"{emulator.ws}/schedules/odd/trigger", json={}).status_code == 400
    now = datetime.now(UTC) + timedelta(days=8)
    Scheduler(emulator.workspace.store, emulator.workspace.schedules.runs, lambda: now).tick()
    assert "missing" in (emulator.workspace.schedules.get("odd").error or "")
