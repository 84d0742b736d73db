"""`data register` by many processes at once, killed at any instant, on a full disk, and of files larger than memory."""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsml_cli.content.files import TEMPORARY
from opsml_cli.domain.data import RegisterData
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.progress import Silent
from opsml_cli.local.workspace import LocalWorkspace

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and limits of POSIX")

COMMAND = [sys.executable, "-m", "opsml_cli", "data"]


def start(tmp_path: Path, environment: dict[str, str], *arguments: str, **options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,  # type: ignore[call-overload]
    )


def sound(workspace: LocalWorkspace) -> dict[str, int | None]:
    """Check every record against its content; sha256 and rows by version."""
    found: dict[str, int | None] = {}
    for asset in workspace.data.list("t") if workspace.data.list() else []:
        path, held = workspace.data.locate(AssetRef("t", asset.version))
        assert hashlib.sha256(path.read_bytes()).hexdigest() == asset.sha256
        assert held.profile is not None
        assert held.rows == held.profile.rows == len(path.read_text().splitlines()) - 1
        found[asset.sha256] = held.rows
    return found


@pytest.mark.slow
def test_ten_processes_give_ten_versions(tmp_path: Path, workspace: LocalWorkspace, clean_environment: dict[str, str]) -> None:
    running = []
    for number in range(10):
        (tmp_path / f"{number}.csv").write_text(f"a,b\n{number},x\n")
        # The machine has few cores: no process needs a thread pool of its own.
        environment = clean_environment | {"OMP_NUM_THREADS": "1"}
        running.append(start(tmp_path, environment, "register", "t", f"{number}.csv", "-o", "json"))
    versions = set()
    for process in running:
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr.decode()
        versions.add(json.loads(stdout)["version"])
    assert versions == {str(number) for number in range(1, 11)}
    assert len(sound(workspace)) == 10


@pytest.mark.slow
def test_the_same_file_by_many_processes_is_one_version(
    tmp_path: Path, workspace: LocalWorkspace, clean_environment: dict[str, str]
) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,x\n")
    running = [start(tmp_path, clean_environment, "register", "t", "t.csv", "-o", "json") for _ in range(5)]
    replies = []
    for process in running:
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr.decode()
        replies.append(json.loads(stdout))
    assert {reply["version"] for reply in replies} == {"1"}
    assert sorted(reply["unchanged"] for reply in replies) == [False, True, True, True, True]


def killed_at_random(tmp_path: Path, workspace: LocalWorkspace, environment: dict[str, str], instants: int, seed: int) -> None:
    chance = random.Random(seed)
    table = tmp_path / "t.csv"

    def write(number: int) -> str:
        table.write_text("n,text\n" + f"{number},some text that fills the file\n" * 60_000)
        return hashlib.sha256(table.read_bytes()).hexdigest()

    # How long an undisturbed one takes here and now, so that the instants fall all over it; the first one is the slowest.
    acknowledged, usual = set(), math.inf
    for number in (-1, 0):
        digest = write(number)
        began = time.monotonic()
        first = start(tmp_path, environment, "register", "t", "t.csv", "--quiet", "-o", "json")
        assert first.communicate(timeout=120) is not None
        assert first.returncode == 0
        usual = min(usual, time.monotonic() - began)
        acknowledged.add(digest)
    killed = 0
    for number in range(1, instants + 1):
        digest = write(number)
        began = time.monotonic()
        process = start(tmp_path, environment, "register", "t", "t.csv", "--quiet", "-o", "json", start_new_session=True)
        # Little happens while Python starts; the later nine tenths get most of the instants.
        try:
            process.wait(timeout=usual * chance.uniform(0.1, 1.1))
            usual = min(usual, time.monotonic() - began)  # the machine has less to do now than it had
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        stdout, _ = process.communicate(timeout=60)
        if process.returncode == 0:
            assert json.loads(stdout)["sha256"] == digest
            acknowledged.add(digest)
        recorded = sound(workspace)
        assert acknowledged <= set(recorded)
        # What was recorded before the kill could tell is whole all the same.
        acknowledged = set(recorded)
    assert killed >= instants // 2
    # The next command works, and sweeps what the killed ones left.
    digest = write(instants + 1)
    last = start(tmp_path, environment, "register", "t", "t.csv", "--quiet", "-o", "json")
    stdout, stderr = last.communicate(timeout=120)
    assert last.returncode == 0, stderr.decode()
    assert digest in sound(workspace)
    assert not [path for path in workspace.layout.blobs.iterdir() if path.name.startswith(TEMPORARY)]
    versions = [int(asset.version) for asset in workspace.data.list("t")]
    assert versions == list(range(len(versions), 0, -1))


@pytest.mark.slow
def test_kills_lose_nothing_that_was_acknowledged(
    tmp_path: Path, workspace: LocalWorkspace, clean_environment: dict[str, str]
) -> None:
    killed_at_random(tmp_path, workspace, clean_environment, instants=8, seed=1)


@pytest.mark.slow
def test_many_kills_lose_nothing_that_was_acknowledged(
    tmp_path: Path, workspace: LocalWorkspace, clean_environment: dict[str, str]
) -> None:
    killed_at_random(tmp_path, workspace, clean_environment, instants=40, seed=2)


def test_a_file_limit_is_a_clear_error_and_leaves_nothing(
    tmp_path: Path, workspace: LocalWorkspace, clean_environment: dict[str, str]
) -> None:
    import resource  # not on Windows

    (tmp_path / "t.csv").write_text("a,b\n" + "1,2\n" * 1_000_000)

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    process = start(tmp_path, clean_environment, "register", "t", "t.csv", "-o", "json", preexec_fn=limited)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (6, b""), stderr.decode()
    assert json.loads(stderr.decode().splitlines()[-1])["error"]["code"] == "quota"
    assert workspace.data.list() == []
    assert list(workspace.layout.blobs.glob("*")) == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(
    tmp_path: Path, tiny_disk: Path, clean_environment: dict[str, str]
) -> None:
    (tmp_path / "big.csv").write_text("a,b\n" + "1,2\n" * 1_000_000)
    (tmp_path / "small.csv").write_text("a,b\n1,2\n")
    process = start(tiny_disk, clean_environment, "register", "t", "../big.csv", "-o", "json")
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (6, b""), stderr.decode()
    assert "no space left" in json.loads(stderr.decode().splitlines()[-1])["error"]["message"]
    workspace = LocalWorkspace(tiny_disk / ".opsml")
    assert list(workspace.layout.blobs.glob("*")) == []
    # With room again, the same workspace goes on.
    assert workspace.data.register(RegisterData("t", str(tmp_path / "small.csv")), Silent()).asset.version == "1"
    workspace.store.close()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    line = '{0},2026-03-04,{0}.25,"city, {1}",retail,true,no\n'
    part = "".join(line.format(number, number % 5000) for number in range(50_000))
    peaks = []
    for size in (60, 120):  # below that, the allocator's pools are still growing
        with (tmp_path / "t.csv").open("w") as file:
            file.write("id,day,amount,city,segment,flag,y\n")
            for _ in range(size):
                file.write(part)
        # A process between, whose only child is the one to measure.
        measured = subprocess.run(
            [sys.executable, "-c", "import resource,subprocess,sys;subprocess.run(sys.argv[1:],check=True,stdout=2);"
             "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)",
             *COMMAND, "register", "t", "t.csv", "--quiet"],
            cwd=tmp_path, env=clean_environment, capture_output=True, check=True, timeout=300,
        )  # fmt: skip
        peaks.append(int(measured.stdout))
    assert peaks[1] < 1.15 * peaks[0], peaks
