"""Training end to end, small: models, figures, limits, resuming, hostile tables."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from training_events import Recorder

from opsml_cli.domain.errors import InvalidInputError, OpsmlError, UsageError
from opsml_cli.domain.job import AutoMLOutcome, AutoMLSpec, JobState, Limits, TableSource, Task
from opsml_cli.local.automl import scoring
from opsml_cli.local.automl.engine import train
from opsml_cli.local.automl.events import Tables

SPEC = AutoMLSpec(TableSource(path="table"), "y", cross_validations=4, limits=Limits(timeout_seconds=60, max_trials=2))


def table(rows: int = 400, kind: str = "binary", seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame({"age": draw.integers(18, 80, rows), "score": draw.normal(size=rows)})
    frame["job"] = draw.choice(["admin", "services", "student"], rows)
    frame.loc[::17, "score"] = np.nan
    signal = frame["score"].fillna(0) + (frame["job"] == "student") + draw.normal(size=rows) * 0.5
    if kind == "binary":
        frame["y"] = np.where(signal > 0.4, "yes", "no")
    elif kind == "multiclass":
        frame["y"] = np.digitize(signal, [-0.3, 0.7])
    else:
        frame["y"] = signal * 100 + 7.5
    return frame


def trained(frame: pd.DataFrame, folder: Path, spec: AutoMLSpec = SPEC, **tables: Any) -> tuple[AutoMLOutcome, Recorder]:
    events = Recorder()
    return train(spec, Tables(frame, **tables), folder, events), events


def model_of(folder: Path) -> scoring.TabularModel:
    return scoring.load(str(folder / "outputs" / "model" / "data" / "data"))


@pytest.mark.parametrize(
    ("kind", "metric", "least"),
    [("binary", "AUC_weighted", 0.8), ("multiclass", "AUC_weighted", 0.75), ("regression", "r2_score", 0.6)],
)
def test_every_task_ends_in_a_model_that_is_better_than_nothing(kind: str, metric: str, least: float, tmp_path: Path) -> None:
    spec = replace(SPEC, metric=metric, limits=Limits(60, max_trials=4))
    outcome, events = trained(table(kind=kind), tmp_path, spec)
    assert outcome.best is not None and outcome.test_metrics is not None and outcome.baseline_metrics is not None
    assert outcome.metric == metric
    assert outcome.best.metrics[metric] > least
    assert outcome.test_metrics[metric] > max(least - 0.1, outcome.baseline_metrics.get(metric, 0.0))
    low, high = (outcome.intervals or {})[metric]
    assert low < outcome.test_metrics[metric] < high
    assert [trial.rank for trial in outcome.leaderboard] == list(range(1, len(outcome.leaderboard) + 1))
    assert {trial.trial for trial in outcome.leaderboard} == {trial.trial for trial in events.trials}
    assert any(trial.algorithm in ("LogisticRegression", "ElasticNet") for trial in outcome.leaderboard)
    model = model_of(tmp_path)
    rows = [{"age": "44", "score": None, "job": "never seen", "extra": 1}]
    answer = model.probabilities(model.encode(rows)) if kind != "regression" else model.values(model.encode(rows))
    assert np.isfinite(answer).all()
    if kind != "regression":
        assert answer.sum() == pytest.approx(1.0)
    for name in ("curves", "importance", "leaderboard", "metrics"):
        assert json.loads((tmp_path / "outputs" / f"{name}.json").read_text())
    proof = json.loads((tmp_path / "outputs" / "model" / "proof.json").read_text())
    assert proof["rows"] > 0 and proof["largest_difference"] <= 1e-9


CLEAN = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opsml_cli":
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
import json, mlflow.pyfunc, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
frame = pandas.DataFrame([{"age": 44, "score": 0.5, "job": "student"}, {"age": 20, "score": None, "job": "admin"}])
chances = model.predict(frame, params={"method": "predict_proba"})
print(json.dumps([model.predict(frame).tolist(), chances.tolist()]))
for age in ([None, 20], [float("nan"), 20.0], [44.0, 20.0], ["44", "20"]):
    assert len(model.predict(frame.assign(age=age))) == 2
assert not any(name.partition(".")[0] == "opsml_cli" for name in sys.modules)
"""


