"""Promises of pipelines and schedules that hold on every kind of workspace: a local one, and Azure ML over the emulator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pipeline_support import cleaned, written

from opsml_cli.azureml.workspace import AzureWorkspace
from opsml_cli.domain.data import RegisterData
from opsml_cli.domain.errors import ConflictError, InvalidInputError, NotFoundError, UnsupportedError
from opsml_cli.domain.job import JobState
from opsml_cli.domain.pipeline import PipelineRun, PublishPipeline, TriggerPipeline
from opsml_cli.domain.progress import Silent
from opsml_cli.domain.schedule import CreateSchedule, CronTrigger, Frequency, RecurrenceTrigger
from opsml_cli.domain.workspace import Workspace
from opsml_cli.local.workspace import LocalWorkspace

PIPELINE = """\
type: pipeline
display_name: both
inputs:
  word: hello
  count: {type: integer, default: 3}
  rows: {type: uri_file, path: "azureml:rows:1"}
outputs:
  last: {type: uri_folder}
settings: {default_compute: azureml:serverless}
jobs:
  first:
    type: command
    code: src
    command: python write.py ${{outputs.out}} ${{inputs.word}} ${{inputs.count}} ${{inputs.rows}}
    environment: azureml://registries/azureml/environments/sklearn-1.5/labels/latest
    inputs:
      word: ${{parent.inputs.word}}
      count: ${{parent.inputs.count}}
      rows: ${{parent.inputs.rows}}
    outputs:
      out: ${{parent.outputs.last}}
