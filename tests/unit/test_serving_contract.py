"""Requests in three dialects: what is understood, and that nothing a client sends is more than refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsml_cli.domain.column_values import EXPECTED
from opsml_cli.domain.contract import BadRequest, Call, Column, Dialect, Schema, read_call

SCHEMA = Schema(
    [
        Column("age", "integer", example=41),
        Column("rate", "number", example=1.5, missing=("?",)),
        Column("job", "string", categories=("admin.",), example="admin."),
        Column("paid", "boolean", example=True),
        Column("since", "datetime", example="2026-01-31"),
    ]
)
ROW: dict[str, Any] = {"age": 41, "rate": 1.5, "job": "admin.", "paid": True, "since": "2026-01-31"}


def call(body: object) -> Call:
    return read_call(json.loads(json.dumps(body)), SCHEMA)


@pytest.mark.parametrize(
    ("body", "dialect"),
    [
        ({"input_data": {"columns": list(ROW), "index": [0], "data": [list(ROW.values())]}}, Dialect.MLFLOW),
        ({"input_data": [ROW]}, Dialect.MLFLOW),
        ({"Inputs": {"data": [ROW]}, "GlobalParameters": {"method": "predict"}}, Dialect.AUTOML_V2),
        ({"Inputs": {"data": [list(ROW.values())]}, "GlobalParameters": 1.0}, Dialect.AUTOML_V2),
        ({"data": [ROW]}, Dialect.AUTOML_V1),
    ],
)
def test_the_dialect_is_told_by_the_shape(body: object, dialect: Dialect) -> None:
    found = call(body)
    assert (found.dialect, found.rows, found.method) == (dialect, [ROW], "predict")


@pytest.mark.parametrize(
    "body",
    [
        {"input_data": [ROW], "params": {"method": "predict_proba"}},
        {"Inputs": {"data": [ROW]}, "GlobalParameters": {"method": "predict_proba"}},
        {"data": [ROW], "method": "predict_proba"},
    ],
)
def test_probabilities_can_be_asked_for_in_every_dialect(body: object) -> None:
    assert call(body).proba


def test_each_dialect_has_its_own_reply() -> None:
    bodies = [{"input_data": [ROW]}, {"Inputs": {"data": [ROW]}}, {"data": [ROW]}]
    replies = [call(body).reply(["no"]) for body in bodies]
    assert replies[:2] == [["no"], {"Results": ["no"]}]
    assert isinstance(replies[2], str) and json.loads(replies[2]) == {"result": ["no"]}


def test_values_that_come_as_text_are_read_and_counted() -> None:
    found = call({"data": [{"age": " 41 ", "rate": "1e2", "job": "x", "paid": "Yes", "since": None}]})
    assert found.rows == [{"age": 41, "rate": 100.0, "job": "x", "paid": True, "since": None}]
    assert found.converted == 3


def test_blank_text_and_the_data_s_own_token_are_missing_values() -> None:
    found = call({"data": [{**ROW, "age": "", "rate": "?"}]})
    assert found.rows[0]["age"] is None and found.rows[0]["rate"] is None


def test_further_columns_are_named_and_ignored() -> None:
    assert call({"data": [{**ROW, "zzz": 1, "aaa": [1]}]}).ignored == ("aaa", "zzz")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("age", 1.5),
        ("age", "forty"),
        ("age", True),
        ("age", [1]),
        ("age", "1_000"),
        ("rate", "nan"),
        ("rate", "inf"),
        ("rate", "1e999"),
        ("rate", {"a": 1}),
        ("job", ["admin."]),
        ("job", False),
        ("paid", "perhaps"),
        ("paid", 2),
        ("since", 20260131),
    ],
)
@pytest.mark.parametrize("shape", ["mlflow", "v2", "v1"])
def test_a_wrong_value_is_refused_by_column_row_and_value(column: str, value: object, shape: str) -> None:
    rows = [ROW, {**ROW, column: value}]
    body = {"mlflow": {"input_data": rows}, "v2": {"Inputs": {"data": rows}}, "v1": {"data": rows}}[shape]
    with pytest.raises(BadRequest) as caught:
        call(body)
    assert (caught.value.column, caught.value.row) == (column, 1)
    assert caught.value.expected
    document = json.loads(caught.value.body())
    if shape == "v1":
        assert column in json.loads(document)["error"]
    elif shape == "v2":
        assert document["error"]["column"] == column
    else:
        assert document["error_code"] == "BAD_REQUEST" and document["column"] == column


def test_a_missing_column_is_named() -> None:
    with pytest.raises(BadRequest, match="'job' is missing"):
        call({"data": [{name: value for name, value in ROW.items() if name != "job"}]})


@pytest.mark.parametrize(
    "body",
    [
        [],
        None,
        3,
        {},
        {"input_data": 3},
        {"input_data": {"columns": ["age", "age"], "data": []}},
        {"input_data": {"columns": ["age"], "data": [[1, 2]]}},
        {"input_data": {"columns": [1], "data": []}},
        {"input_data": {"data": []}},
        {"input_data": {"columns": ["age"], "data": [3]}},
        {"Inputs": []},
        {"Inputs": {"data": {}}},
        {"Inputs": {"data": []}, "GlobalParameters": "predict"},
        {"Inputs": {"data": []}, "GlobalParameters": {"method": ["predict"]}},
        {"data": [3]},
        {"data": [], "method": "explode"},
        {"data": [], "Data": []},
    ],
)
def test_other_shapes_are_refused(body: object) -> None:
    with pytest.raises(BadRequest):
        call(body)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.sampled_from(list(ROW)), inner, max_size=4)
    ),
    max_leaves=12,
)
_shapes = st.one_of(
    _json,
    st.builds(lambda value: {"input_data": value}, _json),
    st.builds(lambda value: {"data": [value]}, _json),
    st.builds(lambda value, parameters: {"Inputs": {"data": value}, "GlobalParameters": parameters}, _json, _json),
    st.builds(lambda columns, data: {"input_data": {"columns": columns, "data": data}}, _json, _json),
    st.builds(lambda change: {"data": [{**ROW, **change}]}, st.dictionaries(st.sampled_from(list(ROW)), _json, max_size=3)),
)


@settings(max_examples=300, deadline=None)
@given(_shapes)
def test_whatever_comes_is_understood_or_refused(body: object) -> None:
    try:
        found = read_call(body, SCHEMA)
    except BadRequest as refused:
        assert json.loads(refused.body())
        return
    for row in found.rows:
        assert row["age"] is None or isinstance(row["age"], int | float)
        assert row["rate"] is None or math.isfinite(row["rate"])
        assert row["paid"] in (None, True, False)


class _Counted(str):
    """A name that counts how often it is compared."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        _Counted.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


