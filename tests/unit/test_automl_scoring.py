"""A row is coded the same alone, in a batch and as a frame; what does not fit is named."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_support import train_folder

from opsml_cli.local.automl import encode
from opsml_cli.local.automl.scoring import DATE_PARTS, ColumnError, Encoder, load
from opsml_cli.local.serving import scorers

COLUMNS: list[dict[str, Any]] = [
    {"name": "age", "kind": "number"},
    {"name": "job", "kind": "category", "codes": ["admin", "services", "5"], "other": None},
    {"name": "city", "kind": "category", "codes": ["a", "b"], "other": 2.0},
    {"name": "loan", "kind": "boolean"},
    {"name": "charges", "kind": "number", "missing_tokens": ["n/a"]},
]
MEANS: dict[str, Any] = {**COLUMNS[2], "means": [[0.25, 0.5, 0.75], [3.0, 4.0, 5.0]]}
ROW: dict[str, Any] = {"age": 41, "job": "admin", "city": "b", "loan": True, "charges": 1.5}


def coded(**changes: Any) -> list[float]:
    return [float(value) for value in Encoder(COLUMNS).rows([{**ROW, **changes}])[0]]


def test_a_row_becomes_numbers() -> None:
    assert coded() == [41.0, 0.0, 1.0, 1.0, 1.5]
    assert Encoder(COLUMNS).rows([]).shape == (0, 5)


@pytest.mark.parametrize(
    ("column", "value", "number"),
    [
        ("age", "41.5", 41.5),
        ("age", " 7 ", 7.0),
        ("age", "1e3", 1000.0),
        ("age", None, math.nan),
        ("age", "", math.nan),
        ("age", float("inf"), math.nan),
        ("age", np.int64(3), 3.0),
        ("age", pd.NA, math.nan),
        ("age", 10**400, math.nan),
        ("charges", "n/a", math.nan),
        ("job", "never seen", math.nan),
        ("city", "never seen", 2.0),
        ("job", 5, 2.0),
        ("job", None, math.nan),
        ("loan", "no", 0.0),
        ("loan", 1, 1.0),
    ],
)
def test_values_that_fit(column: str, value: Any, number: float) -> None:
    found = dict(zip([c["name"] for c in COLUMNS], coded(**{column: value}), strict=True))[column]
    assert found == number or (math.isnan(found) and math.isnan(number))


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("age", "forty", "a number"),
        ("age", True, "a number"),
        ("age", [41], "a number"),
        ("age", "1_000", "a number"),
        ("age", {"a": 1}, "a number"),
        ("job", ["admin"], "text"),
        ("job", {"a": 1}, "text"),
        ("loan", "perhaps", "true or false"),
        ("loan", 2, "true or false"),
    ],
)
def test_values_that_do_not_fit_are_named(column: str, value: Any, expected: str) -> None:
    with pytest.raises(ColumnError) as caught:
        Encoder(COLUMNS).rows([ROW, {**ROW, column: value}])
    assert (caught.value.row, caught.value.column, caught.value.value, caught.value.expected) == (1, column, value, expected)
    assert repr(column) in str(caught.value)


def test_an_absent_column_is_named() -> None:
    with pytest.raises(ColumnError) as caught:
        Encoder(COLUMNS).rows([{key: value for key, value in ROW.items() if key != "job"}])
    assert caught.value.absent
    assert caught.value.column == "job"
    with pytest.raises(ColumnError):
        Encoder(COLUMNS).frame(pd.DataFrame([ROW]).drop(columns="loan"))


def test_dates_become_parts() -> None:
    encoder = Encoder([{"name": "when", "kind": "datetime"}])
    texts = ["2026-01-31T06:00:00", "2026-01-31T07:00:00+01:00", None]
    matrix = encoder.rows([{"when": text} for text in texts])
    assert matrix.shape == (3, len(DATE_PARTS))
    assert matrix[0].tolist()[1:] == [2026.0, 1.0, 31.0, 5.0, 6.0]
    assert np.array_equal(matrix[0], matrix[1])
    assert np.isnan(matrix[2]).all()
    frame = encoder.frame(pd.DataFrame({"when": [datetime(2026, 1, 31, 6), None]}))
    assert np.array_equal(frame, matrix[[0, 2]], equal_nan=True)
    with pytest.raises(ColumnError):
        encoder.rows([{"when": "yesterday"}])


@pytest.mark.parametrize(
    ("city", "fill", "numbers"),
    [
        ("b", None, [1.0, 0.5, 4.0]),
        ("never seen", None, [2.0, 0.75, 5.0]),
        (None, None, [math.nan] * 3),
        (None, 0.0, [0.0, 0.25, 3.0]),
        ("b", 0.0, [1.0, 0.5, 4.0]),
    ],
)
def test_a_category_brings_its_means(city: str | None, fill: float | None, numbers: list[float]) -> None:
    encoder = Encoder([COLUMNS[0], {**MEANS, "fill": fill}, COLUMNS[3]])
    assert encoder.slices == [slice(0, 1), slice(1, 4), slice(4, 5)]
    row = {"age": 41, "city": city, "loan": True}
    for matrix in (encoder.rows([row]), encoder.rows([row] * 20)[-1:], encoder.frame(pd.DataFrame([row]))):
        assert np.array_equal(matrix, [[41.0, *numbers, 1.0]], equal_nan=True)
    unfit = Encoder([{**MEANS, "other": None}])
    assert np.isnan(unfit.rows([{"city": "never seen"}])).all()


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(allow_nan=True, allow_infinity=True, width=32),
    st.sampled_from(["a", "b", "true", "1", "2.5", "", " ", "007", "é😀", "2026-01-31", "nan"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(VALUES, min_size=3, max_size=12))
def test_whatever_a_column_holds_it_is_coded_alike_by_row_and_by_frame(values: list[Any]) -> None:
    frame = pd.DataFrame({"x": pd.Series(values, dtype=object), "one": range(len(values))})
    encoding = encode.fit(frame, None, {})
    encoder = Encoder(encoding.columns)
    by_frame = encoder.frame(frame)
    by_row = encoder.rows(frame.to_dict("records"))
    assert np.array_equal(by_frame, by_row, equal_nan=True)
    assert not np.isinf(by_frame).any()
    assert by_frame.shape[1] == len(encoding.features)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=16, max_size=40))
def test_many_rows_are_coded_as_each_of_them_alone(values: list[tuple[Any, Any, Any]]) -> None:
    encoder = Encoder([*COLUMNS[:2], MEANS])
    rows = [dict(zip(("age", "job", "city"), each, strict=True)) for each in values]
    try:
        alone = np.concatenate([encoder.rows([row]) for row in rows])
    except ColumnError as error:
        with pytest.raises(ColumnError) as caught:
            encoder.rows(rows)
        assert (caught.value.column, caught.value.expected) == (error.column, error.expected)
        assert rows[caught.value.row][error.column] is caught.value.value
    else:
        assert np.array_equal(encoder.rows(rows), alone, equal_nan=True)


def test_the_misfit_of_many_rows_is_named() -> None:
    with pytest.raises(ColumnError) as caught:
        Encoder(COLUMNS).rows([*([ROW] * 30), {**ROW, "age": "forty"}])
    assert (caught.value.row, caught.value.column) == (30, "age")
    with pytest.raises(ColumnError) as caught:
        Encoder(COLUMNS).rows([*([ROW] * 30), {}])
    assert (caught.value.row, caught.value.absent) == (30, True)


def test_cores_that_share_the_rows_answer_as_one(tmp_path: Path) -> None:
    folder = train_folder(tmp_path)
    model = load(str(scorers.own_data(folder, scorers.read_description(folder))))
    draw = np.random.default_rng(1)
    rows = [{"age": int(age), "job": "retired", "balance": float(age) * 3} for age in draw.integers(18, 90, 301)]
    together = model.probabilities(model.encode(rows))
    assert np.array_equal(together, np.concatenate([model.probabilities(model.encode([row])) for row in rows]))
