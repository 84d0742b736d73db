"""Networks, logarithms of the target, and what is served where rows are few."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from serving_support import Quiet

from opsml_cli.domain.errors import WorkFailedError
from opsml_cli.domain.job import AutoMLOutcome, AutoMLSpec, Limits, TableSource, Task
from opsml_cli.local.automl import ensemble, neural, scoring
from opsml_cli.local.automl.engine import Tables, train
from opsml_cli.local.automl.prepare import prepare

SPEC = AutoMLSpec(
    TableSource(path="rows"),
    "y",
    Task.CLASSIFICATION,
    limits=Limits(timeout_seconds=60, max_trials=1),
    cross_validations=2,
    allowed_algorithms=("NeuralNetwork",),
)


def frame(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    found = pd.DataFrame(draw.normal(size=(rows, 3)), columns=list("abc"))
    found["town"] = draw.choice(["x", "y", "z"], rows)
    found.loc[::17, "a"] = np.nan
    found["score"] = found["a"].fillna(0) * 2 + found["b"] * found["c"] + (found["town"] == "x") * 2
    return found


def model_in(folder: Path) -> scoring.TabularModel:
    return scoring.load(str(folder / "outputs" / "model" / "data" / "data"))


def trained(table: pd.DataFrame, folder: Path, spec: AutoMLSpec) -> AutoMLOutcome:
    return train(spec, Tables(table), folder, Quiet())


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("algorithm", ["NeuralNetwork", "KernelLogisticRegression"])
def test_what_is_no_tree_learns_and_answers_a_row_as_a_batch(algorithm: str, classes: int, tmp_path: Path) -> None:
    table = frame()
    table["y"] = pd.qcut(table.pop("score"), classes, labels=[f"class {each}" for each in range(classes)]).astype(str)
    outcome = trained(table, tmp_path, replace(SPEC, allowed_algorithms=(algorithm,)))
    assert outcome.best is not None
    assert outcome.best.algorithm == algorithm
    assert outcome.test_metrics is not None
    assert outcome.test_metrics["AUC_macro"] > 0.9
    model = model_in(tmp_path)
    rows = table.drop(columns=["y"]).to_dict("records")[:40]
    together = model.probabilities(model.encode(rows))
    alone = np.concatenate([model.probabilities(model.encode([row])) for row in rows])
    assert np.abs(together - alone).max() < 1e-12
    assert np.allclose(together.sum(axis=1), 1.0)


def test_a_network_predicts_numbers(tmp_path: Path) -> None:
    table = frame().rename(columns={"score": "y"})
    table["y"] = table["y"] * 1000 + 5000
    outcome = trained(table, tmp_path, replace(SPEC, task=Task.REGRESSION))
    assert outcome.test_metrics is not None
    assert outcome.test_metrics["r2_score"] > 0.8


@pytest.mark.slow
def test_the_same_seed_gives_the_same_network(tmp_path: Path) -> None:
    table = frame().rename(columns={"score": "y"})
    rows = frame(20, seed=3).to_dict("records")
    answers = []
    for place in ("one", "two"):
        trained(table, tmp_path / place, replace(SPEC, task=Task.REGRESSION))
        model = model_in(tmp_path / place)
        answers.append(model.values(model.encode(rows)))
    assert np.array_equal(*answers)


@pytest.mark.slow
def test_a_skewed_target_is_learned_by_its_logarithm_too(tmp_path: Path) -> None:
    table = frame()
    table["y"] = np.exp(table.pop("score") / 1.5)
    spec = replace(
        SPEC,
        task=Task.REGRESSION,
        allowed_algorithms=("LightGBM", "ElasticNet"),
        limits=Limits(timeout_seconds=60, max_trials=6),
    )
    assert prepare(spec, Tables(table)).problem.skewed
    outcome = trained(table, tmp_path, spec)
    logged = [trial for trial in outcome.leaderboard if trial.parameters.get("log_target")]
    assert {trial.algorithm for trial in logged} == {"LightGBM", "ElasticNet"}
    best = min(outcome.leaderboard, key=lambda trial: trial.metrics["normalized_root_mean_squared_error"])
    assert best.algorithm == "VotingEnsemble" or best in logged
    model = model_in(tmp_path)
    assert (model.values(model.encode(table.drop(columns=["y"]).to_dict("records"))) > -1).all()


def test_targets_of_both_signs_or_even_spread_are_not(tmp_path: Path) -> None:
    table = frame().rename(columns={"score": "y"})
    spec = replace(SPEC, task=Task.REGRESSION)
    assert not prepare(spec, Tables(table)).problem.skewed
    table["y"] = table["y"] - table["y"].min()
    assert not prepare(spec, Tables(table)).problem.skewed


def test_a_table_too_wide_for_networks_says_so(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    table = pd.DataFrame(draw.normal(size=(60, neural.MOST_WIDTH)))
    table["y"] = draw.choice(["p", "n"], 60)
    with pytest.raises(WorkFailedError) as caught:
        trained(table, tmp_path, SPEC)
    assert caught.value.cause == "the table is too large for a model of this kind"


def test_members_stay_within_their_cost() -> None:
    draw = np.random.default_rng(0)
    table = frame().rename(columns={"score": "y"})
    judge = ensemble.Judge(prepare(replace(SPEC, task=Task.REGRESSION), Tables(table)).problem)
    truth = judge._truth[:, None]
    answers = [truth + draw.normal(0, 1, truth.shape) for _ in range(6)]
    cost = {0: 0.5, 1: 0.6, 2: 0.3, 3: 0.3, 4: 0.3, 5: 2.0}
    whole = ensemble.greedy(judge, answers, range(6), lambda: False)
    within = ensemble.greedy(judge, answers, range(6), lambda: False, cost=cost.__getitem__)
    assert len(whole.weights) > len(within.weights) > 1
    assert sum(cost[index] for index in within.weights) <= 1.0
    few = ensemble.served(judge, answers, whole, cost.__getitem__, 1.0, few=True)
    assert sum(cost[index] for index in few.weights) <= 1.0
    assert few.loss <= within.loss
