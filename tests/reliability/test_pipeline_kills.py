"""kill -9 at random instants of publishing, of a run and of the service: what was acknowledged is there, nothing
half-made is visible, and the next command works.

Some instants are in the default run; `-m slow` has the others."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline_support import SMALL, cleaned, ended, written
from waiting import until

from opsml_cli.content.files import TEMPORARY
from opsml_cli.domain.job import JobState
from opsml_cli.domain.pipeline import PublishPipeline, TriggerPipeline
from opsml_cli.local.processes import pid_alive
from opsml_cli.local.service.process import LocalService
from opsml_cli.local.workspace import LocalWorkspace

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals")
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 13))]
# A service of its own pid is started anew for every publish, so that its start is among the instants.
PUBLISH = """
import sys
from pathlib import Path
from opsml_cli.domain.pipeline import PublishPipeline
from opsml_cli.local.workspace import LocalWorkspace
workspace = LocalWorkspace(Path(sys.argv[1]))
for number in range(100):
    Path(sys.argv[2], "src", "data.bin").write_bytes(bytes([number]) * 200_000)
    found = workspace.pipelines.publish(PublishPipeline(str(Path(sys.argv[2], "pipeline.yml")), "killed"))
    print(found.pipeline.version, flush=True)
"""
SLOW_STEPS = """\
type: pipeline
jobs:
  a:
    command: sleep 0.3; head -c 300000 /dev/zero > ${{outputs.o}}/x
    outputs: {o: {type: uri_folder}}
    environment_variables: {SALT: "%SALT%"}
  b:
    command: sleep 0.3; cp -r ${{inputs.i}}/x ${{outputs.o}}/y; echo $$ > %PID%; sleep 0.5
    inputs: {i: "${{parent.jobs.a.outputs.o}}"}
    outputs: {o: {type: uri_folder}}
