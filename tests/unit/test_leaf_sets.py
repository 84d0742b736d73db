"""Sets of leaves give LightGBM's own scores, bit by bit, whatever the trees and the rows."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest

from opsml_cli.local.automl.scoring.boosters import Booster
from opsml_cli.local.automl.scoring.leaf_sets import LeafSets, sets_of

ODD = (0.0, -0.0, np.nan, np.inf, -np.inf, 1e-36, -1e-36, 1e300, -1.0, -0.5, 2.5, 3e9)


def drawn_rows(draw: np.random.Generator, model: lightgbm.Booster, columns: np.ndarray, count: int) -> np.ndarray:
    """Rows with values of the training, thresholds themselves and their neighbours, and what no column should hold."""
    rows = draw.choice(columns.ravel(), size=(count, columns.shape[1]))
    table = model.trees_to_dataframe()
    for feature in range(columns.shape[1]):
        own = table[(table["split_feature"] == f"Column_{feature}") & (table["decision_type"] == "<=")]["threshold"]
        exact = own.to_numpy(dtype=np.float64)
        if len(exact):
            points = np.concatenate([exact, np.nextafter(exact, -np.inf), np.nextafter(exact, np.inf)])
            rows[:, feature] = np.where(draw.random(count) < 0.6, draw.choice(points, count), rows[:, feature])
    return np.where(draw.random(rows.shape) < 0.15, draw.choice(ODD, size=rows.shape), rows)


def fitted(draw: np.random.Generator) -> tuple[lightgbm.Booster, np.ndarray]:
    objective = draw.choice(["binary", "regression", "multiclass", "quantile"])
    columns = draw.normal(size=(400, 6)).round(int(draw.integers(0, 4)))
    columns[:, 4] = draw.integers(0, 40, 400)
    columns = np.where(draw.random(columns.shape) < draw.choice([0.0, 0.2]), np.nan, columns)
    target = np.nan_to_num(columns).sum(axis=1) + draw.normal(size=400)
    options = {
        "objective": str(objective),
        "num_leaves": int(draw.choice([2, 7, 31, 32, 33, 63, 64])),
        "min_data_in_leaf": int(draw.choice([1, 5])),
        "zero_as_missing": bool(draw.random() < 0.3),
        "use_missing": bool(draw.random() < 0.7),
        "min_data_in_bin": 1,
        "verbosity": -1,
        "seed": 3,
        "num_threads": 1,
    }
    if objective == "multiclass":
        options["num_class"] = 3
    if objective in ("binary", "multiclass"):
        target = np.digitize(target, [-1.0, 1.5] if objective == "multiclass" else [0.0])
    categories = [4] if draw.random() < 0.5 else "auto"
    data = lightgbm.Dataset(columns, target, categorical_feature=categories)
    return lightgbm.train(options, data, num_boost_round=int(draw.integers(1, 30))), columns


@pytest.mark.parametrize("seed", range(40))
def test_the_scores_are_those_of_lightgbm(seed: int) -> None:
    draw = np.random.default_rng(seed)
    model, columns = fitted(draw)
    rows = drawn_rows(draw, model, columns, 700)
    for kind in (0, 1):
        found = LeafSets(model.model_to_string(), kind)(rows)
        expected = model.predict(rows, raw_score=kind == 1, num_threads=1).reshape(len(rows), -1)
        assert found.tobytes() == expected.tobytes()


def test_any_number_of_rows_gives_each_the_same_score() -> None:
    draw = np.random.default_rng(7)
    model, columns = fitted(draw)
    booster = Booster(model.model_to_string(), model.num_model_per_iteration(), columns.shape[1])
    rows = np.ascontiguousarray(drawn_rows(draw, model, columns, 9000))
    whole = booster.matrix(rows)
    for start, stop in ((0, 1), (0, 255), (0, 256), (5, 4101), (17, 9000)):
        assert booster.matrix(np.ascontiguousarray(rows[start:stop])).tobytes() == whole[start:stop].tobytes()
    booster.close()


@pytest.mark.parametrize("options", [{"num_leaves": 65}, {"objective": "poisson"}, {"boosting": "rf", "bagging_freq": 1,
                                     "bagging_fraction": 0.5}, {"linear_tree": True}])  # fmt: skip
def test_trees_that_sets_do_not_serve_are_left_to_lightgbm(options: dict[str, object]) -> None:
    draw = np.random.default_rng(1)
    columns = draw.normal(size=(2000, 3))
    data = lightgbm.Dataset(columns, np.exp(columns.sum(axis=1)), params={"linear_tree": options.get("linear_tree", False)})
    given = {"objective": "regression", "verbosity": -1, "min_data_in_leaf": 2, "num_leaves": 31, **options}
    text = lightgbm.train(given, data, num_boost_round=3).model_to_string()
    with pytest.raises(ValueError, match=r"\w"):
        LeafSets(text, 0)
    booster = Booster(text, 1, 3)
    assert booster.sets() is None
    assert len(booster.matrix(columns)) == 2000
    booster.close()


def test_sets_that_score_otherwise_are_not_used() -> None:
    draw = np.random.default_rng(7)
    model, columns = fitted(draw)
    wrong = np.zeros((512, model.num_model_per_iteration()))
    assert sets_of(model.model_to_string(), 1, columns.shape[1], lambda _: wrong) is None
