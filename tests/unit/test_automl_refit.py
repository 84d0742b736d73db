"""The chosen members are fitted again: on which rows, with how many parts, and what the served model may cost."""

from __future__ import annotations

import time
from dataclasses import replace

import lightgbm
import numpy as np
import pandas as pd
import pytest
from training_events import Recorder

from opsml_cli.domain.job import AutoMLSpec, TableSource, Task
from opsml_cli.local.automl import boosting, ensemble, refit, serving_cost, trials
from opsml_cli.local.automl.events import Tables
from opsml_cli.local.automl.portfolio import FOREST, LIGHTGBM, Candidate, portfolio
from opsml_cli.local.automl.prepare import Prepared, prepare
from opsml_cli.local.automl.search import Clock
from opsml_cli.local.automl.trials import Result

_ROWS = 400
_PARAMETERS: dict[str, object] = {"num_leaves": 4, "min_data_in_leaf": 5, "bagging_fraction": 1.0, "bagging_freq": 0}


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    draw = np.random.default_rng(3)
    frame = pd.DataFrame({"a": draw.normal(size=_ROWS), "b": draw.normal(size=_ROWS)})
    frame["y"] = frame["a"] * 3 + draw.normal(size=_ROWS)
    return prepare(AutoMLSpec(TableSource(path="table"), "y"), Tables(frame))


def _result(prepared: Prepared, rate: float, rounds: int, algorithm: str = LIGHTGBM) -> Result:
    parameters = {**_PARAMETERS, "learning_rate": rate}
    if algorithm == FOREST:
        parameters = {"trees": rounds, "min_data_in_leaf": 2, "feature_fraction_bynode": 0.6}
    candidate = Candidate(algorithm, parameters)
    problem = prepared.problem
    watch = boosting.Watch(time.monotonic() + 60, True, lambda: False)
    fixed = (rounds,) * len(problem.folds)
    part, answer, done = trials.run(problem, boosting.Binned(problem), candidate, watch, workers=1, rounds=fixed)
    return Result("0", candidate, part, answer, done, {}, 1.0)


def _clock(seconds: float) -> Clock:
    return Clock(time.monotonic(), seconds, 0.0)


def _rows_of(text: str) -> int:
    """The rows that a booster's first tree was grown on."""
    first = lightgbm.Booster(model_str=text).dump_model(num_iteration=1)["tree_info"][0]["tree_structure"]
    return int(first["internal_count"])


