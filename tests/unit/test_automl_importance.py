"""How much a column moves a linear model's answers is told from its weights, and is what moving it alone does."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from opsml_cli.domain.job import AutoMLSpec, Limits, TableSource, Task
from opsml_cli.local.automl import boosting, importance, portfolio, scoring, trials
from opsml_cli.local.automl.engine import Tables
from opsml_cli.local.automl.portfolio import Candidate
from opsml_cli.local.automl.prepare import prepare


@pytest.mark.parametrize("classes", [2, 3, 0])
def test_a_linear_model_is_moved_by_what_its_columns_add(classes: int) -> None:
    draw = np.random.default_rng(classes)
    frame = pd.DataFrame({
        "strong": draw.normal(0, 1, 280),
        "weak": draw.normal(0, 1, 280),
        "holes": np.where(draw.random(280) < 0.3, np.nan, draw.normal(0, 1, 280)),
        "kind": draw.choice(["a", "b", "c"], 280),
    })  # fmt: skip
    score = (
        2 * frame["strong"] + 0.3 * frame["weak"] + frame["kind"].map({"a": -1.0, "b": 0.0, "c": 1.5}) + frame["holes"].isna()
    )
    frame["y"] = score if not classes else [f"c{place}" for place in pd.qcut(score, classes, labels=False)]
    task = Task.CLASSIFICATION if classes else Task.REGRESSION
    problem = prepare(AutoMLSpec(TableSource(path="rows"), "y", task, limits=Limits(60)), Tables(frame)).problem
    watch = boosting.Watch(time.monotonic() + 600, False, lambda: False)
    candidate = Candidate(portfolio.LINEAR[task], {"alpha": 1.0})
    part, _, _ = trials.run(problem, boosting.Binned(problem), candidate, watch, workers=1)
    told = {str(each["column"]): each["share"] for each in importance.shares([part], problem.features, problem.matrix, 0)}

    rows, middle = problem.matrix, np.nan_to_num(np.nanmedian(problem.matrix, axis=0))
    moved = np.zeros(len(problem.features))
    for arrays in part.linear:
        for index in range(len(moved)):
            alone = np.tile(middle, (len(rows), 1))
            alone[:, index] = rows[:, index]
            scores = scoring.dense(arrays).scores(alone)
            moved[index] += np.abs(scores - scores.mean(axis=0)).mean()
    assert len(rows) <= 300, "of more, a sample is looked at"
    assert told == pytest.approx({each.column: size for each, size in zip(problem.features, moved / moved.sum(), strict=True)})
    assert next(iter(told)) == "strong"
