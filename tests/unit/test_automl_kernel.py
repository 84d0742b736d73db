"""Kernel models: what they learn, what is served of them, and where they are left out."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from serving_support import Quiet

from opsml_cli.domain.errors import WorkFailedError
from opsml_cli.domain.job import AutoMLOutcome, AutoMLSpec, Limits, TableSource, Task
from opsml_cli.local.automl import importance, kernel, portfolio, scoring, serving_cost, trials
from opsml_cli.local.automl.boosting import Binned, Watch
from opsml_cli.local.automl.engine import Tables, train
from opsml_cli.local.automl.prepare import prepare
from opsml_cli.local.automl.problem import Problem
from opsml_cli.local.automl.search import Clock, Plan, Search

SPEC = AutoMLSpec(
    TableSource(path="rows"),
    "y",
    Task.CLASSIFICATION,
    limits=Limits(timeout_seconds=60, max_trials=1),
    cross_validations=2,
    allowed_algorithms=("KernelLogisticRegression",),
)
NUMBERS = replace(SPEC, task=Task.REGRESSION, allowed_algorithms=("KernelRidge",))


def frame(rows: int = 500, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    found = pd.DataFrame(draw.normal(size=(rows, 3)), columns=list("abc"))
    found["town"] = draw.choice(["x", "y", "z"], rows)
    found.loc[::17, "a"] = np.nan
    found["score"] = np.sin(2 * found["a"].fillna(0)) + found["b"] * found["c"] + (found["town"] == "x") * 2
    return found


def of_numbers(rows: int = 500) -> pd.DataFrame:
    table = frame(rows).rename(columns={"score": "y"})
    return table.assign(y=table["y"] * 1000 + 5000)


def trained(table: pd.DataFrame, folder: Path, spec: AutoMLSpec) -> AutoMLOutcome:
    return train(spec, Tables(table), folder, Quiet())


def fitted(problem: Problem, **parameters: object) -> tuple[trials.Part, np.ndarray]:
    candidate = portfolio.Candidate(portfolio.KERNEL[problem.task], {"reach": 1.0, "alpha": 0.01, **parameters})
    watch = Watch(float("inf"), True, lambda: False)
    part, answer, _ = trials.run(problem, Binned(problem), candidate, watch, workers=2)
    return part, answer


def test_strange_rows_are_answered(tmp_path: Path) -> None:
    table = frame()
    table["y"] = np.where(table.pop("score") > 0.5, "p", "n")
    trained(table, tmp_path, SPEC)
    model = scoring.load(str(tmp_path / "outputs" / "model" / "data" / "data"))
    odd = [{"a": None, "b": 1e300, "c": None, "town": "nowhere"}, {"a": -1e300, "b": 0.0, "c": 1, "town": None}]
    assert np.isfinite(model.probabilities(model.encode(odd))).all()


def test_a_smooth_function_is_learned_better_than_by_trees() -> None:
    problem = prepare(replace(NUMBERS, allowed_algorithms=()), Tables(of_numbers())).problem
    _, answer = fitted(problem)
    first = portfolio.portfolio(problem.task, len(problem.target), ["LightGBM"])[0]
    _, by_trees, _ = trials.run(problem, Binned(problem), first, Watch(float("inf"), True, lambda: False), workers=2)
    truth = problem.target[problem.scored].astype(float)
    assert ((answer[:, 0] - truth) ** 2).mean() < 0.8 * ((by_trees[:, 0] - truth) ** 2).mean()


@pytest.mark.parametrize("weighted", [False, True])
def test_what_is_served_is_the_mean_of_what_was_fitted(weighted: bool) -> None:
    table = of_numbers()
    table["w"] = np.where(table["town"] == "z", 3.0, 1.0)
    spec = replace(NUMBERS, weight_column="w") if weighted else replace(NUMBERS, drop_columns=("w",))
    problem = prepare(spec, Tables(table)).problem
    whole = kernel.run(problem, {"reach": 0.5, "alpha": 0.1}, Watch(float("inf"), True, lambda: False), "KernelRidge", 1)[0]
    made = kernel._map(problem, 0.5)
    parts = [
        made.rows @ weight + intercept
        for weight, intercept in (
            kernel._fit(problem, made.rows, fold, 0.1, Watch(float("inf"), True, lambda: False)) for fold in problem.folds
        )
    ]
    served = trials.answer_of(whole, problem.matrix)
    assert np.abs(served - np.mean(parts, axis=0)).max() < 1e-6 * np.abs(served).max()


def test_weights_count_as_rows_do() -> None:
    draw = np.random.default_rng(0)
    rows, many = draw.normal(size=(120, 5)), draw.random(120) < 0.3
    values = rows @ np.arange(5.0) + 1 + draw.normal(size=120)
    doubled = kernel._ridge(np.vstack([rows, rows[many]]), np.concatenate([values, values[many]]), None, 1e-9)
    weighted = kernel._ridge(rows, values, np.where(many, 2.0, 1.0), 1e-9)
    assert np.allclose(doubled[0], weighted[0], atol=1e-5)
    assert np.allclose(doubled[1], weighted[1])


def test_the_same_seed_gives_the_same_kernel(tmp_path: Path) -> None:
    problem = prepare(NUMBERS, Tables(of_numbers())).problem
    one, other = (trials.answer_of(fitted(problem)[0], problem.matrix) for _ in range(2))
    assert np.array_equal(one, other)


def test_a_table_too_large_for_kernels_says_so(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    table = pd.DataFrame(draw.normal(size=(60, kernel.MOST_COLUMNS + 1)))
    table["y"] = draw.choice(["p", "n"], 60)
    with pytest.raises(WorkFailedError) as caught:
        trained(table, tmp_path, SPEC)
    assert caught.value.cause == "the table is too large for a model of this kind"


def test_what_it_costs_to_serve_grows_with_its_landmarks() -> None:
    costs = [serving_cost.microseconds(fitted(prepare(NUMBERS, Tables(of_numbers(rows))).problem)[0]) for rows in (60, 600)]
    assert costs[0] < costs[1] < 100


def test_no_kernel_is_tried_where_one_would_take_too_much_of_the_time(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    table = pd.DataFrame(draw.normal(size=(3000, 6)), columns=list("abcdef"))
    table["y"] = np.where(table["a"] + table["b"] * table["c"] > 0, "p", "n")
    problem = prepare(SPEC, Tables(table)).problem
    names = portfolio.trained_here(problem.task)

    def algorithms(budget: float) -> set[str]:
        plan = Plan(SPEC.limits, names, Clock(time.monotonic(), budget, 1.0), tmp_path, "x", 1.0, 0.1)
        return {each.algorithm for each in itertools.islice(Search(problem, plan, Quiet())._candidates(), 8)}

    enough = kernel.seconds(problem) / 0.15 + 0.1
    assert "KernelLogisticRegression" in algorithms(enough)
    assert "KernelLogisticRegression" not in algorithms(enough - 0.2)


@pytest.mark.parametrize("algorithm", ["KernelRidge", "ElasticNet"])
def test_a_part_of_the_rows_may_weigh_nothing(algorithm: str, tmp_path: Path) -> None:
    table = of_numbers(60).assign(w=0.0)
    table.loc[3, "w"] = 1.0
    outcome = trained(table, tmp_path, replace(NUMBERS, allowed_algorithms=(algorithm,), weight_column="w"))
    assert outcome.best is not None


def test_importance_looks_at_fewer_rows_where_a_row_has_many_categories(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    table = pd.DataFrame({f"c{index}": draw.choice(list("xyz"), 200) for index in range(4)})
    table["y"] = np.where((table["c0"] == "x") ^ (table["c1"] == "y"), "p", "n")
    problem = prepare(SPEC, Tables(table)).problem
    part, _ = fitted(problem)
    looked_at: set[int] = set()
    scores = scoring.dense

    def counted(arrays: Mapping[str, np.ndarray]) -> object:
        model = scores(arrays)
        monkeypatch.setattr(type(model), "scores", lambda self, rows: looked_at.add(len(rows)) or np.zeros((len(rows), 1)))
        return model

    monkeypatch.setattr(scoring, "dense", counted)
    monkeypatch.setattr(importance, "_MOST_CELLS", 25 * len(problem.features) * part.linear[0]["codes"].size)
    importance.shares([part], problem.features, problem.matrix, 0)
    assert looked_at == {25}
