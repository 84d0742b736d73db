"""Snapshots: what is kept of a folder, what is refused, and that it comes back as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsml_cli.content.ignore_file import IgnoreRules
from opsml_cli.domain.errors import InvalidInputError, QuotaError
from opsml_cli.local.layout import Layout
from opsml_cli.local.pipelines import snapshot


def tree(tmp_path: Path, code: Path) -> snapshot.Tree:
    return snapshot.store_tree(Layout(tmp_path / ".opsml"), code, code=True)


def test_a_folder_comes_back_as_it_was(tmp_path: Path) -> None:
    code = tmp_path / "code"
    (code / "deep" / "er").mkdir(parents=True)
    (code / "deep" / "er" / "a.txt").write_bytes(b"\x00\xff")
    (code / "run.sh").write_text("true")
    (code / "run.sh").chmod(0o755)
    kept = tree(tmp_path, code)
    there = snapshot.restore(Layout(tmp_path / ".opsml"), kept, tmp_path / "out")
    assert (there / "deep" / "er" / "a.txt").read_bytes() == b"\x00\xff"
    assert os.name == "nt" or os.access(there / "run.sh", os.X_OK)
    assert tree(tmp_path, there).sha256 == kept.sha256
    (there / "run.sh").write_text("false")
    assert tree(tmp_path, there).sha256 != kept.sha256


def test_ignored_files_stay_out(tmp_path: Path) -> None:
    code = tmp_path / "code"
    (code / "__pycache__").mkdir(parents=True)
    (code / "big").mkdir()
    for name in ("a.py", "__pycache__/a.pyc", "big/x.bin", "notes.log", "keep.log"):
        (code / name).write_text(name)
    (code / ".gitignore").write_text("a.py\n")
    (code / ".amlignore").write_text("big/\n*.log\n!keep.log\n")
    assert [item.path for item in tree(tmp_path, code).files] == ["a.py", "keep.log"]


@pytest.mark.parametrize(
    ("pattern", "path", "folder", "ignored"),
    [
        ("*.log", "a/b.log", False, True),
        ("/x", "x", False, True),
        ("/x", "a/x", False, False),
        ("a/b", "a/b", False, True),
        ("a/b", "c/a/b", False, False),
        ("**/b", "c/a/b", False, True),
        ("a/**/b", "a/b", False, True),
        ("a/**/b", "a/x/y/b", False, True),
        ("a/**", "a/x/y", False, True),
        ("d/", "d", False, False),
        ("d/", "x/d", True, True),
        ("f?o", "fxo", False, True),
        ("f?o", "f/o", False, False),
        ("[ab].c", "a.c", False, True),
        ("[!ab].c", "a.c", False, False),
        ("# c", "# c", False, False),
        ("\\#c", "#c", False, True),
    ],
)
def test_git_patterns(pattern: str, path: str, folder: bool, ignored: bool) -> None:
    assert IgnoreRules([pattern]).ignores(path, folder=folder) is ignored


@given(
    st.lists(st.text(st.sampled_from("ab*?[]!/\\ #"), max_size=12), max_size=5), st.text(st.sampled_from("ab/"), max_size=12)
)
def test_no_pattern_breaks_the_reader(lines: list[str], path: str) -> None:
    assert IgnoreRules(lines).ignores(path, folder=False) in (True, False)


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_links_that_leave_the_folder_are_refused(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (tmp_path / "secret").write_text("canary")
    (code / "inside").write_text("x")
    (code / "ok").symlink_to("inside")
    assert len(tree(tmp_path, code).files) == 2
    (code / "out").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidInputError, match="out in code is a link that leaves the folder"):
        tree(tmp_path, code)
    (code / "out").unlink()
    (code / "round").symlink_to(code)
    with pytest.raises(InvalidInputError, match="links to a folder around it"):
        tree(tmp_path, code)


@pytest.mark.skipif(os.name == "nt", reason="special files")
def test_special_files_are_refused(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    os.mkfifo(code / "pipe")
    with pytest.raises(InvalidInputError, match="neither file nor folder"):
        tree(tmp_path, code)


def test_too_much_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "x").write_bytes(b"x" * 100)
    monkeypatch.setattr(snapshot, "MAX_CODE_BYTES", 99)
    with pytest.raises(QuotaError, match="code folder code"):
        tree(tmp_path, code)


def test_a_tree_whose_entry_would_leave_is_not_written(tmp_path: Path) -> None:
    kept = snapshot.Tree("folder", (snapshot.StoredFile("../../x", "0" * 64, 1),))
    with pytest.raises(InvalidInputError, match="would leave"):
        snapshot.restore(Layout(tmp_path / ".opsml"), kept, tmp_path / "out")


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_an_output_that_holds_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").symlink_to("/etc/passwd")
    with pytest.raises(InvalidInputError, match="is a link"):
        snapshot.hash_path(tmp_path / "out")
