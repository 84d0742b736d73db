"""Run history is read from jobs, trials and steps: a tree of runs with Azure's ids, and the files of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from jobs_live import ending_jobs, register, spec, wait
from pipeline_support import cleaned, ended, small_pipeline

from opsml_cli.domain.errors import NotFoundError
from opsml_cli.domain.job import JobState
from opsml_cli.local.run_history import RunKind
from opsml_cli.local.workspace import LocalWorkspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorkspace]:
    root = tmp_path_factory.mktemp("history") / ".opsml"
    with ending_jobs(root), cleaned(LocalWorkspace(root)) as opened:
        yield opened


@pytest.fixture(scope="module")
def training(workspace: LocalWorkspace, tmp_path_factory: pytest.TempPathFactory) -> str:
    asset = register(workspace, tmp_path_factory.mktemp("data"))
    job = workspace.jobs.begin_automl(spec(asset, max_trials=2, name="history-training"))
    assert wait(workspace, job.name).status is JobState.COMPLETED
    return job.name


def test_a_training_has_its_parts_as_children(workspace: LocalWorkspace, training: str) -> None:
    parent = workspace.history.get(training)
    children = workspace.history.children(parent)
    ids = [child.id for child in reversed(children)]
    trials = workspace.history.trials(parent)
    assert ids[:2] == [f"{training}_setup", f"{training}_featurize"]
    assert ids[2:-1] == [f"{training}_{number}" for number in range(len(trials))]
    assert ids[-1] == f"{training}_ModelExplain"
    assert [child.parent for child in children] == [training] * len(children)
    assert sum(child.best for child in children) == 1
    assert all(child.started_at is not None and child.ended_at is not None for child in children)
    assert all(child.started_at <= child.ended_at for child in children if child.started_at and child.ended_at)


def test_a_part_is_found_by_its_id_alone(workspace: LocalWorkspace, training: str) -> None:
    child = workspace.history.get(f"{training}_0")
    assert (child.kind, child.number, child.root) == (RunKind.TRIAL, 0, training)
    for unknown in (f"{training}_99", f"{training}_tidy", "00000000-0000-0000-0000-000000000000", "nothing"):
        with pytest.raises(NotFoundError):
            workspace.history.get(unknown)


def test_the_best_model_belongs_to_the_best_child(workspace: LocalWorkspace, training: str) -> None:
    parent = workspace.history.get(training)
    best = workspace.history.best_child(parent)
    assert best is not None
    outer = workspace.run_files.outputs(parent)["best_model"]
    inner = workspace.run_files.outputs(best)[best.model_output]
    assert (outer.owner, outer.owner_output, outer.path) == (best.id, best.model_output, inner.path)
    prefix = f"ExperimentRun/dcid.{best.id}/outputs/mlflow-model/"
    assert workspace.run_files.artifacts_below(prefix)[f"{prefix}MLmodel"].is_file()
    assert not any("model/" in name for name in workspace.run_files.artifacts(parent))
    assert list(workspace.run_files.logs(best)) == ["logs/azureml/azureml_automl.log"]


def test_the_steps_of_a_pipeline_are_runs_with_outputs(workspace: LocalWorkspace, tmp_path: Path) -> None:
    run = workspace.pipelines.begin_run(str(small_pipeline(tmp_path)), {}, None).run
    assert ended(workspace, run).status is JobState.COMPLETED
    parent = workspace.history.get(run)
    second, first = workspace.history.children(parent)
    assert [child.display_name for child in (first, second)] == ["first", "second"]
    assert workspace.history.get(first.id) == first
    assert first.id != second.id and first.parent == run
    written = workspace.run_files.outputs_below(f"azureml/{first.id}/out/")
    assert written[f"azureml/{first.id}/out/word.txt"].read_text() == "hello" * 3
    log = workspace.run_files.artifacts_below(f"ExperimentRun/dcid.{first.id}/")
    assert "wrote 3" in log[f"ExperimentRun/dcid.{first.id}/user_logs/std_log.txt"].read_text()
    assert f"azureml/{run}/last/copied.txt" in workspace.run_files.outputs_below(f"azureml/{run}/last")
