"""`opsml pipeline …` and `opsml local …` as processes: fields, streams, exit codes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pipeline_support import SMALL, cleaned, ended, small_pipeline, written
from waiting import until

from opsml_cli.local.workspace import LocalWorkspace

Opsml = Callable[..., Any]

PUBLISHED = {"name", "version", "url", "unchanged"}
RUN = {"run", "pipeline", "version", "status", "steps", "outputs"}
STEP = {"name", "status", "duration_seconds", "reused"}


@pytest.fixture
def local(workspace: LocalWorkspace) -> Iterator[LocalWorkspace]:
    with cleaned(workspace):
        yield workspace


def parsed(ran: Any) -> Any:
    assert ran.exit_code == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.slow
def test_the_whole_story_in_json(opsml: Opsml, local: LocalWorkspace, tmp_path: Path) -> None:
    path = small_pipeline(tmp_path / "p")
    assert parsed(opsml("pipeline", "validate", path, "-o", "json"))["steps"] == ["first", "second"]
    published = parsed(opsml("pipeline", "publish", path, "--name", "small", "-o", "json"))
    assert set(published) >= PUBLISHED
    assert (published["version"], published["unchanged"]) == ("1", False)
    assert parsed(opsml("pipeline", "publish", path, "--name", "small", "-o", "json"))["unchanged"] is True
    run = parsed(opsml("pipeline", "trigger", "small", "--set", "word=x", "-o", "json"))
    assert set(run) >= RUN
    assert all(set(step) >= STEP for step in run["steps"])
    assert run["status"] == "Completed"
    shown = parsed(opsml("jobs", "show", run["run"], "-o", "json"))
    assert {name: shown[name] for name in RUN} == {name: run[name] for name in RUN}
    assert set(parsed(opsml("pipeline", "list", "-o", "json"))[0]) >= {"name", "version", "url"}
    assert set(parsed(opsml("pipeline", "show", "small", "-o", "json"))) >= {*PUBLISHED, "versions", "inputs", "steps"}
    status = parsed(opsml("local", "status", "-o", "json"))
    assert set(status) >= {"running", "pid", "url", "processes"}
    assert status["running"] is True
    assert published["url"].startswith(status["url"])
    assert [process["kind"] for process in status["processes"]] == ["service"]
    ran_file = parsed(opsml("pipeline", "run", path, "--set", "word=x", "-o", "json"))
    assert [step["reused"] for step in ran_file["steps"]] == [True, True]
    assert parsed(opsml("pipeline", "delete", "small", "--yes", "-o", "json"))["deleted"] is True
    assert opsml("pipeline", "show", "small").exit_code == 3
    ended_ = parsed(opsml("local", "down", "--yes", "-o", "json"))
    assert [process["kind"] for process in ended_["ended"]] == ["service"]
    assert parsed(opsml("local", "status", "-o", "json"))["running"] is False


@pytest.mark.skipif(shutil.which("curl") is None or os.name == "nt", reason="curl")
def test_the_curl_command_works_and_holds_no_secret(
    opsml: Opsml, local: LocalWorkspace, tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    path = small_pipeline(tmp_path / "p")
    opsml("pipeline", "publish", path, "--name", "small")
    command = opsml("pipeline", "url", "small", "--curl").stdout
    token = opsml("local", "token").stdout
    assert token == local.service.token().token + "\n"
    assert token.strip() not in command
    folder = Path(sys.executable).parent
    assert (folder / "opsml").exists()
    environment = {**clean_environment, "PATH": f"{folder}{os.pathsep}{clean_environment['PATH']}"}
    done = subprocess.run(["sh", "-c", command], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ended(local, json.loads(done.stdout)["run"]).status.value == "Completed"


@pytest.mark.slow
def test_dry_runs_write_nothing(opsml: Opsml, local: LocalWorkspace, tmp_path: Path) -> None:
    path = small_pipeline(tmp_path / "p")
    for words in (
        ("pipeline", "publish", path, "--name", "small"),
        ("pipeline", "run", path),
        ("local", "up"),
        ("local", "down"),
    ):
        ran = opsml(*words, "--dry-run", "-o", "json")
        assert ran.exit_code == 0, ran.stderr
        assert not local.root.exists(), words
    opsml("pipeline", "publish", path, "--name", "small")
    planned = parsed(opsml("pipeline", "trigger", "small", "--set", "word=x", "--dry-run", "-o", "json"))
    assert planned["dry_run"] is True
    assert planned["inputs"] == {"word": "x", "count": 3}
    parsed(opsml("pipeline", "delete", "small", "--dry-run", "-o", "json"))
    assert parsed(opsml("jobs", "list", "-o", "json")) == []


@pytest.mark.slow
def test_exit_codes(opsml: Opsml, local: LocalWorkspace, tmp_path: Path) -> None:
    bad = written(tmp_path / "bad", SMALL.replace("type: command", "type: comand"))
    failing = written(tmp_path / "failing", "type: pipeline\njobs:\n  a:\n    command: echo oh no; exit 5\n")
    sleeping = written(tmp_path / "sleeping", "type: pipeline\njobs:\n  a:\n    command: sleep 300\n")
    for words, code in (
        (("pipeline", "validate", bad), 7),
        (("pipeline", "publish", bad, "--name", "x"), 7),
        (("pipeline", "publish", tmp_path / "none.yml", "--name", "x"), 3),
        (("pipeline", "publish", failing), 2),
        (("pipeline", "publish", failing, "--name", "../x"), 2),
        (("pipeline", "trigger", "nobody"), 3),
        (("pipeline", "trigger", "nobody", "--set", "x"), 2),
        (("pipeline", "delete", "nobody", "--yes"), 3),
        (("pipeline", "run", failing), 9),
        (("pipeline", "run", sleeping, "--wait-timeout", "0.5s"), 8),
    ):
        ran = opsml(*words, "-o", "json")
        assert (ran.exit_code, ran.stdout) == (code, ""), (words, ran.stderr)
        assert "Traceback" not in ran.stderr
    assert "step a failed: exit code 5; last log lines: oh no" in opsml("pipeline", "run", failing).stderr


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_leaves_the_run_going(local: LocalWorkspace, tmp_path: Path, clean_environment: dict[str, str]) -> None:
    path = written(
        tmp_path / "p", f"type: pipeline\njobs:\n  a:\n    command: while [ ! -e {tmp_path}/go ]; do sleep 0.05; done\n"
    )
    waiting = subprocess.Popen(
        [sys.executable, "-m", "opsml_cli", "pipeline", "run", str(path)],
        env=clean_environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: any(job.status.value == "Running" for job in local.jobs.list()))
    waiting.send_signal(signal.SIGINT)
    _, told = waiting.communicate(timeout=30)
    assert waiting.returncode == 130
    assert "goes on" in told
    (tmp_path / "go").touch()
    assert ended(local, local.jobs.list()[0].name).status.value == "Completed"


def test_ci_gets_the_run(opsml: Opsml, local: LocalWorkspace, tmp_path: Path) -> None:
    path = small_pipeline(tmp_path / "p")
    outputs, summary = tmp_path / "outputs", tmp_path / "summary"
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(summary)}
    assert opsml("pipeline", "run", path, env=environment).exit_code == 0
    assert "status" in outputs.read_text()
    assert "| first | Completed |" in summary.read_text()


def test_notes_name_what_has_no_effect(opsml: Opsml, tmp_path: Path) -> None:
    path = written(tmp_path / "p", "type: pipeline\nsettings: {default_compute: azureml:cpu}\njobs:\n  a: {command: 'true'}\n")
    ran = opsml("pipeline", "validate", path)
    assert "settings.default_compute has no effect on this machine" in ran.stderr


def test_local_verbs_need_a_local_workspace(opsml: Opsml, tmp_path: Path) -> None:
    ran = opsml("local", "status", "-w", "azure")
    assert ran.exit_code == 2
