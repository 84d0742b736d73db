"""Exit codes by real commands, where no training or server is needed; those that need one (8, 9, 10, 130, 143) are in
tests/contract/test_train_command.py and tests/unit/test_pipeline_cli.py."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest

TABLE = "a,y\n1,x\n2,z\n"


def refused(opsml, expected: int, code: str, *words: str, **options: object) -> dict[str, object]:
    ran = opsml(*words, "-o", "json", **options)
    assert (ran.exit_code, ran.stdout) == (expected, ""), ran.stderr
    assert "Traceback" not in ran.stderr
    error = json.loads(ran.stderr.splitlines()[-1])["error"]
    assert error["code"] == code
    assert error["message"]
    return error


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text(TABLE)
    return path


def test_0_done(opsml, table: Path) -> None:
    assert opsml("data", "register", "t", table, "-o", "json").exit_code == 0


def test_1_unexpected(opsml, table: Path, tmp_path: Path) -> None:
    assert opsml("data", "register", "t", table).exit_code == 0
    [database] = [path for path in (tmp_path / ".opsml").iterdir() if path.suffix in (".db", ".sqlite", ".sqlite3")]
    with sqlite3.connect(database) as connection:
        [(record,)] = connection.execute("SELECT count(*) FROM data_versions")
        assert record == 1
        connection.execute("UPDATE data_versions SET document = '[]'")
    refused(opsml, 1, "unexpected", "data", "show", "t")


@pytest.mark.parametrize("words", [("data", "lst"), ("data", "list", "--nope"), ("data", "show", "a/b")])
def test_2_usage(opsml, words: tuple[str, ...]) -> None:
    refused(opsml, 2, "usage", *words)


def test_2_configuration(opsml, tmp_path: Path) -> None:
    (tmp_path / "opsml.toml").write_text('workspce = "local"\n')
    assert "line 1" in str(refused(opsml, 2, "configuration", "data", "list")["message"])


@pytest.mark.parametrize(
    "words",
    [("data", "show", "nobody"), ("data", "register", "t", "nowhere.csv"), ("jobs", "show", "nobody"),
     ("models", "show", "nobody"), ("endpoints", "show", "nobody"), ("logs", "nobody"), ("score", "nobody", "--sample", "1"),
     ("pipeline", "show", "nobody"), ("deploy", "nobody"), ("swagger", "nobody"), ("insights", "show", "nobody")],
    ids=lambda words: "-".join(words[:2]),
)  # fmt: skip
def test_3_not_found(opsml, words: tuple[str, ...]) -> None:
    refused(opsml, 3, "not_found", *words)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="everything is allowed to root")
def test_4_not_allowed_by_the_system(opsml, table: Path) -> None:
    table.chmod(0)
    refused(opsml, 4, "not_allowed", "data", "register", "t", str(table))


def test_4_not_allowed(opsml, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: evil\n")
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    refused(opsml, 4, "not_allowed", "models", "register", "m", str(folder))
    refused(opsml, 4, "not_allowed", "deploy", str(folder), "--endpoint", "bank")
    assert not (tmp_path / "ran").exists()


def test_5_conflict(opsml, table: Path) -> None:
    assert opsml("data", "register", "t", table, "--version", "7").exit_code == 0
    table.write_text(TABLE + "3,x\n")
    refused(opsml, 5, "conflict", "data", "register", "t", str(table), "--version", "7")


def test_7_invalid_input(opsml, table: Path) -> None:
    table.write_text(TABLE + "1,2,3,4\n")
    assert "line 4" in str(refused(opsml, 7, "invalid_input", "data", "register", "t", str(table)))


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{one}: &{one} [{', '.join(['*' + before] * 9)}]\n" for before, one in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("text", [BOMB, "x: " + "[" * 5_000, "x: !!python/object/apply:os.system ['exit']\n", "x: &p [*p]\n"])
@pytest.mark.parametrize("words", [("train", "automl", "-f"), ("pipeline", "validate"), ("pipeline", "run")])
def test_7_yaml_bombs(opsml, tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    (tmp_path / "bomb.yml").write_text(text)
    error = refused(opsml, 7, "invalid_input", *words, "bomb.yml", timeout=20.0)
    assert "bomb.yml" in str(error["message"])
