"""A backup holds all that a workspace keeps, is made while it is in use, and becomes a workspace again or nothing at all."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from opsml_cli.domain.data import RegisterData
from opsml_cli.domain.errors import ConflictError, InvalidInputError, NotFoundError
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.progress import Silent
from opsml_cli.local import leftovers
from opsml_cli.local.workspace import LocalWorkspace


@pytest.fixture
def workspace(tmp_path: Path) -> LocalWorkspace:
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"{number},{number % 2}\n" for number in range(50)))
    made = LocalWorkspace(tmp_path / "one" / ".opsml")
    made.data.register(RegisterData("t", str(tmp_path / "t.csv")), Silent())
    return made


@pytest.mark.parametrize("name", ["backup.tar", "backup.tar.gz"])
def test_a_restored_workspace_is_the_one_that_was_backed_up(workspace: LocalWorkspace, tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    (workspace.root / "jobs" / "one").mkdir(parents=True)
    (workspace.root / "jobs" / "one" / "a").write_text("of two names")
    (workspace.root / "jobs" / "one" / "b").hardlink_to(workspace.root / "jobs" / "one" / "a")
    code = workspace.root / "endpoints" / "e" / "code" / "r"
    own = {"uv.lock", "lock", "address.json", "work/x", "workers/x", "hosts/x", ".tmp-mine", "back\\slash", "home.json"}
    of_processes = {
        "endpoints/e/server.lock",
        "endpoints/e/work/x",
        "endpoints/e/launch.json",
        "service/address.json",
        "hosts/x",
    }
    for path in (*(code / each for each in own), *(workspace.root / each for each in of_processes)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    with LocalWorkspace(workspace.root).store.read():  # somebody reads meanwhile
        made = workspace.backups.write(target, force=False)
    assert (target.stat().st_mode & 0o777, made.files) == (0o600, 3 + len(own))
    with pytest.raises(ConflictError, match="exists"):
        workspace.backups.write(target, force=False)
    other = LocalWorkspace(tmp_path / "two" / ".opsml")
    assert other.backups.restore(target, force=False, dry_run=True).files == 4 + len(own)
    assert not other.root.exists()
    found = other.backups.restore(target, force=False)
    assert (found.files, found.bytes, found.created_at) == (4 + len(own), found.bytes, made.created_at)
    restored = other.root / code.relative_to(workspace.root)
    assert {path.relative_to(restored).as_posix() for path in restored.rglob("*") if path.is_file()} == own
    assert not any((other.root / each).exists() for each in of_processes)
    assert (other.root / "jobs" / "one" / "b").read_text() == "of two names"
    assert other.data.check(AssetRef("t")).version == "1"
    assert len(other.data.frame(AssetRef("t"))) == 50
    assert other.signed_in() is None, "it is none that was copied beside its original"
    assert all(check.ok for check in other.checks(deep=True) if check.check != "disk space")
    assert workspace.data.check(AssetRef("t")).version == "1"
    assert not [
        path for path in tmp_path.rglob("*") if leftovers.is_temporary(path.name) or path.name.startswith(".opsml-restore")
    ]


def test_what_lies_there_is_set_aside_and_never_lost(workspace: LocalWorkspace, tmp_path: Path) -> None:
    target = tmp_path / "b.tar"
    workspace.backups.write(target, force=False)
    (tmp_path / "u.csv").write_text("b\n1\n")
    workspace.data.register(RegisterData("u", str(tmp_path / "u.csv")), Silent())
    with pytest.raises(ConflictError, match="a workspace lies at"):
        workspace.backups.restore(target, force=False)
    found = workspace.backups.restore(target, force=True)
    again = LocalWorkspace(workspace.root)
    assert [asset.name for asset in again.data.list()] == ["t"]
    assert found.set_aside is not None
    assert sorted(asset.name for asset in LocalWorkspace(Path(found.set_aside)).data.list()) == ["t", "u"]


def test_damaged_content_is_not_backed_up(workspace: LocalWorkspace, tmp_path: Path) -> None:
    (blob,) = (workspace.root / "blobs").iterdir()
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes().replace(b"3,1", b"3,0"))
    with pytest.raises(ConflictError, match="nothing was backed up"):
        workspace.backups.write(tmp_path / "b.tar", force=False)
    assert not (tmp_path / "b.tar").exists()


def archive(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w") as made:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = 2
            made.addfile(entry, io.BytesIO(b"{}"))
    return path


def test_what_is_no_backup_changes_nothing(workspace: LocalWorkspace, tmp_path: Path) -> None:
    whole = tmp_path / "whole.tar"
    workspace.backups.write(whole, force=False)
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (tmp_path / "text").write_text("no tar")
    target = LocalWorkspace(tmp_path / "two" / ".opsml")
    for source in (
        cut,
        tmp_path / "text",
        archive(tmp_path / "a.tar", "opsml-backup.json"),
        archive(tmp_path / "b.tar", "../outside"),
        archive(tmp_path / "c.tar", "/absolute"),
        archive(tmp_path / "d.tar", "opsml-backup.json", "workspace.db"),
    ):
        with pytest.raises(InvalidInputError, match="backup"):
            target.backups.restore(source, force=False)
    with pytest.raises(NotFoundError):
        target.backups.restore(tmp_path / "absent", force=False)
    assert not target.root.exists()
    assert not (tmp_path / "two" / "outside").exists()
    with pytest.raises(NotFoundError, match="no workspace"):
        target.backups.write(tmp_path / "n.tar", force=False)
