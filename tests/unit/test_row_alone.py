"""A row is read alike alone and beside any others: in every format, order and batching, the types are the model's."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from opsml_cli.domain.contract import Column, Schema
from opsml_cli.domain.data import ColumnType
from opsml_cli.local.automl import encode, scoring
from opsml_cli.local.own_models import reading_types
from opsml_cli.tables import profile_table, read_frame
from opsml_cli.tables.blocks import KINDS, BlockReader
from opsml_cli.tables.row_batches import open_rows

Cells = Mapping[str, str]

# What a column's cells are drawn from. Each mixture is of one type as a whole, and looks like another one in parts.
MIXTURES: Mapping[str, Sequence[str]] = {
    "dates and a word": ("never", "2023-01-01", "2023-03-01", "2023-03-01T10:00:00"),
    "codes like numbers": ("1E3", "7", "007", "A1", "10001", "10001.5"),
    "codes of digits": ("0001", "0002", "10", "11", "1e3"),
    "booleans and a word": ("true", "false", "unknown", "TRUE"),
    "booleans": ("true", "false"),
    "dates": ("2023-01-01", "2023-03-01", "2024-02-29T23:59:59", "2020-12-31"),
    "moments with zones": ("2023-01-01T00:00:00+02:00", "2023-03-01T00:00:00Z", "2024-02-29T23:59:59.5-05:30"),
    "whole numbers": ("1", "2", "30", "-4", "0", "1000000"),
    "numbers": ("0.1", "1e-7", "3", "-2.5", "123456789.123456789", "1e22"),
    "long numbers": ("1577134800018226901", "1577134800018226902", "x1577134800018226903"),
    "words": ("a", "b c", 'd"e', "ü", "f,g", "inf", "true story"),
    "blanks around": (" a", "a", "a ", "b"),
}


def drawn_table(seed: int) -> tuple[dict[str, str], list[Cells]]:
    """Columns with the mixture that each is of, and rows; "" is a missing value."""
    chance = random.Random(seed)
    mixtures = {f"c{index} {kind}": kind for index, kind in enumerate(chance.sample(list(MIXTURES), 5))}
    gaps = {name: chance.choice((0.0, 0.0, 0.3)) for name in mixtures}
    rows = []
    for _ in range(chance.choice((8, 30, 60))):
        cells = {name: chance.choice(MIXTURES[kind]) for name, kind in mixtures.items()}
        rows.append({name: "" if chance.random() < gaps[name] else cell for name, cell in cells.items()})
    return mixtures, rows


def write_csv(path: Path, rows: Sequence[Cells]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def by_schema(rows: Sequence[Mapping[str, object]], model: _Model) -> np.ndarray:
    checked = [dict(row) for row in rows]
    model.schema.check(checked)
    return model.encoder.rows(checked)


class _Model:
    """What a training on the table knows of its columns."""

    def __init__(self, path: Path) -> None:
        profile = profile_table(path)
        frame = read_frame(path, profile)
        self.documents = encode.fit(frame, profile, {}).columns
        self.encoder = scoring.Encoder(self.documents)
        self.truth = self.encoder.frame(frame)
        self.columns = [dict(document) for document in self.documents]
        self.classes: list[Any] = []
        self.target = ""
        self.types = {str(each["name"]): str(each["type"]) for each in self.documents}
        self.schema = Schema(
            Column(each["name"], each["type"], each["categories"], each["minimum"], each["maximum"], each["example"])
            for each in self.documents
        )


def from_csv(folder: Path, rows: Sequence[Cells], model: _Model, chance: random.Random) -> np.ndarray:
    write_csv(folder / "part.csv", rows)
    with open_rows(folder / "part.csv", model.types) as table:
        found = [row for batch in table.batches(chance.choice((1, 3, 1000)), ()) for row in batch.rows]
    return by_schema(found, model)


def from_frame(folder: Path, rows: Sequence[Cells], model: _Model, _: random.Random) -> np.ndarray:
    write_csv(folder / "part.csv", rows)
    return model.encoder.frame(read_frame(folder / "part.csv", None, types=reading_types(model)))  # type: ignore[arg-type]


def from_blocks(folder: Path, rows: Sequence[Cells], model: _Model, chance: random.Random) -> np.ndarray:
    write_csv(folder / "part.csv", rows)
    reader = BlockReader(folder / "part.csv", "part.csv", model.types)
    blocks = reader.blocks(tuple(model.types), chance.choice((1, 3, 1000)))
    return np.vstack([by_schema(block.to_rows(), model) for block in blocks])


def typed_rows(rows: Sequence[Cells], model: _Model) -> list[dict[str, object]]:
    """The cells as a program holds them: numbers and booleans where the column has such, text elsewhere."""

    def value(name: str, cell: str) -> object:
        if cell == "":
            return None
        kind = model.types.get(name, "string")
        if kind in ("integer", "number"):
            return int(cell) if cell.strip("-").isdecimal() else float(cell)
        return cell.lower() == "true" if kind == "boolean" else cell

    return [{name: value(name, cell) for name, cell in row.items()} for row in rows]


def from_json_lines(folder: Path, rows: Sequence[Cells], model: _Model, chance: random.Random) -> np.ndarray:
    path = folder / "part.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in typed_rows(rows, model)), encoding="utf-8")
    with open_rows(path, model.types) as table:
        found = [row for batch in table.batches(chance.choice((1, 3, 1000)), ()) for row in batch.rows]
    return by_schema(found, model)


def from_values(_: Path, rows: Sequence[Cells], model: _Model, __: random.Random) -> np.ndarray:
    return by_schema(json.loads(json.dumps(typed_rows(rows, model))), model)


def from_numbers(_: Path, rows: Sequence[Cells], model: _Model, __: random.Random) -> np.ndarray:
    """Codes of digits that a program took for numbers: 10001 and 10001.0 are both the code 10001."""
    values = typed_rows(rows, model)
    for index, row in enumerate(values):
        for name, cell in row.items():
            if isinstance(cell, str) and cell.isdecimal() and str(int(cell)) == cell and len(cell) < 16:
                row[name] = int(cell) if index % 2 else float(cell)
    return by_schema(values, model)


def from_pandas(_: Path, rows: Sequence[Cells], model: _Model, __: random.Random) -> np.ndarray:
    return model.encoder.frame(pd.DataFrame(typed_rows(rows, model)))


def from_parquet(folder: Path, rows: Sequence[Cells], model: _Model, _: random.Random) -> np.ndarray:
    path = folder / "part.parquet"
    values = typed_rows(rows, model)
    wanted = {"integer": pa.float64(), "number": pa.float64(), "boolean": pa.bool_()}
    columns = {}
    for name in rows[0]:
        kind = wanted.get(model.types.get(name, "string"), pa.string())
        cells = [row[name] for row in values]
        columns[name] = pa.array([float(cell) if kind == pa.float64() and cell is not None else cell for cell in cells], kind)  # type: ignore[arg-type]
    pq.write_table(pa.table(columns), path)
    with open_rows(path, model.types) as table:
        found = [row for batch in table.batches(1000, ()) for row in batch.rows]
    same = model.encoder.frame(read_frame(path, None, types=reading_types(model)))  # type: ignore[arg-type]
    first = by_schema(found, model)
    assert np.array_equal(first, same, equal_nan=True)
    return first


WAYS: Sequence[Callable[[Path, Sequence[Cells], _Model, random.Random], np.ndarray]] = (
    from_csv, from_frame, from_blocks, from_json_lines, from_values, from_numbers, from_pandas, from_parquet,
)  # fmt: skip


def subsets(count: int, chance: random.Random) -> Iterator[list[int]]:
    """Rows of the table: one alone, a few of one kind, all in another order."""
    yield [chance.randrange(count)]
    yield sorted(chance.sample(range(count), min(3, count)))
    order = list(range(count))
    chance.shuffle(order)
    yield order


def read_every_way(seed: int, folder: Path) -> None:
    chance = random.Random(f"ways {seed}")
    _, rows = drawn_table(seed)
    write_csv(folder / "all.csv", rows)
    model = _Model(folder / "all.csv")
    for chosen in subsets(len(rows), chance):
        part = [rows[index] for index in chosen]
        if not any(any(row.values()) for row in part):
            continue
        truth = model.truth[chosen]
        for way in WAYS:
            found = way(folder, part, model, chance)
            assert np.array_equal(found, truth, equal_nan=True), f"table {seed}, {way.__name__}, rows {chosen}"


def test_a_row_is_read_alike_alone_and_beside_others(tmp_path: Path) -> None:
    for seed in range(60):
        read_every_way(seed, tmp_path)


@pytest.mark.slow
def test_a_row_is_read_alike_in_a_thousand_tables(tmp_path: Path) -> None:
    for seed in range(60, 1060):
        read_every_way(seed, tmp_path)


def test_the_types_of_blocks_are_those_that_endpoints_name() -> None:
    assert set(KINDS.values()) == set(ColumnType) - {ColumnType.EMPTY}


def test_a_day_that_came_as_a_moment_is_the_text_of_a_day(tmp_path: Path) -> None:
    cells = ["never", "2023-03-01", "2023-03-01T10:00:00"] * 10
    write_csv(tmp_path / "all.csv", [{"when": cell, "x": str(index)} for index, cell in enumerate(cells)])
    model = _Model(tmp_path / "all.csv")
    assert model.types["when"] == "string"
    moments = pd.to_datetime(["2023-03-01", "2023-03-01T10:00:00"], format="ISO8601")
    frame = pd.DataFrame({"when": moments, "x": [1.0, 2.0]})
    path = tmp_path / "part.parquet"
    frame.to_parquet(path)
    truth = model.truth[1:3]
    with open_rows(path, model.types) as table:
        assert np.array_equal(by_schema([row for batch in table.batches(9, ()) for row in batch.rows], model), truth)
    blocks = BlockReader(path, "part.parquet", model.types).blocks(tuple(model.types), 9)
    assert np.array_equal(np.vstack([by_schema(block.to_rows(), model) for block in blocks]), truth)
    assert np.array_equal(model.encoder.frame(read_frame(path, None, types=reading_types(model))), truth)  # type: ignore[arg-type]
    assert np.array_equal(model.encoder.frame(frame), truth)
