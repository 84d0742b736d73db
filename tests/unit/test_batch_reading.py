"""Blocks of rows, and how batch scoring reads them: the same values as a whole reading gives, from any row on."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from serving_support import trained_once

from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.local.batch import lines, minibatch
from opsml_cli.local.batch.minibatch import InputFile, MiniBatch, MiniBatchError, Place, RowBatches
from opsml_cli.local.batch.own_model import OwnModel
from opsml_cli.tables import read_rows
from opsml_cli.tables.blocks import BlockReader

ROWS = 25
TEXT = "age,job,balance\n" + "".join(f"{number},{'ab'[number % 2]},{number}.5\n" for number in range(ROWS))


def csv_file(path: Path) -> None:
    path.write_text(TEXT)


def gz_file(path: Path) -> None:
    path.write_bytes(gzip.compress(TEXT.encode()))


def jsonl_file(path: Path) -> None:
    path.write_text("".join(json.dumps({"age": n, "job": "ab"[n % 2], "balance": n + 0.5}) + "\n" for n in range(ROWS)))


def json_file(path: Path) -> None:
    path.write_text(json.dumps([{"age": n, "job": "ab"[n % 2], "balance": n + 0.5} for n in range(ROWS)]))


def parquet_file(path: Path) -> None:
    columns = {"age": range(ROWS), "job": ["ab"[n % 2] for n in range(ROWS)], "balance": [n + 0.5 for n in range(ROWS)]}
    pq.write_table(pa.table(columns), path, row_group_size=7)


KINDS = {"t.csv": csv_file, "t.csv.gz": gz_file, "t.jsonl": jsonl_file, "t.json": json_file, "t.parquet": parquet_file}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("size", [1, 7, 10, 25, 100])
def test_blocks_are_the_rows_of_the_file(tmp_path: Path, name: str, size: int) -> None:
    path = tmp_path / name
    KINDS[name](path)
    whole = read_rows(path)
    blocks = list(BlockReader(path, name).blocks(None, size))
    assert [block.first for block in blocks] == list(range(0, ROWS, size))
    assert [row for block in blocks for row in block.to_rows()] == whole
    start = size * (ROWS // size // 2)
    rest = list(BlockReader(path, name).blocks(None, size, start))
    assert [row for block in rest for row in block.to_rows()] == whole[start:]
    chosen = next(iter(BlockReader(path, name).blocks(["balance", "age", "nothing"], size)))
    if chosen.columns is not None:
        assert set(chosen.columns.schema.names) == {"age", "balance"}


def test_types_are_those_of_the_whole_file(tmp_path: Path) -> None:
    """A value far behind makes the column text from the first row on, as it does in a whole reading."""
    path = tmp_path / "t.csv"
    path.write_text(TEXT + "x,a,1\n")
    first = next(iter(BlockReader(path, "t.csv").blocks(None, 3)))
    assert first.to_rows()[0] == read_rows(path)[0] == {"age": "0", "job": "a", "balance": 0.5}


@pytest.mark.parametrize(("content", "words"), [(b"", "is empty"), (b"\x89PNG\r\n\x1a\n\0\0\0", "binary")])
def test_what_is_no_table(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=words):
        BlockReader(path, "t.csv")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> OwnModel:
    return OwnModel(trained_once(tmp_path_factory.getbasetemp()))


def batches(path: Path, model: OwnModel, place: Place = Place()) -> list[MiniBatch]:  # noqa: B008 - frozen
    return list(RowBatches([InputFile(path, path.name)], model.types, place))


CELLS = {
    "plain": ("41", "technician", "12.5"),
    "missing": ("", "", ""),
    "unseen": ("41", "astronaut", "1e6"),
    "spaces": (" 41 ", " technician ", " 12.5 "),
    "whole number as a float": ("41.0", "retired", "3"),
    "large": ("9007199254740993", "retired", "-1e300"),
    "number as a category": ("1", "7", "0"),
}


@pytest.mark.parametrize("cells", CELLS.values(), ids=CELLS)
def test_scored_at_once_is_as_scored_row_by_row(tmp_path: Path, model: OwnModel, cells: tuple[str, str, str]) -> None:
    path = tmp_path / "t.csv"
    path.write_text("job,balance,age,y\n" + f"{cells[1]},{cells[2]},{cells[0]},no\n" * 20 + "retired,1.5,60,no\n" * 20)
    (batch,) = batches(path, model)
    rows = read_rows(path)
    scorer: Any = model._scorer
    try:
        scorer.schema.check(rows)
        expected = scorer.score(rows, False)
    except Exception as error:  # refused by the one: refused by the other
        with pytest.raises(MiniBatchError) as caught:
            model.results(batch)
        assert str(getattr(error, "column", "")) in str(caught.value)
        return
    assert model.results(batch) == expected


def test_what_does_not_fit_names_file_row_and_column(tmp_path: Path, model: OwnModel) -> None:
    path = tmp_path / "t.csv"
    path.write_text("age,job,balance\n" + "41,x,1\n" * 10_003 + "forty,x,1\n")
    first, second = batches(path, model)
    assert len(model.results(first)) == 10_000
    with pytest.raises(
        MiniBatchError, match=r"t\.csv, row 10003 \(counted from 0\): column 'age' is 'forty', expected an integer"
    ):
        model.results(second)
    (tmp_path / "u.csv").write_text("age,job\n1,x\n")
    (batch,) = batches(tmp_path / "u.csv", model)
    with pytest.raises(MiniBatchError, match=r"u\.csv has no column 'balance'"):
        model.results(batch)


def test_a_broken_line_and_a_file_without_rows_are_mini_batches_that_fail(tmp_path: Path, model: OwnModel) -> None:
    (tmp_path / "a.csv").write_text("age,job,balance\n" + "1,x,1\n" * 5 + "1,x\n")
    (tmp_path / "b.csv").write_text("age,job,balance\n")
    files = [InputFile(tmp_path / name, name) for name in ("a.csv", "b.csv")]
    found = list(RowBatches(files, model.types, Place()))
    assert "line 7" in (found[-2].broken or "")
    assert found[-1].broken == "b.csv has no rows"


def test_files_of_an_input(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no files"):
        minibatch.input_files(tmp_path, None)
    (tmp_path / "sub").mkdir()
    for name in ("b.txt", "a.txt", ".hidden", "_SUCCESS", "sub/c.txt"):
        (tmp_path / name).touch()
    files = minibatch.input_files(tmp_path, None)
    assert [file.label for file in files] == ["a.txt", "b.txt", "sub/c.txt"]
    handed = list(minibatch.of_files(files, 2, Place()))
    assert [[file.label for file in batch.files] for batch in handed] == [["a.txt", "b.txt"], ["sub/c.txt"]]
    assert [batch.number for batch in minibatch.of_files(files, 2, Place(1, 2))] == [1]


def test_lines_of_results() -> None:
    made = lines.of_predictions(["yes", 'a "b", c', 1.5, None, ["x", 1], {"k": 2}], 4, "t,1.csv")
    assert made.decode().splitlines() == [
        '4,yes,"t,1.csv"',
        '5,"a ""b"", c","t,1.csv"',
        '6,1.5,"t,1.csv"',
        '7,,"t,1.csv"',
        '8,"[""x"", 1]","t,1.csv"',
        '9,"{""k"": 2}","t,1.csv"',
    ]


def test_lines_of_a_scripts_results() -> None:
    import pandas as pd

    assert lines.of_script(["a", 1]) == (b"a\n1\n", 2)
    assert lines.of_script(pd.DataFrame({"f": ["a.csv", "b c"], "p": [1, 2]})) == (b'a.csv 1\n"b c" 2\n', 2)
    assert lines.of_script([]) == (b"", 0)
    for wrong in (None, 3, "text"):
        with pytest.raises(MiniBatchError, match="expected a list or a data frame"):
            lines.of_script(wrong)
