"""The port's promises about jobs that hold on every workspace, with real trainings behind both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from azure_live import KINDS, workspace_of
from jobs_live import ending_jobs, spec, until, write_table

from opsml_cli.azureml.workspace import AzureWorkspace
from opsml_cli.domain.data import RegisterData
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
from opsml_cli.domain.progress import Silent
from opsml_cli.local.workspace import LocalWorkspace
from opsml_cli.services.jobs import follow_log, log_lines

Workspace = LocalWorkspace | AzureWorkspace
PEOPLE = AssetRef("people", "1")


@pytest.fixture(scope="module", params=KINDS)
def workspace(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace with the table `people`; its jobs end with the module."""
    folder = tmp_path_factory.mktemp(request.param)
    with workspace_of(request.param, folder / "place") as (found, local), ending_jobs(local.root):
        found.data.register(RegisterData("people", str(write_table(folder / "people.csv"))), Silent())
        yield found


@pytest.fixture(scope="module")
def done(workspace: Workspace) -> Job:
    """A completed training of a trial or two."""
    begun = workspace.jobs.begin_automl(spec(PEOPLE, experiment="First", tags={"team": "a"}))
    assert begun.status is JobState.NOT_STARTED
    return finished(workspace, begun.name)


def finished(workspace: Workspace, name: str) -> Job:
    until(lambda: workspace.jobs.get(name).status.finished, f"the end of {name}")
    return workspace.jobs.get(name)


def test_a_training_ends_with_a_registered_model(workspace: Workspace, done: Job) -> None:
    assert done.status is JobState.COMPLETED, done.error
    assert (done.kind, done.experiment, done.tags) == (JobKind.AUTOML, "First", {"team": "a"})
    assert done.started_at is not None and done.ended_at is not None
    assert done.duration_seconds is not None and 0 < done.duration_seconds < 60
    outcome = done.automl
    assert outcome is not None and outcome.best is not None and outcome.model is not None
    assert (outcome.task, outcome.metric) == (Task.CLASSIFICATION, "AUC_weighted")
    assert 0.5 < outcome.best.metrics["AUC_weighted"] <= 1 and "accuracy" in outcome.best.metrics
    assert [trial.rank for trial in outcome.leaderboard] == list(range(1, len(outcome.leaderboard) + 1))
    assert outcome.best.trial in {trial.trial for trial in outcome.leaderboard}
    model = workspace.models.get(AssetRef("people-label"))
    assert (model.name, model.version) == (outcome.model.name, outcome.model.version) == ("people-label", "1")
    assert (model.own, model.job, model.data) == (True, done.name, PEOPLE)
    assert model.signature is not None
    assert {column.name for column in model.signature.inputs} == {"age", "income", "city"}
    # Looking again registers nothing again.
    assert workspace.jobs.get(done.name) == done
    assert len(workspace.models.list("people-label")) == 1


def test_what_a_workspace_has_no_source_for_is_null_with_a_reason(workspace: Workspace, done: Job) -> None:
    outcome = done.automl
    assert outcome is not None
    for field in ("baseline_metrics", "threshold", "test_metrics", "intervals"):
        if workspace.kind == "azure":
            assert getattr(outcome, field) is None and outcome.unknown[field]
        else:
            assert field not in outcome.unknown
    assert done.spec["target_column"] == "label" and done.spec["data"] == {"asset": "people:1"}


def test_the_same_work_is_joined_while_it_runs_and_done_anew_after_it(workspace: Workspace, done: Job) -> None:
    long: Any = {"limits": Limits(timeout_seconds=300, max_trials=1000), "experiment": "Again"}
    first = workspace.jobs.begin_automl(spec(PEOPLE, **long))
    again = workspace.jobs.begin_automl(spec(PEOPLE, description="words only", tags={"other": "label"}, **long))
    assert again.name == first.name
    asked = workspace.jobs.cancel(first.name)
    assert asked.status in (JobState.CANCEL_REQUESTED, JobState.CANCELED)
    canceled = finished(workspace, first.name)
    assert canceled.status is JobState.CANCELED
    assert canceled.automl is not None and canceled.automl.model is None
    assert workspace.jobs.cancel(first.name) == canceled
    anew = workspace.jobs.begin_automl(spec(PEOPLE, **long))
    assert anew.name != first.name
    workspace.jobs.cancel(anew.name)
    assert finished(workspace, anew.name).status is JobState.CANCELED
    assert {job.name for job in workspace.jobs.list(experiment="again")} == {first.name, anew.name}


