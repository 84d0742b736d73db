"""Shapley values by walks: they add up, agree with the definition, and leave columns alone that move nothing."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from serving_support import train_folder

from opsml_cli.local.automl import scoring
from opsml_cli.local.automl.explaining import Explainer
from opsml_cli.local.serving import scorers

ROWS = [
    {"age": 80, "job": "retired", "balance": 10.0},
    {"age": 25, "job": "admin.", "balance": -50.0},
    {"age": 50, "job": "never seen", "balance": None},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> scoring.TabularModel:
    return loaded(train_folder(tmp_path_factory.mktemp("explained")))


def loaded(folder: Path) -> scoring.TabularModel:
    return scoring.load(str(scorers.own_data(folder, scorers.read_description(folder))))


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    draw = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "age": draw.integers(18, 90, 40),
            "job": draw.choice(["technician", "admin.", "retired"], 40),
            "balance": draw.normal(0, 100, 40).round(2),
        }
    )


def test_base_and_contributions_add_up_to_the_answer(model: scoring.TabularModel, frame: pd.DataFrame) -> None:
    found = Explainer(model, frame, 0).contributions(model.encode(ROWS), 50)
    answers = model.probabilities(model.encode(ROWS))
    assert np.allclose(found.answers, answers, atol=1e-12)
    assert np.allclose(found.base + found.contributions.sum(axis=1), answers, atol=1e-12)


def test_walks_come_near_to_the_definition(model: scoring.TabularModel, frame: pd.DataFrame) -> None:
    """Against Shapley's formula over every subset of columns and every row of the data."""
    rows, data = model.encode(ROWS), model.encode_frame(frame)
    count = len(model.columns)
    assert count == 3, "one number a column here, so that subsets are positions"

    def worth(row: np.ndarray, subset: tuple[int, ...]) -> float:
        mixed = data.copy()
        mixed[:, list(subset)] = row[list(subset)]
        return float(model.probabilities(mixed)[:, 1].mean())

    # Eight draws together: one alone may be off by as much as is allowed, whichever model the time was enough for.
    drawn = [Explainer(model, frame, seed).contributions(rows, 100_000).contributions[:, :, 1] for seed in range(8)]
    found = np.mean(drawn, axis=0)
    for index, row in enumerate(rows):
        for column in range(count):
            others = [each for each in range(count) if each != column]
            exact = sum(
                math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
                * (worth(row, (*subset, column)) - worth(row, subset))
                for size in range(count)
                for subset in itertools.combinations(others, size)
            )  # fmt: skip
            assert found[index, column] == pytest.approx(exact, abs=0.06)


def test_the_column_that_decides_comes_first(model: scoring.TabularModel, frame: pd.DataFrame) -> None:
    shares, rows = Explainer(model, frame, 0).importance(1)
    assert rows == 40
    assert sum(share for _, share in shares) == pytest.approx(1.0)
    assert shares[0][0] == "age"
    assert shares[0][1] > 0.5


def test_the_same_seed_gives_the_same_answer(model: scoring.TabularModel, frame: pd.DataFrame) -> None:
    first, second = (Explainer(model, frame, 5).importance(1) for _ in range(2))
    assert first == second
    assert Explainer(model, frame, 6).importance(1) != first


def test_dependence_follows_the_data(model: scoring.TabularModel, frame: pd.DataFrame) -> None:
    explainer = Explainer(model, frame, 0)
    values, answers = explainer.dependence("age", 1)
    assert values == sorted(values)
    assert len(values) == len(answers) <= 13
    assert answers[-1] > answers[0] + 0.3, "the older, the likelier"
    jobs, _ = explainer.dependence("job", 1)
    assert sorted(map(str, jobs)) == ["admin.", "retired", "technician"]


def test_a_column_without_values_has_no_dependence(model: scoring.TabularModel, frame: pd.DataFrame) -> None:
    empty = frame.assign(balance=float("nan"))
    assert Explainer(model, empty, 0).dependence("balance", 1) == ([], [])


def test_a_date_is_one_column(tmp_path: Path) -> None:
    """Its six numbers turn together."""
    from serving_support import Quiet

    from opsml_cli.domain.job import AutoMLSpec, Limits, TableSource, Task
    from opsml_cli.local.automl.engine import Tables, train

    draw = np.random.default_rng(5)
    days = pd.to_datetime("2024-01-01") + pd.to_timedelta(draw.integers(0, 700, 300), unit="D")
    frame = pd.DataFrame({"day": days, "noise": draw.normal(size=300)})
    frame["y"] = frame["day"].dt.month + draw.normal(0, 0.3, 300)
    spec = AutoMLSpec(
        data=TableSource(path="rows"),
        target_column="y",
        task=Task.REGRESSION,
        limits=Limits(timeout_seconds=20, max_trials=1),
        cross_validations=2,
        allowed_algorithms=("LightGBM",),
    )
    train(spec, Tables(frame), tmp_path, Quiet())
    explainer = Explainer(loaded(tmp_path / "outputs" / "model"), frame, 0)
    assert explainer.columns == ["day", "noise"]
    assert explainer.importance(0)[0][0][0] == "day"
    values, _ = explainer.dependence("day", 0)
    assert all(str(value).startswith("202") for value in values)
