"""Large tables in a short time: one validation part, larger steps, and no time kept for what cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from opsml_cli.domain.job import AutoMLSpec, Limits, TableSource, Task
from opsml_cli.local.automl import boosting, portfolio, scale
from opsml_cli.local.automl.engine import Tables
from opsml_cli.local.automl.prepare import Prepared, prepare


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "cores", lambda: 2)


def prepared(seconds: float, **asked: Any) -> Prepared:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(0, 1, (40_000, 6)).round(2), columns=list("abcdef"))
    frame["y"] = np.where(frame["a"] + draw.normal(0, 1, len(frame)) > 0, "yes", "no")
    spec = AutoMLSpec(TableSource(path="rows"), "y", Task.CLASSIFICATION, limits=Limits(timeout_seconds=seconds), **asked)
    return prepare(spec, Tables(frame))


@pytest.mark.parametrize(
    ("rows", "width", "outputs", "seconds", "share"),
    [
        (33_000, 20, 2, 15, None),  # bank marketing
        (1_000_000, 12, 2, 60, 0.05),
        (1_000_000, 12, 2, 3600, None),
        (250_000, 12, 2, 60, 0.2),
        (50_000, 12, 10, 60, 0.2),  # a tree for each class
        (1000, 10_000, 2, 60, None),
    ],
)
def test_five_folds_are_for_tables_that_leave_time_for_them(
    rows: int, width: int, outputs: int, seconds: float, share: float | None
) -> None:
    assert scale.validation_share(rows, width, outputs, seconds) == share


def test_a_short_time_gets_one_part_and_says_so() -> None:
    short, usual = prepared(2), prepared(600)
    assert [len(fold.valid) for fold in short.problem.folds] == [7200]
    assert len(usual.problem.folds) == 5
    said = {check.check: check.detail for check in short.checks}
    assert said["Validation split"].startswith("7200 rows validate every trial, once: ")
    assert "Validation split" not in {check.check for check in usual.checks}


@pytest.mark.parametrize(("asked", "folds"), [({"cross_validations": 3}, 3), ({"validation_size": 0.5}, 1)])
def test_what_the_job_asks_for_is_done(asked: dict[str, Any], folds: int) -> None:
    found = prepared(2, **asked)
    assert len(found.problem.folds) == folds
    assert "Validation split" not in {check.check for check in found.checks}


def test_steps_grow_as_the_time_shrinks() -> None:
    problem = prepared(2).problem
    steps = [scale.steps(problem, seconds) for seconds in (1, 5, 20, 600)]
    assert steps == sorted(steps, reverse=True)
    assert steps[0] > 2
    assert steps[-1] == 1


def test_a_larger_step_costs_less_and_stays_within_bounds() -> None:
    first = portfolio.portfolio(Task.CLASSIFICATION, 40_000, portfolio.trained_here(Task.CLASSIFICATION))
    for candidate in first:
        assert portfolio.stepped(candidate, 1.0) is candidate
        larger = portfolio.stepped(candidate, 3.0)
        if candidate.algorithm != portfolio.LIGHTGBM:
            assert larger is candidate
            continue
        rate, before = float(str(larger.parameters["learning_rate"])), float(str(candidate.parameters["learning_rate"]))
        assert before < rate <= 0.2
        assert larger.cost == pytest.approx(candidate.cost * before / rate)
