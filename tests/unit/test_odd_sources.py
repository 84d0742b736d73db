"""Sources, names and folders as users and machines have them: read, or refused with the reason, and within bounded memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from opsml_cli.domain.errors import InvalidInputError, UsageError
from opsml_cli.domain.mlflow_path import mlflow_path
from opsml_cli.tables import profile_table
from opsml_cli.tables.delimited import MAX_HEADER
from opsml_cli.tables.sources import parse_source


@pytest.mark.parametrize(
    "text", ["http://[::1", "http://", "https://x:99999999/a.csv", "http://u:secret@[::1/x?sig=secret", "https://:80/x"]
)
def test_what_is_no_address_is_refused_without_its_secrets(text: str) -> None:
    with pytest.raises(UsageError, match="is no address") as caught:
        parse_source(text)
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("cell", [b"1,", b"a", b"\xc3\xbc;"])
def test_a_first_line_without_end_takes_little_memory(tmp_path: Path, cell: bytes) -> None:
    path = tmp_path / "wide.csv"
    path.write_bytes(cell * (40 * 2**20 // len(cell)))
    tracemalloc.start()
    with pytest.raises(InvalidInputError, match="the first line is longer than 8 MiB"):
        profile_table(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * MAX_HEADER


def test_a_wide_header_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    names = [f"column_{'x' * 60}_{number}" for number in range(9000)]
    path.write_text(",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    assert [column.name for column in profile_table(path).columns] == names


@pytest.mark.skipif(os.name == "nt", reason="names are UTF-16 there")
def test_a_word_that_is_no_utf_8_is_refused_by_name(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/n\xff.csv"
    Path(os.fsdecode(name)).write_text("a,b\n1,2\n")
    command = [os.fsencode(word) for word in (sys.executable, "-m", "opsml_cli", "data", "register", "x")]
    done = subprocess.run([*command, name, b"-o", b"json"], cwd=tmp_path, capture_output=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "is not UTF-8 text" in json.loads(done.stderr.splitlines()[-1])["error"]["message"]
    assert not (tmp_path / ".opsml").exists()


@pytest.mark.parametrize("name", ["plain", "a b", "100%", "ü"])
def test_folders_that_mlflow_reads_as_they_are_stay_as_they_are(tmp_path: Path, name: str) -> None:
    assert mlflow_path(tmp_path / name) == str(tmp_path / name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a%20b", "feature%2Fx", "sp ace#1?x", "Ü😀", "-dash"])
def test_a_model_is_trained_and_served_below_any_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "t.csv").write_text("a,y\n" + "".join(f"{number % 17},{int(number % 17 > 8)}\n" for number in range(200)))

    def run(*words: str) -> str:
        command = [sys.executable, "-m", "opsml_cli", *words]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        run("train", "automl", "--data", "t.csv", "--target-column", "y", "--timeout", "5s")
        run("deploy", "t-y", "--endpoint", "odd")
        assert json.loads(run("score", "odd", "t.csv", "-o", "json"))["rows"] == 200
    finally:
        run("local", "down", "--yes")
