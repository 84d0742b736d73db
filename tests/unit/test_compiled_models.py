"""Foreign models compiled into data answer as they do themselves, and refuse what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from compiled_cases import CASES, FRAMES, QUICK, Case, boosters, encoded, ignoring, logistic
from compiled_support import FrameOriginal, columns_of, compiled, example_of, mixed, numbers, target
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, StandardScaler

from opsml_cli.domain.contract import BadRequest
from opsml_cli.local.serving.compiled.compiling import compile_model
from opsml_cli.local.serving.compiled.scorer import UnequalError, load


@pytest.mark.parametrize("name", QUICK)
def test_a_compiled_model_answers_as_its_original(name: str, tmp_path: Path) -> None:
    _compared(CASES[name], tmp_path, seconds=0.4)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CASES if name not in QUICK])
def test_every_kind_of_model_answers_as_its_original(name: str, tmp_path: Path) -> None:
    _compared(CASES[name], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", boosters() or [pytest.param("", marks=pytest.mark.skip("neither xgboost nor catboost is here"))]
)
def test_other_boosters_answer_as_their_originals(name: str, tmp_path: Path) -> None:
    _compared(boosters()[name], tmp_path)


def _compared(case: Case, folder: Path, seconds: float = 30.0) -> None:
    make, data, kind = case
    frame = FRAMES[data]()
    model = make().fit(frame, target(frame, kind))
    scorer = compiled(model, frame, folder, seconds)
    if hasattr(model, "classes_"):
        assert list(scorer.classes) == np.asarray(model.classes_).tolist()


def test_what_the_original_refuses_is_a_bad_request_that_names_the_column(tmp_path: Path) -> None:
    frame = mixed(150, missing=False)
    scorer = compiled(encoded(OrdinalEncoder(), logistic()).fit(frame, target(frame, "binary")), frame, tmp_path)
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
    frame = mixed(150, missing=False)
    compiled(encoded(ignoring(), logistic()).fit(frame, target(frame, "binary")), frame, tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".npz"}
    document = json.loads((tmp_path / "compiled.json").read_text())
    assert pd.DataFrame(document["columns"])["name"].tolist() == list(frame.columns)
