"""The pipeline operations of the port, as a local workspace keeps them: real files, processes and HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline_support import SMALL, cleaned, ended, small_pipeline, written

from opsml_cli.domain.data import RegisterData
from opsml_cli.domain.errors import ConflictError, InvalidInputError, NotFoundError, UsageError
from opsml_cli.domain.job import JobKind, JobState
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.pipeline import PublishPipeline, TriggerPipeline
from opsml_cli.domain.progress import Silent
from opsml_cli.local.workspace import LocalWorkspace


@pytest.fixture
def local(workspace: LocalWorkspace) -> Iterator[LocalWorkspace]:
    with cleaned(workspace):
        yield workspace


def test_publish_is_immutable_and_says_unchanged(local: LocalWorkspace, tmp_path: Path) -> None:
    path = small_pipeline(tmp_path / "p")
    first = local.pipelines.publish(PublishPipeline(str(path), "Small"))
    assert (first.pipeline.version, first.unchanged) == ("1", False)
    assert first.pipeline.steps == ("first", "second")
    assert first.pipeline.url is not None
    assert first.pipeline.url.startswith("http://127.0.0.1:")
    again = local.pipelines.publish(PublishPipeline(str(path), "small"))
    assert (again.pipeline.name, again.pipeline.version, again.unchanged) == ("Small", "1", True)
    (tmp_path / "p" / "src" / "write.py").write_text("print('changed')")
    second = local.pipelines.publish(PublishPipeline(str(path), "SMALL", default=False))
    assert (second.pipeline.version, second.pipeline.default_version, second.unchanged) == ("2", "1", False)
    with pytest.raises(ConflictError, match="version 1 of pipeline Small exists with other content"):
        local.pipelines.publish(PublishPipeline(str(path), "small", version="1"))
    assert local.pipelines.get("small").version == "1"
    assert local.pipelines.get("small", "2").versions == ("1", "2")
    assert [item.name for item in local.pipelines.list()] == ["Small"]
    assert not local.jobs.list(), "publishing runs nothing"


def test_a_dry_run_writes_nothing(local: LocalWorkspace, tmp_path: Path) -> None:
    path = small_pipeline(tmp_path / "p")
    planned = local.pipelines.publish(PublishPipeline(str(path), "small", dry_run=True))
    assert planned.pipeline.version == "1"
    assert not local.root.exists()
    local.pipelines.validate(str(path))
    assert not local.root.exists()


def test_unknown_names_are_not_found(local: LocalWorkspace, tmp_path: Path) -> None:
    for call in (
        lambda: local.pipelines.get("nobody"),
        lambda: local.pipelines.delete("nobody"),
        lambda: local.pipelines.run("nobody"),
        lambda: local.pipelines.begin_trigger(TriggerPipeline("nobody")),
        lambda: local.pipelines.publish(PublishPipeline(str(tmp_path / "no.yml"), "x")),
    ):
        with pytest.raises(NotFoundError):
            call()
    assert not local.root.exists()
    with pytest.raises(UsageError):
        local.pipelines.publish(PublishPipeline(str(small_pipeline(tmp_path / "p")), "../x"))


def test_a_triggered_run_follows_its_graph(local: LocalWorkspace, tmp_path: Path) -> None:
    local.pipelines.publish(PublishPipeline(str(small_pipeline(tmp_path / "p")), "small"))
    begun = local.pipelines.begin_trigger(TriggerPipeline("small", inputs={"word": "a b"}, experiment="tries"))
    run = ended(local, begun.run)
    assert run.status is JobState.COMPLETED, run
    assert (run.pipeline, run.version, run.experiment) == ("small", "1", "tries")
    assert run.inputs == {"word": "a b", "count": 3}
    assert [(step.name, step.status, step.reused) for step in run.steps] == [
        ("first", JobState.COMPLETED, False),
        ("second", JobState.COMPLETED, False),
    ]
    assert run.outputs == {"last": f"azureml://jobs/{run.run}/outputs/last"}
    job = local.jobs.get(run.run)
    assert (job.kind, job.status) == (JobKind.PIPELINE, JobState.COMPLETED)
    copied = local.layout.step(run.run, "second") / "outputs" / "out" / "copied.txt"
    assert copied.read_text() == "a ba ba b"
    text, _ = local.jobs.logs(run.run)
    assert "first | wrote 3" in text
    written_ = local.jobs.download(run.run, str(tmp_path / "got"))
    assert [Path(path).name for path in written_ if "outputs" in path] == ["copied.txt"]


def test_identical_steps_are_reused_until_their_inputs_change(local: LocalWorkspace, tmp_path: Path) -> None:
    path = small_pipeline(tmp_path / "p")
    runs = [ended(local, local.pipelines.begin_run(str(path), {"word": word}, None).run) for word in ("x", "x", "y")]
    assert [[step.reused for step in run.steps] for run in runs] == [[False, False], [True, True], [False, False]]
    forced = written(tmp_path / "p", SMALL.replace("display_name: small", "settings: {force_rerun: true}"))
    assert [step.reused for step in ended(local, local.pipelines.begin_run(str(forced), {"word": "x"}, None).run).steps] == [
        False,
        False,
    ]


def test_an_input_of_a_run_is_checked_before_anything_is_written(local: LocalWorkspace, tmp_path: Path) -> None:
    path = str(small_pipeline(tmp_path / "p"))
    for inputs, match in (
        ({"count": "9"}, "more than 5"),
        ({"count": "x"}, "whole number"),
        ({"wort": "x"}, "no input 'wort'"),
    ):
        with pytest.raises(InvalidInputError, match=match):
            local.pipelines.begin_run(path, inputs, None)
    assert not local.root.exists()


def test_registered_data_and_outputs_of_runs_are_inputs(local: LocalWorkspace, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("a,b\n1,2\n")
    local.data.register(RegisterData("table", str(table)), Silent())
    path = written(
        tmp_path / "p",
        "type: pipeline\ninputs:\n  d: {type: uri_file, path: 'azureml:table@latest'}\n"
        "  f: {type: uri_folder, optional: true}\n"
        "outputs: {o: {type: uri_folder, name: kept}}\n"
        "jobs:\n  a:\n    command: cat ${{inputs.d}} > ${{outputs.o}}/copy.csv "
        "$[[&& ls ${{inputs.f}} > ${{outputs.o}}/names]]\n"
        "    inputs: {d: '${{parent.inputs.d}}', f: '${{parent.inputs.f}}'}\n    outputs: {o: '${{parent.outputs.o}}'}\n",
    )
    local.pipelines.publish(PublishPipeline(str(path), "uses-data"))
    first = ended(local, local.pipelines.begin_trigger(TriggerPipeline("uses-data")).run)
    assert first.status is JobState.COMPLETED, first
    assert first.inputs == {"d": "table:1"}
    assert first.outputs == {"o": "azureml:kept:1"}
    assert local.data.get(AssetRef("kept")).type.value == "uri_folder"
    uri = f"azureml://jobs/{first.run}/outputs/o"
    second = ended(local, local.pipelines.begin_trigger(TriggerPipeline("uses-data", inputs={"d": "table:1", "f": uri})).run)
    assert second.status is JobState.COMPLETED, second
    assert (local.layout.step(second.run, "a") / "outputs" / "o" / "names").read_text() == "copy.csv\n"
    for given in (str(table), "./t.csv", "https://example.com/t.csv", "file:///etc/passwd", "azureml:nobody:1"):
        with pytest.raises((InvalidInputError, NotFoundError)):
            local.pipelines.begin_trigger(TriggerPipeline("uses-data", inputs={"d": given}))


def test_registered_files_reach_a_step_under_their_own_names(local: LocalWorkspace, tmp_path: Path) -> None:
    import gzip

    table = tmp_path / "gz.csv.gz"
    table.write_bytes(gzip.compress(b"a,b\n1,2\n3,4\n"))
    local.data.register(RegisterData("table", str(table)), Silent())
    hostile = tmp_path / "$(touch x) 'q' & ü.csv"
    hostile.write_text("a\n1\n")
    local.data.register(RegisterData("odd", str(hostile)), Silent())
    path = written(
        tmp_path / "p",
        "type: pipeline\ninputs:\n  d: {type: uri_file, path: 'azureml:table:1'}\n"
        "  e: {type: uri_file, path: 'azureml:odd:1'}\n"
        "outputs: {o: {type: uri_folder}}\n"
        'jobs:\n  a:\n    command: >-\n      python -c "import pandas, sys; print(pandas.read_csv(sys.argv[1]).shape)"'
        " ${{inputs.d}} > ${{outputs.o}}/shape && cp ${{inputs.d}} ${{inputs.e}} ${{outputs.o}}/\n"
        "    inputs: {d: '${{parent.inputs.d}}', e: '${{parent.inputs.e}}'}\n    outputs: {o: '${{parent.outputs.o}}'}\n",
    )
    run = ended(local, local.pipelines.begin_run(str(path), {}, None).run)
    assert run.status is JobState.COMPLETED, run
    kept = local.layout.step(run.run, "a") / "outputs" / "o"
    assert (kept / "shape").read_text() == "(2, 2)\n"
    assert {each.name for each in kept.iterdir()} == {"shape", table.name, hostile.name}
    downloaded = local.jobs.download(run.run, str(tmp_path / "got"))
    assert any(each.endswith("/gz.csv.gz") for each in downloaded)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/data/t.csv.gz", "t.csv.gz"),
        ("C:\\data\\t.csv", "t.csv"),
        ("https://example.com/a%20b.csv?sig=x", "a b.csv"),
        ("https://example.com/..%2f..%2fetc", "etc"),
        ("https://example.com/%00.csv", "Table"),
        ("https://example.com/", "Table"),
        ("/data/" + "x" * 220 + ".csv", "Table"),
        ("/data/a\n.csv", "Table"),
        ("..", "Table"),
        (None, "Table"),
    ],
)
def test_the_name_of_a_registered_file_is_a_safe_one(source: str | None, name: str) -> None:
    from opsml_cli.domain import names
    from opsml_cli.domain.data import DataAsset, DataType
    from opsml_cli.local.own_names import file_name

    asset = DataAsset("Table", "1", DataType.URI_FILE, "", None, None, "", 0, "", source=source)
    assert file_name(asset) == (names.key("Table") if name == "Table" else name)


def test_a_failing_step_fails_the_run_and_cancels_what_follows(local: LocalWorkspace, tmp_path: Path) -> None:
    text = SMALL.replace("command: cp ", "command: echo went wrong; false; exit 3; cp ")
    text += "  third:\n    command: ls ${{inputs.i}}\n    inputs: {i: '${{parent.jobs.second.outputs.out}}'}\n"
    path = small_pipeline(tmp_path / "p")
    path.write_text(text)
    run = ended(local, local.pipelines.begin_run(str(path), {}, None).run)
    assert run.status is JobState.FAILED
    assert "step second failed: exit code 3; last log lines: went wrong" in (run.error or "")
    assert [step.status for step in run.steps] == [JobState.COMPLETED, JobState.FAILED, JobState.CANCELED]
    assert run.outputs == {}
    assert not (local.layout.step(run.run, "second") / "outputs").exists()


def test_a_missing_output_fails_the_step(local: LocalWorkspace, tmp_path: Path) -> None:
    path = written(
        tmp_path, "type: pipeline\njobs:\n  a:\n    command: 'true #${{outputs.o}}'\n    outputs: {o: {type: uri_file}}\n"
    )
    run = ended(local, local.pipelines.begin_run(str(path), {}, None).run)
    assert "wrote no output o" in (run.error or "")


def test_continue_on_step_failure_runs_what_does_not_need_it(local: LocalWorkspace, tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "type: pipeline\nsettings: {continue_on_step_failure: true}\njobs:\n"
        "  bad:\n    command: exit 1 #${{outputs.o}}\n    outputs: {o: {type: uri_folder}}\n"
        "  after:\n    command: ls ${{inputs.i}}\n    inputs: {i: '${{parent.jobs.bad.outputs.o}}'}\n"
        "  good:\n    command: sleep 0.5\n",
    )
    run = ended(local, local.pipelines.begin_run(str(path), {}, None).run)
    assert run.status is JobState.FAILED
    assert {step.name: step.status for step in run.steps} == {
        "bad": JobState.FAILED,
        "after": JobState.CANCELED,
        "good": JobState.COMPLETED,
    }


def test_a_run_is_canceled_with_its_processes(local: LocalWorkspace, tmp_path: Path) -> None:
    path = written(
        tmp_path,
        f"type: pipeline\njobs:\n  a:\n    command: echo $$ > {tmp_path}/pid; sleep 300\n  b:\n    command: sleep 300\n",
    )
    begun = local.pipelines.begin_run(str(path), {}, None)
    from waiting import until

    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip() != "")
    local.jobs.cancel(begun.run)
    run = ended(local, begun.run)
    assert run.status is JobState.CANCELED
    assert {step.status for step in run.steps} == {JobState.CANCELED}
    from opsml_cli.local.processes import pid_alive

    until(lambda: not pid_alive(int((tmp_path / "pid").read_text())))


def test_steps_without_needs_run_side_by_side(local: LocalWorkspace, tmp_path: Path) -> None:
    # Each waits for the other's file: one after the other, neither would end.
    step = "  {me}:\n    command: touch {dir}/{me}; while [ ! -e {dir}/{other} ]; do sleep 0.02; done\n"
    text = (
        "type: pipeline\njobs:\n" + step.format(me="a", other="b", dir=tmp_path) + step.format(me="b", other="a", dir=tmp_path)
    )
    run = ended(local, local.pipelines.begin_run(str(written(tmp_path / "p", text)), {}, None).run)
    assert run.status is JobState.COMPLETED


def test_a_run_keeps_what_was_published(local: LocalWorkspace, tmp_path: Path) -> None:
    path = small_pipeline(tmp_path / "p")
    local.pipelines.publish(PublishPipeline(str(path), "small"))
    (tmp_path / "p" / "src" / "write.py").unlink()
    path.unlink()
    assert ended(local, local.pipelines.begin_trigger(TriggerPipeline("small")).run).status is JobState.COMPLETED


def test_delete_takes_the_endpoint_and_leaves_the_runs(local: LocalWorkspace, tmp_path: Path) -> None:
    path = small_pipeline(tmp_path / "p")
    local.pipelines.publish(PublishPipeline(str(path), "small"))
    run = ended(local, local.pipelines.begin_trigger(TriggerPipeline("small")).run)
    (tmp_path / "p" / "src" / "write.py").write_text("pass")
    local.pipelines.publish(PublishPipeline(str(path), "small"))
    with pytest.raises(ConflictError, match="is the default"):
        local.pipelines.delete("small", "2")
    local.pipelines.delete("small", "1")
    assert local.pipelines.get("small").versions == ("2",)
    local.pipelines.delete("small")
    with pytest.raises(NotFoundError):
        local.pipelines.get("small")
    assert local.pipelines.run(run.run).status is JobState.COMPLETED


def test_the_command_reads_its_token_and_holds_none(local: LocalWorkspace, tmp_path: Path) -> None:
    local.pipelines.publish(PublishPipeline(str(small_pipeline(tmp_path / "p")), "small"))
    command = local.pipelines.trigger_command("small")
    assert "$(opsml local token)" in command
    assert local.service.token().token not in command
    assert local.service.token().token not in repr(local.service.token())


TRAINING = """\
type: pipeline
inputs: {rows: {type: uri_file, path: 'azureml:rows@latest'}, target: y, minutes: 0.3}
outputs: {model: {type: mlflow_model, name: retrained}}
jobs:
  split:
    command: cp ${{inputs.rows}} ${{outputs.train}}/train.csv
    inputs: {rows: '${{parent.inputs.rows}}'}
    outputs: {train: {type: uri_folder}}
  train:
    type: automl
    task: classification
    primary_metric: accuracy
    training_data: ${{parent.jobs.split.outputs.train}}
    target_column_name: ${{parent.inputs.target}}
    n_cross_validations: 2
    limits: {timeout_minutes: '${{parent.inputs.minutes}}', max_trials: 1}
    outputs: {best_model: '${{parent.outputs.model}}'}
  check:
    command: test -f ${{inputs.model}}/MLmodel
    inputs: {model: '${{parent.jobs.train.outputs.best_model}}'}