@pytest.mark.slow
def test_mlflow_loads_the_model_where_opsml_is_not_installed(tmp_path: Path) -> None:
    trained(table(), tmp_path)
    folder = tmp_path / "outputs" / "model"
    done = subprocess.run(
        [sys.executable, "-P", "-c", CLEAN, str(folder)], capture_output=True, text=True, cwd=tmp_path, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    labels, chances = json.loads(done.stdout.splitlines()[-1])
    assert labels[0] == "yes"
    model = model_of(tmp_path)
    rows = [{"age": 44, "score": 0.5, "job": "student"}, {"age": 20, "score": None, "job": "admin"}]
    assert np.allclose(chances, model.probabilities(model.encode(rows)), atol=1e-12)
    assert labels == model.labels(np.array(chances))
    wanted = (folder / "requirements.txt").read_text()
    assert "lightgbm==" in wanted and "opsml" not in wanted
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_model(tmp_path: Path) -> None:
    first, _ = trained(table(), tmp_path / "a")
    second, _ = trained(table(), tmp_path / "b")
    third, _ = trained(table(), tmp_path / "c", replace(SPEC, seed=5))
    assert first.best == second.best and first.test_metrics == second.test_metrics
    assert first.test_metrics != third.test_metrics
    texts = [sorted((tmp_path / x).rglob("member*.txt")) for x in "ab"]
    assert [path.read_text() for path in texts[0]] == [path.read_text() for path in texts[1]]


def test_trials_side_by_side_find_the_same(tmp_path: Path) -> None:
    limits = Limits(60, max_trials=4)
    one, _ = trained(table(), tmp_path / "a", replace(SPEC, limits=limits))
    two, _ = trained(table(), tmp_path / "b", replace(SPEC, limits=replace(limits, max_concurrent_trials=3)))
    assert {t.trial: t.metrics for t in one.leaderboard} == {t.trial: t.metrics for t in two.leaderboard}


def test_a_killed_training_goes_on_from_its_finished_trials(tmp_path: Path) -> None:
    events = Recorder(stop=2)
    spec = replace(SPEC, limits=Limits(60, max_trials=3))
    partial = train(spec, Tables(table()), tmp_path, events)
    assert partial.best is None and not (tmp_path / "outputs" / "model").exists()
    again = Recorder(known=tuple(events.trials[:1]))  # the second was durable, but killed before it was recorded
    outcome = train(spec, Tables(table()), tmp_path, again)
    assert "2 trials of an earlier process are used again" in again.lines
    assert [trial.trial for trial in again.trials][:2] == ["1", "2"]
    assert {trial.trial for trial in outcome.leaderboard} >= {"0", "1", "2"}
    whole, _ = trained(table(), tmp_path / "whole", spec)
    assert whole.test_metrics == outcome.test_metrics


def test_trials_of_other_data_are_not_used(tmp_path: Path) -> None:
    trained(table(), tmp_path)
    _, events = trained(table(seed=9), tmp_path)
    assert not [line for line in events.lines if "earlier process" in line]


@pytest.mark.slow
def test_the_budget_is_kept(tmp_path: Path) -> None:
    started = time.monotonic()
    outcome, events = trained(table(3000), tmp_path, replace(SPEC, limits=Limits(timeout_seconds=8)))
    assert time.monotonic() - started < 15  # without a budget the search goes on for minutes; the machine may be busy
    assert outcome.best is not None and events.trials


def test_the_exit_score_ends_the_search(tmp_path: Path) -> None:
    outcome, _ = trained(table(), tmp_path, replace(SPEC, limits=Limits(60, max_trials=9, exit_score=0.6)))
    assert len(outcome.leaderboard) == 1


def test_a_threshold_is_stored_and_used(tmp_path: Path) -> None:
    outcome, _ = trained(table(), tmp_path, replace(SPEC, threshold_for="cost:1,20"))
    model = model_of(tmp_path)
    assert outcome.threshold is not None and outcome.threshold == model.threshold < 0.4
    assert model.positive_index == 1
    chances = np.array([[1 - outcome.threshold, outcome.threshold], [0.999, 0.001]])
    assert model.labels(chances) == ["yes", "no"]


def test_the_ensemble_is_served_where_it_is_asked_for(tmp_path: Path) -> None:
    draw = np.random.default_rng(2)
    frame = pd.DataFrame(draw.normal(size=(500, 4)), columns=list("abcd"))
    frame["y"] = np.where(np.sin(2 * frame["a"]) + frame["b"] * frame["c"] + frame["d"] + draw.normal(0, 1, 500) > 0, "p", "n")
    limits = Limits(timeout_seconds=60, max_trials=4)
    outcome, _ = trained(frame, tmp_path, replace(SPEC, limits=limits, serve="ensemble"))
    assert outcome.best is not None
    assert outcome.best.algorithm == "VotingEnsemble"
    members = model_of(tmp_path).document["about"]["members"]
    assert len(members) > 1
    assert sum(member["weight"] for member in members) == pytest.approx(1.0)


def test_without_votes_no_ensemble_is_made(tmp_path: Path) -> None:
    spec = replace(SPEC, limits=Limits(60, max_trials=3), features={"training": {"enable_vote_ensemble": False}})
    outcome, events = trained(table(), tmp_path, spec)
    assert "VotingEnsemble" not in {trial.algorithm for trial in (*outcome.leaderboard, *events.trials)}
    assert outcome.best is not None and outcome.best.trial == outcome.leaderboard[0].trial
    assert len(model_of(tmp_path).document["about"]["members"]) == 1


def test_a_positive_label_turns_the_threshold_round(tmp_path: Path) -> None:
    spec = replace(SPEC, threshold_for="cost:1,20", positive_label="no", limits=Limits(60, max_trials=1))
    trained(table(), tmp_path, spec)
    model = model_of(tmp_path)
    assert model.positive_index == 0 and model.threshold is not None
    assert model.labels(np.array([[0.45, 0.55]])) == ["no"]


def test_algorithms_are_chosen_or_refused(tmp_path: Path) -> None:
    spec = replace(SPEC, allowed_algorithms=("logisticregression",))
    outcome, _ = trained(table(), tmp_path, spec)
    assert {trial.algorithm for trial in outcome.leaderboard} <= {"LogisticRegression", "VotingEnsemble"}
    with pytest.raises(UsageError) as caught:
        trained(table(), tmp_path, replace(SPEC, blocked_algorithms=("LightGMB",)))
    assert "LightGBM" in str(caught.value.cause)


def test_given_tables_are_used_as_given(tmp_path: Path) -> None:
    outcome, events = trained(table(), tmp_path, SPEC, validation=table(150, seed=1), test=table(120, seed=2))
    assert outcome.test_metrics is not None
    assert "400 rows" not in " ".join(events.lines) and any("550 rows to learn from, 120 held out" in x for x in events.lines)


def test_weights_count(tmp_path: Path) -> None:
    frame = table()
    frame["w"] = np.where(frame["y"] == "yes", 50.0, 1.0)
    spec = replace(SPEC, weight_column="w", limits=Limits(60, max_trials=1))
    trained(frame, tmp_path / "a", spec)
    trained(frame.drop(columns="w"), tmp_path / "b", replace(spec, weight_column=None))
    heavy, plain = model_of(tmp_path / "a"), model_of(tmp_path / "b")
    rows = frame.drop(columns=["y", "w"]).to_dict("records")
    assert "w" not in [column["name"] for column in heavy.columns]
    mean = [model.probabilities(model.encode(rows))[:, 1].mean() for model in (heavy, plain)]
    assert mean[0] > mean[1] + 0.1


def test_guardrails_find_what_is_wrong(tmp_path: Path) -> None:
    frame = table(600)
    draw = np.random.default_rng(3)
    frame["after"] = np.where((frame["y"] == "yes") ^ (draw.random(600) < 0.1), 1.0, 0.0) + draw.normal(size=600) * 0.1
    frame["id"] = [f"u{index}" for index in range(600)]
    frame["same"] = 7
    frame["typed"] = [str(value) for value in draw.normal(size=597)] + ["n/a"] * 3
    frame["nothing"] = None
    frame.loc[:4, "y"] = None
    _, events = trained(frame, tmp_path, replace(SPEC, limits=Limits(60, max_trials=1)))
    leak = events.check("Target leakage")
    assert leak.status == "warning" and "'after'" in leak.detail and "without" in leak.detail
    assert "--drop-column after" in leak.detail
    assert "'id'" in events.check("Identifiers").detail
    assert "'same'" in events.check("Constant columns").detail
    assert "'typed'" in events.check("Mistyped columns").detail
    assert "'nothing'" in events.check("Empty columns").detail
    assert "5 rows" in events.check("Missing target").detail
    assert {column["name"] for column in model_of(tmp_path).columns} == {"age", "score", "job", "after", "typed"}


def test_one_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        trained(table().assign(y="yes"), tmp_path)
    assert "one class" in caught.value.message


def test_an_absent_target_suggests(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        trained(table(), tmp_path, replace(SPEC, target_column="ages"))
    assert "age" in str(caught.value.cause)


@pytest.mark.parametrize("algorithm", ["LogisticRegression", "NeuralNetwork"])
def test_numbers_near_the_largest_can_be_learned(algorithm: str, tmp_path: Path) -> None:
    frame = table(120)
    frame["vast"] = np.resize([1e308, -1e308, 5e-324, 1.5, np.inf], 120)
    outcome, _ = trained(frame, tmp_path, replace(SPEC, allowed_algorithms=(algorithm,), limits=Limits(60, max_trials=1)))
    model = model_of(tmp_path)
    assert outcome.best is not None and np.isfinite(model.probabilities(model.encode_frame(frame))).all()


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(["", "a", "b", "é😀", "007", "2026-01-01", "x" * 300, "1.5"]),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    data=st.data(),
    rows=st.integers(0, 40),
    names=st.lists(st.text(min_size=1, max_size=8), min_size=0, max_size=4, unique=True),
    task=st.sampled_from([None, Task.CLASSIFICATION, Task.REGRESSION]),
)
def test_hostile_tables_end_in_a_model_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, rows: int, names: list[str], task: Task | None
) -> None:
    columns = {name: data.draw(st.lists(CELLS, min_size=rows, max_size=rows)) for name in names if name != "y"}
    columns["y"] = data.draw(
        st.lists(st.sampled_from([0, 1, None]) | st.sampled_from(["a", "b", "c"]) | CELLS, min_size=rows, max_size=rows)
    )
    frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
    folder = tmp_path_factory.mktemp("hostile")
    spec = replace(SPEC, task=task, limits=Limits(timeout_seconds=20, max_trials=1))
    try:
        outcome, _ = trained(frame, folder, spec)
    except OpsmlError as error:
        assert error.message and error.exit_code in (2, 7, 9)
        return
    assert outcome.best is not None
    assert all(trial.state in (JobState.COMPLETED, JobState.FAILED) for trial in outcome.leaderboard)
    model = model_of(folder)
    matrix = model.encode_frame(frame)
    answer = model.probabilities(matrix) if model.task == "classification" else model.values(matrix)
    assert np.isfinite(answer).all()
