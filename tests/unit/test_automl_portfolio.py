"""What is tried: the fixed part for each kind of table, and what is drawn near the best so far."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from training_events import Recorder

from opsml_cli.domain.job import AutoMLSpec, Limits, TableSource, Task
from opsml_cli.local.automl import boosting, importance, serving_cost, trials
from opsml_cli.local.automl.engine import train
from opsml_cli.local.automl.events import Tables
from opsml_cli.local.automl.portfolio import LIGHTGBM, Candidate, drawn, portfolio, trained_here
from opsml_cli.local.automl.prepare import prepare

SPEC = AutoMLSpec(TableSource(path="table"), "y", cross_validations=2, limits=Limits(timeout_seconds=120, max_trials=18))
NAMES = trained_here(Task.REGRESSION)


def _table(rows: int = 120) -> pd.DataFrame:
    draw = np.random.default_rng(5)
    frame = pd.DataFrame({"a": draw.normal(size=rows), "b": draw.normal(size=rows), "c": draw.normal(size=rows)})
    frame["y"] = 3 * frame["a"] * (frame["b"] > 0) + draw.normal(size=rows) * 0.1
    return frame


def test_absolute_errors_are_not_learned_by_linear_leaves() -> None:
    squared = portfolio(Task.REGRESSION, 1000, NAMES)
    assert sum(bool(each.parameters.get("linear_tree")) for each in squared) == 2
    absolute = portfolio(Task.REGRESSION, 1000, NAMES, absolute=True)
    assert not any(each.parameters.get("linear_tree") for each in absolute)
    parent = next(each for each in squared if each.parameters.get("linear_tree"))
    draw = np.random.default_rng(0)
    found = [drawn(Task.REGRESSION, 1000, NAMES, draw, skewed=False, absolute=True, parents=[parent]) for _ in range(200)]
    assert not any(each.parameters.get("linear_tree") for each in found)


def test_skewed_values_are_learned_by_their_logarithm_too() -> None:
    plain, skewed = portfolio(Task.REGRESSION, 1000, NAMES), portfolio(Task.REGRESSION, 1000, NAMES, skewed=True)
    logged = [each for each in skewed if each.parameters.get("log_target")]
    assert [each for each in skewed if each not in logged] == plain
    assert any(each.parameters.get("linear_tree") for each in logged)


def test_half_of_the_boosters_are_drawn_near_a_parent() -> None:
    parent = Candidate(LIGHTGBM, {**portfolio(Task.REGRESSION, 1000, NAMES)[0].parameters, "extra_trees": True})
    draw = np.random.default_rng(1)
    found = [
        drawn(Task.REGRESSION, 1000, (LIGHTGBM,), draw, skewed=False, absolute=False, parents=[parent]) for _ in range(400)
    ]
    share = np.mean([bool(each.parameters["extra_trees"]) for each in found])
    assert 0.45 < share < 0.65, "0.9 of the near ones, 0.2 of the others"
    for each in found:
        values = each.parameters
        assert 4 <= int(str(values["num_leaves"])) <= 48 and int(str(values["min_data_in_leaf"])) >= 2
        assert 0 < float(str(values["feature_fraction_bynode"])) <= 1 and 0 < float(str(values["bagging_fraction"])) <= 1
        assert 0.01 < float(str(values["learning_rate"])) < 0.2


@pytest.mark.slow
def test_side_by_side_and_one_after_another_draw_the_same(tmp_path: Path) -> None:
    found = []
    for abreast in (1, 2):
        spec = replace(SPEC, limits=replace(SPEC.limits, max_concurrent_trials=abreast), allowed_algorithms=(LIGHTGBM,))
        outcome = train(spec, Tables(_table()), tmp_path / str(abreast), Recorder())
        found.append(sorted((int(trial.trial), str(trial.parameters)) for trial in outcome.leaderboard))
    assert found[0] == found[1] and len(found[0]) >= 18


@pytest.mark.parametrize("linear", [True, False])
def test_the_importance_knows_linear_leaves(linear: bool) -> None:
    prepared = prepare(SPEC, Tables(_table()))
    problem = prepared.problem
    wanted = next(
        each
        for each in portfolio(Task.REGRESSION, 120, NAMES)
        if each.algorithm == LIGHTGBM and bool(each.parameters["linear_tree"]) == linear
    )
    watch = boosting.Watch(time.monotonic() + 60, True, lambda: False)
    part, answer, _ = trials.run(problem, boosting.Binned(problem), wanted, watch, workers=1)
    assert all(serving_cost.linear_leaves(text) == linear for text in part.boosters)
    assert trials.measure(problem, answer)["r2_score"] > 0.5
    ranked = importance.shares([part], problem.features, problem.matrix, 0)
    assert [each["column"] for each in ranked][-1] == "c"
    assert sum(float(str(each["share"])) for each in ranked) == pytest.approx(1.0)


def test_linear_leaves_never_see_the_number_of_threads_change() -> None:
    # LightGBM writes past its buffers, and the process dies, when it does.
    problem = prepare(replace(SPEC, cross_validations=3), Tables(_table())).problem
    threads = {}
    for wanted in portfolio(Task.REGRESSION, 120, NAMES):
        if wanted.algorithm == LIGHTGBM:
            watch = boosting.Watch(time.monotonic() + 60, True, lambda: False)
            part, _, _ = trials.run(problem, boosting.Binned(problem), wanted, watch, workers=2, rounds=(3, 3, 3))
            told = [text.split("[num_threads: ")[1].split("]")[0] for text in part.boosters]
            threads.setdefault(bool(wanted.parameters["linear_tree"]), set()).update(told)
    assert threads == {True: {"1"}, False: {"1", "2"}}
