"""Foreign models compiled into data answer as they do themselves, and refuse what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from compiled_support import FrameOriginal, columns_of, compiled, example_of, mixed, numbers, target
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, RidgeClassifier, SGDClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)

from opsml_cli.domain.contract import BadRequest
from opsml_cli.local.serving.compiled.compiling import compile_model
from opsml_cli.local.serving.compiled.scorer import UnequalError, load

CATEGORIES = ["job", "size"]
IGNORING = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)


def prepared(model: Any) -> Any:
    steps = [
        ("numbers", make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()), ["a", "b", "c"]),
        ("texts", OneHotEncoder(handle_unknown="ignore"), CATEGORIES),
        ("flag", "passthrough", ["flag"]),
    ]
    return Pipeline([("prepare", ColumnTransformer(steps)), ("model", model)])


def encoded(encoder: Any, model: Any, columns: Any = None, **options: Any) -> Any:
    steps = [("encode", encoder, columns or CATEGORIES)]
    return Pipeline([("prepare", ColumnTransformer(steps, remainder="passthrough", **options)), ("model", model)])


def booster(kind: type = LGBMClassifier, **options: Any) -> Any:
    return kind(n_estimators=10, min_child_samples=5, verbose=-1, n_jobs=1, **options)


LOGISTIC = LogisticRegression(max_iter=300)
FRAMES = {"numbers": lambda: numbers(150), "mixed": lambda: mixed(150), "whole": lambda: mixed(150, missing=False)}
CASES: dict[str, tuple[Callable[[], Any], str, str]] = {
    "ordinal, lightgbm": (lambda: encoded(IGNORING, booster()), "mixed", "binary"),
    "ordinal, lightgbm, three classes": (lambda: encoded(IGNORING, booster()), "mixed", "three"),
    "lightgbm regression": (lambda: prepared(booster(LGBMRegressor)), "mixed", "value"),
    "lightgbm poisson": (lambda: prepared(booster(LGBMRegressor, objective="poisson")), "mixed", "count"),
    "logistic": (lambda: prepared(LOGISTIC), "mixed", "binary"),
    "logistic, three classes": (lambda: prepared(LOGISTIC), "mixed", "three"),
    "ridge": (RidgeClassifier, "numbers", "binary"),
    "sgd huber": (lambda: make_pipeline(StandardScaler(), SGDClassifier(loss="modified_huber")), "numbers", "three"),
    "poisson": (lambda: make_pipeline(StandardScaler(), PoissonRegressor()), "numbers", "count"),
    "forest": (lambda: RandomForestClassifier(8), "numbers", "three"),
    "extra trees": (lambda: prepared(ExtraTreesRegressor(8)), "mixed", "value"),
    "gradient boosting": (lambda: prepared(GradientBoostingClassifier(n_estimators=8)), "mixed", "binary"),
    "histogram": (lambda: HistGradientBoostingClassifier(max_iter=8), "numbers", "binary"),
    "histogram with categories": (
        lambda: encoded(
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
            HistGradientBoostingRegressor(max_iter=8, categorical_features=[0, 1]),
        ),
        "mixed",
        "value",
    ),
    "ordinal that refuses": (lambda: encoded(OrdinalEncoder(), LOGISTIC), "whole", "binary"),
    "infrequent": (
        lambda: encoded(OneHotEncoder(min_frequency=32, handle_unknown="infrequent_if_exist", sparse_output=False), booster()),
        "mixed",
        "binary",
    ),
    "dropped": (
        lambda: encoded(OneHotEncoder(drop="if_binary", handle_unknown="ignore"), booster(), ["flag", "job", "c", "size"]),
        "mixed",
        "binary",
    ),
    "target means": (lambda: encoded(TargetEncoder(), booster()), "mixed", "three"),
    "texts filled": (
        lambda: encoded(make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), booster()),
        "mixed",
        "binary",
    ),
    "selector and frames": (
        lambda: encoded(
            IGNORING, booster(), make_column_selector(dtype_include=object), verbose_feature_names_out=False
        ).set_output(transform="pandas"),
        "mixed",
        "binary",
    ),
    "union": (
        lambda: make_pipeline(
            FeatureUnion([("a", RobustScaler()), ("b", MinMaxScaler(clip=True))], transformer_weights={"a": 2.0}),
            SelectKBest(k=5),
            LOGISTIC,
        ),
        "numbers",
        "binary",
    ),
    "logarithm": (
        lambda: make_pipeline(
            ColumnTransformer([("log", FunctionTransformer(np.log1p), ["b", "c"])], remainder="passthrough"),
            LinearRegression(),
        ),
        "numbers",
        "value",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_compiled_model_answers_as_its_original(name: str, tmp_path: Path) -> None:
    make, data, kind = CASES[name]
    frame = FRAMES[data]()
    model = make().fit(frame, target(frame, kind))
    scorer = compiled(model, frame, tmp_path)
    if kind in ("binary", "three"):
        assert list(scorer.classes) == list(model.classes_)


def test_what_the_original_refuses_is_a_bad_request_that_names_the_column(tmp_path: Path) -> None:
    frame = mixed(150, missing=False)
    scorer = compiled(encoded(OrdinalEncoder(), LOGISTIC).fit(frame, target(frame, "binary")), frame, tmp_path)
    row = example_of(frame)
    with pytest.raises(BadRequest) as unseen:
        scorer.score([row, {**row, "size": "xxl"}], False)
    assert (unseen.value.column, unseen.value.row, unseen.value.value) == ("size", 1, "xxl")
    with pytest.raises(BadRequest) as missing:
        scorer.score([{**row, "d": None}], True)
    assert (missing.value.column, missing.value.row, missing.value.value) == ("d", 0, None)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (
            lambda: make_pipeline(FunctionTransformer(lambda frame: frame * 2), LinearRegression()),
            "FunctionTransformer of <lambda>",
        ),
        (lambda: make_pipeline(_Scaler(), LinearRegression()), "_Scaler of test_compiled_models"),
    ],
)
def test_what_is_not_known_is_named(make: Callable[[], Any], named: str, tmp_path: Path) -> None:
    frame = numbers(50)
    model = make().fit(frame, target(frame, "value"))
    outcome = compile_model(FrameOriginal(model, columns_of(frame), example_of(frame)), tmp_path)
    assert outcome.reason is not None
    assert named in outcome.reason


class _Scaler(StandardScaler):
    """A scaler that is no StandardScaler any more."""

    def transform(self, frame: Any, copy: bool | None = None) -> Any:
        return super().transform(frame) * 3


def test_a_form_that_answers_otherwise_is_refused(tmp_path: Path) -> None:
    frame = numbers(50)
    model = LinearRegression().fit(frame, target(frame, "value"))
    compiled(model, frame, tmp_path)
    arrays = dict(np.load(tmp_path / "arrays.npz"))
    np.savez(tmp_path / "arrays.npz", **{name: values * 1.000001 for name, values in arrays.items()})
    with pytest.raises(UnequalError, match="the original"):
        load(tmp_path)


def test_the_artifact_is_data_only(tmp_path: Path) -> None:
    frame = mixed(150)
    compiled(encoded(IGNORING, booster()).fit(frame, target(frame, "binary")), frame, tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".npz", ".txt"}
    document = json.loads((tmp_path / "compiled.json").read_text())
    assert pd.DataFrame(document["columns"])["name"].tolist() == list(frame.columns)
