"""The port's promises about jobs, on a local workspace with real training processes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jobs_live import ending_jobs, register, spec, until, wait, write_table

from opsml_cli.domain.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    OpsmlError,
    UnsupportedError,
    UsageError,
)
from opsml_cli.domain.job import Job, JobKind, JobState, Limits, TableSource, Task
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.text_bytes import whole_characters
from opsml_cli.local import job_records
from opsml_cli.local.job_process import log_path
from opsml_cli.local.workspace import LocalWorkspace


@pytest.fixture(autouse=True)
def _no_job_is_left(tmp_path: Path) -> Iterator[None]:
    with ending_jobs(tmp_path / ".opsml"):
        yield


@pytest.fixture
def data(workspace: LocalWorkspace, tmp_path: Path) -> AssetRef:
    return register(workspace, tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalWorkspace, Job]]:
    """A workspace with one completed training, to be read only."""
    folder = tmp_path_factory.mktemp("trained")
    workspace = LocalWorkspace(folder / ".opsml")
    begun = workspace.jobs.begin_automl(spec(register(workspace, folder), name="training-one"))
    yield workspace, wait(workspace, begun.name)
    workspace.store.close()


def log_of(workspace: LocalWorkspace, job: Job) -> str:
    path = log_path(workspace.layout, job.name)
    return path.read_text() if path.exists() else ""


def test_a_training_ends_with_a_registered_model(workspace: LocalWorkspace, data: AssetRef) -> None:
    begun = workspace.jobs.begin_automl(spec(data, max_trials=2, experiment="first", tags={"team": "a"}))
    assert begun.status is JobState.NOT_STARTED
    done = wait(workspace, begun.name)
    assert done.status is JobState.COMPLETED, done.error
    assert done.kind is JobKind.AUTOML
    assert (done.experiment, done.tags, done.attempts) == ("first", {"team": "a"}, 1)
    assert done.started_at is not None
    assert done.ended_at is not None
    assert done.duration_seconds is not None
    assert 0 < done.duration_seconds < 60
    outcome = done.automl
    assert outcome is not None
    assert outcome.best is not None
    assert outcome.model is not None
    assert outcome.task is Task.CLASSIFICATION
    assert outcome.metric == "AUC_weighted"
    assert 0.5 < outcome.best.metrics["AUC_weighted"] <= 1
    assert [trial.rank for trial in outcome.leaderboard] == list(range(1, len(outcome.leaderboard) + 1))
    model = workspace.models.get(AssetRef("people-label"))
    assert (model.name, model.version) == (outcome.model.name, outcome.model.version) == ("people-label", "1")
    assert model.own
    assert model.job == done.name
    assert model.data == data
    assert workspace.models.verified(AssetRef("people-label")) == model
    assert model.signature is not None
    assert {column.name for column in model.signature.inputs} == {"age", "income", "city"}


def test_regression_has_its_own_metric(workspace: LocalWorkspace, data: AssetRef) -> None:
    begun = workspace.jobs.begin_automl(spec(data, target_column="amount", drop_columns=("label",)))
    done = wait(workspace, begun.name)
    assert done.status is JobState.COMPLETED, done.error
    assert done.automl is not None
    assert (done.automl.task, done.automl.metric) == (Task.REGRESSION, "normalized_root_mean_squared_error")


@pytest.mark.slow
def test_two_trainings_run_at_once_and_get_a_version_each(workspace: LocalWorkspace, data: AssetRef) -> None:
    jobs = [workspace.jobs.begin_automl(spec(data, seed=seed)) for seed in (1, 2)]
    assert jobs[0].name != jobs[1].name
    done = [wait(workspace, job.name) for job in jobs]
    assert [job.status for job in done] == [JobState.COMPLETED] * 2
    assert {model.version for model in workspace.models.list("people-label")} == {"1", "2"}


@pytest.mark.slow
def test_the_same_work_is_joined_while_it_runs_and_done_anew_after_it(workspace: LocalWorkspace, data: AssetRef) -> None:
    first = workspace.jobs.begin_automl(spec(data))
    again = workspace.jobs.begin_automl(spec(data, description="words only", tags={"other": "label"}))
    assert again.name == first.name
    assert workspace.jobs.begin_automl(spec(data, seed=5)).name != first.name
    wait(workspace, first.name)
    assert workspace.jobs.begin_automl(spec(data)).name != first.name


def test_a_name_is_kept_and_cannot_be_taken_twice(workspace: LocalWorkspace, data: AssetRef) -> None:
    begun = workspace.jobs.begin_automl(spec(data, name="Mine"))
    assert begun.name == "Mine"
    with pytest.raises(ConflictError, match="Mine"):
        workspace.jobs.begin_automl(spec(data, name="mine", seed=3))
    workspace.jobs.cancel("mine")
    assert wait(workspace, "MINE").name == "Mine"
    with pytest.raises(ConflictError):
        workspace.jobs.begin_automl(spec(data, name="mine"))


def test_cancel_ends_a_running_job_and_keeps_its_trials(workspace: LocalWorkspace, data: AssetRef) -> None:
    begun = workspace.jobs.begin_automl(spec(data, max_trials=100_000, timeout=300))
    until(lambda: (found := workspace.jobs.get(begun.name).automl) is not None and found.leaderboard, "a trial")
    asked = workspace.jobs.cancel(begun.name)
    assert asked.status in (JobState.CANCEL_REQUESTED, JobState.CANCELED)
    done = wait(workspace, begun.name)
    assert done.status is JobState.CANCELED
    assert done.automl is not None
    assert done.automl.leaderboard
    assert done.automl.model is None
    assert workspace.models.list() == []
    assert workspace.jobs.cancel(begun.name) == done
    # Canceled on purpose: the same command begins anew.
    anew = workspace.jobs.begin_automl(spec(data, max_trials=100_000, timeout=300))
    assert anew.name != begun.name
    workspace.jobs.cancel(anew.name)
    assert wait(workspace, anew.name).status is JobState.CANCELED


def test_cancel_right_after_the_start(workspace: LocalWorkspace, data: AssetRef) -> None:
    begun = workspace.jobs.begin_automl(spec(data, max_trials=100_000, timeout=300))
    workspace.jobs.cancel(begun.name)
    assert wait(workspace, begun.name).status is JobState.CANCELED


def test_dry_run_checks_all_and_writes_nothing(workspace: LocalWorkspace, data: AssetRef, tmp_path: Path) -> None:
    planned = workspace.jobs.begin_automl(spec(data), dry_run=True)
    assert planned.spec["metric"] == "AUC_weighted"
    assert workspace.jobs.list() == []
    assert not (tmp_path / ".opsml" / "jobs").exists()
    with pytest.raises(InvalidInputError):
        workspace.jobs.begin_automl(spec(data, target_column="nothing"), dry_run=True)
    file = write_table(tmp_path / "other.csv")
    workspace.jobs.begin_automl(spec(data, data=TableSource(path=str(file))), dry_run=True)
    assert [asset.name for asset in workspace.data.list()] == ["people"]


def test_a_path_is_kept_with_the_job(workspace: LocalWorkspace, tmp_path: Path) -> None:
    file = write_table(tmp_path / "my table.csv")
    begun = workspace.jobs.begin_automl(spec(AssetRef("x"), data=TableSource(path=str(file))))
    file.write_text("changed,at,once\n")
    done = wait(workspace, begun.name)
    assert done.status is JobState.COMPLETED, done.error
    assert done.spec["data"] == {"asset": "file-my-table:1"}
    assert done.automl is not None
    assert done.automl.model is not None
    assert done.automl.model.name == "my-table-label"


WRONG: list[tuple[dict[str, object], type[OpsmlError], str]] = [
    ({"target_column": "lable"}, InvalidInputError, "lable"),
    ({"drop_columns": ("citty",)}, InvalidInputError, "citty"),
    ({"drop_columns": ("label",)}, UsageError, "label"),
    ({"drop_columns": ("age", "income", "city", "amount")}, InvalidInputError, "no column left"),
    ({"target_column": "city", "task": Task.REGRESSION}, InvalidInputError, "regression"),
    ({"weight_column": "city", "drop_columns": ()}, InvalidInputError, "weight"),
    ({"metric": "AUC_wieghted"}, UsageError, "AUC_wieghted"),
    ({"allowed_algorithms": ("LightGMB",)}, UsageError, "LightGMB"),
    ({"compute": "gpu-cluster"}, UnsupportedError, "gpu-cluster"),
    ({"cross_validations": 1}, UsageError, "--cv"),
    ({"cross_validations": 3, "validation_size": 0.2}, UsageError, "exclude"),
    ({"cross_validations": None, "validation_size": 1.2}, UsageError, "--validation-size"),
    ({"cross_validations": None, "validation_size": 0.6, "test_size": 0.5}, UsageError, "no rows"),
    ({"limits": Limits(timeout_seconds=0)}, UsageError, "--timeout"),
    ({"limits": Limits(max_trials=0)}, UsageError, "--max-trials"),
    ({"seed": -1}, UsageError, "--seed"),
    ({"threshold_for": "f2"}, UsageError, "f2"),
    ({"target_column": "amount", "threshold_for": "f1", "drop_columns": ()}, UsageError, "threshold"),
    ({"experiment": "../up"}, UsageError, "experiment"),
    ({"model_name": "a/b"}, UsageError, "model name"),
    ({"name": ".."}, UsageError, "job name"),
    ({"data": TableSource(asset=AssetRef("peple"))}, NotFoundError, "peple"),
    ({"data": TableSource(path="https://example.org/x.csv")}, UsageError, "example.org"),
    ({"data": TableSource(path="absent.csv")}, NotFoundError, "absent.csv"),
    ({"test_data": TableSource(asset=AssetRef("people", "9"))}, NotFoundError, "9"),
]


@pytest.mark.parametrize(("changes", "kind", "named"), WRONG, ids=[str(index) for index in range(len(WRONG))])
def test_what_is_wrong_is_said_before_anything_is_recorded(
    workspace: LocalWorkspace, data: AssetRef, changes: dict[str, object], kind: type[OpsmlError], named: str
) -> None:
    with pytest.raises(kind) as caught:
        workspace.jobs.begin_automl(replace(spec(data), **changes))
    assert type(caught.value) is kind
    assert named in f"{caught.value.message} {caught.value.cause}"
    assert workspace.jobs.list() == []


def test_a_test_table_must_have_the_columns(workspace: LocalWorkspace, data: AssetRef, tmp_path: Path) -> None:
    (tmp_path / "narrow.csv").write_text("age,label\n1,yes\n2,no\n")
    with pytest.raises(InvalidInputError, match="lacks 2 columns"):
        workspace.jobs.begin_automl(spec(data, test_data=TableSource(path=str(tmp_path / "narrow.csv"))))


def test_a_training_that_fails_says_why(workspace: LocalWorkspace, data: AssetRef, tmp_path: Path) -> None:
    begun = workspace.jobs.begin_automl(spec(data))
    # The process takes its time to start; when it reads, the rows are gone.
    shutil.rmtree(tmp_path / ".opsml" / "blobs")
    done = wait(workspace, begun.name)
    assert done.status is JobState.FAILED
    assert done.error
    assert done.error in log_of(workspace, done)
    with workspace.store.read() as connection:
        record = job_records.load(connection, begun.name)
    # Its own failure would come again: the same command would begin anew instead of going on.
    assert record is not None
    assert not record.died


def test_lists_filter(workspace: LocalWorkspace, data: AssetRef) -> None:
    one = workspace.jobs.begin_automl(spec(data, experiment="One"))
    two = workspace.jobs.begin_automl(spec(data, experiment="Two"))
    for job in (one, two):
        workspace.jobs.cancel(job.name)
        wait(workspace, job.name)
    assert [job.name for job in workspace.jobs.list()] == [two.name, one.name]
    assert [job.name for job in workspace.jobs.list(limit=1)] == [two.name]
    assert [job.name for job in workspace.jobs.list(experiment="one")] == [one.name]
    assert workspace.jobs.list(status=JobState.FAILED) == []
    assert workspace.jobs.list(kind=JobKind.PIPELINE) == []
    assert workspace.jobs.list(parent=one.name) == []


def test_an_unknown_job_is_not_found(trained: tuple[LocalWorkspace, Job]) -> None:
    workspace, done = trained
    for ask in (workspace.jobs.get, workspace.jobs.cancel, workspace.jobs.logs):
        with pytest.raises(NotFoundError) as caught:
            ask("training-on")
        assert done.name in str(caught.value.cause)


def test_download_copies_outputs_and_log(trained: tuple[LocalWorkspace, Job], tmp_path: Path) -> None:
    workspace, done = trained
    target = tmp_path / "copies"
    written = workspace.jobs.download(done.name, str(target))
    assert all(Path(path).is_file() for path in written)
    assert (target / done.name / "outputs" / "model" / "MLmodel").is_file()
    assert (target / done.name / "logs" / "job.log").read_text() == log_of(workspace, done)
    with pytest.raises(ConflictError):
        workspace.jobs.download(done.name, str(target))
    only = workspace.jobs.download(done.name, str(tmp_path / "only"), "model")
    assert all("/outputs/model/" in path for path in only)
    for wrong in ("modell", "../lock", ".."):
        with pytest.raises(NotFoundError):
            workspace.jobs.download(done.name, str(tmp_path / "wrong"), wrong)
    assert not (tmp_path / "wrong").exists()


def test_a_log_is_read_in_pieces(trained: tuple[LocalWorkspace, Job]) -> None:
    workspace, done = trained
    whole, end = workspace.jobs.logs(done.name)
    assert whole == log_of(workspace, done)
    assert end == len(whole.encode())
    assert workspace.jobs.logs(done.name, end) == ("", end)
    assert workspace.jobs.logs(done.name, end - 5)[0] == whole[-5:]


@given(st.text(max_size=40), st.integers(min_value=1, max_value=7))
def test_pieces_of_text_never_cut_a_character(text: str, size: int) -> None:
    content, position, found = text.encode("utf-8", "replace"), 0, ""
    while position < len(content):
        piece = whole_characters(content[position : position + max(size, 4)])
        assert piece
        found += piece.decode("utf-8")
        position += len(piece)
    assert found == content.decode("utf-8")


def test_a_job_whose_launcher_died_before_the_spawn_is_failed(
    workspace: LocalWorkspace, trained: tuple[LocalWorkspace, Job]
) -> None:
    begun = trained[1]
    gone = job_records.ProcessMark(os.getpid(), 1.0)  # this id, but a process of 1970
    orphan = job_records.Record(replace(begun, name="orphan", status=JobState.NOT_STARTED), launcher=gone)
    living = replace(orphan, job=replace(orphan.job, name="starting"), launcher=None, process=None)
    with workspace.store.write() as connection:
        assert job_records.insert(connection, orphan)
        assert job_records.insert(connection, living)
    assert workspace.jobs.get("orphan").status is JobState.FAILED
    assert "killed before its process began" in str(workspace.jobs.get("orphan").error)
    assert workspace.jobs.get("starting").status is JobState.NOT_STARTED