def test_little_learned_leaves_rows_out_and_much_learned_takes_all(prepared: Prepared) -> None:
    little, much = _result(prepared, 0.1, 20), _result(prepared, 0.5, 20)
    found = refit.again(prepared, [(little, 0.4), (much, 0.6)], _clock(60), Recorder())
    assert found is not None
    parts, _ = found
    assert [part.weight for part in parts] == [0.4, 0.6]
    assert [_rows_of(text) for text in parts[0].boosters] == [_ROWS * 9 // 10] * 5
    assert [_rows_of(text) for text in parts[1].boosters] == [_ROWS] * 5
    assert len(set(parts[1].boosters)) == 5, "parts that learn from the same rows differ by their seeds"
    for part in parts:
        assert all(lightgbm.Booster(model_str=text).num_trees() == 23 for text in part.boosters), "15 % more rounds"


def test_forests_take_all_rows_and_no_more_trees(prepared: Prepared) -> None:
    found = refit.again(prepared, [(_result(prepared, 0.1, 10, FOREST), 1.0)], _clock(60), Recorder())
    assert found is not None
    assert [lightgbm.Booster(model_str=text).num_trees() for text in found[0][0].boosters] == [10] * 5


@pytest.mark.parametrize(("seconds", "parts"), [(100.0, 5), (12.0, 4), (9.5, 3), (5.0, None)])
def test_what_the_time_allows(prepared: Prepared, seconds: float, parts: int | None) -> None:
    result = replace(_result(prepared, 0.1, 5), seconds=10.0)  # 1.25 times as many rows: 2.5 s for each of five parts
    assert prepared.grown == pytest.approx(1.25)
    events = Recorder()
    found = refit.again(prepared, [(result, 1.0)], _clock(seconds), events)
    assert (None if found is None else len(found[0][0].boosters)) == parts
    assert any("no time to fit" in line for line in events.lines) == (parts is None)


def test_the_heaviest_member_has_the_parts_that_there_is_time_for(prepared: Prepared) -> None:
    light, heavy = (replace(_result(prepared, 0.1, 5), trial=name, seconds=10.0) for name in "01")
    # A part takes 2.75 s with the slack that is allowed: seven fit.
    found = refit.again(prepared, [(light, 0.4), (heavy, 0.6)], _clock(20.5), Recorder())
    assert found is not None
    assert [len(part.boosters) for part in found[0]] == [3, 4]


def test_the_leaves_are_those_that_lightgbm_counts(prepared: Prepared) -> None:
    for text in _result(prepared, 0.3, 30).part.boosters:
        told = lightgbm.Booster(model_str=text).dump_model()["tree_info"]
        assert serving_cost.leaves(text) == [tree["num_leaves"] for tree in told]


def test_a_larger_model_costs_more_and_few_rows_allow_more(prepared: Prepared) -> None:
    small, large = _result(prepared, 0.1, 5), _result(prepared, 0.1, 50)
    assert serving_cost.share(small, few=True) < serving_cost.share(large, few=True) < serving_cost.share(large, few=False)


def test_with_more_classes_what_is_no_tree_comes_early() -> None:
    names = ("LightGBM", "LogisticRegression", "NeuralNetwork", "RandomForest")
    ordered = [candidate.algorithm for candidate in portfolio(Task.CLASSIFICATION, 1000, names, outputs=10)]
    assert ordered[:3] == ["LightGBM", "LogisticRegression", "NeuralNetwork"]
    two = [candidate.algorithm for candidate in portfolio(Task.CLASSIFICATION, 1000, names, outputs=2)]
    assert two[:3] == ["LightGBM"] * 3 and sorted(two) == sorted(ordered)


def test_a_small_form_that_is_much_worse_is_not_served(prepared: Prepared) -> None:
    problem = prepared.problem
    truth = problem.target[problem.scored].astype(float)[:, None]
    noise = np.random.default_rng(2).normal(size=truth.shape)
    judge = ensemble.Judge(problem)
    prices = {0: 5.0, 1: 0.1}

    def chosen(worse: float) -> dict[int, float]:
        answers = [truth + noise * 0.1, truth + noise * worse]
        full = ensemble.greedy(judge, answers, (0, 1), lambda: False)
        return ensemble.served(judge, answers, full, prices.__getitem__, 1.0, few=True).weights

    assert chosen(0.5) == {0: 1.0}, "over the limit, but the other one's loss is five times as large"
    assert chosen(0.104) == {1: 1.0}, "hardly worse, and small"


@pytest.mark.parametrize(("price", "helps"), [(0.1, True), (0.9, False)])
def test_what_costs_little_is_served_beside_a_model_that_costs_too_much(prepared: Prepared, price: float, helps: bool) -> None:
    problem = prepared.problem
    truth = problem.target[problem.scored].astype(float)[:, None]
    draw = np.random.default_rng(3)
    answers = [truth + 0.1 * draw.normal(size=truth.shape), truth + 0.15 * draw.normal(size=truth.shape)]
    judge = ensemble.Judge(problem)
    full = ensemble.greedy(judge, answers, (0, 1), lambda: False)
    assert len(full.weights) == 2
    form = ensemble.served(judge, answers, full, {0: 5.0, 1: price}.__getitem__, 1.0, few=True)
    assert set(form.weights) == ({0, 1} if helps else {0})