"""
WRITE = "import pathlib, sys\nfolder, word, count, rows = sys.argv[1:]\n" + (
    "pathlib.Path(folder, 'word.txt').write_text(word * int(count) + str(len(open(rows).read())))\n"
)
IN_PROGRESS_SECONDS = 60.0


@pytest.fixture
def workspace(either_workspace: Workspace, workspace_of_this_machine: LocalWorkspace, tmp_path: Path) -> Iterator[Workspace]:
    with cleaned(workspace_of_this_machine):
        (tmp_path / "rows.csv").write_text("a,b\n1,2\n3,4\n")
        either_workspace.data.register(RegisterData("rows", str(tmp_path / "rows.csv")), Silent())
        yield either_workspace


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = written(tmp_path / "p", PIPELINE)
    (tmp_path / "p" / "src").mkdir()
    (tmp_path / "p" / "src" / "write.py").write_text(WRITE)
    return found


def ended(read: Callable[[], PipelineRun]) -> PipelineRun:
    deadline = time.monotonic() + IN_PROGRESS_SECONDS
    while not (run := read()).status.finished:
        assert time.monotonic() < deadline, run
        time.sleep(0.1)
    return run


def test_publishing_triggering_and_deleting(workspace: Workspace, path: Path) -> None:
    pipelines = workspace.pipelines
    with pytest.raises(NotFoundError):
        pipelines.get("retrain")
    planned = pipelines.publish(PublishPipeline(str(path), "retrain", dry_run=True))
    assert (planned.pipeline.version, planned.unchanged) == ("1", False)
    assert not pipelines.list()
    first = pipelines.publish(PublishPipeline(str(path), "retrain", description="weekly"))
    assert (first.pipeline.version, first.unchanged, first.pipeline.steps) == ("1", False, ("first",))
    assert pipelines.publish(PublishPipeline(str(path), "retrain")).unchanged
    found = pipelines.get("retrain")
    assert (found.default_version, found.versions, found.description) == ("1", ("1",), "weekly")
    assert {item.name: (item.type, item.default) for item in found.inputs} == {
        "word": ("string", "hello"),
        "count": ("integer", 3),
        "rows": ("uri_file", "azureml:rows:1"),
    }
    assert found.url
    assert not workspace.pipelines.begin_trigger(TriggerPipeline("retrain", dry_run=True)).run

    with pytest.raises(InvalidInputError, match="no input 'wrod'"):
        pipelines.begin_trigger(TriggerPipeline("retrain", inputs={"wrod": "x"}))
    with pytest.raises(InvalidInputError):
        pipelines.begin_trigger(TriggerPipeline("retrain", inputs={"count": "many"}))
    with pytest.raises(InvalidInputError):
        pipelines.begin_trigger(TriggerPipeline("retrain", inputs={"rows": "/etc/passwd"}))
    begun = pipelines.begin_trigger(TriggerPipeline("retrain", inputs={"word": "ab", "rows": "rows"}, experiment="tries"))
    assert (begun.pipeline, begun.version) == ("retrain", "1")
    run = ended(lambda: pipelines.run(begun.run))
    assert run.status is JobState.COMPLETED, run
    assert (run.experiment, run.version) == ("tries", "1")
    assert [(step.name, step.status, step.reused) for step in run.steps] == [("first", JobState.COMPLETED, False)]
    assert set(run.outputs) == {"last"}
    name = pipelines.begin_trigger(TriggerPipeline("retrain", inputs={"word": "ab"})).run
    again = ended(lambda: pipelines.run(name))
    assert [step.reused for step in again.steps] == [True]

    (path.parent / "src" / "write.py").write_text(WRITE + "\n")
    with pytest.raises(ConflictError, match="other content"):
        pipelines.publish(PublishPipeline(str(path), "retrain", version="1"))
    second = pipelines.publish(PublishPipeline(str(path), "retrain", default=False))
    assert (second.pipeline.version, second.pipeline.default_version, second.pipeline.versions) == ("2", "1", ("1", "2"))
    with pytest.raises(ConflictError, match="is the default"):
        pipelines.delete("retrain", "1")
    pipelines.delete("retrain", "2")
    assert [(each.name, each.versions) for each in pipelines.list()] == [("retrain", ("1",))]
    pipelines.delete("retrain")
    assert not pipelines.list()
    assert pipelines.run(begun.run).status is JobState.COMPLETED, "its runs stay"


def test_running_a_file_and_what_is_wrong_with_one(workspace: Workspace, path: Path, tmp_path: Path) -> None:
    pipelines = workspace.pipelines
    assert pipelines.validate(str(path)).steps == ("first",)
    run = pipelines.begin_run(str(path), {"word": "x", "count": "2"}, "files")
    done = ended(lambda: pipelines.run(run.run))
    assert (done.status, done.experiment) == (JobState.COMPLETED, "files")
    with pytest.raises(InvalidInputError):
        pipelines.validate(str(written(tmp_path / "q", PIPELINE.replace("parent.inputs.word", "parent.inputs.wrod"))))
    with pytest.raises(InvalidInputError):
        pipelines.validate(str(written(tmp_path / "r", "type: pipeline\njobs: {}\n")))
    with pytest.raises(NotFoundError):
        pipelines.validate(str(tmp_path / "no.yml"))
    with pytest.raises(NotFoundError):
        pipelines.run("nobody")


def test_schedules(workspace: Workspace, path: Path) -> None:
    workspace.pipelines.publish(PublishPipeline(str(path), "retrain"))
    schedules = workspace.schedules
    mondays = CronTrigger("0 6 * * 1", "Europe/Zurich")
    spec = CreateSchedule("weekly", mondays, pipeline="retrain", inputs={"word": "x", "rows": "rows"}, experiment="tries")
    assert schedules.create_or_update(replace(spec, dry_run=True)).schedule.next_runs
    assert not schedules.list()
    made = schedules.create_or_update(spec)
    assert (made.unchanged, made.schedule.enabled, made.schedule.pipeline) == (False, True, "retrain")
    assert made.schedule.inputs["word"] == "x"
    assert made.schedule.experiment == "tries"
    assert len(made.schedule.next_runs) == 5
    assert schedules.create_or_update(spec).unchanged
    changed = schedules.create_or_update(replace(spec, trigger=RecurrenceTrigger(Frequency.DAY, 1, (6,), (30,))))
    assert not changed.unchanged
    assert changed.schedule.next_runs[0].endswith("T06:30:00.000Z")
    assert [each.name for each in schedules.list()] == ["weekly"]
    assert not schedules.get("weekly").last_runs, "nothing runs before it is due"

    run = schedules.begin_trigger("weekly")
    done = ended(lambda: workspace.pipelines.run(run))
    assert (done.status, done.experiment) == (JobState.COMPLETED, "tries")
    assert [each.run for each in schedules.get("weekly").last_runs] == [run]

    with pytest.raises(ConflictError, match="is enabled"):
        schedules.delete("weekly")
    assert not schedules.disable("weekly").enabled
    assert not schedules.list(enabled_only=True)
    assert schedules.enable("weekly").next_runs
    schedules.disable("weekly")
    schedules.delete("weekly")
    for call in (schedules.get, schedules.enable, schedules.delete, schedules.begin_trigger):
        with pytest.raises(NotFoundError):
            call("weekly")
    with pytest.raises(NotFoundError):
        schedules.create_or_update(CreateSchedule("other", mondays, pipeline="nobody"))
    with pytest.raises(InvalidInputError):
        schedules.create_or_update(CreateSchedule("other", mondays, pipeline="retrain", inputs={"count": "many"}))


def test_a_schedule_of_a_file(workspace: Workspace, path: Path) -> None:
    spec = CreateSchedule("filed", CronTrigger("0 6 * * 1"), path=str(path), inputs={"word": "${{name}}"}, enabled=False)
    made = workspace.schedules.create_or_update(spec)
    assert (made.unchanged, made.schedule.enabled, made.schedule.pipeline) == (False, False, None)
    assert workspace.schedules.create_or_update(spec).unchanged
    run = workspace.schedules.begin_trigger("filed")
    assert ended(lambda: workspace.pipelines.run(run)).status is JobState.COMPLETED
    workspace.schedules.delete("filed")


def test_azure_does_not_take_days_of_the_month_in_cron(azure_workspace: AzureWorkspace) -> None:
    with pytest.raises(UnsupportedError, match="would run more often"):
        azure_workspace.schedules.create_or_update(CreateSchedule("s", CronTrigger("0 6 1 * *"), pipeline="retrain"))


def test_on_azure_reading_and_triggering_load_no_sdk_and_the_command_works(
    azure_workspace: AzureWorkspace, azure_environment: dict[str, str], path: Path, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    azure_workspace.data.register(RegisterData("rows", str(tmp_path / "rows.csv")), Silent())
    azure_workspace.pipelines.publish(PublishPipeline(str(path), "retrain"))
    command = azure_workspace.pipelines.trigger_command("retrain")
    assert "az account get-access-token --resource" in command
    (tmp_path / "bin").mkdir()
    az = tmp_path / "bin" / "az"
    token = azure_workspace.context.identity.token(azure_workspace.context.cloud.scope("ml"))
    assert token not in command
    az.write_text(f"#!/bin/sh\necho {token}\n")
    az.chmod(0o700)
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    environment["CURL_CA_BUNDLE"] = azure_environment["REQUESTS_CA_BUNDLE"]
    answer = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=True)
    begun = json.loads(answer.stdout)["name"]
    assert ended(lambda: azure_workspace.pipelines.run(begun)).status is JobState.COMPLETED
    program = (
        "import sys\n"
        "from opsml_cli.azureml.workspace import AzureWorkspace\n"
        "from opsml_cli.domain.pipeline import TriggerPipeline\n"
        "from opsml_cli.settings import load\nimport os\n"
        "workspace = AzureWorkspace(load(os.environ).settings.azure)\n"
        "workspace.pipelines.list(); run = workspace.pipelines.begin_trigger(TriggerPipeline('retrain')); print(run.run)\n"
        "assert 'azure.ai.ml' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **azure_environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert ended(lambda: azure_workspace.pipelines.run(done.stdout.strip())).status is JobState.COMPLETED


def test_a_pipeline_that_names_no_compute_runs(workspace: Workspace, tmp_path: Path) -> None:
    text = PIPELINE.replace("settings: {default_compute: azureml:serverless}\n", "")
    assert "compute" not in text
    (tmp_path / "bare" / "src").mkdir(parents=True)
    (tmp_path / "bare" / "src" / "write.py").write_text(WRITE)
    path = written(tmp_path / "bare", text)
    begun = workspace.pipelines.begin_run(str(path), {}, None)
    assert ended(lambda: workspace.pipelines.run(begun.run)).status is JobState.COMPLETED
    published = workspace.pipelines.publish(PublishPipeline(str(path), "bare"))
    again = workspace.pipelines.begin_trigger(TriggerPipeline(published.pipeline.name))
    assert ended(lambda: workspace.pipelines.run(again.run)).status is JobState.COMPLETED


OPTIONAL = """\
type: pipeline
inputs:
  note: {type: string, default: ""}
  extra: {type: uri_file, optional: true}
  label: {type: string, optional: true}
