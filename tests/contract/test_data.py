"""The promises of DataOperations, asserted on the port: whatever workspace `workspace` is."""

from __future__ import annotations

from pathlib import Path

import pytest

from opsml_cli.domain.data import DataType, RegisterData
from opsml_cli.domain.errors import ConflictError, InvalidInputError, NotFoundError, UsageError
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.progress import Silent
from opsml_cli.domain.workspace import Workspace

TABLE = "age,job,y\n30,clerk,no\n41,,yes\n30,nurse,no\n"


@pytest.fixture
def workspace(either_workspace: Workspace) -> Workspace:
    return either_workspace


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return path


def test_registers_the_first_version_with_profile(workspace: Workspace, table: Path) -> None:
    registered = workspace.data.register(RegisterData("bank", str(table), target_column="y", tags={"team": "a"}), Silent())
    asset = registered.asset
    assert not registered.unchanged
    assert (asset.name, asset.version, asset.type, asset.rows, asset.columns) == ("bank", "1", DataType.URI_FILE, 3, 3)
    assert asset.size_bytes == len(TABLE)
    assert len(asset.sha256) == 64
    found = workspace.data.get(AssetRef("bank"))
    assert found == asset
    profile = found.profile
    assert profile is not None
    assert [(column.name, column.type.value, column.missing, column.unique) for column in profile.columns] == [
        ("age", "integer", 0, 2),
        ("job", "string", 1, 2),
        ("y", "string", 0, 2),
    ]
    assert profile.target is not None
    assert [(one.value, one.count) for one in profile.target.classes] == [("no", 2), ("yes", 1)]


def test_the_same_content_again_is_unchanged(workspace: Workspace, table: Path) -> None:
    first = workspace.data.register(RegisterData("bank", str(table)), Silent())
    again = workspace.data.register(RegisterData("bank", str(table)), Silent())
    assert again.unchanged
    assert again.asset == first.asset
    assert len(workspace.data.list("bank")) == 1


def test_other_content_is_the_next_version_and_older_ones_stay(workspace: Workspace, table: Path) -> None:
    workspace.data.register(RegisterData("bank", str(table)), Silent())
    table.write_text(TABLE + "50,cook,yes\n")
    second = workspace.data.register(RegisterData("bank", str(table)), Silent())
    assert (second.asset.version, second.unchanged) == ("2", False)
    table.write_text(TABLE)
    # The content of version 1, but not of the latest.
    third = workspace.data.register(RegisterData("bank", str(table)), Silent())
    assert (third.asset.version, third.unchanged) == ("3", False)
    assert workspace.data.get(AssetRef("bank", "1")).rows == 3
    assert [asset.version for asset in workspace.data.list("bank")] == ["3", "2", "1"]


def test_a_named_version_is_immutable(workspace: Workspace, table: Path) -> None:
    spec = RegisterData("bank", str(table), version="7")
    assert workspace.data.register(spec, Silent()).asset.version == "7"
    assert workspace.data.register(spec, Silent()).unchanged
    table.write_text(TABLE + "50,cook,yes\n")
    with pytest.raises(ConflictError, match="bank:7"):
        workspace.data.register(spec, Silent())
    assert workspace.data.register(RegisterData("bank", str(table)), Silent()).asset.version == "8"


def test_labels_of_the_same_content_are_set_anew(workspace: Workspace, table: Path) -> None:
    workspace.data.register(RegisterData("bank", str(table), tags={"a": "1"}), Silent())
    again = workspace.data.register(
        RegisterData("bank", str(table), tags={"b": "2"}, description="new", target_column="y"), Silent()
    )
    assert again.unchanged
    found = workspace.data.get(AssetRef("bank"))
    assert (dict(found.tags), found.description, found.target_column) == ({"a": "1", "b": "2"}, "new", "y")
    assert found.profile is not None
    assert found.profile.target is not None


def test_names_compare_without_case(workspace: Workspace, table: Path) -> None:
    workspace.data.register(RegisterData("Bank", str(table)), Silent())
    assert workspace.data.register(RegisterData("bank", str(table)), Silent()).unchanged
    assert workspace.data.get(AssetRef("BANK")).name == "Bank"


def test_a_dry_run_writes_nothing(workspace: Workspace, table: Path) -> None:
    planned = workspace.data.register(RegisterData("bank", str(table), dry_run=True), Silent())
    assert (planned.asset.version, planned.asset.rows, planned.unchanged) == ("1", 3, False)
    with pytest.raises(NotFoundError):
        workspace.data.get(AssetRef("bank"))
    workspace.data.register(RegisterData("bank", str(table)), Silent())
    assert workspace.data.register(RegisterData("bank", str(table), dry_run=True), Silent()).unchanged


def test_a_dry_run_finds_what_is_wrong(workspace: Workspace, table: Path) -> None:
    table.write_text("a,b\n1\n")
    with pytest.raises(InvalidInputError, match="line 2"):
        workspace.data.register(RegisterData("bank", str(table), dry_run=True), Silent())