"""


def training(local: LocalWorkspace, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("a,b,y\n" + "".join(f"{n % 17},{n % 5},{'yes' if n % 17 > 8 else 'no'}\n" for n in range(400)))
    local.data.register(RegisterData("rows", str(rows)), Silent())
    local.pipelines.publish(PublishPipeline(str(written(tmp_path / "p", TRAINING)), "trains"))


@pytest.mark.slow
def test_an_automl_step_trains_as_a_child_job_and_registers_its_model(local: LocalWorkspace, tmp_path: Path) -> None:
    training(local, tmp_path)
    run = ended(local, local.pipelines.begin_trigger(TriggerPipeline("trains")).run, 120)
    assert run.status is JobState.COMPLETED, run
    assert run.outputs == {"model": "azureml:retrained:1"}
    child = run.steps[1].job
    assert child is not None
    assert [job.name for job in local.jobs.list(parent=run.run)] == [child]
    assert local.models.get(AssetRef("retrained", "1")).job == child
    again = ended(local, local.pipelines.begin_trigger(TriggerPipeline("trains")).run, 120)
    assert [step.reused for step in again.steps] == [True, True, True]
    assert again.outputs == run.outputs
    assert len(local.models.list("retrained")) == 1


@pytest.mark.slow
def test_canceling_a_run_cancels_its_training(local: LocalWorkspace, tmp_path: Path) -> None:
    from waiting import until

    training(local, tmp_path)
    run = local.pipelines.begin_trigger(TriggerPipeline("trains", inputs={"minutes": "5"}))
    until(lambda: any(job.status is JobState.RUNNING for job in local.jobs.list(parent=run.run)))
    local.jobs.cancel(run.run)
    assert ended(local, run.run).status is JobState.CANCELED
    (child,) = local.jobs.list(parent=run.run)
    until(lambda: local.jobs.get(child.name).status.finished)
    assert local.jobs.get(child.name).status is JobState.CANCELED
