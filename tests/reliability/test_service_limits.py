"""The local service when others take its connections, and when its process is stopped: it serves, or is said to be busy."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opsml_cli.local import processes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="Windows stops no process, and counts no descriptors"),
]
PIPELINE = "type: pipeline\njobs:\n  a:\n    type: command\n    command: echo hi\n"


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *words: str, limit: int | None = None) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "opsml_cli", *words]
        if limit is not None:
            command = ["sh", "-c", f'ulimit -n {limit} && exec "$@"', "sh", *command]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, done.stdout, done.stderr

    def service(self) -> dict[str, Any]:
        processes = json.loads(self.run("local", "status", "-o", "json")[1])["processes"]
        return next(each for each in processes if each["kind"] == "service")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    (tmp_path / "pipeline.yml").write_text(PIPELINE)
    assert made.run("pipeline", "publish", "pipeline.yml", "--name", "p")[0] == 0
    assert made.run("local", "up", limit=1024)[0] == 0
    yield made
    assert made.run("local", "down", "--yes")[0] == 0


def test_half_open_connections_do_not_keep_others_out(project: Project) -> None:
    port = int(project.service()["url"].rpartition(":")[2])
    held = []
    for _ in range(1200):
        connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        connection.sendall(b"POST /pipelines/p/jobs HTTP/1.1\r\nHos")
        held.append(connection)
    code, _, errors = project.run("pipeline", "trigger", "p")
    for connection in held:
        connection.close()
    assert code == 0, errors
    assert project.run("pipeline", "trigger", "p")[0] == 0


def test_a_stopped_service_is_busy_and_can_be_ended(project: Project) -> None:
    pid = project.service()["pid"]
    os.kill(pid, signal.SIGSTOP)
    for words in (("pipeline", "trigger", "p"), ("local", "up")):
        code, _, errors = project.run(*words)
        assert code == 5, errors
        assert "does not answer" in errors
    assert project.run("local", "down", "--yes")[0] == 0
    assert not processes.lives(pid, None)
