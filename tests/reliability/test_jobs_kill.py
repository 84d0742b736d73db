"""A training job's processes killed at any instant: nothing that was acknowledged is lost, nothing half-made is seen, and
the same command goes on with nothing duplicated."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jobs_live import ending_jobs, register, spec, until, wait

from opsml_cli.domain.job import JobState
from opsml_cli.domain.names import AssetRef
from opsml_cli.local import job_records, processes
from opsml_cli.local.job_process import lock_path
from opsml_cli.local.workspace import LocalWorkspace


@pytest.fixture(autouse=True)
def _no_job_is_left(tmp_path: Path) -> Iterator[None]:
    with ending_jobs(tmp_path / ".opsml"):
        yield


def kill(workspace: LocalWorkspace, name: str) -> None:
    """kill -9 the job's process, and wait until it is gone."""

    def process() -> job_records.ProcessMark | None:
        with workspace.store.read() as connection:
            record = job_records.load(connection, name)
        assert record is not None
        return record.process

    until(process, "a process")
    mark = process()
    assert mark is not None
    processes.end_group(mark.pid, mark.started, force=True)
    until(lambda: not processes.held(lock_path(workspace.layout, name)), "the lock's end")


def kill_and_go_on(workspace: LocalWorkspace, data: AssetRef, delays: list[float]) -> None:
    """Begin the same training again and again, killed after each of `delays` seconds; at last let it end."""
    names: list[str] = []
    hit = 0
    for number, delay in enumerate(delays):
        job = workspace.jobs.begin_automl(spec(data, max_trials=3))
        if not names or names[-1] != job.name:
            names.append(job.name)
        known = len(job.automl.leaderboard) if job.automl is not None else 0
        time.sleep(delay)  # the instant of the kill
        acknowledged = workspace.jobs.get(job.name)
        kill(workspace, job.name)
        found = wait(workspace, job.name, 60)  # the signal takes its time to arrive at a process that has no lock yet
        assert found.status in (JobState.FAILED, JobState.COMPLETED), f"kill {number} after {delay:.2f} s"
        trials = [trial.trial for trial in found.automl.leaderboard] if found.automl is not None else []
        assert len(trials) == len(set(trials))
        if acknowledged.automl is not None:
            assert {trial.trial for trial in acknowledged.automl.leaderboard} <= set(trials)
        assert len(trials) >= known
        if found.status is JobState.FAILED:
            hit += 1
            assert "died" in str(found.error)
            assert found.ended_at is not None
            assert workspace.jobs.list()[0].status is JobState.FAILED
    assert hit >= len(delays) // 3, "trainings ended before they were killed"
    last = workspace.jobs.begin_automl(spec(data, max_trials=3))
    done = wait(workspace, last.name)
    assert done.status is JobState.COMPLETED, done.error
    jobs = workspace.jobs.list()
    assert {job.name for job in jobs} == {*names, last.name}
    # A job that ended before its kill is complete; every other one went on under its name.
    assert all(job.status is JobState.COMPLETED for job in jobs)
    models = workspace.models.list("people-label")
    assert sorted(model.job or "" for model in models) == sorted(job.name for job in jobs)
    for model in models:
        workspace.models.verified(AssetRef(model.name, model.version))
    folders = {path.name for path in (workspace.root / "models" / "people-label").iterdir()}
    assert folders >= {model.version for model in models}


@pytest.mark.slow
def test_a_training_killed_at_five_instants_goes_on(workspace: LocalWorkspace, tmp_path: Path) -> None:
    data = register(workspace, tmp_path)
    draw = random.Random(20261124)
    kill_and_go_on(workspace, data, [draw.uniform(0, 3) for _ in range(5)])


@pytest.mark.slow
def test_a_training_killed_at_twenty_five_instants_goes_on(workspace: LocalWorkspace, tmp_path: Path) -> None:
    data = register(workspace, tmp_path)
    draw = random.Random(7)
    kill_and_go_on(workspace, data, [draw.uniform(0, 4) for _ in range(25)])


