"""Content that nothing names is swept when it is old; what is named, used or young never is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline_support import small_pipeline

from opsml_cli.content.files import TEMPORARY
from opsml_cli.domain.data import DataType, RegisterData
from opsml_cli.domain.progress import Silent
from opsml_cli.local import home, leftovers, unreferenced
from opsml_cli.local.artifacts import Blobs
from opsml_cli.local.pipelines import snapshot
from opsml_cli.local.pipelines.snapshot import store_tree
from opsml_cli.local.service.chores import Chores
from opsml_cli.local.storage.engine import Written
from opsml_cli.local.storage.objects import Labels
from opsml_cli.local.workspace import LocalWorkspace


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalWorkspace]:
    """A workspace with two registered assets, a kept pipeline and an uploaded object: all of them named."""
    workspace = LocalWorkspace(tmp_path / ".opsml")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.csv").write_text("a,b\n1,2\n")
    workspace.data.register(RegisterData("file", str(tmp_path / "d" / "a.csv"), type=DataType.URI_FILE), Silent())
    workspace.data.register(RegisterData("folder", str(tmp_path / "d"), type=DataType.URI_FOLDER), Silent())
    pipeline = snapshot.read_file(small_pipeline(tmp_path / "p"))
    workspace.pipelines.keep(*pipeline, {}, dry_run=False)
    workspace.storage.put("azureml", "some/object", iter([b"object"]), Written(Labels(), {}))
    yield workspace
    workspace.store.close()


def stored(local: LocalWorkspace) -> set[str]:
    return {path.name for path in local.layout.blobs.iterdir()}


def aged(local: LocalWorkspace) -> None:
    """Everything that is stored, as if two days ago."""
    moment = time.time() - 2 * unreferenced.OLD_SECONDS
    for path in local.layout.blobs.iterdir():
        os.utime(path, (moment, moment))
    os.utime(local.root / home.FILE, (moment - 60, moment - 60))


def looked(local: LocalWorkspace) -> None:
    """A first look, two days ago: it removes nothing."""
    assert unreferenced.sweep(local.layout, local.store) == 0
    marks = local.layout.service / unreferenced.SEEN
    found = json.loads(marks.read_text())
    assert found
    marks.write_text(json.dumps({name: moment - 2 * unreferenced.OLD_SECONDS for name, moment in found.items()}))


def orphan(local: LocalWorkspace, content: bytes) -> Path:
    """What a killed upload leaves."""
    blobs = Blobs(local.layout.blobs)
    with blobs.receive_file([content], "x") as received:
        blobs.keep(received)
        return blobs.path(received.sha256)


def orphan_folder(local: LocalWorkspace, folder: Path) -> Path:
    folder.mkdir()
    (folder / "deep").mkdir()
    (folder / "deep" / "x").write_text("x")
    blobs = Blobs(local.layout.blobs)
    with blobs.receive_folder(folder, "x") as received:
        blobs.keep(received)
        return blobs.path(received.sha256)


def test_only_what_is_old_and_named_by_nothing_goes(local: LocalWorkspace, tmp_path: Path) -> None:
    named = stored(local)
    assert len(named) >= 4
    gone = {orphan(local, b"old").name, orphan_folder(local, tmp_path / "gone").name}
    aged(local)
    looked(local)
    young = orphan(local, b"young")
    assert unreferenced.sweep(local.layout, local.store) == len(gone)
    assert stored(local) == {*named, young.name}
    assert unreferenced.sweep(local.layout, local.store) == 0


def test_what_a_command_finds_stored_counts_as_used(local: LocalWorkspace, tmp_path: Path) -> None:
    again, code = orphan(local, b"again"), tmp_path / "code"
    code.mkdir()
    (code / "main.py").write_text("print()")
    store_tree(local.layout, code, code=True)
    before = stored(local)
    aged(local)
    # As the commands do before they record it.
    assert orphan(local, b"again") == again
    store_tree(local.layout, code, code=True)
    assert unreferenced.sweep(local.layout, local.store) == 0
    assert stored(local) == before


def test_the_last_look_gives_back_what_was_just_used(local: LocalWorkspace) -> None:
    used = orphan(local, b"used")
    assert not unreferenced._removed(used, unreferenced.OLD_SECONDS)
    assert used.read_bytes() == b"used"


def test_the_local_service_sweeps(local: LocalWorkspace) -> None:
    lost = orphan(local, b"lost")
    aged(local)
    looked(local)
    with Chores(local.layout):
        deadline = time.monotonic() + 60
        while lost.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_content_older_than_the_database_is_left_alone(local: LocalWorkspace) -> None:
    lost = orphan(local, b"lost")
    aged(local)
    looked(local)
    os.utime(local.root / home.FILE)  # a database that was put here since
    assert unreferenced.sweep(local.layout, local.store) == 0
    assert lost.exists()


def test_what_killed_commands_began_goes_wherever_it_lies(local: LocalWorkspace) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    places = [
        "",
        "secrets",
        "jobs/one/outputs",
        "models/m",
        "endpoints/e/logs",
        "service",
        "blobs",
        "staging",
        "emulator/certificates",
    ]
    for place in places:
        folder = local.root / place
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{TEMPORARY}{dead.pid}-00ff").write_text("a key")
        (folder / f"{TEMPORARY}{os.getpid()}-00ff").write_text("being written")
        (folder / f"{TEMPORARY}notes").write_text("a user's own")
    leftovers.sweep_all(local.layout)
    left = sorted(path.name for path in local.root.rglob(f"{TEMPORARY}*"))
    assert left == sorted([f"{TEMPORARY}{os.getpid()}-00ff", f"{TEMPORARY}notes"] * len(places))
