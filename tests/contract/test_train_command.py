"""`opsml train automl`, `jobs …` and `models …` as processes: fields, exit codes, waiting, interrupts, CI."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Opsml
from jobs_live import ending_jobs, until, wait, write_table

from opsml_cli.domain.job import JobState
from opsml_cli.local.workspace import LocalWorkspace

JOB_FIELDS = {
    "job", "experiment", "status", "workspace", "best", "test_metrics", "baseline_metrics", "threshold", "leaderboard",
    "guardrails", "model", "duration_seconds",
}  # fmt: skip
MODEL_FIELDS = {"name", "version", "path", "algorithm", "metrics", "threshold", "signature", "sha256", "job"}
SMALL = ("--target-column", "label", "--drop-column", "amount", "--cv", "2")
QUICK = (*SMALL, "--max-trials", "1")
LONG = (*SMALL, "--max-trials", "100000", "--timeout", "5m")


@pytest.fixture(autouse=True)
def _no_job_is_left(tmp_path: Path) -> Iterator[None]:
    write_table(tmp_path / "people.csv")
    with ending_jobs(tmp_path / ".opsml"):
        yield


def error_of(stderr: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(stderr.strip().splitlines()[-1])["error"]
    return found


def test_the_whole_story(opsml: Opsml, tmp_path: Path) -> None:
    outputs, summary = tmp_path / "outputs", tmp_path / "summary"
    outputs.touch()
    summary.touch()
    github = {"GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(summary)}
    gates = ("--gate", "AUC_weighted>=0.5", "--gate", "better than deployed", "--test-size", "0.2", "--threshold-for", "f1")
    ran = opsml("train", "automl", "--data", "people.csv", *QUICK, *gates, "-o", "json", env=github)
    assert ran.exit_code == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert document.keys() >= JOB_FIELDS
    assert document["status"] == "Completed"
    assert document["best"].keys() == {"trial", "algorithm", "metrics"}
    assert document["leaderboard"][0].keys() >= {"rank", "trial", "algorithm", "metrics", "duration_seconds"}
    assert document["guardrails"][0].keys() == {"check", "status", "detail"}
    assert document["model"].keys() == {"name", "version", "path"}
    assert (document["model"]["name"], document["model"]["version"]) == ("people-label", "1")
    assert 0 < document["threshold"] < 1
    assert document["test_metrics"]["AUC_weighted"] > 0.5
    name = document["job"]
    assert f"job {name}: Completed" in ran.stderr  # quick trials may share one line
    said = outputs.read_text()
    for key in ("job", "model", "model_version", "best_metric"):
        assert f"{key}<<" in said
    assert "| rank | trial | algorithm | AUC_weighted |" in summary.read_text()

    shown = json.loads(opsml("jobs", "show", name, "-o", "json").stdout)
    assert shown == document
    listed = json.loads(opsml("jobs", "list", "-o", "json").stdout)
    assert [job["job"] for job in listed] == [name]
    board = json.loads(opsml("jobs", "leaderboard", name, "-o", "json").stdout)
    assert [trial["rank"] for trial in board] == list(range(1, len(board) + 1))
    watched = opsml("jobs", "watch", name, "-o", "json")
    assert watched.exit_code == 0
    assert json.loads(watched.stdout)["status"] == "Completed"
    log = opsml("jobs", "logs", name)
    assert "trial" in log.stdout
    lines = json.loads(opsml("jobs", "logs", name, "--tail", "2", "-o", "json").stdout)
    assert [line.keys() >= {"timestamp", "message"} for line in lines] == [True, True]
    assert "completed" in lines[-1]["message"]
    followed = opsml("jobs", "logs", name, "--follow", "-o", "jsonl")
    assert json.loads(followed.stdout.splitlines()[-1]) == lines[-1]

    model = json.loads(opsml("models", "show", "people-label", "-o", "json").stdout)
    assert model.keys() >= MODEL_FIELDS
    assert model["job"] == name
    assert json.loads(opsml("models", "list", "-o", "json").stdout)[0]["name"] == "people-label"
    copied = json.loads(opsml("models", "download", "people-label:1", "--to", "out", "-o", "json").stdout)
    again = opsml("models", "register", "people-label", "out/people-label-1", "-o", "json")
    assert json.loads(again.stdout)["unchanged"] is True
    assert all(Path(path).exists() for path in copied["files"])
    assert opsml("jobs", "download", name, "--to", "out").exit_code == 0
    assert opsml("jobs", "download", name, "--to", "out").exit_code == 5
    canceled = opsml("jobs", "cancel", name, "--yes", "-o", "json")
    assert json.loads(canceled.stdout)["status"] == "Completed"
    for words in (("jobs", "show", name), ("jobs", "list"), ("jobs", "leaderboard", name), ("models", "show", "people-label")):
        text = opsml(*words)
        assert (text.exit_code, "\x1b" in text.stdout) == (0, False)
        assert text.stdout.strip()


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (("train", "automl", *QUICK), 2, "--data"),
        (("train", "automl", "--data", "people.csv"), 2, "--target-column"),
        (("train", "automl", "--data", "people.csv", *QUICK, "--timeout", "soon"), 2, "soon"),
        (("train", "automl", "--data", "people.csv", *QUICK, "--task", "clasification"), 2, "clasification"),
        (("train", "automl", "--data", "people.csv", *QUICK, "--gate", "AUC_wieghted>1"), 2, "AUC_wieghted"),
        (("train", "automl", "--data", "people.csv", *QUICK, "--compute", "cluster"), 2, "cluster"),
        (("train", "automl", "--data", "people", *QUICK), 3, "people"),
        (("train", "automl", "--data", "absent.csv", *QUICK), 3, "absent.csv"),
        (("train", "automl", "--data", "people.csv", "--target-column", "lable"), 7, "lable"),
        (("train", "automl", "-f", "absent.yml"), 3, "absent.yml"),
        (("jobs", "show", "nothing"), 3, "nothing"),
        (("jobs", "watch", "nothing"), 3, "nothing"),
        (("jobs", "logs", "nothing", "--follow"), 3, "nothing"),
        (("jobs", "cancel", "nothing", "--yes"), 3, "nothing"),
        (("jobs", "show", "../x"), 3, "../x"),
        (("jobs", "list", "--status", "Runing"), 2, "Runing"),
        (("models", "show", "nothing"), 3, "nothing"),
        (("models", "show", "a/b"), 2, "a/b"),
    ],
)
def test_what_is_wrong_has_its_code(opsml: Opsml, words: tuple[str, ...], code: int, named: str) -> None:
    ran = opsml(*words, "-o", "json")
    assert (ran.exit_code, ran.stdout) == (code, ""), ran.stderr
    assert named in str(error_of(ran.stderr)["message"])


def test_dry_run_writes_nothing(opsml: Opsml, tmp_path: Path) -> None:
    ran = opsml("train", "automl", "--data", "people.csv", *QUICK, "--dry-run", "-o", "json")
    assert ran.exit_code == 0, ran.stderr
    plan = json.loads(ran.stdout)
    assert plan["dry_run"] is True
    assert plan["metric"] == "AUC_weighted"
    assert not (tmp_path / ".opsml" / "jobs").exists()
    assert json.loads(opsml("data", "list", "-o", "json").stdout) == []


@pytest.mark.slow
def test_a_gate_that_says_no_is_exit_10(opsml: Opsml) -> None:
    ran = opsml("train", "automl", "--data", "people.csv", *QUICK, "--gate", "AUC_weighted>1.5", "-o", "json")
    assert (ran.exit_code, ran.stdout) == (10, "")
    error = error_of(ran.stderr)
    assert error["code"] == "gate"
    assert "AUC_weighted" in str(error["cause"])
    assert json.loads(opsml("models", "list", "-o", "json").stdout)[0]["version"] == "1"


def test_no_wait_timeout_cancel_and_their_codes(opsml: Opsml, tmp_path: Path) -> None:
    begun = opsml("train", "automl", "--data", "people.csv", *LONG, "--no-wait", "-o", "json")
    assert begun.exit_code == 0, begun.stderr
    name = json.loads(begun.stdout)["job"]
    assert f"opsml jobs show {name}" in begun.stderr
    late = opsml("train", "automl", "--data", "people.csv", *LONG, "--wait-timeout", "0.2", "-o", "json")
    assert (late.exit_code, late.stdout) == (8, "")
    assert error_of(late.stderr)["retryable"] is True
    assert f"opsml jobs watch {name}" in str(error_of(late.stderr)["fix"])
    assert f"job {name} does exactly this already" in late.stderr
    assert opsml("jobs", "cancel", name, "-o", "json").exit_code == 2
    assert opsml("jobs", "cancel", name, "--dry-run").exit_code == 0
    assert opsml("jobs", "cancel", name, "--yes").exit_code == 0
    ended = opsml("jobs", "watch", name, "-o", "json")
    assert ended.exit_code == 9
    assert json.loads(ended.stdout.splitlines()[-1])["status"] == "Canceled"
    assert "canceled" in str(error_of(ended.stderr)["message"])


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.slow
def test_an_interrupted_wait_leaves_the_job_running(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    waiting = subprocess.Popen(
        [sys.executable, "-m", "opsml_cli", "train", "automl", "--data", "people.csv", *LONG],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    workspace = LocalWorkspace(tmp_path / ".opsml")
    try:
        until(lambda: any(job.status is JobState.RUNNING for job in workspace.jobs.list()), "a running job")
        waiting.send_signal(sent)
        out, err = waiting.communicate(timeout=30)
        assert waiting.returncode == code, err
        assert out == ""
        job = workspace.jobs.list()[0]
        if sent is signal.SIGINT:
            assert f"job {job.name} goes on" in err
        assert job.status is JobState.RUNNING
        workspace.jobs.cancel(job.name)
        assert wait(workspace, job.name).status is JobState.CANCELED
    finally:
        waiting.kill()
        waiting.wait()
        workspace.store.close()


@pytest.mark.slow
def test_a_killed_job_ends_the_wait_with_9_and_goes_on(opsml: Opsml, tmp_path: Path) -> None:
    waiting = subprocess.Popen(
        [sys.executable, "-m", "opsml_cli", "train", "automl", "--data", "people.csv", *LONG, "-o", "json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    workspace = LocalWorkspace(tmp_path / ".opsml")
    try:
        until(lambda: any(job.automl and job.automl.leaderboard for job in [workspace.jobs.get(job.name) for job in workspace.jobs.list()]), "a trial")  # fmt: skip # noqa: E501
        with workspace.store.read() as connection:
            document = json.loads(connection.execute("SELECT document FROM jobs").fetchone()["document"])
        from opsml_cli.local import processes

        processes.end_group(document["process"]["pid"], document["process"]["started"], force=True)
        out, err = waiting.communicate(timeout=30)
        assert (waiting.returncode, out) == (9, ""), err
        name = workspace.jobs.list()[0].name
        assert f"opsml jobs logs {name}" in str(error_of(err)["fix"])
    finally:
        waiting.kill()
        waiting.wait()
        workspace.store.close()
    again = opsml("train", "automl", "--data", "people.csv", *LONG, "--no-wait", "-o", "json")
    assert json.loads(again.stdout)["job"] == name
    assert "goes on" in again.stderr
    assert json.loads(again.stdout)["attempts"] == 2


@pytest.mark.slow
def test_a_job_file_with_flags_over_it(opsml: Opsml, tmp_path: Path) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "job.yml").write_text(
        "type: automl\ntask: classification\ntarget_column_name: label\nexperiment_name: fromfile\nprimary_metric: accuracy\n"
        "training_data: {path: ../people.csv, type: mltable}\nlimits: {max_trials: 9, timeout_minutes: 1}\n"
        "n_cross_validations: 2\nfeaturization: {dataset_language: eng, drop_columns: [amount]}\n"
    )
    ran = opsml("train", "automl", "-f", "conf/job.yml", "--max-trials", "1", "--validation-size", "0.3", "-o", "json")
    assert ran.exit_code == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert document["experiment"] == "fromfile"
    assert "accuracy" in document["best"]["metrics"]
    assert document["metric"] == "accuracy"
    assert (document["spec"]["limits"]["max_trials"], document["spec"]["limits"]["timeout_seconds"]) == (1, 60.0)
    assert (document["spec"]["cross_validations"], document["spec"]["validation_size"]) == (None, 0.3)
    assert "featurization.dataset_language" in ran.stderr
    (folder / "job.yml").write_text("type: automl\ntarget_colum_name: label\ntraining_data: ../people.csv\n")
    wrong = opsml("train", "automl", "-f", "conf/job.yml", "-o", "json")
    assert wrong.exit_code == 7


@pytest.mark.slow
def test_showing_a_job_loads_nothing_heavy(opsml: Opsml, tmp_path: Path) -> None:
    begun = opsml("train", "automl", "--data", "people.csv", *LONG, "--no-wait", "-o", "json")
    name = json.loads(begun.stdout)["job"]
    program = (
        "import sys\nfrom opsml_cli.cli.app import run\ncode = run(sys.argv[1:])\n"
        "heavy = {'azure', 'mlflow', 'pandas', 'numpy', 'sklearn', 'lightgbm', 'httpx', 'rich', 'pyarrow'} & "
        "{name.partition('.')[0] for name in sys.modules}\n"
        "print(heavy or '', file=sys.stderr)\nsys.exit(code)"
    )
    workspace = LocalWorkspace(tmp_path / ".opsml")
    until(lambda: (found := workspace.jobs.get(name).automl) is not None and found.leaderboard, "a trial")
    workspace.store.close()
    for words in (("jobs", "show", name), ("jobs", "list"), ("jobs", "logs", name), ("models", "list")):
        ran = subprocess.run(
            [sys.executable, "-c", program, *words, "-o", "json"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (ran.returncode, ran.stderr.strip()) == (0, "")
