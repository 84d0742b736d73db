"""Frames and rows: types come from the profile, whatever part of the rows is read."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from opsml_cli.domain.errors import InvalidInputError, NotFoundError
from opsml_cli.tables import profile_table, read_frame, read_rows
from opsml_cli.tables.sampling import sampled

TABLE = """id,zip,score,count,flag,gap,day,word
1,00501,1.5,3,true,true,2026-01-02,a
2,10001,2,,false,,2026-01-03,unknown
3,90210,,5,true,false,,
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text(TABLE)
    return path


def test_types_and_missing_values(table: Path) -> None:
    frame = read_frame(table, None)
    assert list(frame.columns) == ["id", "zip", "score", "count", "flag", "gap", "day", "word"]
    assert frame["id"].dtype == "int64"
    assert frame["zip"].tolist() == ["00501", "10001", "90210"]
    assert frame["score"].dtype == "float64"
    assert frame["count"].dtype == "float64"
    assert frame["flag"].dtype == "bool"
    assert frame["gap"].tolist() == [True, None, False]
    assert frame["day"].dt.day.tolist()[:2] == [2, 3]
    assert frame["word"].tolist()[:2] == ["a", "unknown"]
    assert frame.isna().sum().to_dict() == {
        "id": 0, "zip": 0, "score": 1, "count": 1, "flag": 0, "gap": 1, "day": 1, "word": 1}  # fmt: skip


def test_columns_are_chosen_in_order(table: Path) -> None:
    assert list(read_frame(table, None, columns=["word", "id"]).columns) == ["word", "id"]
    with pytest.raises(InvalidInputError, match="'wort'"):
        read_frame(table, None, columns=["wort"])


def test_a_part_without_gaps_has_the_types_of_the_whole(table: Path, tmp_path: Path) -> None:
    profile = profile_table(table)
    part = tmp_path / "part.csv"
    part.write_text("\n".join(TABLE.splitlines()[:2]) + "\n")
    whole, some = read_frame(table, profile), read_frame(part, profile)
    assert whole.dtypes.to_dict() == some.dtypes.to_dict()


def test_a_value_that_does_not_fit_is_named(table: Path, tmp_path: Path) -> None:
    profile = profile_table(table)
    other = tmp_path / "other.csv"
    other.write_text(TABLE.replace("1.5", "much"))
    with pytest.raises(InvalidInputError, match="'score' holds 'much', which is no number"):
        read_frame(other, profile)


def test_whole_numbers_of_another_file_keep_their_type(tmp_path: Path) -> None:
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    one.write_text("a,b\n1.5,001\n2.5,002\n")
    other.write_text("a,b\n1,1\n2,2\n")
    frame = read_frame(other, profile_table(one))
    assert frame["a"].dtype == "float64"
    assert frame["b"].tolist() == ["1", "2"]


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_every_format_gives_the_same_frame(table: Path, tmp_path: Path, suffix: str) -> None:
    expected = read_frame(table, None)
    path = tmp_path / f"t.{suffix}"
    if suffix == "parquet":
        expected.to_parquet(path)
    else:
        rows = read_rows(table)
        import orjson

        path.write_bytes(b"\n".join(orjson.dumps(row) for row in rows))
    found = read_frame(path, None)
    if suffix == "jsonl":  # JSON knows no dates
        found["day"] = pd.to_datetime(found["day"]).astype(expected["day"].dtype)
    pd.testing.assert_frame_equal(found, expected)


def test_samples_say_their_share(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("n\n" + "\n".join(map(str, range(300_000))) + "\n")
    profile = profile_table(path)
    frame = read_frame(path, profile, max_rows=3_000)
    assert len(frame) == 3_000
    assert frame.attrs["sampled_fraction"] == 0.01
    assert frame["n"].is_monotonic_increasing
    assert frame["n"].is_unique
    pd.testing.assert_frame_equal(frame, read_frame(path, profile, max_rows=3_000))
    # Spread over the whole: the mean of a uniform sample is near the middle (five standard errors).
    assert abs(frame["n"].mean() - 150_000) < 5 * 300_000 / np.sqrt(12 * 3_000)
    assert read_frame(path, profile, max_rows=10**6).attrs["sampled_fraction"] == 1.0


def test_every_row_is_as_likely() -> None:
    hits = np.zeros(20)
    parts = [pa.record_batch({"n": list(range(start, start + 5))}) for start in range(0, 20, 5)]
    for seed in range(2_000):
        picked = [n for part in sampled(parts, 20, 4, seed) for n in part.column(0).to_pylist()]
        assert len(set(picked)) == 4
        hits[picked] += 1
    # Each is expected 400 times; the standard deviation is 18.
    assert abs(hits - 400).max() < 90


def test_rows_are_plain(table: Path) -> None:
    assert read_rows(table)[1] == {
        "id": 2, "zip": "10001", "score": 2.0, "count": None, "flag": False, "gap": None, "day": "2026-01-03T00:00:00",
        "word": "unknown"}  # fmt: skip
    assert isinstance(read_rows(table)[0]["count"], int)


def test_rows_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Input:
        buffer = io.BytesIO(b'{"a": 1}\n{"a": 2}\n')

    monkeypatch.setattr("sys.stdin", Input)
    assert read_rows("-") == [{"a": 1}, {"a": 2}]


def test_rows_of_the_wrong_format_are_refused(table: Path) -> None:
    with pytest.raises(InvalidInputError, match="is csv, not parquet"):
        read_rows(table, "parquet")
    with pytest.raises(NotFoundError):
        read_rows(table.with_name("absent"))
