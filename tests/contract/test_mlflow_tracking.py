"""A training on the MLflow store that MLFLOW_TRACKING_URI names: real runs, read back by MLflow's own client."""

from __future__ import annotations

from pathlib import Path

import pytest
from jobs_live import ending_jobs, register, spec, until, wait
from mlflow import MlflowClient

from opsml_cli.domain.job import JobState
from opsml_cli.local.workspace import LocalWorkspace


def finished(workspace: LocalWorkspace, name: str, word: str) -> str:
    """The job's log, once it holds `word`: MLflow is written to after the job's end."""
    until(lambda: word in workspace.jobs.logs(name)[0], f"{word!r} in the log of {name}")
    return workspace.jobs.logs(name)[0]


@pytest.mark.slow
def test_a_training_is_logged_with_its_trials_and_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = (tmp_path / "mlruns").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    workspace = LocalWorkspace(tmp_path / ".opsml")
    with ending_jobs(workspace.root):
        name = workspace.jobs.begin_automl(spec(register(workspace, tmp_path), max_trials=2, experiment="churn")).name
        job = wait(workspace, name)
        assert job.status is JobState.COMPLETED
        finished(workspace, name, "logged to MLflow: experiment churn")
    workspace.store.close()
    client = MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("churn")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if run.data.tags.get("opsml.job") == name]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert job.automl is not None
    assert len(children) == len(job.automl.leaderboard) >= 2
    assert parent.info.status == "FINISHED"
    assert job.automl.best is not None
    assert parent.data.metrics["AUC_weighted"] == pytest.approx(job.automl.best.metrics["AUC_weighted"])
    assert parent.data.params["target_column"] == "label"
    assert "model/MLmodel" in [file.path for file in client.list_artifacts(parent.info.run_id, "model")]


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Port 9 of this machine: nobody listens, and the answer is a refusal at once.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    workspace = LocalWorkspace(tmp_path / ".opsml")
    with ending_jobs(workspace.root):
        name = workspace.jobs.begin_automl(spec(register(workspace, tmp_path))).name
        assert wait(workspace, name).status is JobState.COMPLETED
        assert "Traceback" not in finished(workspace, name, "not logged to MLFLOW_TRACKING_URI")
    workspace.store.close()
