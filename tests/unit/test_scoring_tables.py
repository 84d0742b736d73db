"""Tables as rows to score: typed by what the endpoint wants, never by themselves; and rows of output as files."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from opsml_cli.domain.errors import ConflictError, InvalidInputError, NotFoundError, UsageError
from opsml_cli.scoring_client.described import column_types
from opsml_cli.tables.row_batches import open_rows
from opsml_cli.tables.writing import RowsFile


def rows_of(path: Path, types: dict[str, str], size: int = 1000, keep: tuple[str, ...] = (), **options: Any) -> list[Any]:
    with open_rows(path, types, **options) as table:
        return [(batch.rows, batch.kept) for batch in table.batches(size, keep)]


@pytest.mark.parametrize("text", ["2023-03-01", "1E3", "007", "1.10", "true", "12345678901234567890", " x "])
def test_text_columns_keep_their_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "one.csv"
    path.write_text(f"code,n\n{text},1\n")
    ((rows, _),) = rows_of(path, {"code": "string", "n": "integer"})
    assert rows == [{"code": text, "n": 1}]


def test_text_is_read_as_the_endpoint_wants_it(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("i,f,b,s,d\n7,1,yes,NA,2023-03-01\n7.0,1e3,false,5,2023-03-02T10:00:00\nx,inf,maybe,,soon\n,,,a,\n")
    types = {"i": "integer", "f": "number", "b": "boolean", "s": "string", "d": "datetime"}
    ((rows, _),) = rows_of(path, types)
    assert rows[0] == {"i": 7, "f": 1.0, "b": True, "s": None, "d": "2023-03-01"}
    assert rows[1] == {"i": 7, "f": 1000.0, "b": False, "s": "5", "d": "2023-03-02T10:00:00"}
    assert rows[2] == {"i": "x", "f": "inf", "b": "maybe", "s": None, "d": "soon"}  # the server says what it expects
    assert rows[3] == {"i": None, "f": None, "b": None, "s": "a", "d": None}


def test_batches_hold_at_most_so_many_rows_and_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,x\n" + "".join(f"0{number},{number}\n" for number in range(2500)))
    parts = rows_of(path, {"x": "integer"}, 999, ("id",), as_written=True)
    assert [len(rows) for rows, _ in parts] == [999, 999, 502]
    assert [row["x"] for rows, _ in parts for row in rows] == list(range(2500))
    assert parts[2][1][-1] == {"id": "02499"}


def test_without_a_schema_the_whole_file_decides(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1,2023-01-01\n" * 50 + "x,2023-01-02\n")
    parts = rows_of(path, {}, 10)
    assert parts[0][0][0] == {"a": "1", "b": "2023-01-01T00:00:00"}


def test_an_encoding_that_shows_late_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with path.open("wb") as file:
        file.write(b"a,b\n" + b"1,plain text that is long enough to fill a block of the reader\n" * 120_000)
        file.write("2,Köln\n".encode("cp1252"))
    parts = rows_of(path, {"a": "integer"}, 7000)
    assert sum(len(rows) for rows, _ in parts) == 120_001
    assert parts[-1][0][-1] == {"a": 2, "b": "Köln"}


def test_parquet_values_are_json_as_iso_says(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = pa.table(
        {
            "day": pa.array([dt.date(2023, 3, 1), None]),
            "at": pa.array([dt.datetime(2023, 3, 1, 10, 30), None], pa.timestamp("ms")),
            "price": pa.array([Decimal("1.50"), None]),
            "kind": pa.array(["a", "b"]).dictionary_encode(),
            "small": pa.array([1, 2], pa.int8()),
            "x": pa.array([0.5, float("nan")]),
            "many": pa.array([[1, 2], []]),
            "count": pa.array([3.0, None]),
        }
    )
    pq.write_table(table, path)
    ((rows, kept),) = rows_of(path, {"count": "integer"}, keep=("day", "price"))
    assert rows[0] == {
        "day": "2023-03-01T00:00:00", "at": "2023-03-01T10:30:00", "price": 1.5, "kind": "a", "small": 1, "x": 0.5,
        "many": [1, 2], "count": 3,
    }  # fmt: skip
    assert rows[1] == {
        "day": None, "at": None, "price": None, "kind": "b", "small": 2, "x": None, "many": [], "count": None,
    }  # fmt: skip
    # pandas' own JSON says the same instants and numbers.
    theirs = json.loads(pd.read_parquet(path)[["at", "kind", "small", "x"]].to_json(orient="records", date_format="iso"))
    for mine, other in zip(rows, theirs, strict=True):
        assert {**other, "at": other["at"] and other["at"].removesuffix(".000")} == {name: mine[name] for name in other}
    assert kept[0] == {"day": dt.date(2023, 3, 1), "price": Decimal("1.50")}
    ((texts, _),) = rows_of(path, {"day": "string", "small": "string", "many": "string"})
    assert (texts[0]["day"], texts[0]["small"], texts[0]["many"]) == ("2023-03-01", "1", "[1, 2]")


def test_what_cannot_be_sent_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": [0.5, 1.0, float("inf")]}), path)
    with pytest.raises(InvalidInputError, match=r"'x', row 2 \(counted from 0\): inf"):
        rows_of(path, {}, 2)
    pq.write_table(pa.table({"photo": pa.array([b"\xff"])}), path)
    with pytest.raises(InvalidInputError, match="'photo' holds binary"):
        rows_of(path, {})


def test_json_lines_keep_their_values(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": 100000000000000000000, "v": [1, 2], "s": {"k": 1}}\n{"a": 1, "id": 7}\n')
    ((rows, kept),) = rows_of(path, {"s": "string"}, keep=("id",))
    assert rows[0] == {"a": 10**20, "v": [1, 2], "s": '{"k":1}'}
    assert kept == [{"id": None}, {"id": 7}]


def test_a_column_to_keep_must_be_there(tmp_path: Path) -> None:
    for name, text in (("t.csv", "ident,x\n1,2\n"), ("t.jsonl", '{"ident": 1}\n')):
        (tmp_path / name).write_text(text)
        with pytest.raises(InvalidInputError, match="'idnt' to keep") as caught:
            rows_of(tmp_path / name, {}, keep=("idnt",))
        assert "ident" in (caught.value.cause or "")


def test_an_endpoints_document_says_its_types() -> None:
    from opsml_cli.domain import openapi, swagger
    from opsml_cli.domain.contract import Column, Schema

    columns = [
        Column("age", "integer", missing=("-",)), Column("x", "number"), Column("flag", "boolean"), Column("at", "datetime"),
        Column("job", "string", categories=("a", "b")), Column("free", "string"),
    ]  # fmt: skip
    service = openapi.Service("bank", "blue", "bank", "1", Schema(columns), ("no", "yes"))
    expected = {column.name: column.type for column in columns}
    assert column_types(openapi.document(service)) == expected
    assert column_types(swagger.document(service)) == expected
    assert column_types({}) == column_types({"paths": {"/score": {"post": {"parameters": [{"in": "body"}]}}}}) == {}


# Output

RECORDS = [{"id": 1, "prediction": "no", "probability_no": 0.9}, {"id": 2, "prediction": "yes", "probability_no": 0.1}]
COLUMNS = list(RECORDS[0])


def test_rows_are_written_by_suffix(tmp_path: Path) -> None:
    for suffix in ("csv", "json", "jsonl", "parquet"):
        with RowsFile(str(tmp_path / f"out.{suffix}")) as file:
            file.write(RECORDS[:1], COLUMNS)
            file.write(RECORDS[1:], COLUMNS)
    assert (tmp_path / "out.csv").read_text().splitlines() == ["id,prediction,probability_no", "1,no,0.9", "2,yes,0.1"]
    assert json.loads((tmp_path / "out.json").read_text()) == RECORDS
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == RECORDS
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == RECORDS
    assert len(list(tmp_path.iterdir())) == 4


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt), RowsFile(str(place)) as file:
        file.write(RECORDS, COLUMNS)
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    place.write_text("before")
    with pytest.raises(ConflictError, match="is there already"):
        RowsFile(str(place))
    with RowsFile(str(place), force=True) as file:
        file.write(RECORDS, COLUMNS)
        assert place.read_text() == "before"
    assert place.read_text() != "before"
    with pytest.raises(UsageError):
        RowsFile(str(tmp_path / "out.xlsx"))
    with pytest.raises(NotFoundError):
        RowsFile(str(tmp_path / "nowhere" / "out.csv"))


def test_parquet_types_widen_as_rows_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from opsml_cli.tables import writing

    monkeypatch.setattr(writing, "GROUP_ROWS", 2)
    values: list[Any] = [None, None, 1, 2, 2.5, None, "text", [1, {"a": None}]]
    with RowsFile(str(tmp_path / "out.parquet")) as file:
        for value in values:
            file.write([{"p": value}], ["p"])
    assert pq.read_table(tmp_path / "out.parquet")["p"].to_pylist() == [
        None,
        None,
        "1.0",
        "2.0",
        "2.5",
        None,
        "text",
        '[1,{"a":null}]',
    ]
    with RowsFile(str(tmp_path / "numbers.parquet")) as file:
        for value in values[:6]:
            file.write([{"p": value}], ["p"])
    assert pq.read_table(tmp_path / "numbers.parquet")["p"].to_pylist() == [None, None, 1.0, 2.0, 2.5, None]
    assert len(list(tmp_path.iterdir())) == 2
