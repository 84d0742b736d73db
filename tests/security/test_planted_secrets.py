"""Secrets planted in the environment of a user's commands reach no output, no log, no file and no process of a workspace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="it looks into /proc")]
PLANTED = {
    "DATABASE_URL": "postgres://ada:{}@db.example/x",
    "PIP_INDEX_URL": "https://ada:{}@pypi.example/simple",
    "HTTP_PROXY": "http://ada:{}@127.0.0.1:9",
    "STORAGE_SAS": "?sv=2024&sig={}",
    "BLOB": "https://a.blob.core.windows.net/c?sig={}",
    "AZURE_STORAGE_CONNECTION_STRING": "AccountName=a;AccountKey={};x=y",
    "SOME_URL": "https://{}@x.example",
    "GITHUB_TOKEN": "{}",
    "AZURE_CLIENT_SECRET": "{}",
    "OPSML_TOKEN": "{}",
    "AWS_SECRET_ACCESS_KEY": "{}",
    "MLFLOW_TRACKING_PASSWORD": "{}",
    "HF_TOKEN": "{}",
    "NPM_CONFIG__AUTH": "{}",
    "MYSQL_PWD": "{}",
    "PLAIN_WORD": "{}",
    "JWT": "eyJhbGciOiJIUzI1NiJ9.{0}.{0}",
    "NETRC_LINE": "machine x login y password {}",
    "SLACK": "xoxb-{}",
    "HOOK": "https://x.example/hook?code={}",
}
STEP = """
type: pipeline
jobs:
  look:
    type: command
    code: ./steps
    command: python look.py
"""
LOOK = """
import os, pathlib
found = [dict(os.environ)]
for entry in pathlib.Path("/proc").glob("[0-9]*/environ"):
    try:
        content = entry.read_bytes().decode(errors="replace")
        command = (entry.parent / "cmdline").read_text()
    except OSError:
        continue
    # The user's own command is the user's; what it started is looked into.
    if "opsml_cli." in command and os.environ["HOME"] in content:
        found.append(content)
print("seen", len(found), str(found))
"""
SCORE = """
import os
def init(): pass
def run(raw): return str(dict(os.environ))
"""


def test_no_planted_secret_is_seen_anywhere(tmp_path: Path) -> None:
    folder, state = tmp_path / "project", tmp_path / "home"
    (folder / "steps").mkdir(parents=True)
    (folder / "src").mkdir()
    state.mkdir()
    (folder / "steps" / "look.py").write_text(LOOK)
    (folder / "src" / "score.py").write_text(SCORE)
    (folder / "pipeline.yml").write_text(STEP)
    (folder / "t.csv").write_text("a,y\n" + "".join(f"{number % 17},{int(number % 17 > 8)}\n" for number in range(120)))
    (folder / "body.json").write_text("1")
    canaries = {name: f"cAnArY{index:02}0123456789abcdefXYZ" for index, name in enumerate(PLANTED)}
    planted = {name: shape.format(canaries[name]) for name, shape in PLANTED.items()}
    environment = {**os.environ, **planted, "HOME": str(state), "NO_PROXY": "127.0.0.1,localhost"}
    outputs: list[str] = []

    def run(*words: str) -> None:
        for more in ((), ("--debug",)):
            command = [sys.executable, "-m", "opsml_cli", *words, *more]
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180, check=False
            )
            outputs.append(done.stdout + done.stderr)

    try:
        run("local", "up")
        run("data", "register", "t", "t.csv", "--target-column", "y")
        run("data", "register", "u", f"https://ada:{canaries['SOME_URL']}@127.0.0.1:9/x.csv?sig={canaries['BLOB']}")
        run("train", "automl", "--data", "t", "--target-column", "y", "--timeout", "4s")
        run("deploy", "t", "--endpoint", "own")
        run("deploy", "--code", "src", "--scoring-script", "score.py", "--endpoint", "scorer", "--trust")
        run("endpoints", "invoke", "scorer", "--request-file", "body.json")
        run("insights", "enable", "scorer")
        run("pipeline", "run", "pipeline.yml")
        run("logs", "scorer")
        run("jobs", "list")
        run("doctor")
        run("nonsense", planted["DATABASE_URL"])
        seen = "\n".join(outputs)
        mine = [process for process in psutil.process_iter() if str(folder) in " ".join(_quiet(process.cmdline))]
        assert len(mine) >= 3
        for process in mine:
            seen += str(_quiet(process.environ)) + str(_quiet(process.cmdline))
    finally:
        run("local", "down", "--yes")
    for path in (*folder.rglob("*"), *state.rglob("*")):
        if path.is_file():
            seen += path.read_bytes().decode("utf-8", "replace")
    assert "'OPSML_STEP': 'look'" in seen
    assert "AZUREML_MODEL_DIR" in seen or "AML_APP_ROOT" in seen
    leaked = sorted(name for name, canary in canaries.items() if canary in seen)
    assert not leaked, leaked


def _quiet(call: object) -> list[str]:
    try:
        found = call()  # type: ignore[operator]
    except psutil.Error:
        return []
    return [f"{key}={value}" for key, value in found.items()] if isinstance(found, dict) else found
