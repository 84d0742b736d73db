"""The short way of one row gives what the general way gives, byte for byte, or leaves the row to it."""

from __future__ import annotations

import json

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_support import Quiet

from opsml_cli.domain.contract import BadRequest, read_call
from opsml_cli.domain.job import AutoMLSpec, Limits, TableSource, Task
from opsml_cli.local.automl.engine import Tables, train
from opsml_cli.local.serving.many_rows import ManyRows
from opsml_cli.local.serving.own_row import short_way
from opsml_cli.local.serving.scorers import OwnScorer
from opsml_cli.local.serving.single_row import CategoryColumn, Number, NumberColumn, RowCoder, SingleRow

JOBS = ["technician", "admin.", "retired", "1", "true", "new"]
KINDS = {
    "binary": (Task.CLASSIFICATION, "LightGBM"),
    "three classes": (Task.CLASSIFICATION, "LightGBM"),
    "linear": (Task.CLASSIFICATION, "LogisticRegression"),
    "regression": (Task.REGRESSION, "LightGBM"),
    "networks": (Task.REGRESSION, "NeuralNetwork"),
}


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[OwnScorer, SingleRow]:
    """A small model of each kind of ensemble, with its short way."""
    task, algorithm = KINDS[request.param]
    folder = tmp_path_factory.mktemp("short")
    random = np.random.default_rng(5)
    rows = 300
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 90, rows),
            "job": random.choice(JOBS[:3], rows),
            "balance": np.where(random.random(rows) < 0.1, np.nan, random.normal(0, 100, rows).round(2)),
            "member": random.random(rows) < 0.5,
        }
    )
    score = (frame["age"] - 50) / 8 + (frame["job"] == "retired") * 2 + frame["member"] + random.normal(0, 1, rows)
    cuts = 3 if request.param == "three classes" else 2
    frame["y"] = score if task is Task.REGRESSION else pd.qcut(score, cuts, labels=["a", "b", "c"][:cuts]).astype(str)
    spec = AutoMLSpec(
        data=TableSource(path="rows"),
        target_column="y",
        task=task,
        limits=Limits(timeout_seconds=20, max_trials=1),
        cross_validations=2,
        allowed_algorithms=(algorithm,),
    )
    train(spec, Tables(frame), folder, Quiet())
    data = next((folder / "outputs" / "model").rglob("model.json")).parent
    scorer = OwnScorer(data)
    short = short_way(scorer.model, [column.type for column in scorer.schema.columns])
    assert short is not None
    return scorer, short


def general(scorer: OwnScorer, body: bytes) -> bytes | None:
    """The answer with all checks; None for what is refused."""
    try:
        call = read_call(orjson.loads(body), scorer.schema)
        return orjson.dumps(call.reply(scorer.score(call.rows, call.proba)))
    except BadRequest:
        return None


ODD = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5))
ROWS = st.fixed_dictionaries(
    {
        "age": st.one_of(st.integers(0, 120), ODD),
        "job": st.one_of(st.sampled_from(JOBS), ODD),
        "balance": st.one_of(st.floats(-1e6, 1e6), st.integers(-(10**6), 10**6), ODD),
        "member": st.one_of(st.booleans(), ODD),
    }
)


PLAIN_ROWS = st.fixed_dictionaries(
    {
        "age": st.one_of(st.none(), st.integers(0, 120), st.integers(0, 120).map(float)),
        "job": st.one_of(st.none(), st.sampled_from(JOBS)),
        "balance": st.one_of(st.none(), st.floats(-1e6, 1e6), st.integers(-(10**6), 10**6)),
        "member": st.booleans(),
    }
)


