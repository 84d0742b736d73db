"""The short way of a compiled model says what its general way says, and the usual pipelines have one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import orjson
import pytest
from compiled_support import compiled, example_of, mixed, numbers, target
from lightgbm import LGBMClassifier
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from opsml_cli.domain.contract import BadRequest, read_call
from opsml_cli.local.serving.compiled.scorer import CompiledScorer
from opsml_cli.local.serving.many_rows import ManyRows

TEXTS = ["job", "size"]
REST = ["a", "b", "c"]
ODD = [None, True, 0, -1, 7, 2**70, 1e-300, -1e300, 12.5, "", "x", "7", "admin", "large", [], {}]


def pipeline(encoder: object, scaler: object, model: object) -> Pipeline:
    parts = [("texts", encoder, TEXTS), ("numbers", make_pipeline(SimpleImputer(), scaler), REST)]
    return Pipeline([("prepare", ColumnTransformer(parts)), ("model", model)])


def lenient() -> OrdinalEncoder:
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)


MODELS = {
    "ordinal, lightgbm": (lambda: pipeline(lenient(), "passthrough", LGBMClassifier(n_estimators=8, verbose=-1)), "binary"),
    "one-hot, scaled, logistic": (
        lambda: pipeline(OneHotEncoder(handle_unknown="ignore"), StandardScaler(), LogisticRegression(max_iter=300)),
        "three",
    ),
    "one-hot, scaled, ridge": (lambda: pipeline(OneHotEncoder(handle_unknown="ignore"), StandardScaler(), Ridge()), "value"),
}


def general(scorer: CompiledScorer, body: bytes) -> object:
    try:
        call = read_call(orjson.loads(body), scorer.schema)
        return orjson.loads(orjson.dumps(call.reply(scorer.score(call.rows, call.proba))))
    except BadRequest:
        return "refused"


@pytest.mark.parametrize("name", MODELS)
def test_the_short_way_of_the_usual_pipelines(name: str, tmp_path: Path) -> None:
    make, kind = MODELS[name]
    frame = mixed(150)[[*TEXTS, *REST]]
    scorer = compiled(make().fit(frame, target(frame, kind)), frame, tmp_path)
    assert scorer.single is not None
    draw = np.random.default_rng(3)
    plain = json.loads(frame.to_json(orient="records"))
    taken = 0
    for index in range(400):
        row = dict(plain[index % len(plain)])
        for _ in range(index % 3):
            row[str(draw.choice(list(row)))] = ODD[draw.integers(len(ODD))]
        for options in (None, {"method": "predict_proba"}):
            body = json.dumps({"input_data": [row], "params": options}).encode()
            answer = scorer.single.answer(body)
            if answer is not None:
                taken += 1
                assert json.loads(answer) == general(scorer, body)
    assert taken > 150


@pytest.mark.parametrize("name", MODELS)
def test_many_rows_by_column(name: str, tmp_path: Path) -> None:
    make, kind = MODELS[name]
    frame = mixed(150)[[*TEXTS, *REST]]
    scorer = compiled(make().fit(frame, target(frame, kind)), frame, tmp_path)
    many = ManyRows(scorer.schema, scorer.score_columns)
    draw = np.random.default_rng(4)
    plain = json.loads(frame.to_json(orient="records"))
    taken = 0
    for index in range(60):
        rows = [dict(plain[place]) for place in draw.integers(0, len(plain), 20)]
        if index % 2:
            row = rows[draw.integers(len(rows))]
            row[str(draw.choice(list(row)))] = ODD[draw.integers(len(ODD))]
        for options in (None, {"method": "predict_proba"}):
            body = json.dumps({"input_data": rows, "params": options}).encode()
            answer = many.answer(body)
            if answer is not None:
                taken += 1
                assert (json.loads(answer[0]), answer[1]) == (general(scorer, body), len(rows))
    assert taken > 30


def test_a_function_of_numbers_has_no_short_way(tmp_path: Path) -> None:
    frame = numbers(100)
    model = make_pipeline(FunctionTransformer(np.cbrt), LogisticRegression()).fit(frame, target(frame, "binary"))
    scorer = compiled(model, frame, tmp_path)
    assert scorer.single is None
    assert scorer.score([dict(example_of(frame))], False)
