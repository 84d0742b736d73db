"""`pipeline publish`, `pipeline run` and `local up` killed (kill -9) at random instants, the command alone or with all that
it started: the lists show nothing half-made, what was acknowledged is there, and the same command works."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline_support import cleaned, written
from waiting import until

from opsml_cli.local.workspace import LocalWorkspace

pytestmark = [pytest.mark.skipif(os.name == "nt", reason="signals of POSIX"), pytest.mark.slow]
PIPELINE = """\
type: pipeline
jobs:
  a:
    command: echo %SALT% > ${{outputs.o}}/x
    code: src
    outputs: {o: {type: uri_folder}}
"""
FINAL = {"Completed", "Failed", "Canceled"}


class Machine:
    """The command line on one workspace, and the means to kill it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.file = written(folder / "p", PIPELINE)
        (folder / "p" / "src").mkdir()

    def change(self, salt: object) -> None:
        """Another pipeline, so that nothing is 'unchanged' or reused."""
        self.file.write_text(PIPELINE.replace("%SALT%", str(salt)))
        (self.folder / "p" / "src" / "data.bin").write_bytes(str(salt).encode() * 20_000)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "opsml_cli", *words, "-o", "json"],
            cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def read(self, *words: str) -> Any:
        process = self.start(*words)
        stdout, stderr = process.communicate(timeout=90)
        assert process.returncode == 0, f"opsml {' '.join(words)}: {stderr.decode()}"
        return json.loads(stdout)

    def kill(self, process: subprocess.Popen[bytes], whole: bool) -> Any:
        """kill -9 the command, with `whole` also what it has started, detached or not; what it had acknowledged."""
        with suppress(psutil.NoSuchProcess):
            started = psutil.Process(process.pid).children(recursive=True) if whole else []
            for each in [psutil.Process(process.pid), *started]:
                with suppress(psutil.NoSuchProcess):
                    each.send_signal(signal.SIGKILL)
        stdout, _ = process.communicate(timeout=60)
        return json.loads(stdout) if process.returncode == 0 else None


@pytest.fixture
def machine(workspace: LocalWorkspace, tmp_path: Path, clean_environment: dict[str, str]) -> Iterator[Machine]:
    with cleaned(workspace):
        yield Machine(tmp_path, clean_environment)


def instants(machine: Machine, count: int, seed: int, *words: str) -> Iterator[tuple[int, Any]]:
    """Kill the command `count` times, spread over what an undisturbed one takes; what each had acknowledged.

    What it takes is learned as the machine's load changes: one that ends before its kill says how long it took.
    """
    chance = random.Random(seed)

    def prepare(salt: object) -> None:
        machine.change(salt)
        if words[0] == "local":
            machine.read("local", "down", "--yes")

    machine.change("first")
    machine.read(*words)  # the first one starts the service as well
    prepare("second")
    began = time.monotonic()
    machine.read(*words)
    usual = time.monotonic() - began
    killed = 0
    for number in range(count):
        prepare(number)
        began = time.monotonic()
        process = machine.start(*words)
        try:
            process.wait(usual * chance.uniform(0.2, 1.0))  # the instant of the kill
            usual = min(usual, time.monotonic() - began)
        except subprocess.TimeoutExpired:
            killed += 1
        yield number, machine.kill(process, whole=number % 2 == 0)
    assert killed >= count // 3


def test_publish(machine: Machine) -> None:
    words = ("pipeline", "publish", str(machine.file), "--name", "killed")
    known = {"1", "2"}
    for _, acknowledged in instants(machine, 15, 11, *words):
        known |= {acknowledged["version"]} if acknowledged else set()
        shown = machine.read("pipeline", "show", "killed")
        assert known <= set(shown["versions"])
        assert shown["versions"] == [str(number) for number in range(1, len(shown["versions"]) + 1)]
        assert shown["steps"] == ["a"]
        known = set(shown["versions"])
    machine.change("last")
    assert machine.read(*words)["unchanged"] is False
    assert machine.read("pipeline", "trigger", "killed")["status"] == "Completed"


def test_a_run(machine: Machine) -> None:
    words = ("pipeline", "run", str(machine.file))

    def finished() -> bool:
        return all(job["status"] in FINAL for job in machine.read("jobs", "list"))

    for _, acknowledged in instants(machine, 15, 12, *words):
        # A runner that lives goes on without its command; one that was killed is told as failed.
        until(finished, 30)
        jobs = {job["job"]: job for job in machine.read("jobs", "list", "--kind", "pipeline")}
        if acknowledged:
            assert jobs[acknowledged["run"]]["status"] == "Completed"
        for name in list(jobs)[:2]:
            shown = machine.read("jobs", "show", name)
            assert all(step["status"] in {*FINAL, "NotStarted"} for step in shown["steps"]), shown
    assert machine.read(*words)["status"] == "Completed"


def test_the_service(machine: Machine) -> None:
    for number, acknowledged in instants(machine, 12, 13, "local", "up"):
        status = machine.read("local", "status")
        if acknowledged and number % 2:  # otherwise the service itself was killed
            assert status["running"]
        if number % 2:
            assert machine.read("local", "up")["running"]
        machine.read("local", "down", "--yes")
        assert not machine.read("local", "status")["running"]
    machine.read("local", "up")
    assert machine.read("pipeline", "publish", str(machine.file), "--name", "served")["url"]
    assert machine.read("pipeline", "trigger", "served")["status"] == "Completed"
