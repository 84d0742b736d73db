"""Whole numbers that name things are told from those that count or measure, and are read by the target's means as well."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_support import Quiet

from opsml_cli.domain.job import AutoMLSpec, Limits, TableSource, Task
from opsml_cli.local.automl import scoring, target_means
from opsml_cli.local.automl.engine import Tables, train
from opsml_cli.local.automl.naming_numbers import names_things
from opsml_cli.local.automl.prepare import for_refit, prepare

TASKS = (Task.CLASSIFICATION, Task.REGRESSION)


def visits(rows: int, *, shops: int = 250, seed: int = 0, task: Task = Task.REGRESSION) -> pd.DataFrame:
    """Each shop has a level of its own, which its number does not tell; the age tells something, smoothly."""
    draw = np.random.default_rng(seed)
    number = draw.permutation(90_000)[:shops]
    shop = draw.integers(0, shops, rows)
    age = draw.integers(0, 600, rows)
    spent = draw.normal(0, 2.0, shops)[shop] + np.sin(age / 100) + draw.logistic(0, 0.6, rows)
    frame = pd.DataFrame({"shop": number[shop], "age": age, "spent": spent})
    if task is Task.CLASSIFICATION:
        frame["spent"] = np.where(spent > np.median(spent), "much", "little")
    return frame


def spec(task: Task, **changes: Any) -> AutoMLSpec:
    limits = Limits(timeout_seconds=60, max_trials=1)
    return AutoMLSpec(TableSource(path="rows"), "spent", task, limits=limits, **changes)


def learned(prepared: Any) -> list[str]:
    return [feature.name for feature in prepared.problem.features if feature.learned]


@pytest.mark.parametrize("seed", range(5))
def test_numbers_that_name_are_found(seed: int) -> None:
    frame = visits(4000, seed=seed)
    values = frame["shop"].to_numpy(np.float64)
    values[::50] = np.nan
    assert names_things(values, [frame["spent"].to_numpy()])
    # It is one of several classes, say, that the number tells.
    other = np.random.default_rng(seed).normal(0, 1, len(frame))
    assert names_things(values, [other, frame["spent"].to_numpy()])


SHAPES = {
    "nothing": lambda x: 0 * x,
    "a line": lambda x: x / 200,
    "a step": lambda x: np.where(x > 300, 3.0, 0.0),
    "a wave": lambda x: 3 * np.sin(x / 60),
    "a peak": lambda x: np.exp(-(((x - 300) / 40) ** 2)),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("noise", ["even", "of the tail", "of two values"])
def test_numbers_that_count_or_measure_are_not(name: str, noise: str) -> None:
    for seed in range(5):
        draw = np.random.default_rng(seed)
        values = np.floor(draw.gamma(2.0, 120.0, 5000))
        error = {
            "even": draw.normal(0, 1, 5000),
            "of the tail": draw.normal(0, 1, 5000) * (1 + values / 100),
            "of two values": draw.choice([-1.0, 1.0], 5000),
        }[noise]
        assert not names_things(values, [SHAPES[name](values) + error]), seed


@pytest.mark.parametrize(
    "values",
    [[], [math.nan] * 500, [7.0] * 500, list(range(500)), [*range(250), *range(250)], [0.0] * 300 + list(range(200))],
)
def test_few_values_or_rows_say_nothing(values: list[float]) -> None:
    target = np.random.default_rng(0).normal(0, 1, len(values))
    assert not names_things(np.array(values, dtype=np.float64), [target])


@pytest.mark.parametrize("task", TASKS)
def test_they_are_read_as_numbers_and_by_their_means(task: Task) -> None:
    frame = visits(4000, task=task)
    prepared = prepare(spec(task), Tables(frame))
    assert learned(prepared) == ["shop.target0"]
    document = prepared.encoding.columns[0]
    assert document["kind"] == "number"
    assert document["type"] == "integer"
    assert document["keys"] == sorted(document["keys"])
    assert len(document["means"][0]) == len(document["keys"]) + 1
    told = [check.detail for check in prepared.checks if check.check == "High cardinality"]
    assert any("'shop' holds numbers that name things" in text for text in told)
    problem, encoding = for_refit(prepared)
    assert problem.matrix.shape == (4000, 3)
    assert len(encoding.notes) == len(set(encoding.notes))


@pytest.mark.parametrize("changes", [{"shops": target_means.FROM - 1}, {"task": Task.CLASSIFICATION, "blocked": True}])
def test_where_they_have_no_means(changes: dict[str, Any]) -> None:
    blocked = changes.pop("blocked", False)
    task = changes.get("task", Task.REGRESSION)
    features = {"features": {"featurization": {"blocked_transformers": ["CatTargetEncoder"]}}} if blocked else {}
    assert not learned(prepare(spec(task, **features), Tables(visits(4000, **changes))))


def test_a_model_knows_the_shops(tmp_path: Path) -> None:
    frame = visits(6000)
    outcome = train(spec(Task.REGRESSION), Tables(frame), tmp_path, Quiet())
    assert outcome.test_metrics is not None
    assert outcome.test_metrics["r2_score"] > 0.7
    model = scoring.load(str(tmp_path / "outputs" / "model" / "data" / "data"))
    document = model.document["columns"][0]
    known = int(document["keys"][17])
    rows: list[dict[str, object]] = [
        {"shop": value, "age": 100}
        for value in (known, float(known), str(known), known + 0.5, -1, None, float("nan"), float("inf"), 10**400)
    ]
    matrix = model.encode(rows)
    unknown = document["means"][0][-1]
    assert matrix[:3, 1].tolist() == [document["means"][0][17]] * 3
    assert matrix[3:5, 1].tolist() == [unknown] * 2
    assert np.isnan(matrix[5:, 1]).all()
    many = model.encode(rows * 4)
    assert np.array_equal(many, np.vstack([matrix] * 4), equal_nan=True)
    numbers = pd.DataFrame({"shop": [float(known), known + 0.5, -1.0, math.nan, math.inf], "age": 100})
    assert np.array_equal(model.encode_frame(numbers), matrix[[1, 3, 4, 5, 7]], equal_nan=True)
    with pytest.raises(scoring.ColumnError, match=r"'shop' is 'here'; expected a number"):
        model.encode([{"shop": "here", "age": 1}])


def test_a_missing_number_that_is_filled_has_the_mean_of_the_filling() -> None:
    column = {"name": "shop", "kind": "number", "keys": [3, 8], "means": [[0.25, 0.75, 0.5]], "fill": 8.0}
    assert scoring.Encoder([column]).rows([{"shop": None}, {"shop": 3}]).tolist() == [[8.0, 0.75], [3.0, 0.25]]


@given(
    st.lists(st.integers(-5, 5).map(float), unique=True, min_size=1, max_size=8).map(sorted),
    st.lists(st.floats(-6, 6) | st.integers(-6, 6).map(float) | st.just(math.nan), max_size=30),
)
def test_a_place_is_the_same_for_one_number_and_for_many(keys: list[float], numbers: list[float]) -> None:
    column = {"name": "n", "kind": "number", "keys": keys, "means": [[float(place) for place in range(len(keys) + 1)]]}
    one = scoring.Encoder([column]).rows([{"n": number} for number in numbers])[:, 1]
    assert np.array_equal(one, scoring.places_of(np.array(numbers), np.array(keys)), equal_nan=True)
