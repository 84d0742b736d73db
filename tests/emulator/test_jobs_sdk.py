"""The unmodified SDK's jobs against this machine: trained, run, streamed, downloaded, canceled, seen by the command line."""

# Annotations stay objects here: the SDK reads those of a pipeline function.

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emulator_support import Emulated
from jobs_live import register, spec, until, wait, write_table

from opsml_cli.domain.job import JobState

MAIN = """\
import os, pathlib, sys
table, folder, word = sys.argv[1:4]
text = pathlib.Path(table).read_text()
pathlib.Path(folder, "copy.csv").write_text(text)
pathlib.Path("outputs").mkdir(exist_ok=True)
pathlib.Path("outputs/note.txt").write_text(os.environ.get("NOTE", ""))
print(len(text.splitlines()), "lines,", word)
sys.exit("no good" if word == "bad" else 0)
"""
MLTABLE = """\
paths:
- file: ./people.csv
transformations:
- read_delimited: {delimiter: ',', encoding: utf8}
"""


@pytest.fixture(scope="module", autouse=True)
def quick_streams() -> Iterator[None]:
    """The SDK looks at a stream every second, not every two."""
    os.environ["AZUREML_RUN_POLLING_INTERVAL_MIN"] = "1"
    yield
    del os.environ["AZUREML_RUN_POLLING_INTERVAL_MIN"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`people.csv`, an MLTable of it in `table/`, code in `src/`."""
    folder = tmp_path_factory.mktemp("work")
    write_table(folder / "people.csv")
    for name, content in (("src/main.py", MAIN), ("table/MLTable", MLTABLE), ("table/people.csv", None)):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if content is not None else (folder / "people.csv").read_text())
    return folder


@pytest.fixture(scope="module")
def client(emulator: Emulated) -> Any:
    return emulator.ml_client()


@pytest.fixture(scope="module")
def trained(client: Any, emulator: Emulated, folder: Path) -> str:
    """A training that the SDK submitted, with its data in the datastore."""
    from azure.ai.ml import Input, automl

    job = automl.classification(
        training_data=Input(type="mltable", path=str(folder / "table")), target_column_name="label", primary_metric="accuracy",
        experiment_name="sdk", n_cross_validations=2, tags={"who": "test"}, compute="serverless",
    )  # fmt: skip
    job.set_limits(timeout_minutes=1, max_trials=1)
    job.set_training(blocked_training_algorithms=["LogisticRegression"], enable_stack_ensemble=False)
    begun = client.jobs.create_or_update(job)
    assert begun.status == "NotStarted"
    return str(begun.name)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def command_job(folder: Path, word: str, go: Path) -> Any:
    """A command that waits until `go` is there."""
    from azure.ai.ml import Input, Output, command

    return command(
        code=str(folder / "src"),
        command=f"until [ -e {go} ]; do sleep 0.02; done; python main.py ${{{{inputs.table}}}} ${{{{outputs.made}}}} "
        "${{inputs.word}}",
        inputs={"table": Input(type="uri_file", path=str(folder / "people.csv")), "word": word},
        outputs={"made": Output(type="uri_folder")},
        environment="azureml:some-environment:1",
        environment_variables={"NOTE": "kept by the run"},
        compute="serverless",
        experiment_name="sdk",
    )


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is there once the SDK follows a job's log: of one that has ended by then it shows nothing."""
    from azure.ai.ml.operations import _job_ops_helper

    path = tmp_path / "go"
    pause = _job_ops_helper._wait_before_polling

    def paused(seconds: float) -> float:
        path.touch()
        return pause(seconds)

    monkeypatch.setattr(_job_ops_helper, "_wait_before_polling", paused)
    return path


@pytest.mark.slow
def test_streaming_a_training_shows_its_log_to_the_verdict(
    client: Any, trained: str, capsys: pytest.CaptureFixture[str]
) -> None:
    client.jobs.stream(trained)
    shown = capsys.readouterr().out
    assert f"job {trained}: classification of 'label'" in shown
    assert "trial 0 LightGBM: accuracy" in shown
    assert "completed: model" in shown
    assert shown.index("completed: model") < shown.index("Execution Summary")


def test_a_training_is_read_back_whole(client: Any, emulator: Emulated, trained: str) -> None:
    wait(emulator.workspace, trained)
    job = client.jobs.get(trained)
    assert (job.status, job.type, job.experiment_name, job.tags["who"]) == ("Completed", "automl", "sdk", "test")
    assert job.limits.max_trials == 1
    best = client.jobs.get(job.tags["automl_best_child_run_id"])
    assert best.properties["run_algorithm"] == "LightGBM"
    assert 0 < float(best.properties["score"]) <= 1
    children = {child.name for child in client.jobs.list(parent_job_name=trained)}
    assert children == {f"{trained}_{part}" for part in ("setup", "featurize", "0", "ModelExplain")}
    assert trained in {found.name for found in client.jobs.list()}


def test_what_a_training_left_can_be_downloaded(client: Any, emulator: Emulated, trained: str, tmp_path: Path) -> None:
    wait(emulator.workspace, trained)
    client.jobs.download(trained, download_path=tmp_path / "parent")
    assert "artifacts/user_logs/std_log.txt" in files(tmp_path / "parent")
    best = client.jobs.get(trained).tags["automl_best_child_run_id"]
    client.jobs.download(best, download_path=tmp_path / "best")
    found = files(tmp_path / "best")
    assert {"artifacts/outputs/mlflow-model/MLmodel", "artifacts/logs/azureml/azureml_automl.log"} <= found
    # The SDK's own fault, on Azure as here.
    with pytest.raises(TypeError):
        client.jobs.download(trained, download_path=tmp_path, output_name="best_model")


def test_the_command_line_sees_what_the_sdk_trained(emulator: Emulated, trained: str, tmp_path: Path) -> None:
    job = wait(emulator.workspace, trained)
    assert (job.status, job.experiment, job.tags["who"]) == (JobState.COMPLETED, "sdk", "test")
    assert job.automl is not None and job.automl.best is not None
    assert "completed: model" in emulator.workspace.jobs.logs(trained)[0]
    assert emulator.workspace.jobs.download(trained, str(tmp_path))


@pytest.mark.slow
def test_the_sdk_sees_what_the_command_line_trained(
    client: Any, emulator: Emulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asset = register(emulator.workspace, tmp_path, "ours")
    name = emulator.workspace.jobs.begin_automl(spec(asset, name="by-the-command-line", experiment="ours")).name
    client.jobs.stream(name)
    assert "completed: model" in capsys.readouterr().out
    job = client.jobs.get(name)
    assert (job.status, job.target_column_name, job.experiment_name) == ("Completed", "label", "ours")
    assert name in {found.name for found in client.jobs.list()}
    client.jobs.download(job.tags["automl_best_child_run_id"], download_path=tmp_path / "best")
    assert "artifacts/outputs/mlflow-model/MLmodel" in files(tmp_path / "best")


def test_labels_are_changed_as_the_studio_does(client: Any, emulator: Emulated, trained: str) -> None:
    wait(emulator.workspace, trained)
    changed = client.jobs.update(trained, display_name="renamed", tags={"more": "tags"}, properties={"own": "value"})
    assert (changed.display_name, changed.tags["more"], changed.tags["who"]) == ("renamed", "tags", "test")
    assert changed.properties["own"] == "value"
    assert emulator.workspace.jobs.get(trained).tags == {"who": "test", "more": "tags"}
    client.jobs.archive(trained)
    assert trained not in {found.name for found in client.jobs.list()}
    client.jobs.restore(trained)
    assert trained in {found.name for found in client.jobs.list()}


def test_canceling_a_training(client: Any, emulator: Emulated, folder: Path) -> None:
    from azure.ai.ml import Input, automl

    job = automl.regression(
        training_data=Input(type="mltable", path=str(folder / "table")), target_column_name="amount", compute="serverless"
    )
    job.set_limits(timeout_minutes=30)
    name = client.jobs.create_or_update(job, experiment_name="sdk").name
    until(lambda: client.jobs.get(name).status == "Running", "the training's begin")
    client.jobs.begin_cancel(name).result()
    assert client.jobs.get(name).status == "Canceled"
    assert emulator.workspace.jobs.get(name).status is JobState.CANCELED


def test_a_command_runs_and_gives_its_outputs(
    client: Any, folder: Path, go: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = client.jobs.create_or_update(command_job(folder, "fine", go))
    assert begun.status == "Starting"
    client.jobs.stream(begun.name)
    assert "201 lines, fine" in capsys.readouterr().out
    assert client.jobs.get(begun.name).status == "Completed"
    client.jobs.download(begun.name, download_path=tmp_path / "logs")
    assert files(tmp_path / "logs") == {"artifacts/user_logs/std_log.txt", "artifacts/outputs/note.txt"}
    assert (tmp_path / "logs/artifacts/outputs/note.txt").read_text() == "kept by the run"
    client.jobs.download(begun.name, download_path=tmp_path / "made", output_name="made")
    # Run history says `UriFolder`, which the SDK passes over; it finds the output where it usually lies.
    assert (tmp_path / "made/named-outputs/made/copy.csv").read_text() == (folder / "people.csv").read_text()


def test_a_failing_command_fails_the_job_and_keeps_its_log(
    client: Any, folder: Path, go: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from azure.ai.ml.exceptions import JobException

    name = client.jobs.create_or_update(command_job(folder, "bad", go)).name
    with pytest.raises(JobException, match="exit code 1"):
        client.jobs.stream(name)
    assert "no good" in capsys.readouterr().out
    assert client.jobs.get(name).status == "Failed"
    client.jobs.download(name, download_path=tmp_path)
    assert (tmp_path / "artifacts/user_logs/std_log.txt").read_text().splitlines()[-1] == "no good"


@pytest.mark.slow
def test_a_pipeline_runs_its_components_and_trains(
    client: Any, emulator: Emulated, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from azure.ai.ml import Input, Output, automl, command, dsl

    copy = command(
        name="copy", code=str(folder / "src"), command="python main.py ${{inputs.table}} ${{outputs.made}} ${{inputs.word}}",
        environment="azureml:AzureML-sklearn-1.0-ubuntu20.04-py38-cpu@latest",
        inputs={"table": Input(type="uri_file"), "word": Input(type="string", default="usual")},
        outputs={"made": Output(type="uri_folder")},
    )  # fmt: skip
    show = command(
        name="show", command="ls ${{inputs.folder}} > ${{outputs.listing}}", inputs={"folder": Input(type="uri_folder")},
        environment="azureml:AzureML-sklearn-1.0-ubuntu20.04-py38-cpu@latest", outputs={"listing": Output(type="uri_file")},
    )  # fmt: skip

    @dsl.pipeline()
    def inner(table: Input(type="uri_file")):  # type: ignore[no-untyped-def, valid-type]
        step = copy(table=table)
        return {"out": step.outputs.made}

    @dsl.pipeline(default_compute="serverless")
    def whole(table, rows, word="given"):  # type: ignore[no-untyped-def]
        first = copy(table=table, word=word)
        second = show(folder=first.outputs.made)
        nested = inner(table=table)
        show(folder=nested.outputs.out)
        trained = automl.classification(
            training_data=rows, target_column_name="label", primary_metric="accuracy", n_cross_validations=2,
            outputs={"best_model": Output(type="mlflow_model")},
        )  # fmt: skip
        trained.set_limits(timeout_minutes=1, max_trials=1)
        return {"copied": first.outputs.made, "listed": second.outputs.listing, "model": trained.outputs.best_model}

    job = whole(
        table=Input(type="uri_file", path=str(folder / "people.csv")), rows=Input(type="mltable", path=str(folder / "table"))
    )
    begun = client.jobs.create_or_update(job, experiment_name="sdk")
    assert begun.status == "Preparing"
    client.jobs.stream(begun.name)
    shown = capsys.readouterr().out
    assert "first | 201 lines, given" in shown
    assert "201 lines, usual" in shown
    assert f"run {begun.name}: Completed" in shown
    read = client.jobs.get(begun.name)
    assert (read.status, set(read.outputs)) == ("Completed", {"copied", "listed", "model"})
    assert {"first", "second", "nested", "trained"} <= set(read.jobs)
    children = {child.display_name: child for child in client.jobs.list(parent_job_name=begun.name)}
    assert {"first", "second", "trained"} <= set(children)
    assert {child.status for child in children.values()} == {"Completed"}
    step = client.jobs.get(children["first"].name)
    assert step.status == "Completed"
    client.jobs.download(step.name, download_path=tmp_path / "step", all=True)
    assert "artifacts/user_logs/std_log.txt" in files(tmp_path / "step")
    client.jobs.download(begun.name, download_path=tmp_path / "run")
    assert "artifacts/logs/azureml/executionlogs.txt" in files(tmp_path / "run")
    trials = list(client.jobs.list(parent_job_name=children["trained"].name))
    assert any(trial.properties.get("run_algorithm") for trial in trials)
    run = emulator.workspace.pipelines.run(begun.name)
    assert run.status is JobState.COMPLETED and set(run.outputs) == {"copied", "listed", "model"}


def test_mlflow_reads_the_runs(emulator: Emulated, trained: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    wait(emulator.workspace, trained)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", emulator.token())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(emulator.bundle))
    client = MlflowClient(f"{emulator.url}/mlflow/v1.0{emulator.ws}")
    run = client.get_run(trained)
    best = run.data.tags["automl_best_child_run_id"]
    assert run.info.status == "FINISHED"
    assert run.data.metrics["accuracy"] == client.get_run(best).data.metrics["accuracy"]
    children = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{trained}'")
    assert best in {child.info.run_id for child in children}
    good = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{trained}' and metrics.accuracy > 0.1")
    assert [child.info.run_id for child in good] == [best]
    assert client.get_experiment_by_name("sdk").experiment_id == run.info.experiment_id
    with emulator.client() as plain:
        asked = {"run_id": best, "path": "outputs"}
        listed = plain.get(f"/mlflow/v1.0{emulator.ws}/api/2.0/mlflow/artifacts/list", params=asked).json()
    assert listed["files"] == [{"path": "outputs/mlflow-model", "is_dir": True}]
    assert client.get_metric_history(best, "accuracy")[0].value == run.data.metrics["accuracy"]
    with pytest.raises(MlflowException):
        client.get_run("nothing")