def test_a_name_cannot_be_taken_twice(workspace: Workspace, done: Job) -> None:
    with pytest.raises(ConflictError, match=done.name):
        workspace.jobs.begin_automl(spec(PEOPLE, name=done.name, max_trials=3))


def test_dry_run_checks_all_and_writes_nothing(workspace: Workspace, done: Job, tmp_path: Path) -> None:
    before = [job.name for job in workspace.jobs.list()]
    planned = workspace.jobs.begin_automl(spec(PEOPLE, max_trials=7), dry_run=True)
    assert planned.spec["metric"] == "AUC_weighted"
    with pytest.raises(InvalidInputError):
        workspace.jobs.begin_automl(spec(PEOPLE, target_column="nothing"), dry_run=True)
    file = write_table(tmp_path / "other.csv")
    workspace.jobs.begin_automl(spec(PEOPLE, data=TableSource(path=str(file))), dry_run=True)
    assert [job.name for job in workspace.jobs.list()] == before
    assert "file-other" not in {asset.name for asset in workspace.data.list()}


WRONG: list[tuple[dict[str, object], type[OpsmlError], str]] = [
    ({"target_column": "lable"}, InvalidInputError, "lable"),
    ({"drop_columns": ("citty",)}, InvalidInputError, "citty"),
    ({"drop_columns": ("label",)}, UsageError, "label"),
    ({"target_column": "city", "task": Task.REGRESSION}, InvalidInputError, "regression"),
    ({"weight_column": "city", "drop_columns": ()}, InvalidInputError, "weight"),
    ({"metric": "AUC_wieghted"}, UsageError, "AUC_wieghted"),
    ({"allowed_algorithms": ("LightGMB",)}, UsageError, "LightGMB"),
    ({"cross_validations": 1}, UsageError, "--cv"),
    ({"cross_validations": 3, "validation_size": 0.2}, UsageError, "exclude"),
    ({"limits": Limits(timeout_seconds=0)}, UsageError, "--timeout"),
    ({"threshold_for": "f2"}, UsageError, "f2"),
    ({"experiment": "../up"}, UsageError, "experiment"),
    ({"model_name": "a/b"}, UsageError, "model name"),
    ({"name": ".."}, UsageError, "job name"),
    ({"data": TableSource(asset=AssetRef("peple"))}, NotFoundError, "peple"),
    ({"data": TableSource(path="https://example.org/x.csv")}, UsageError, "example.org"),
    ({"data": TableSource(path="absent.csv")}, NotFoundError, "absent.csv"),
]


@pytest.mark.parametrize(("changes", "kind", "named"), WRONG, ids=[str(index) for index in range(len(WRONG))])
def test_what_is_wrong_is_said_before_anything_is_recorded(
    workspace: Workspace, changes: dict[str, object], kind: type[OpsmlError], named: str
) -> None:
    before = len(workspace.jobs.list())
    with pytest.raises(kind) as caught:
        workspace.jobs.begin_automl(replace(spec(PEOPLE), **changes))
    assert type(caught.value) is kind
    assert named in f"{caught.value.message} {caught.value.cause}"
    assert len(workspace.jobs.list()) == before


def test_a_compute_that_is_not_there_is_said(workspace: Workspace) -> None:
    kind: type[OpsmlError] = NotFoundError if workspace.kind == "azure" else UnsupportedError
    with pytest.raises(kind, match="gpu-cluster"):
        workspace.jobs.begin_automl(spec(PEOPLE, compute="gpu-cluster"))