@pytest.mark.parametrize("count", [1_000, 4_000])
def test_a_repeated_column_is_found_in_linear_time(count: int) -> None:
    names = [_Counted(f"c{index}") for index in range(count)]
    _Counted.compared = 0
    with pytest.raises(BadRequest, match="is named twice"):
        read_call({"input_data": {"columns": [*names, _Counted(f"c{count - 1}")], "data": []}}, SCHEMA)
    assert _Counted.compared < 10 * count


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, -(2**63), 2**63 - 1, 10**400]),
    st.floats(),
    st.text(max_size=3),
)


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(sorted(EXPECTED)),
    values=st.lists(
        st.one_of(VALUES, st.integers(-5, 5), st.floats(-1, 1), st.sampled_from(["a", "b"])), min_size=16, max_size=20
    ),
)
def test_what_is_plain_as_a_whole_is_plain_value_by_value(kind: str, values: list[object]) -> None:
    schema = Schema([Column("x", kind)])
    rows = [{"x": value} for value in values]
    if schema.all_plain(rows):
        for row in rows:
            assert schema.check([dict(row)]) == 0
        before = [dict(row) for row in rows]
        assert schema.check(rows) == 0
        assert rows == before
    assert not schema.all_plain([*rows, {}])


@pytest.mark.parametrize(
    ("kind", "value"),
    [("integer", 7), ("number", 7.5), ("number", 7), ("boolean", True), ("string", "seven"), ("string", None)],
)
def test_plain_columns_are_known_as_such(kind: str, value: object) -> None:
    assert Schema([Column("x", kind)]).all_plain([{"x": value}] * 16)
