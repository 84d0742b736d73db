"""Hostile files: archives, bombs, links, YAML, names. Each ends in a clear error and leaves nothing behind."""

from __future__ import annotations

import gzip
import io
import os
import stat
import time
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from opsml_cli.domain.data import RegisterData
from opsml_cli.domain.errors import InvalidInputError, NotFoundError
from opsml_cli.domain.progress import Silent
from opsml_cli.local.workspace import LocalWorkspace
from opsml_cli.tables import content, parquet, profile_table


def register(workspace: LocalWorkspace, path: Path) -> None:
    workspace.data.register(RegisterData("t", str(path)), Silent())


def assert_nothing_left(workspace: LocalWorkspace) -> None:
    assert workspace.data.list() == []
    assert list(workspace.layout.blobs.glob("*")) == []


@pytest.mark.parametrize(
    "name", ["../evil.csv", "/etc/evil.csv", "a/../../evil.csv", "..\\evil.csv", "C:\\evil.csv", "C:evil.csv", "a/.."]
)
def test_zip_members_with_unsafe_names(workspace: LocalWorkspace, tmp_path: Path, name: str) -> None:
    path = tmp_path / "t.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), "a,b\n1,2\n")
    with pytest.raises(InvalidInputError, match="unsafe name"):
        register(workspace, path)
    assert_nothing_left(workspace)
    assert not list(tmp_path.rglob("evil.csv"))


def test_zip_members_that_are_links(workspace: LocalWorkspace, tmp_path: Path) -> None:
    path = tmp_path / "t.zip"
    entry = zipfile.ZipInfo("t.csv")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(InvalidInputError, match="link"):
        register(workspace, path)


@pytest.mark.parametrize("count", [0, 2])
def test_zips_hold_exactly_one_table(workspace: LocalWorkspace, tmp_path: Path, count: int) -> None:
    path = tmp_path / "t.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            archive.writestr(f"{number}.csv", "a,b\n1,2\n")
        if not count:
            archive.writestr("folder/", "")
    with pytest.raises(InvalidInputError, match="exactly one"):
        register(workspace, path)


@pytest.mark.parametrize("kind", ["gzip", "zip"])
def test_decompression_bombs(workspace: LocalWorkspace, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bomb"
    block = b"1,2\n" * (1 << 18)
    if kind == "gzip":
        with gzip.open(path, "wb", 6) as packed:
            packed.write(b"a,b\n")
            for _ in range(80):
                packed.write(block)
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("t.csv", "w") as member:
            member.write(b"a,b\n")
            for _ in range(80):
                member.write(block)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(InvalidInputError, match="expands beyond the limit"):
        register(workspace, path)
    assert_nothing_left(workspace)


def test_the_absolute_limit_holds_whatever_the_ratio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + os.urandom(60_000).hex().encode() + b",1\n"))
    assert profile_table(path).rows == 1
    monkeypatch.setattr(content, "LIMITS", content.Limits(total_bytes=100_000))
    with pytest.raises(InvalidInputError, match="expands beyond the limit"):
        profile_table(path)


def test_gzip_within_gzip_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(gzip.compress(b"a,b\n1,2\n")))
    with pytest.raises(InvalidInputError):
        profile_table(path)


@pytest.mark.parametrize("cut", [5, 11, -1, -9])
def test_cut_off_archives(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "t.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 1000)[:cut])
    with pytest.raises(InvalidInputError, match="damaged gzip"):
        profile_table(path)


def test_a_zip_with_a_wrong_checksum(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("t.csv", "a,b\n1,2\n")
    path = tmp_path / "t.zip"
    path.write_bytes(packed.getvalue().replace(b"1,2", b"1,3"))
    with pytest.raises(InvalidInputError, match="damaged zip"):
        profile_table(path)


def test_parquet_that_expands_without_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": ["x" * 1000] * 100_000}), path, use_dictionary=False, compression="zstd")
    assert path.stat().st_size < 1 << 20
    monkeypatch.setattr(parquet, "MAX_RATIO", 100)
    with pytest.raises(InvalidInputError, match="expands beyond the limit"):
        profile_table(path)


def test_a_parquet_footer_that_claims_too_much(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1" + b"\x15\xff" * 500 + (900).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(InvalidInputError, match="damaged Parquet"):
        profile_table(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "a.csv").write_text("a,b\n1,2\n")
    return path


@pytest.mark.parametrize(
    "entry", ["../outside.csv", "/etc/passwd", "sub/../../outside.csv", "~/x", "file:///etc/passwd", "C:/x"]
)
@pytest.mark.parametrize("kind", ["file", "folder", "pattern"])
def test_mltable_paths_may_not_leave_the_folder(
    workspace: LocalWorkspace, folder: Path, tmp_path: Path, kind: str, entry: str
) -> None:
    (tmp_path / "outside.csv").write_text("a,b\n1,2\n")
    (folder / "MLTable").write_text(f"paths:\n  - {kind}: {entry}\n")
    with pytest.raises(InvalidInputError, match="leaves the folder"):
        register(workspace, folder)
    assert_nothing_left(workspace)


def test_links_may_not_leave_the_folder(workspace: LocalWorkspace, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder / "link.csv").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidInputError, match=r"'link\.csv' is a link that leaves"):
        register(workspace, folder)
    (folder / "link.csv").unlink()
    (folder / "sub").symlink_to(tmp_path)
    with pytest.raises(InvalidInputError, match="'sub' is a link to a folder"):
        register(workspace, folder)
    (folder / "sub").unlink()
    (folder / "again.csv").symlink_to(folder / "a.csv")
    register(workspace, folder)
    held = workspace.layout.blobs / workspace.data.list()[0].sha256
    assert not (held / "again.csv").is_symlink()
    assert (held / "again.csv").read_text() == "a,b\n1,2\n"


def test_pipes_and_devices_in_folders_are_refused(workspace: LocalWorkspace, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(InvalidInputError, match="no regular file"):
        register(workspace, folder)


def test_names_that_differ_only_by_case_are_refused(workspace: LocalWorkspace, folder: Path) -> None:
    (folder / "A.csv").write_text("a,b\n3,4\n")
    with pytest.raises(InvalidInputError, match="differ only by case"):
        register(workspace, folder)
    (folder / "A.csv").unlink()
    for sub in ("Sub", "sub"):
        (folder / sub).mkdir()
        (folder / sub / f"{sub}-1").write_text("x")
    with pytest.raises(InvalidInputError, match="differ only by case"):
        register(workspace, folder)


ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{one}: &{one} [{', '.join(['*' + before] * 9)}]\n" for before, one in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [ALIASES + "paths: *i\n", "paths: " + "[" * 5_000, "paths: !!python/object/apply:os.system ['touch /tmp/x']\n",
     "paths: &p [*p]\n", "x" * 2_000_000, "paths:\n  - file: a.csv\n  unknown: [\n"],
    ids=["aliases", "depth", "tag", "self", "size", "syntax"],
)  # fmt: skip
def test_yaml_bombs(workspace: LocalWorkspace, folder: Path, text: str) -> None:
    (folder / "MLTable").write_text(text)
    start = time.monotonic()
    with pytest.raises(InvalidInputError, match="MLTable"):
        register(workspace, folder)
    assert time.monotonic() - start < 10
    assert_nothing_left(workspace)


def test_content_is_private(workspace: LocalWorkspace, folder: Path) -> None:
    register(workspace, folder)
    for path in [workspace.layout.blobs, *workspace.layout.blobs.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_folder_without_mltable_is_no_table(folder: Path) -> None:
    with pytest.raises(NotFoundError, match="MLTable"):
        profile_table(folder)