"""


@pytest.fixture
def local(workspace: LocalWorkspace) -> Iterator[LocalWorkspace]:
    with cleaned(workspace):
        yield workspace


def code_folder(folder: Path) -> Path:
    path = written(folder, SMALL)
    (folder / "src").mkdir()
    (folder / "src" / "write.py").write_text(
        "import pathlib, sys\npathlib.Path(sys.argv[1], 'word.txt').write_bytes(pathlib.Path('data.bin').read_bytes())\n"
    )
    return path


@pytest.mark.parametrize("seed", SEEDS)
def test_publish(local: LocalWorkspace, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    path = code_folder(tmp_path / "p")
    acknowledged = 0
    process = subprocess.Popen(
        [sys.executable, "-c", PUBLISH, str(local.root), str(tmp_path / "p")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    # From before anything was written to well into the loop.
    for _ in range(chance.randrange(4)):
        acknowledged = int(process.stdout.readline())
    time.sleep(chance.random() * 0.2)
    process.kill()
    rest, _ = process.communicate()
    acknowledged = max([acknowledged, *map(int, rest.split())])
    versions = [int(version) for version in local.pipelines.get("killed").versions] if acknowledged else []
    assert versions == list(range(1, len(versions) + 1))
    assert acknowledged <= len(versions) <= acknowledged + 1
    (tmp_path / "p" / "src" / "data.bin").write_bytes(b"after")
    after = local.pipelines.publish(PublishPipeline(str(path), "killed"))
    for version in {*map(str, versions), after.pipeline.version}:
        _, definition = local.pipelines.content("killed", version)
        assert [step.name for step in definition.steps] == ["first", "second"]
    assert not [entry for entry in local.layout.blobs.iterdir() if entry.name.startswith(TEMPORARY)]
    run = ended(local, local.pipelines.begin_trigger(TriggerPipeline("killed")).run)
    assert run.status is JobState.COMPLETED, run


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run(local: LocalWorkspace, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    text = SLOW_STEPS.replace("%PID%", str(tmp_path / "pid")).replace("%SALT%", str(seed))
    path = written(tmp_path / "p", text)
    begun = local.pipelines.begin_run(str(path), {}, None)
    from opsml_cli.local import job_records

    with local.store.read() as connection:
        record = job_records.load(connection, begun.run)
    assert record is not None
    assert record.process is not None
    time.sleep(chance.random() * 1.8)
    os.kill(record.process.pid, signal.SIGKILL)
    run = ended(local, begun.run)
    assert run.status in (JobState.FAILED, JobState.COMPLETED)
    if run.status is JobState.FAILED:
        assert "died" in (run.error or "")
        assert all(step.status.finished for step in run.steps)
    for step in run.steps:
        outputs = local.layout.step(run.run, step.name) / "outputs"
        if step.status is JobState.COMPLETED:
            assert (outputs / "o").is_dir()
    if (tmp_path / "pid").exists() and (child := (tmp_path / "pid").read_text().strip()):
        until(lambda: not pid_alive(int(child)), 20)
    (tmp_path / "pid").unlink(missing_ok=True)
    again = ended(local, local.pipelines.begin_run(str(path), {}, None).run)
    assert again.status is JobState.COMPLETED
    for before, after in zip(run.steps, again.steps, strict=True):
        assert after.reused is (before.status is JobState.COMPLETED)


@pytest.mark.parametrize("look", ["list", "get"])
def test_a_killed_run_takes_its_command_along_whoever_looks_first(local: LocalWorkspace, tmp_path: Path, look: str) -> None:
    mark = tmp_path / "pid"
    text = f"type: pipeline\njobs:\n  long:\n    type: command\n    command: echo $$ > {mark}; exec sleep 600\n"
    begun = local.pipelines.begin_run(str(written(tmp_path / "p", text)), {}, None)
    until(lambda: mark.exists() and mark.read_text().strip(), 20)
    from opsml_cli.local import job_records

    with local.store.read() as connection:
        record = job_records.load(connection, begun.run)
    assert record is not None and record.process is not None
    os.kill(record.process.pid, signal.SIGKILL)

    def failed() -> bool:
        found = {job.name: job for job in local.jobs.list()}[begun.run] if look == "list" else local.jobs.get(begun.run)
        return found.status is JobState.FAILED

    until(failed, 20)
    until(lambda: not pid_alive(int(mark.read_text())), 60)
    assert not (local.layout.step(begun.run, "long") / "code").exists()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.slow
def test_the_service(local: LocalWorkspace, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    path = code_folder(tmp_path / "p")
    (tmp_path / "p" / "src" / "data.bin").write_bytes(b"x")
    local.pipelines.publish(PublishPipeline(str(path), "served"))
    service = LocalService(local.layout)
    address, _ = service.up()
    sender = subprocess.Popen(
        [sys.executable, "-c", SEND, str(local.root)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert sender.stdout is not None
    time.sleep(chance.random() * 0.6)
    os.kill(address.pid, signal.SIGKILL)
    acknowledged = [json.loads(line) for line in sender.communicate(timeout=60)[0].splitlines()]
    until(lambda: service.running() is None or not pid_alive(address.pid) or service.running() != address)
    for name in acknowledged:
        assert ended(local, name).status is JobState.COMPLETED
    # A run of which nobody heard is whole as well: it ends by itself.
    for job in local.jobs.list():
        assert ended(local, job.name).status in (JobState.COMPLETED, JobState.FAILED)
    run = ended(local, local.pipelines.begin_trigger(TriggerPipeline("served")).run)
    assert run.status is JobState.COMPLETED
    again = service.running()
    assert again is not None
    assert again.port == address.port


# Requests one after the other until the service is gone; the names that were answered.
SEND = """
import json, sys
from pathlib import Path
from opsml_cli.local.layout import Layout
from opsml_cli.local.service.client import ServiceClient
client = ServiceClient(Layout(Path(sys.argv[1])), timeout=10)
for number in range(6):
    status, body = client.request("POST", "/pipelines/served/jobs", {"properties": {"InputData": {}}})
    if status == 201:
        print(json.dumps(body["run"]), flush=True)
"""