def bodies(row: dict[str, object]) -> list[object]:
    """The row in every shape that a request may have."""
    names, values = list(row), list(row.values())
    probabilities = {"method": "predict_proba"}
    return [
        {"input_data": {"columns": names, "data": [values]}},
        {"input_data": {"columns": names, "index": [7], "data": [values]}, "params": probabilities},
        {"input_data": {"columns": names[::-1], "data": [values[::-1]]}},
        {"input_data": [row], "params": {"method": "predict"}},
        {"Inputs": {"data": [row]}, "GlobalParameters": probabilities},
        {"Inputs": {"data": [values]}, "GlobalParameters": 1.0},
        {"data": [row]},
        {"data": [{**row, "further": 1}]},
        {"data": [row], "method": "predict_proba"},
        {"data": [row, row]},
        {"data": [values[1:]]},
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=ROWS)
def test_the_short_way_says_what_the_general_way_says(model: tuple[OwnScorer, SingleRow], row: dict[str, object]) -> None:
    scorer, short = model
    for document in bodies(row):
        body = json.dumps(document).encode()
        answer = short.answer(body)
        assert answer is None or answer == general(scorer, body)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.one_of(ROWS, PLAIN_ROWS, PLAIN_ROWS, PLAIN_ROWS), min_size=16, max_size=18))
def test_many_rows_by_column_say_what_the_general_way_says(
    model: tuple[OwnScorer, SingleRow], rows: list[dict[str, object]]
) -> None:
    scorer, _ = model
    many = ManyRows(scorer.schema, scorer.score_columns)
    values = [list(row.values()) for row in rows]
    for document in (
        {"input_data": {"columns": list(rows[0]), "data": values}},
        {"input_data": rows, "params": {"method": "predict_proba"}},
        {"Inputs": {"data": values}, "GlobalParameters": {"method": "predict"}},
        {"data": rows},
        {"data": [*rows, {**rows[0], "further": 1}]},
        {"data": [*values, values[0][1:]]},
    ):
        body = json.dumps(document).encode()
        answer = many.answer(body)
        assert answer is None or answer == (general(scorer, body), len(rows))


def test_plain_rows_are_answered_by_column(model: tuple[OwnScorer, SingleRow]) -> None:
    many = ManyRows(model[0].schema, model[0].score_columns)
    rows = [{"age": 40.0 + n, "job": None if n % 3 else "new", "balance": n, "member": True} for n in range(16)]
    assert many.answer(json.dumps({"data": rows}).encode()) is not None
    assert many.answer(json.dumps({"data": rows[:15]}).encode()) is None
    assert many.answer(json.dumps({"data": [*rows, {**rows[0], "age": "41"}]}).encode()) is None


def test_plain_rows_take_the_short_way(model: tuple[OwnScorer, SingleRow]) -> None:
    _, short = model
    row = {"age": 41, "job": "technician", "balance": 12.5, "member": True}
    taken = [short.answer(json.dumps(document).encode()) is not None for document in bodies(row)]
    assert taken[0]
    assert taken[3]
    assert taken[6]
    assert not any(taken[7:])


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"{}", b'{"data": 1}', b'{"Inputs": 1}', b'{"input_data": null}', b"\xff"]
)
def test_what_is_no_row_is_left_to_the_general_way(model: tuple[OwnScorer, SingleRow], body: bytes) -> None:
    assert model[1].answer(body) is None


def test_names_and_categories_are_never_source_code() -> None:
    name = 'x\'; import os #\n"""'
    tables = ({name: 3.0, None: -1.0}, {name: 4.0, None: 0.0})
    numbers = (Number((), 0.5), Number((("-", 1.0), ("/", 2.0)), 9.0))
    coder = RowCoder([CategoryColumn(name, tables), NumberColumn("1 = 2", numbers, whole=True)])
    assert coder.code([name, 7])
    assert coder.matrix.tolist() == [[3.0, 4.0, 7.0, 3.0]]
    assert coder.code([None, None])
    assert coder.matrix.tolist() == [[-1.0, 0.0, 0.5, 9.0]]
    assert coder.code([name, 7.0])
    for row in (["other", 7], [name, 7.5], [name, True], [name, 2**63], [name, "7"]):
        assert not coder.code(row)
    with pytest.raises(ValueError, match="operator"):
        RowCoder([NumberColumn("a", (Number((("; import os #", 1.0),), 0.0),))])


def test_the_order_of_the_numbers_can_be_chosen() -> None:
    columns = [CategoryColumn("a", ({"x": 1.0},)), NumberColumn("b", (Number((), 0.0),), nullable=False)]
    coder = RowCoder(columns, [(1, 0), (0, 0), (1, 0)])
    assert coder.code(["x", 2.5])
    assert coder.matrix.tolist() == [[2.5, 1.0, 2.5]]
    assert not coder.code([None, 2.5])
    assert not coder.code(["x", None])
