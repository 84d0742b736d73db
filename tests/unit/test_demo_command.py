"""`opsml demo`: what it plans, how it fails, and (slow) the whole of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from opsml_cli.bank_marketing import source, twin

FIELDS = ["workspace", "data_source", "steps", "endpoint", "scoring_uri", "metrics"]
EXAMPLE = Path(__file__).parents[2] / "examples/bank-marketing"
Opsml = Callable[..., tuple[int, str, str]]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "bank.csv"
    twin.write_twin(path, rows=4000)
    return path


def test_a_dry_run_lists_the_seven_steps_and_writes_nothing(opsml: Opsml, table: Path, tmp_path: Path) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    code, out, _ = opsml("demo", "--data", table, "--cleanup", "--dry-run", "-o", "json")
    assert code == 0
    verbs = [" ".join(command.split()[1:3]) for command in json.loads(out)["commands"]]
    order = ["data register", "train automl", "deploy …", "insights enable", "logs bank-marketing", "swagger bank-marketing",
             "score bank-marketing", "pipeline publish", "pipeline trigger", "local down"]  # fmt: skip
    verbs = [verb.replace("'", "") for verb in verbs]
    last = [max(position for position, verb in enumerate(verbs) if verb == wanted) for wanted in order]
    assert last == sorted(last)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_missing_file_is_exit_code_3_before_anything_is_made(opsml: Opsml, tmp_path: Path) -> None:
    code, out, err = opsml("demo", "--data", "nowhere.csv", "-o", "json")
    assert (code, out) == (3, "")
    assert json.loads(err.splitlines()[-1])["error"]["code"] == "not_found"
    assert not (tmp_path / "opsml-demo").exists()


def test_another_workspace_is_refused(opsml: Opsml) -> None:
    code, out, err = opsml("demo", "-w", "azure")
    assert (code, out) == (2, "")
    assert "local workspace" in err


def test_a_failing_step_ends_with_its_own_error_and_code(opsml: Opsml, tmp_path: Path) -> None:
    ragged = tmp_path / "ragged.csv"
    ragged.write_text("a,b,y\n1,2,yes\n1,2,3,4,no\n", encoding="utf-8")
    code, out, err = opsml("demo", "--data", ragged)
    assert (code, out) == (7, "")
    assert "$ opsml data register bank-marketing" in err
    assert "ragged.csv" in err.splitlines()[-2] + err.splitlines()[-1] + err
    assert "$ opsml train" not in err


def test_a_failing_step_of_a_demo_that_cleans_up_leaves_nothing_running(opsml: Opsml, tmp_path: Path) -> None:
    table = tmp_path / "other.csv"
    table.write_text("a,b\n1,2\n3,4\n", encoding="utf-8")
    code, _, err = opsml("demo", "--data", table, "--cleanup")
    assert code == 7
    assert "$ opsml local down --yes" in err


def test_an_address_that_does_not_answer_is_seen_in_time() -> None:
    import socket
    import time

    with socket.socket() as listening:  # accepts, and never answers
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        start = time.monotonic()
        assert not source.answers(f"http://127.0.0.1:{listening.getsockname()[1]}/bank.csv", seconds=0.3)
        assert time.monotonic() - start < 5
    assert not source.answers("http://127.0.0.1:1/bank.csv", seconds=5)


def test_an_address_that_answers_is_seen(tmp_path: Path) -> None:
    import threading
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    (tmp_path / "bank.csv").write_text("a\n1\n", encoding="utf-8")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        base = f"http://127.0.0.1:{server.server_address[1]}"
        found = (source.answers(f"{base}/bank.csv"), source.answers(f"{base}/missing.csv"))
        server.shutdown()
        thread.join()
    assert found == (True, False)


@pytest.mark.slow
def test_the_whole_demo_twice(opsml: Opsml, table: Path, tmp_path: Path) -> None:
    arguments = ("demo", "--data", table, "--timeout", "15s", "-o", "json")
    try:
        code, out, err = opsml(*arguments, timeout=400)
        assert code == 0, err
        first = json.loads(out)
        assert list(first)[: len(FIELDS)] == FIELDS
        assert first["data_source"] == str(table)
        assert first["metrics"]["AUC_weighted"] > 0.85
        for step in first["steps"]:
            assert f"$ {step['command']}\n" in err
            assert set(step) == {"command", "status", "duration_seconds"}
        status = json.loads(opsml("local", "status", "-o", "json", cwd=tmp_path / "opsml-demo")[1])
        assert status["running"] is True
    finally:
        code, out, err = opsml(*arguments, "--cleanup", timeout=400)
    assert code == 0, err
    assert [step["status"] for step in json.loads(out)["steps"]].count("unchanged") >= 3
    status = json.loads(opsml("local", "status", "-o", "json", cwd=tmp_path / "opsml-demo")[1])
    assert (status["running"], status["processes"]) == (False, [])


@pytest.mark.slow
def test_the_example_script_runs_the_flow(table: Path, tmp_path: Path, clean_environment: dict[str, str]) -> None:
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    script = bin_ / "opsml"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m opsml_cli "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    environment = clean_environment | {
        "DATA": str(table), "TIMEOUT": "15s", "CLEANUP": "1", "PATH": f"{bin_}{os.pathsep}{clean_environment['PATH']}",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", EXAMPLE / "run.sh"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert any(line.startswith("[") and json.loads(line) for line in done.stdout.splitlines())  # what consume.py printed


@pytest.mark.slow
def test_the_example_job_file_trains(opsml: Opsml, table: Path) -> None:
    assert opsml("data", "register", "bank-marketing", table, "--target-column", "y")[0] == 0
    code, out, err = opsml("train", "automl", "-f", EXAMPLE / "job.yml", "--timeout", "10s", "-o", "json")
    assert code == 0, err
    assert json.loads(out)["status"] == "Completed"


@pytest.mark.slow
def test_the_notebooks_cells_run(table: Path, tmp_path: Path, clean_environment: dict[str, str]) -> None:
    cells = json.loads((EXAMPLE / "bank-marketing.ipynb").read_text("utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) + "\n" for cell in cells if cell["cell_type"] == "code")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env=clean_environment | {"DATA": str(table), "SECONDS_TO_TRAIN": "10"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