def test_list_gives_the_latest_of_each_newest_first_without_profiles(workspace: Workspace, table: Path) -> None:
    assert list(workspace.data.list()) == []
    workspace.data.register(RegisterData("one", str(table)), Silent())
    workspace.data.register(RegisterData("two", str(table)), Silent())
    table.write_text(TABLE + "50,cook,yes\n")
    workspace.data.register(RegisterData("one", str(table)), Silent())
    found = workspace.data.list()
    assert [(asset.name, asset.version) for asset in found] == [("one", "2"), ("two", "1")]
    assert all(asset.profile is None for asset in found)


def test_what_is_not_there_is_not_found(workspace: Workspace, table: Path) -> None:
    with pytest.raises(NotFoundError):
        workspace.data.get(AssetRef("bank"))
    with pytest.raises(NotFoundError):
        workspace.data.register(RegisterData("bank", str(table) + ".absent"), Silent())
    workspace.data.register(RegisterData("bank", str(table)), Silent())
    with pytest.raises(NotFoundError) as caught:
        workspace.data.get(AssetRef("bnk"))
    assert caught.value.cause is not None
    assert "bank" in caught.value.cause
    with pytest.raises(NotFoundError):
        workspace.data.get(AssetRef("bank", "9"))
    with pytest.raises(NotFoundError):
        workspace.data.list("other")


@pytest.mark.parametrize("name", ["..", "a/b", "", "-a", "con", "a" * 256, "a\n"])
def test_odd_names_are_refused(workspace: Workspace, table: Path, name: str) -> None:
    with pytest.raises(UsageError):
        workspace.data.register(RegisterData(name, str(table)), Silent())


@pytest.mark.parametrize("version", ["..", "a/b", "", "1..2", "a" * 31])
def test_odd_versions_are_refused(workspace: Workspace, table: Path, version: str) -> None:
    with pytest.raises(UsageError):
        workspace.data.register(RegisterData("bank", str(table), version=version), Silent())


def test_a_target_column_must_be_there(workspace: Workspace, table: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        workspace.data.register(RegisterData("bank", str(table), target_column="jobs"), Silent())
    assert caught.value.cause == "did you mean 'job'?"
    with pytest.raises(NotFoundError):
        workspace.data.get(AssetRef("bank"))


def test_profile_of_another_target(workspace: Workspace, table: Path) -> None:
    workspace.data.register(RegisterData("bank", str(table), target_column="y"), Silent())
    profile = workspace.data.profile(AssetRef("bank"), "age")
    assert profile.target is not None
    assert [(one.value, one.count) for one in profile.target.classes] == [("30", 2), ("41", 1)]
    with pytest.raises(InvalidInputError):
        workspace.data.profile(AssetRef("bank"), "nothing")


def test_samples_are_typed_and_reproducible(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    path.write_text("id,zip,score,flag,day\n" + "".join(f"{i},{i:05d},{i / 4},true,2026-01-02\n" for i in range(500)))
    workspace.data.register(RegisterData("many", str(path)), Silent())
    rows = workspace.data.sample(AssetRef("many"), 20, seed=3)
    assert rows == workspace.data.sample(AssetRef("many"), 20, seed=3)
    assert rows != workspace.data.sample(AssetRef("many"), 20, seed=4)
    assert len({row["id"] for row in rows}) == 20
    row = rows[0]
    number = row["id"]
    assert isinstance(number, int)
    assert dict(row) == {"id": number, "zip": f"{number:05d}", "score": number / 4, "flag": True, "day": "2026-01-02T00:00:00"}
    assert len(workspace.data.sample(AssetRef("many"), 9999)) == 500


def test_missing_values_of_samples_are_none(workspace: Workspace, table: Path) -> None:
    workspace.data.register(RegisterData("bank", str(table)), Silent())
    rows = workspace.data.sample(AssetRef("bank"), 3)
    assert [row["job"] for row in rows] == ["clerk", None, "nurse"]


def test_folders_with_and_without_mltable(workspace: Workspace, tmp_path: Path, table: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.csv").write_text(TABLE)
    (folder / "b.csv").write_text("age,job,y\n77,poet,no\n")
    plain = workspace.data.register(RegisterData("files", str(folder)), Silent()).asset
    assert (plain.type, plain.rows, plain.columns) == (DataType.URI_FOLDER, None, None)
    with pytest.raises(InvalidInputError):
        workspace.data.sample(AssetRef("files"), 1)
    (folder / "MLTable").write_text(
        "paths:\n  - pattern: ./*.csv\ntransformations:\n  - read_delimited:\n      delimiter: ','\n"
    )
    described = workspace.data.register(RegisterData("files", str(folder)), Silent()).asset
    assert (described.version, described.type, described.rows, described.columns) == ("2", DataType.MLTABLE, 4, 3)
    assert workspace.data.register(RegisterData("files", str(folder)), Silent()).unchanged
    assert [row["age"] for row in workspace.data.sample(AssetRef("files"), 9)] == [30, 41, 30, 77]


def test_a_type_that_does_not_fit_is_refused(workspace: Workspace, tmp_path: Path, table: Path) -> None:
    with pytest.raises(UsageError):
        workspace.data.register(RegisterData("bank", str(table), type=DataType.MLTABLE), Silent())
    with pytest.raises(UsageError):
        workspace.data.register(RegisterData("bank", str(tmp_path), type=DataType.URI_FILE), Silent())