def test_the_reason_names_the_last_thing_it_said(workspace: LocalWorkspace, tmp_path: Path) -> None:
    data = register(workspace, tmp_path)
    job = workspace.jobs.begin_automl(spec(data, max_trials=100_000, timeout=300))
    until(lambda: "trial" in workspace.jobs.logs(job.name)[0], "a line about a trial")
    kill(workspace, job.name)
    found = wait(workspace, job.name)
    assert found.status is JobState.FAILED
    assert "killed, or out of memory; last log line: " in str(found.error)


def test_a_canceled_job_that_is_killed_is_canceled(workspace: LocalWorkspace, tmp_path: Path) -> None:
    data = register(workspace, tmp_path)
    job = workspace.jobs.begin_automl(spec(data, max_trials=100_000, timeout=300))
    until(lambda: workspace.jobs.get(job.name).status is JobState.RUNNING, "running")
    workspace.jobs.cancel(job.name)
    kill(workspace, job.name)
    assert wait(workspace, job.name).status is JobState.CANCELED


def test_sigterm_ends_a_job_and_the_same_command_goes_on(workspace: LocalWorkspace, tmp_path: Path) -> None:
    data = register(workspace, tmp_path)
    long = spec(data, max_trials=100_000, timeout=300)
    job = workspace.jobs.begin_automl(long)
    until(lambda: (found := workspace.jobs.get(job.name).automl) is not None and found.leaderboard, "a trial")
    with workspace.store.read() as connection:
        record = job_records.load(connection, job.name)
    assert record is not None
    assert record.process is not None
    os.kill(record.process.pid, signal.SIGTERM)
    found = wait(workspace, job.name)
    assert found.status is JobState.FAILED
    assert "SIGTERM" in str(found.error)
    again = workspace.jobs.begin_automl(long)
    assert (again.name, again.attempts) == (job.name, 2)
    workspace.jobs.cancel(job.name)
    assert wait(workspace, job.name).status is JobState.CANCELED


@pytest.mark.slow
def test_a_launcher_killed_at_any_instant_leaves_one_job_or_none(workspace: LocalWorkspace, tmp_path: Path) -> None:
    register(workspace, tmp_path)
    command = [
        "train",
        "automl",
        "--data",
        "people",
        "--target-column",
        "label",
        "--drop-column",
        "amount",
        "--max-trials",
        "1",
    ]
    draw = random.Random(3)
    for _ in range(4):
        launcher = subprocess.Popen(
            [sys.executable, "-m", "opsml_cli", *command, "--cv", "2", "--no-wait", "-q"],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(draw.uniform(0.1, 1.2))  # the instant of the kill
        launcher.kill()
        launcher.wait()
        for job in workspace.jobs.list():
            until(lambda job=job: workspace.jobs.get(job.name).status is not JobState.NOT_STARTED, f"a start of {job.name}")
    done = subprocess.run(
        [sys.executable, "-m", "opsml_cli", *command, "--cv", "2"], cwd=tmp_path, capture_output=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()
    jobs = workspace.jobs.list()
    assert {job.status for job in jobs} == {JobState.COMPLETED}
    assert sorted(model.job or "" for model in workspace.models.list("people-label")) == sorted(job.name for job in jobs)


def test_a_training_that_does_not_end_is_ended(
    workspace: LocalWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = register(workspace, tmp_path)
    (tmp_path / "impatient.py").write_text(
        "import sys\nfrom opsml_cli.local import runner\n"
        "runner.OVERDUE_FACTOR, runner.OVERDUE_SECONDS = 0.0, 0.5\nraise SystemExit(runner.main(sys.argv[1:]))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("opsml_cli.local.jobs.RUNNER", "impatient")
    job = workspace.jobs.begin_automl(spec(data, max_trials=100_000, timeout=300))
    found = wait(workspace, job.name)
    assert found.status is JobState.FAILED
    assert "time limit of 300 s" in str(found.error)
    assert "Thread" in workspace.jobs.logs(job.name)[0]
