"""`opsml data …` as a process: fields, exit codes, streams."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Opsml

TABLE = "age,job,y\n30,clerk,no\n41,,yes\n30,nurse,no\n"
ASSET = ["name", "version", "type", "uri", "rows", "columns", "sha256", "unchanged", "size_bytes", "created_at", "description",
         "tags", "target_column", "source", "unknown"]  # fmt: skip
PROFILE = ["rows", "size_bytes", "format", "delimiter", "encoding", "compression", "target", "columns"]
COLUMN = ["name", "type", "missing", "unique", "unique_estimated", "minimum", "maximum", "mean", "standard_deviation", "top"]
LISTED = ["name", "version", "type", "rows", "columns", "size_bytes", "created_at", "sha256", "uri"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "bank.csv"
    path.write_text(TABLE)
    return path


def test_register_list_show_profile(opsml: Opsml, table: Path, tmp_path: Path) -> None:
    ran = opsml("data", "register", "bank", "bank.csv", "--target-column", "y", "--tag", "a=b", "-o", "json")
    assert ran.exit_code == 0, ran.stderr
    registered = json.loads(ran.stdout)
    assert list(registered) == ASSET
    assert (registered["version"], registered["type"], registered["rows"], registered["columns"]) == ("1", "uri_file", 3, 3)
    assert (registered["unchanged"], registered["tags"], registered["source"]) == (False, {"a": "b"}, str(table))
    assert Path(registered["uri"].removeprefix("file://")).read_text() == TABLE

    assert json.loads(opsml("data", "register", "bank", "bank.csv", "-o", "json").stdout)["unchanged"] is True

    listed = json.loads(opsml("data", "list", "-o", "json").stdout)
    assert [list(one) for one in listed] == [LISTED]
    assert len(json.loads(opsml("data", "list", "bank", "-o", "json").stdout)) == 1

    shown = json.loads(opsml("data", "show", "bank:1", "-o", "json").stdout)
    assert list(shown) == [*ASSET, "profile"]
    assert list(shown["profile"]) == PROFILE
    assert [list(column) for column in shown["profile"]["columns"]] == [COLUMN] * 3
    assert shown["profile"]["target"] == {
        "column": "y", "task": "classification", "classes": [{"value": "no", "count": 2}, {"value": "yes", "count": 1}]}  # fmt: skip  # noqa: E501

    assert json.loads(opsml("data", "profile", "bank", "-o", "json").stdout) == shown["profile"]
    by_path = json.loads(opsml("data", "profile", "bank.csv", "--target-column", "y", "-o", "json").stdout)
    assert by_path == shown["profile"]


def test_profiling_a_path_registers_nothing(opsml: Opsml, table: Path, tmp_path: Path) -> None:
    assert opsml("data", "profile", table).exit_code == 0
    assert not (tmp_path / ".opsml").exists()


def test_a_dry_run_says_what_it_would_do(opsml: Opsml, table: Path, tmp_path: Path) -> None:
    ran = opsml("data", "register", "bank", "bank.csv", "--dry-run", "-o", "json")
    assert ran.exit_code == 0
    found = json.loads(ran.stdout)
    assert (found["dry_run"], found["action"], found["target"], found["unchanged"]) == (True, "register", "bank:1", False)
    assert not (tmp_path / ".opsml").exists()


def test_standard_input(opsml: Opsml) -> None:
    ran = opsml("data", "register", "bank", "-", "-o", "json", stdin=TABLE)
    assert ran.exit_code == 0, ran.stderr
    assert (json.loads(ran.stdout)["rows"], json.loads(ran.stdout)["source"]) == (3, "standard input")


@pytest.mark.parametrize(
    ("content", "arguments", "exit_code", "code"),
    [
        (None, [], 3, "not_found"),
        ("", [], 7, "invalid_input"),
        ("a,b\n", [], 7, "invalid_input"),
        ("a,b\n1\n", [], 7, "invalid_input"),
        ("a,a\n1,2\n", [], 7, "invalid_input"),
        ("a,b\n1,2\n", ["--target-column", "c"], 7, "invalid_input"),
        ("a,b\n1,2\n", ["--tag", "wrong"], 2, "usage"),
        ("a,b\n1,2\n", ["--type", "wrong"], 2, "usage"),
        ("a,b\n1,2\n", ["--version", "../1"], 2, "usage"),
    ],
)
def test_errors(opsml: Opsml, tmp_path: Path, content: str | None, arguments: list[str], exit_code: int, code: str) -> None:
    if content is not None:
        (tmp_path / "t.csv").write_text(content)
    ran = opsml("data", "register", "t", "t.csv", *arguments, "-o", "json")
    assert (ran.exit_code, ran.stdout) == (exit_code, "")
    assert json.loads(ran.stderr.splitlines()[-1])["error"]["code"] == code
    assert "Traceback" not in ran.stderr
    assert not list((tmp_path / ".opsml").glob("blobs/*"))


def test_another_content_under_a_version_is_a_conflict(opsml: Opsml, table: Path) -> None:
    assert opsml("data", "register", "bank", "bank.csv", "--version", "1").exit_code == 0
    table.write_text(TABLE + "1,x,no\n")
    assert opsml("data", "register", "bank", "bank.csv", "--version", "1").exit_code == 5


def test_ci_outputs(opsml: Opsml, table: Path, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    outputs.touch()
    ran = opsml("data", "register", "bank", "bank.csv", env={"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(outputs)})
    assert ran.exit_code == 0
    written = outputs.read_text()
    for name in ("name", "version", "sha256", "rows"):
        assert name in written


def test_views_are_plain_and_show_the_table(opsml: Opsml, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('"a\x1b[31m\nb",y\n1,::error::x\n2,no\n', newline="")
    ran = opsml("data", "register", "t", "t.csv", "--target-column", "y")
    assert ran.exit_code == 0
    assert "t:1" in ran.stdout
    assert "2 rows" in ran.stdout
    shown = opsml("data", "show", "t")
    assert shown.exit_code == 0
    assert "\x1b" not in ran.stdout + shown.stdout + ran.stderr
    assert "integer" in shown.stdout


def test_reading_records_loads_no_heavy_module(opsml: Opsml, table: Path, clean_environment: dict[str, str]) -> None:
    assert opsml("data", "register", "bank", "bank.csv").exit_code == 0
    for command in (["list"], ["show", "bank"], ["profile", "bank"]):
        ran = opsml("data", *command, "-o", "json", env={"PYTHONPROFILEIMPORTTIME": "1"})
        loaded = {
            line.rpartition("|")[2].strip().partition(".")[0] for line in ran.stderr.splitlines() if "import time:" in line
        }
        assert "sqlite3" in loaded
        assert not loaded & {"azure", "mlflow", "pandas", "numpy", "pyarrow", "sklearn", "httpx", "rich"}
