"""Categories of many values are told by the target's means too: they help, and tell nothing of the row itself."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from serving_support import Quiet

from opsml_cli.domain.job import AutoMLSpec, Limits, TableSource, Task
from opsml_cli.local.automl import metrics, scoring, target_means
from opsml_cli.local.automl.engine import Tables, train
from opsml_cli.local.automl.prepare import for_refit, prepare


def shops(rows: int, *, levels: int = 200, seed: int = 0, classes: int = 2, signal: bool = True) -> pd.DataFrame:
    """Each shop has a rate of its own, which neither its name nor how often it is met tells."""
    draw = np.random.default_rng(seed)
    rate = draw.normal(0, 2.0, levels) if signal else np.zeros(levels)
    shop = draw.integers(0, levels, rows)
    size = draw.normal(0, 1, rows)
    score = rate[shop] + 0.5 * size + draw.logistic(0, 1, rows)
    cuts = np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1])
    names = np.array([f"s{number:05d}" for number in draw.permutation(99_999)[:levels]])
    return pd.DataFrame({"shop": names[shop], "size": size, "bought": [f"c{k}" for k in np.searchsorted(cuts, score)]})


def spec(**changes: Any) -> AutoMLSpec:
    return AutoMLSpec(
        TableSource(path="rows"), "bought", Task.CLASSIFICATION, limits=Limits(timeout_seconds=60, max_trials=1), **changes
    )


def learned(problem: Any) -> list[int]:
    return [index for index, feature in enumerate(problem.features) if feature.learned]


@pytest.mark.parametrize(
    ("levels", "classes", "count"), [(200, 2, 1), (200, 3, 3), (200, 12, 0), (target_means.FROM - 1, 2, 0)]
)
def test_columns_of_many_values_have_means_of_each_class(levels: int, classes: int, count: int) -> None:
    problem = prepare(spec(), Tables(shops(3000, levels=levels, classes=classes))).problem
    assert len(learned(problem)) == count
    assert problem.matrix.shape[1] == len(problem.features) == 2 + count


def test_values_that_say_nothing_have_no_means() -> None:
    for seed in range(5):
        assert not learned(prepare(spec(), Tables(shops(4000, levels=400, seed=seed, signal=False))).problem)


@pytest.mark.parametrize("folds", [{"cross_validations": 5}, {"validation_size": 0.3}])
def test_labels_without_a_reason_are_not_found(folds: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A row's own label must not reach its mean: the shops say nothing here, and have ten rows each."""
    monkeypatch.setattr(target_means, "_pull", lambda *_: 1.0)
    problem = prepare(spec(**folds), Tables(shops(4000, levels=400, signal=False))).problem
    (mean,) = learned(problem)
    for rows in (problem.scored, problem.folds[0].train):
        skill = metrics.auc(problem.target[rows] == 1, problem.matrix[rows, mean])
        assert abs(skill - 0.5) < 4 * math.sqrt(1 / (3 * len(rows))), "four standard deviations of chance"


def test_a_mean_tells_what_the_name_does_not(tmp_path: Path) -> None:
    frame = shops(6000, levels=300)
    problem = prepare(spec(), Tables(frame)).problem
    (mean,) = learned(problem)
    scored = problem.scored
    assert metrics.auc(problem.target[scored] == 1, problem.matrix[scored, mean]) > 0.8
    outcome = train(spec(), Tables(frame), tmp_path, Quiet())
    assert outcome.test_metrics is not None
    assert outcome.test_metrics["AUC_weighted"] > 0.82, "0.7 with the codes alone"
    model = scoring.load(str(tmp_path / "outputs" / "model" / "data" / "data"))
    document = model.document["columns"][0]
    means = dict(zip(document["codes"], document["means"][0], strict=False))
    best, worst = max(means, key=lambda name: means[name]), min(means, key=lambda name: means[name])
    positive = model.classes.index("c1")
    rows = [{"shop": best, "size": 0.0}, {"shop": worst, "size": 0.0}]
    high, low = model.probabilities(model.encode(rows))[:, positive]
    assert high > 0.8
    assert low < 0.2
    assert np.array_equal(model.encode(rows), model.encode_frame(pd.DataFrame(rows)))


def test_a_refit_learns_the_means_of_all_rows() -> None:
    frame = shops(3000)
    prepared = prepare(spec(), Tables(frame))
    problem, encoding = for_refit(prepared)
    assert problem.matrix.shape == (3000, 3)
    document = encoding.columns[0]
    assert len(document["means"][0]) == len(document["codes"]) + (document["other"] is not None)
    before = dict(zip(prepared.encoding.columns[0]["codes"], prepared.encoding.columns[0]["means"][0], strict=False))
    after = dict(zip(document["codes"], document["means"][0], strict=False))
    assert after.keys() >= before.keys()
    assert after != before


@pytest.mark.parametrize("rare", [1, 2])
def test_a_class_that_a_part_of_the_rows_lacks_is_no_obstacle(rare: int) -> None:
    frame = shops(4000)
    frame.loc[::5, "bought"] = "later"
    frame.loc[frame.index[1 : 1 + rare], "bought"] = "returned"
    problem = prepare(spec(validation_size=0.3), Tables(frame)).problem
    assert len(learned(problem)) in (0, 4)
    assert np.isfinite(problem.matrix[:, learned(problem)]).all()


def test_a_blocked_encoder_makes_no_means() -> None:
    frame = shops(3000)
    blocked = prepare(spec(features={"featurization": {"blocked_transformers": ["CatTargetEncoder"]}}), Tables(frame))
    assert not learned(blocked.problem)
    assert not learned(for_refit(blocked)[0])
    assert learned(prepare(spec(), Tables(frame)).problem)


def test_equal_rows_of_both_parts_are_counted_though_their_means_differ() -> None:
    frame = shops(600, levels=40)
    frame["size"] = 1.0
    frame.loc[::7, "size"] = 2.0
    checks = {check.check: check.status for check in prepare(spec(), Tables(frame)).checks}
    assert checks["Duplicate rows"] == "warning"
