"""What a local workspace says when its database or its content is gone, cut or damaged: never that all is well."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from opsml_cli.domain.data import DataType, RegisterData
from opsml_cli.domain.errors import ConflictError
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.progress import Silent
from opsml_cli.local import home
from opsml_cli.local.store import DATABASE
from opsml_cli.local.workspace import LocalWorkspace

REF = AssetRef("t")


class Noted(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def workspace(tmp_path: Path) -> LocalWorkspace:
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"{number},{number % 2}\n" for number in range(50)))
    made = LocalWorkspace(tmp_path / ".opsml")
    made.data.register(RegisterData("t", str(tmp_path / "t.csv")), Silent())
    made.store.close()
    return LocalWorkspace(tmp_path / ".opsml")


def blob(workspace: LocalWorkspace) -> Path:
    (found,) = (workspace.root / "blobs").iterdir()
    return found


def removed(path: Path) -> None:
    path.unlink()


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("lost", [removed, emptied])
def test_a_lost_database_is_no_new_workspace(workspace: LocalWorkspace, tmp_path: Path, lost: Callable[[Path], None]) -> None:
    for path in workspace.root.glob(f"{DATABASE}*"):
        lost(path) if path.name == DATABASE else path.unlink()
    again = LocalWorkspace(workspace.root)
    for call in (
        again.data.list,
        lambda: again.data.get(REF),
        again.models.list,
        lambda: again.data.register(RegisterData("t", str(tmp_path / "t.csv")), Silent()),
    ):
        with pytest.raises(ConflictError, match="the database of this workspace is gone"):
            call()
    assert not next(check for check in again.checks() if check.check == "database").ok
    assert blob(workspace).exists()


def test_a_removed_workspace_is_not_made_again_by_who_had_it_open(workspace: LocalWorkspace) -> None:
    workspace.data.list()
    shutil.rmtree(workspace.root)
    with pytest.raises(ConflictError, match="was removed"), workspace.store.write():
        pass
    assert not workspace.root.exists()


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: content.rfind(b"\n", 0, len(content) // 2) + 1])


def changed(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"3,1", b"3,0"))


@pytest.mark.parametrize("damage", [cut, changed, removed])
def test_damaged_content_is_never_read_as_the_version(
    workspace: LocalWorkspace, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path = blob(workspace)
    path.chmod(0o600)
    sound = path.read_bytes()
    damage(path)
    for call in (lambda: workspace.data.frame(REF), lambda: workspace.data.check(REF)):
        with pytest.raises(ConflictError, match="the content of t:1 is not what was registered") as caught:
            call()
        assert "register the same file again" in str(caught.value.fix)
    if damage is not changed:  # the size alone tells
        for look in (lambda: workspace.data.locate(REF), lambda: workspace.data.sample(REF, 2)):
            with pytest.raises(ConflictError, match="the content of t:1"):
                look()
        assert not next(check for check in workspace.checks() if check.check == "content").ok
    assert not next(check for check in workspace.checks(deep=True) if check.check == "content").ok
    noted = Noted()
    again = workspace.data.register(RegisterData("t", str(tmp_path / "t.csv")), noted)
    assert again.asset.version == "1"
    assert damage is removed or any("was replaced" in note for note in noted.notes)
    assert path.read_bytes() == sound
    assert workspace.data.check(REF).version == "1"
    assert len(workspace.data.frame(REF)) == 50
    assert all(check.ok for check in workspace.checks(deep=True) if check.check != "disk space")


def test_damaged_folders_are_found_and_mended(tmp_path: Path) -> None:
    (tmp_path / "parts" / "deep").mkdir(parents=True)
    (tmp_path / "parts" / "a.txt").write_text("one")
    (tmp_path / "parts" / "deep" / "b.txt").write_text("two")
    workspace = LocalWorkspace(tmp_path / ".opsml")
    asked = RegisterData("parts", str(tmp_path / "parts"), type=DataType.URI_FOLDER)
    workspace.data.register(asked, Silent())
    assert workspace.data.check(AssetRef("parts")).version == "1"
    (blob(workspace) / "deep" / "b.txt").write_text("TWO")
    with pytest.raises(ConflictError, match="its SHA-256 is another one"):
        workspace.data.check(AssetRef("parts"))
    workspace.data.register(asked, Silent())
    assert workspace.data.check(AssetRef("parts")).version == "1"
    assert [path.name for path in (workspace.root / "blobs").iterdir()] == [blob(workspace).name]


def test_a_copy_is_told_from_a_moved_workspace(workspace: LocalWorkspace, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(workspace.root, copied)
    copy = LocalWorkspace(copied)
    assert f"a copy of {workspace.root}" in str(copy.signed_in())
    with copy.store.write():
        pass
    assert f"a copy of {workspace.root}" in str(copy.signed_in())
    assert workspace.signed_in() is None
    moved = tmp_path / "moved"
    workspace.root.rename(moved)
    again = LocalWorkspace(moved)
    assert again.signed_in() is None
    with again.store.write():
        pass
    found = home.read(moved)
    assert found is not None
    assert found.path == str(moved)
