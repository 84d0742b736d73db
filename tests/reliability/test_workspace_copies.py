"""A copy of a workspace in which everything runs leaves the original alone, and works; a moved one goes on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.slow
STEP = """
type: pipeline
jobs:
  wait:
    type: command
    code: ./steps
    command: python wait.py {end}
"""
WAIT = """
import pathlib, sys, time
end = time.monotonic() + 120
while time.monotonic() < end and not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.1)
"""


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *words: str, code: int = 0, seconds: float = 90) -> str:
        command = [sys.executable, "-m", "opsml_cli", *words]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=seconds, check=False)
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return done.stdout

    def document(self, *words: str) -> Any:
        return json.loads(self.run(*words, "-o", "json"))

    def statuses(self) -> dict[str, str]:
        return {str(job["job"]): str(job["status"]) for job in self.document("jobs", "list")}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path / "original")
    (made.folder / "code").mkdir(parents=True)
    (made.folder / "code" / "score.py").write_text(
        "import json\n\ndef init():\n    pass\n\ndef run(raw):\n    rows = json.loads(raw)\n"
        "    return [2 for _ in (rows.get('data') or rows.get('input_data', {}).get('data') or [0])]\n"
    )
    end = tmp_path / "end"
    (made.folder / "steps").mkdir()
    (made.folder / "steps" / "wait.py").write_text(WAIT)
    (made.folder / "pipeline.yml").write_text(STEP.format(end=end))
    try:
        made.run("local", "up")
        made.run("deploy", "--code", "code", "--scoring-script", "score.py", "--endpoint", "scorer", "--trust")
        made.run("pipeline", "run", "pipeline.yml", "--no-wait")
        awaited(lambda: "Running" in made.statuses().values())
        yield made
    finally:
        end.touch()
        for folder in tmp_path.iterdir():
            if (folder / ".opsml").exists():
                Project(folder).run("local", "down", "--yes")


def awaited(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def pids(project: Project) -> set[int]:
    return {int(process["pid"]) for process in project.document("local", "status")["processes"]}


def test_a_copy_touches_nothing_of_the_original(project: Project, tmp_path: Path) -> None:
    before = pids(project)
    assert len(before) >= 3
    copy = Project(tmp_path / "copy")
    shutil.copytree(project.folder, copy.folder, symlinks=True)
    assert set(copy.statuses().values()) == {"Failed"}
    assert not pids(copy)
    copy.run("endpoints", "start", "scorer")
    assert pids(copy).isdisjoint(before)
    assert (
        copy.document("endpoints", "show", "scorer")["scoring_uri"]
        != project.document("endpoints", "show", "scorer")["scoring_uri"]
    )
    copy.run("local", "up")
    copy.run("endpoints", "stop", "scorer")
    copy.run("endpoints", "delete", "scorer", "--yes")
    copy.run("local", "down", "--yes")
    assert pids(project) == before
    assert "Running" in project.statuses().values()
    assert all(
        check["ok"] for check in copy.document("doctor", "--deep")["checks"] if check["check"] in ("database", "content")
    )
    assert all(
        check["ok"] for check in project.document("doctor", "--deep")["checks"] if check["check"] in ("database", "content")
    )


def test_a_moved_workspace_goes_on(project: Project, tmp_path: Path) -> None:
    """What ran under the old path ends by itself; everything starts again under the new one."""
    before = pids(project)
    moved = Project(tmp_path / "moved")
    project.folder.rename(moved.folder)
    awaited(lambda: not any(psutil.pid_exists(pid) for pid in before))
    assert not project.folder.exists()
    assert set(moved.statuses().values()) == {"Failed"}
    moved.run("endpoints", "start", "scorer")
    moved.run("local", "up")
    assert len(pids(moved)) == 3
    moved.run("endpoints", "stop", "scorer")


def test_a_removed_workspace_takes_its_servers_along(project: Project) -> None:
    before = pids(project)
    shutil.rmtree(project.folder / ".opsml")
    awaited(lambda: not any(psutil.pid_exists(pid) for pid in before))
    assert not (project.folder / ".opsml").exists()
