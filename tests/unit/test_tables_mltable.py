"""Folders with an MLTable file."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.tables import profile_table, read_frame, read_rows


def described(folder: Path, text: str) -> Path:
    (folder / "MLTable").write_text(text)
    return folder


def test_delimiter_encoding_and_files_in_order(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("stadt;n\nKöln;1\n", encoding="latin-1")
    (tmp_path / "a.txt").write_text("stadt;n\nBärn;2\n", encoding="latin-1")
    described(
        tmp_path,
        """type: mltable
paths:
  - file: ./b.txt
  - file: ./a.txt
transformations:
  - read_delimited:
      delimiter: ';'
      encoding: iso88591
      header: all_files_same_headers
""",
    )
    assert read_rows(tmp_path) == [{"stadt": "Köln", "n": 1}, {"stadt": "Bärn", "n": 2}]
    profile = profile_table(tmp_path)
    assert (profile.format, profile.rows, profile.delimiter, profile.encoding) == ("mltable", 2, ";", "latin-1")


def test_columns_may_stand_in_another_order(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a,b\n1,x\n")
    (tmp_path / "2.csv").write_text("b,a\ny,2\n")
    described(tmp_path, "paths:\n  - pattern: '*.csv'\n")
    assert read_rows(tmp_path) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def test_other_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a,b\n1,x\n")
    (tmp_path / "2.csv").write_text("a,c\n1,y\n")
    described(tmp_path, "paths:\n  - pattern: '*.csv'\n")
    with pytest.raises(InvalidInputError, match="different columns"):
        profile_table(tmp_path)


def test_without_a_header(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("1,x\n2,y\n")
    described(tmp_path, "paths:\n  - file: 1.csv\ntransformations:\n  - read_delimited:\n      header: no_header\n")
    assert read_rows(tmp_path) == [{"Column1": 1, "Column2": "x"}, {"Column1": 2, "Column2": "y"}]


@pytest.mark.parametrize("kind", ["parquet", "json_lines"])
def test_other_readers(tmp_path: Path, kind: str) -> None:
    (tmp_path / "part").mkdir()
    for number in (1, 2):
        if kind == "parquet":
            pq.write_table(pa.table({"a": [number], "b": ["x"]}), tmp_path / "part" / f"{number}.parquet")
        else:
            (tmp_path / "part" / f"{number}.jsonl").write_text(f'{{"a": {number}, "b": "x"}}\n')
    described(tmp_path, f"paths:\n  - folder: ./part\ntransformations:\n  - read_{kind}\n")
    frame = read_frame(tmp_path, None)
    assert frame["a"].tolist() == [1, 2]
    assert profile_table(tmp_path).rows == 2


def test_each_file_has_its_own_encoding(tmp_path: Path) -> None:
    # Both look like ASCII at first.
    filler = "plain,1\n" * 60_000
    (tmp_path / "1.csv").write_text("name,n\n" + filler + "Köln,2\n", encoding="utf-8")
    (tmp_path / "2.csv").write_text("name,n\n" + filler + "Bärn,3\n", encoding="cp1252")
    described(tmp_path, "paths:\n  - pattern: '*.csv'\n")
    frame = read_frame(tmp_path, None)
    assert frame.loc[frame["n"] > 1, "name"].tolist() == ["Köln", "Bärn"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("paths: []\n", "line 1: paths is missing or empty"),
        ("type: mltable\n", "paths is missing or empty"),
        ("paths:\n  - file: absent.csv\n", "line 2: no file 'absent.csv'"),
        ("paths:\n  - file: a.csv\npath: x\n", "line 3: unknown key 'path'"),
        ("paths:\n  - file: a.csv\ntransformations:\n  - take: 5\n", "line 4: the transformation 'take'"),
        ("paths:\n  - file: a.csv\ntransformations:\n  - read_delimited:\n      delimiter: ab\n", "line 5"),
        ("paths:\n  - file: a.csv\ntransformations:\n  - read_delimited:\n      encoding: klingon\n", "line 5"),
        ("paths:\n  - file: a.csv\ntransformations:\n  - read_parquet\n", "a.csv is csv; the MLTable file says parquet"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    described(tmp_path, text)
    with pytest.raises(InvalidInputError) as caught:
        profile_table(tmp_path)
    assert message in caught.value.message
