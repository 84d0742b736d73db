"""Profiles say what pandas says, in a stream."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsml_cli.domain.data import ColumnProfile, ColumnType
from opsml_cli.domain.errors import InvalidInputError, NotFoundError
from opsml_cli.tables import profile_table
from opsml_cli.tables.column import ColumnAccumulator
from opsml_cli.tables.sketch import DistinctSketch, mixed

BANK = Path(__file__).parents[2] / "../shared/data/bank-marketing/bankmarketing_train.csv"


def column_of(tmp_path: Path, lines: list[str]) -> ColumnProfile:
    path = tmp_path / "t.csv"
    path.write_text("v,k\n" + "".join(f"{line},k\n" for line in lines))
    return profile_table(path).columns[0]


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (["1", "-2", "30"], ColumnType.INTEGER),
        (["1", "2.5", ""], ColumnType.NUMBER),
        (["1e3", " 2"], ColumnType.NUMBER),
        ([" 1", "2 "], ColumnType.INTEGER),
        (["true", "False", ""], ColumnType.BOOLEAN),
        (["yes", "no"], ColumnType.STRING),
        (["007", "012"], ColumnType.STRING),
        (["0", "0.5", "-0.25"], ColumnType.NUMBER),
        (["1", "2", "0x1F"], ColumnType.STRING),
        (["12345678901234567890", "1"], ColumnType.STRING),
        (["2026-01-02", "2026-03-04"], ColumnType.DATETIME),
        (["2026-01-02T10:00:00Z", "2026-03-04T10:00:00+02:00"], ColumnType.DATETIME),
        (["02/03/2026", "12/03/2026"], ColumnType.STRING),
        (["1", "true"], ColumnType.STRING),
        (["1", "2026-01-02"], ColumnType.STRING),
        (["", "NA", "null"], ColumnType.EMPTY),
        (["1_000", "2"], ColumnType.STRING),
    ],
)
def test_types(tmp_path: Path, lines: list[str], kind: ColumnType) -> None:
    assert column_of(tmp_path, lines).type is kind


@pytest.mark.parametrize(
    ("first", "later", "kind"),
    [("1", "x", "string"), ("1", "1.5", "number"), ("true", "7", "string"), ("2026-01-01", "soon", "string"),
     ("1", "01", "string"), ("", "5", "integer"), ("1.5", "2", "number")],
)  # fmt: skip
def test_types_that_change_in_a_later_block(first: str, later: str, kind: str) -> None:
    column = ColumnAccumulator("v", infer=True)
    for value in [first] * 3 + [later] * 2:
        column.add(pa.array([value or None, value or None], pa.string()))
    assert column.profile().type.value == kind
    assert column.profile().missing == (6 if first == "" else 0)


cells = st.one_of(
    st.none(),
    st.integers(-(10**12), 10**12).map(str),
    st.floats(-1e9, 1e9, allow_nan=False).map(repr),
    st.sampled_from(["a", "b c", "unknown", "0", "-0.5", "1e5"]),
)
same_kind = st.one_of(
    st.lists(st.one_of(st.none(), st.integers(-50, 50).map(str)), min_size=1, max_size=40),
    st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6, allow_nan=False).map(repr)), min_size=1, max_size=40),
    st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "c d", "unknown"])), min_size=1, max_size=40),
    st.lists(cells, min_size=1, max_size=40),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.filterwarnings("ignore:The 'float_precision':DeprecationWarning")  # older pandas rounds without it
@given(values=same_kind)
def test_a_profile_is_what_pandas_says(tmp_path: Path, values: list[str | None]) -> None:
    path = tmp_path / "t.csv"
    path.write_text("v,k\n" + "".join(f"{value or ''},k\n" for value in values))
    column, expected = profile_table(path).columns[0], pd.read_csv(path, float_precision="round_trip")["v"]
    assert column.missing == expected.isna().sum()
    assert column.unique == expected.nunique()
    assert not column.unique_estimated
    if column.type in (ColumnType.INTEGER, ColumnType.NUMBER):
        assert pd.api.types.is_numeric_dtype(expected)
        assert math.isclose(column.mean or 0.0, expected.mean(), rel_tol=1e-9, abs_tol=1e-6)
        assert (column.minimum, column.maximum) == (expected.min(), expected.max())
        if expected.count() > 1:
            assert math.isclose(column.standard_deviation or 0.0, expected.std(), rel_tol=1e-6, abs_tol=1e-6)
    elif column.type is ColumnType.STRING:
        assert not pd.api.types.is_numeric_dtype(expected)
        assert {one.value: one.count for one in column.top} == dict(expected.value_counts().head(20)) or column.unique > 20


def test_moments_merge_over_blocks() -> None:
    random = np.random.default_rng(0)
    values = random.normal(1e6, 1.0, 30_000)
    column = ColumnAccumulator("v", infer=True, exact_values=1000)
    for part in np.array_split(values, 7):
        column.add(pa.array([repr(value) for value in part.tolist()], pa.string()))
    profile = column.profile()
    assert math.isclose(profile.mean or 0, values.mean(), rel_tol=1e-12)
    assert math.isclose(profile.standard_deviation or 0, values.std(ddof=1), rel_tol=1e-9)
    assert profile.unique_estimated
    assert abs(profile.unique - 30_000) < 1_500


@pytest.mark.parametrize("distinct", [10, 1_000, 60_000, 500_000])
def test_estimates_are_close(distinct: int) -> None:
    sketch = DistinctSketch()
    values = np.arange(distinct, dtype=np.int64) * 7919
    for _ in range(2):
        sketch.add(mixed(values))
    assert abs(sketch.estimate() - distinct) <= max(1, 0.04 * distinct)


def test_many_texts_are_estimated_and_few_are_exact() -> None:
    many, few = ColumnAccumulator("v", infer=True), ColumnAccumulator("v", infer=True)
    for block in range(4):
        many.add(pa.array([f"name-{block}-{number}" for number in range(25_000)], pa.string()))
        few.add(pa.array([f"name-{number}" for number in range(25_000)], pa.string()))
    assert many.profile().unique_estimated
    assert abs(many.profile().unique - 100_000) < 4_000
    assert (few.profile().unique, few.profile().unique_estimated) == (25_000, False)


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["yes", "no", "no"], "classification", [("no", 2), ("yes", 1)]),
        (["true", "TRUE", "false"], "classification", [("true", 2), ("false", 1)]),
        (["1", "0", "", "1"], "classification", [("1", 2), ("0", 1)]),
        (["1.0", "0", "1"], "classification", [("1.0", 2), ("0", 1)]),
        ([str(number) for number in range(21)], "regression", []),
        (["1.5", "2.5", "3.5"], "regression", []),
    ],
)
def test_target_balance(tmp_path: Path, values: list[str], task: str, classes: list[tuple[str, int]]) -> None:
    path = tmp_path / "t.csv"
    path.write_text("v,k\n" + "".join(f"{value},k\n" for value in values))
    target = profile_table(path, target_column="v").target
    assert target is not None
    assert (target.column, target.task) == ("v", task)
    assert [(one.value, one.count) for one in target.classes] == classes


def test_parquet_profiles_as_its_csv_does(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "i": [1, 2, 3],
            "f": [1.5, np.nan, 3.0],
            "b": [True, False, None],
            "s": pd.Categorical(["x", None, "y"]),
            "d": pd.to_datetime(["2026-01-01", None, "2026-01-03"]),
            "z": ["007", "", "1"],
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    profile = profile_table(tmp_path / "t.parquet")
    assert profile.format == "parquet"
    assert [(c.name, c.type.value, c.missing) for c in profile.columns] == [
        ("i", "integer", 0), ("f", "number", 1), ("b", "boolean", 1), ("s", "string", 1), ("d", "datetime", 1),
        ("z", "string", 0)]  # fmt: skip
    assert profile.columns[4].minimum == "2026-01-01T00:00:00"


def test_nested_parquet_columns_are_refused_by_name(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1], "deep": [[1, 2]]}), tmp_path / "t.parquet")
    with pytest.raises(InvalidInputError, match="'deep'"):
        profile_table(tmp_path / "t.parquet")


def test_damaged_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": list(range(1000))}), path)
    content = path.read_bytes()
    broken = [
        content[:100],
        content[:-1],
        b"PAR1" + b"\xff" * 50 + b"\xff\xff\xff\x7fPAR1",
        content[:-8] + b"\x00\x00\x00\x00PAR1",
    ]
    broken.append(content[:4] + bytes(200) + content[204:])
    for damaged in broken:
        path.write_bytes(damaged)
        with pytest.raises(InvalidInputError):
            profile_table(path)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        profile_table(tmp_path / "absent.csv")


@pytest.mark.skipif(not BANK.exists(), reason="the bank-marketing data is not beside the project")
def test_the_bank_marketing_table() -> None:
    profile, expected = profile_table(BANK, target_column="y"), pd.read_csv(BANK)
    assert profile.rows == 32_950
    assert profile.target is not None
    assert [(one.value, one.count) for one in profile.target.classes] == [("no", 29_258), ("yes", 3_692)]
    for column in profile.columns:
        assert (column.missing, column.unique) == (0, expected[column.name].nunique())
        if column.mean is not None:
            assert math.isclose(column.mean, expected[column.name].mean(), rel_tol=1e-9)