def test_lists_filter(workspace: Workspace, done: Job) -> None:
    assert done.name in {job.name for job in workspace.jobs.list()}
    assert [job.name for job in workspace.jobs.list(experiment="first")] == [done.name]
    assert len(workspace.jobs.list(limit=1)) == 1
    [listed] = workspace.jobs.list(experiment="first")
    assert (listed.started_at, listed.ended_at) == (done.started_at, done.ended_at)
    assert listed.duration_seconds == done.duration_seconds
    assert listed.automl is not None and done.automl is not None
    assert listed.automl.best is not None and done.automl.best is not None
    assert listed.automl.best.trial == done.automl.best.trial
    metric = listed.automl.metric or ""
    assert listed.automl.best.metrics[metric] == done.automl.best.metrics[metric]
    if isinstance(workspace, AzureWorkspace):
        # Reading these would cost requests for every job.
        assert {"model", "leaderboard"} <= listed.automl.unknown.keys()
    else:
        assert listed.automl.model == done.automl.model
    assert done.name in {job.name for job in workspace.jobs.list(kind=JobKind.AUTOML, status=JobState.COMPLETED)}
    assert workspace.jobs.list(kind=JobKind.PIPELINE) == []
    assert workspace.jobs.list(status=JobState.FAILED) == []


def test_an_unknown_job_is_not_found(workspace: Workspace, done: Job) -> None:
    for ask in (workspace.jobs.get, workspace.jobs.cancel, workspace.jobs.logs):
        with pytest.raises(NotFoundError) as caught:
            ask(done.name + "x")
        assert done.name in str(caught.value.cause)


def test_download_brings_outputs_and_logs(workspace: Workspace, done: Job, tmp_path: Path) -> None:
    output = "best_model" if workspace.kind == "azure" else "model"
    written = workspace.jobs.download(done.name, str(tmp_path))
    assert written and all(Path(path).is_file() for path in written)
    assert (tmp_path / done.name / "outputs" / output / "MLmodel").is_file()
    assert any("/logs/" in path for path in written)
    with pytest.raises(ConflictError):
        workspace.jobs.download(done.name, str(tmp_path))
    only = workspace.jobs.download(done.name, str(tmp_path / "only"), output)
    assert all(f"/outputs/{output}/" in path for path in only)
    for wrong in (f"{output}l", "../lock", ".."):
        with pytest.raises(NotFoundError):
            workspace.jobs.download(done.name, str(tmp_path / "wrong"), wrong)
    assert not (tmp_path / "wrong").exists()


@pytest.mark.slow
def test_following_a_log_gives_every_line_once(workspace: Workspace) -> None:
    """As it grows, and then again from the begin: the same lines."""
    begun = workspace.jobs.begin_automl(spec(PEOPLE, experiment="followed", max_trials=2))
    lines = [line.message for line in follow_log(workspace, begun.name)]
    assert finished(workspace, begun.name).status is JobState.COMPLETED
    said = [line for line in lines if not line.startswith("==> ")]
    assert sum(line.startswith("-- reading the data") for line in said) == 1
    for number in range(2):
        assert sum(line.startswith(f"trial {number} ") for line in said) == 1
    assert len(said) == len(set(said))
    assert [line.message for line in log_lines(workspace, begun.name)] == lines


def test_a_log_is_read_in_pieces(workspace: Workspace, done: Job) -> None:
    whole, end = "", 0
    while True:
        more, end = workspace.jobs.logs(done.name, end)
        if not more:
            break
        whole += more
    assert end == len(whole.encode())
    assert "reading the data" in whole
    assert workspace.jobs.logs(done.name, end) == ("", end)
    assert workspace.jobs.logs(done.name, end - 5)[0] == whole[-5:]


def test_a_report_has_the_validation_metrics(workspace: Workspace, done: Job) -> None:
    assert done.automl is not None and done.automl.best is not None
    report = workspace.jobs.report(done.name)
    assert report.job.name == done.name
    if workspace.kind == "azure":
        assert report.validation_metrics == done.automl.best.metrics
        assert (report.curves, report.confusion, report.importance) == ((), None, ())


def test_trials_are_jobs_of_their_own_on_azure(workspace: Workspace, done: Job) -> None:
    children = workspace.jobs.list(parent=done.name)
    if workspace.kind == "local":
        assert children == []
        return
    assert done.automl is not None
    assert {trial.trial for trial in done.automl.leaderboard} <= {child.name for child in children}
    assert workspace.jobs.get(done.automl.leaderboard[0].trial).parent == done.name
