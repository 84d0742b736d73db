"""Extremely randomized trees of small tables: that LightGBM's text says what scikit-learn's trees say, and where they end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_support import Quiet

from opsml_cli.domain.job import AutoMLSpec, Limits, TableSource, Task
from opsml_cli.local.automl import forest, portfolio, random_trees, scoring, serving_cost
from opsml_cli.local.automl.boosting import Binned, StoppedError, Watch
from opsml_cli.local.automl.engine import Tables, train
from opsml_cli.local.automl.prepare import prepare
from opsml_cli.local.automl.problem import Problem

SPEC = AutoMLSpec(
    TableSource(path="rows"),
    "y",
    Task.CLASSIFICATION,
    limits=Limits(timeout_seconds=60, max_trials=1),
    cross_validations=2,
    allowed_algorithms=("ExtremeRandomTrees",),
)
ALL = {"trees": 10, "min_data_in_leaf": 1, "feature_fraction_bynode": 0.6}
FOREVER = Watch(float("inf"), True, lambda: False)


def frame(classes: int = 2, rows: int = 400) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    found = pd.DataFrame(draw.normal(size=(rows, 3)), columns=list("abc"))
    found["town"] = draw.choice(["x", "y", "z"], rows)
    found.loc[::17, "a"] = np.nan
    score = np.sin(2 * found["a"].fillna(0)) + found["b"] * found["c"] + (found["town"] == "x") * 2
    found["y"] = pd.qcut(score, classes, labels=[f"k{index}" for index in range(classes)]).astype(str)
    return found


def problem_of(table: pd.DataFrame, **changes: Any) -> Problem:
    return prepare(replace(SPEC, **changes), Tables(table)).problem


numbers = st.one_of(
    st.floats(-1e6, 1e6, allow_nan=False),
    st.integers(-3, 3).map(float),
    st.just(float("nan")),
    st.sampled_from([1.7e9, 1e36, -1e36, 1e-30, 0.1, 0.3, 0.7]),
)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), outputs=st.integers(1, 3), leaf=st.integers(1, 3))
def test_the_text_answers_what_the_trees_answer(data: st.DataObject, outputs: int, leaf: int) -> None:
    width = data.draw(st.integers(1, 4))
    cells = data.draw(st.lists(st.lists(numbers, min_size=width, max_size=width), min_size=2, max_size=30))
    matrix = np.array(cells)
    truth = np.array(data.draw(st.lists(st.lists(st.floats(-10, 10), min_size=outputs, max_size=outputs),
                                        min_size=len(cells), max_size=len(cells))))  # fmt: skip
    rows, gapped = random_trees._without_gaps(matrix)
    options = {"max_features": 0.6, "min_samples_leaf": leaf}
    trees = [random_trees._grow(rows, truth, None, options, seed) for seed in range(3)]
    said = lightgbm.Booster(model_str=random_trees.written(trees, gapped)).predict(matrix)
    expected = np.mean([tree.value[tree.apply(rows)][:, :, 0] for tree in trees], axis=0)
    np.testing.assert_allclose(np.asarray(said).reshape(len(cells), outputs), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_served_model_answers_strange_rows(tmp_path: Path, classes: int) -> None:
    train(SPEC, Tables(frame(classes)), tmp_path, Quiet())
    model = scoring.load(str(tmp_path / "outputs" / "model" / "data" / "data"))
    odd = [{"a": None, "b": 1e300, "c": None, "town": "nowhere"}, {"a": -1e300, "b": 0.0, "c": 1, "town": None}]
    found = model.probabilities(model.encode(odd))
    assert found.shape == (2, classes)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)


def test_values_are_learned() -> None:
    table = frame()
    table["y"] = 1000 * np.sin(2 * table["b"]) + 5000
    problem = problem_of(table, task=Task.REGRESSION)
    answer = forest.run(problem, Binned(problem), portfolio.Candidate("ExtremeRandomTrees", {**ALL, "trees": 50}), FOREVER, 2)[
        1
    ]
    left = problem.target[problem.scored] - answer[:, 0]
    assert np.mean(left**2) < 0.2 * problem.target.var()


def test_they_tell_more_than_the_trees_of_larger_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they are for: classes in many small places."""
    draw = np.random.default_rng(3)
    table = pd.DataFrame(draw.random((1500, 2)), columns=["a", "b"])
    board = (np.floor(table["a"] * 6) + np.floor(table["b"] * 6)) % 2
    problem = problem_of(table.assign(y=np.where(board == 1, "p", "n")))
    candidate = portfolio.Candidate("ExtremeRandomTrees", {**ALL, "trees": 40})

    def right() -> float:
        answer = forest.run(problem, Binned(problem), candidate, FOREVER, 2)[1]
        return float(np.mean(answer.argmax(axis=1) == problem.target[problem.scored]))

    single = right()
    monkeypatch.setattr(random_trees, "fitting", lambda _: False)
    assert single > 0.8 > right()


def test_weights_count() -> None:
    table = frame(rows=300)
    table["w"] = np.where(table["y"] == "k1", 9.0, 1.0)
    shares = []
    for weight_column in (None, "w"):
        problem = problem_of(table, weight_column=weight_column, drop_columns=() if weight_column else ("w",))
        bag = random_trees.fit_bag(problem, {**ALL, "min_data_in_leaf": 30}, FOREVER, workers=2)
        shares.append(float(np.mean([part.raw.mean() for part in bag])))
    assert shares[1] > shares[0] + 0.2


def test_the_text_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_of(frame())
    free = random_trees.fit_bag(problem, {**ALL, "trees": 100}, FOREVER, workers=2)
    grown = sum(serving_cost.leaves(free[0].text)) / 100
    monkeypatch.setattr(random_trees, "_MOST_LEAVES", int(2 * 60 * grown))
    fewer = random_trees.fit_bag(problem, {**ALL, "trees": 100}, FOREVER, workers=2)
    assert {part.rounds for part in fewer} <= set(range(50, 70))
    monkeypatch.setattr(random_trees, "_MOST_LEAVES", int(2 * 20 * grown))
    larger = random_trees.fit_bag(problem, {**ALL, "trees": 100}, FOREVER, workers=2)
    assert sum(sum(serving_cost.leaves(part.text)) for part in larger) < 1.2 * 2 * 20 * grown
    assert all(part.rounds >= 40 for part in larger)


def test_the_time_ends_all_folds_alike() -> None:
    problem = problem_of(frame())
    passed = Watch(0.0, True, lambda: False)
    assert [part.rounds for part in random_trees.fit_bag(problem, ALL, passed, workers=2)] == [1, 1]
    for watch in (replace(passed, keep=False), Watch(float("inf"), True, lambda: True)):
        with pytest.raises(StoppedError):
            random_trees.fit_bag(problem, ALL, watch, workers=2)


def test_large_tables_are_left_to_histograms() -> None:
    many = problem_of(frame(rows=random_trees.FEW_ROWS + 4000))
    assert not random_trees.fitting(many)
    assert random_trees.fitting(problem_of(frame()))
    listed = portfolio.portfolio(Task.CLASSIFICATION, len(many.target), ("ExtremeRandomTrees",))
    assert listed[0].parameters["min_data_in_leaf"] == 5