outputs:
  last: {type: uri_folder}
settings: {default_compute: azureml:serverless}
jobs:
  first:
    type: command
    command: >-
      echo "[${{inputs.note}}]" $[[ --extra ${{inputs.extra}} ]] $[[ --label ${{inputs.label}} ]] > ${{outputs.out}}/said
    environment: azureml://registries/azureml/environments/sklearn-1.5/labels/latest
    inputs:
      note: ${{parent.inputs.note}}
      extra: ${{parent.inputs.extra}}
      label: ${{parent.inputs.label}}
    outputs:
      out: ${{parent.outputs.last}}
"""


@pytest.mark.slow
def test_optional_inputs_may_be_left_out_and_texts_may_be_empty(workspace: Workspace, tmp_path: Path) -> None:
    path = written(tmp_path / "o", OPTIONAL)
    run = workspace.pipelines.begin_run(str(path), {}, None)
    found = ended(lambda: workspace.pipelines.run(run.run))
    assert found.status is JobState.COMPLETED, found
    workspace.jobs.download(run.run, str(tmp_path / "got"))
    (said,) = (tmp_path / "got").rglob("said")
    assert said.read_text() == "[]\n"


@pytest.mark.slow
def test_a_published_pipeline_may_have_optional_inputs(workspace: Workspace, tmp_path: Path) -> None:
    path = written(tmp_path / "o", OPTIONAL.replace('default: ""', "default: x"))
    workspace.pipelines.publish(PublishPipeline(str(path), "optional"))
    for given, expected in (({}, "[x]\n"), ({"label": "y"}, "[x] --label y\n")):
        run = workspace.pipelines.begin_trigger(TriggerPipeline("optional", inputs=given))
        found = ended(lambda run=run: workspace.pipelines.run(run.run))  # type: ignore[misc]
        assert found.status is JobState.COMPLETED, found
        place = tmp_path / run.run
        workspace.jobs.download(run.run, str(place))
        assert next(place.rglob("said")).read_text() == expected
