"""Foreign models compiled into data answer as they do themselves, and refuse what they refuse."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from compiled_cases import CASES, FRAMES, QUICK, Case, booster, boosters, encoded, forest, ignoring, logistic, prepared
from compiled_support import FrameOriginal, close, columns_of, compiled, example_of, mixed, numbers, target
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, StandardScaler

from opsml_cli.domain.contract import BadRequest
from opsml_cli.local.serving.compiled.compiling import compile_model
from opsml_cli.local.serving.compiled.original import MlflowOriginal
from opsml_cli.local.serving.compiled.scorer import CompiledScorer, UnequalError, load


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


def test_integers_of_32_bits_are_compiled_and_bounded(tmp_path: Path) -> None:
    """MLflow wraps what is larger around; no deployment answers that, so the compiled form may refuse it as well."""
    import mlflow.sklearn
    from mlflow.models import infer_signature

    frame = numbers(150).astype({"c": "int32"})
    model = make_pipeline(StandardScaler(), LinearRegression()).fit(frame, target(frame, "value"))
    mlflow.sklearn.save_model(
        model, str(tmp_path / "model"), signature=infer_signature(frame), serialization_format="cloudpickle"
    )
    assert compile_model(MlflowOriginal(tmp_path / "model"), tmp_path / "made", 1.0).reason is None
    scorer = load(tmp_path / "made")
    assert scorer.single is not None
    row = example_of(frame)
    largest, larger = ({**row, "c": value} for value in ((1 << 31) - 1, 1 << 31))
    answer = scorer.single.answer(json.dumps({"data": [largest]}).encode())
    assert answer is not None
    assert json.loads(json.loads(answer))["result"] == scorer.score([largest], False)
    assert scorer.single.answer(json.dumps({"data": [larger]}).encode()) is None
    with pytest.raises(BadRequest):
        scorer.score([larger], False)


def test_a_loader_that_adds_a_rule_to_its_model_is_not_compiled(tmp_path: Path) -> None:
    """Even when it keeps the model under the name that MLflow's own wrapper has."""
    import mlflow.pyfunc
    from mlflow.models import infer_signature

    frame = mixed(150)
    (tmp_path / "ruled_loader.py").write_text(
        "import joblib, numpy as np\n"
        "class Ruled:\n"
        "    def __init__(self, model): self.sklearn_model = model\n"
        "    def predict(self, rows):\n"
        "        return np.where(rows['job'] == 'never seen', 'rule', self.sklearn_model.predict(rows))\n"
        "def _load_pyfunc(path): return Ruled(joblib.load(path))\n"
    )
    joblib.dump(encoded(ignoring(), booster()).fit(frame, target(frame, "binary")), tmp_path / "model.joblib")
    mlflow.pyfunc.save_model(
        str(tmp_path / "model"),
        loader_module="ruled_loader",
        data_path=str(tmp_path / "model.joblib"),
        code_paths=[str(tmp_path / "ruled_loader.py")],
        signature=infer_signature(frame),
    )
    outcome = compile_model(MlflowOriginal(tmp_path / "model"), tmp_path / "made", 1.0)
    assert outcome.reason == "the model Ruled of ruled_loader is not known"


def test_a_catboost_model_that_was_saved_is_compiled(tmp_path: Path) -> None:
    catboost = pytest.importorskip("catboost")
    frame = numbers(150)
    model = catboost.CatBoostClassifier(iterations=8, verbose=0, thread_count=1, allow_writing_files=False)
    model.fit(frame, target(frame, "binary")).save_model(str(tmp_path / "model.cb"))
    read = catboost.CatBoostClassifier().load_model(str(tmp_path / "model.cb"))
    assert read.n_features_in_ == 0
    compiled(read, frame, tmp_path / "made")


def test_numbers_of_32_bits_that_the_model_does_not_check_are_compiled_and_bounded(tmp_path: Path) -> None:
    """MLflow makes what is larger infinite; no deployment answers that. A column that is dropped counts as any other."""
    import mlflow.lightgbm
    import mlflow.sklearn
    from mlflow.models import infer_signature

    frame = numbers(150).astype("float32")
    kinds = target(frame, "binary")
    dropping = make_pipeline(ColumnTransformer([("scale", StandardScaler(), ["a", "b"])]), logistic())
    signature = infer_signature(frame)
    saving: dict[str, Any] = {"signature": signature, "pip_requirements": ["mlflow"]}
    mlflow.lightgbm.save_model(booster().fit(frame, kinds), str(tmp_path / "booster"), **saving)
    mlflow.sklearn.save_model(dropping.fit(frame, kinds), str(tmp_path / "drops"), serialization_format="cloudpickle", **saving)
    row = example_of(frame)
    for name in ("booster", "drops"):
        original = MlflowOriginal(tmp_path / name)
        assert compile_model(original, tmp_path / f"made {name}", 1.0).reason is None
        scorer = load(tmp_path / f"made {name}")
        for value in (None, 3.4028235677973362e38, -1e38):
            assert scorer.score([{**row, "d": value}], False) == original.predict([{**row, "d": value}])
        with pytest.raises(BadRequest, match="'d', row 0") as refusal:
            scorer.score([{**row, "d": 3.4028235677973366e38}], False)
        assert refusal.value.expected == "a number that a 32-bit float holds"


@pytest.mark.parametrize(
    "objective", ["reg:squarederror", "binary:logistic", "count:poisson", "multi:softmax", "multi:softprob"]
)
def test_a_bare_xgboost_booster_is_compiled(objective: str, tmp_path: Path) -> None:
    """It refuses the numbers that no float32 holds, where XGBoost's wrappers for scikit-learn take them as infinite."""
    xgboost = pytest.importorskip("xgboost")
    import mlflow.xgboost
    from mlflow.models import infer_signature

    frame = numbers(150)
    several = {"num_class": 3} if objective.startswith("multi") else {}
    kind = "three numbers" if several else "binary numbers"
    data = xgboost.DMatrix(frame, target(frame, kind))
    model = xgboost.train({"objective": objective, "nthread": 1, **several}, data, 8)
    mlflow.xgboost.save_model(model, str(tmp_path / "model"), signature=infer_signature(frame))
    original = MlflowOriginal(tmp_path / "model")
    assert compile_model(original, tmp_path / "made", 2.0).reason is None
    scorer = load(tmp_path / "made")
    rows = [{**row, "b": float(place)} for place, row in enumerate(frame.head(40).to_dict("records"))]
    assert close(scorer.score(rows, False), original.predict(rows), scorer.tolerance)
    with pytest.raises(BadRequest):
        scorer.score([{**rows[0], "a": 1e39}], False)


def test_a_model_of_pandas_categories_says_why_it_is_not_compiled(tmp_path: Path) -> None:
    frame = mixed(150, missing=False)
    model = booster().fit(frame.astype({"job": "category", "size": "category"}), target(frame, "binary"))
    outcome = compile_model(FrameOriginal(model, columns_of(frame), example_of(frame)), tmp_path)
    assert (
        outcome.reason
        == "LGBMClassifier was trained on pandas categories, and refuses the plain texts and numbers of a request"
    )


def test_an_mlflow_folder_is_read_as_mlflow_reads_it(tmp_path: Path) -> None:
    import mlflow.sklearn
    from mlflow.models import infer_signature

    frame = mixed(150)
    model = encoded(ignoring(), booster()).fit(frame, target(frame, "binary"))
    signature = infer_signature(frame.drop(columns="a"), np.array(["yes"]))
    signature.inputs.inputs.insert(0, mlflow.types.ColSpec("double", "a"))
    mlflow.sklearn.save_model(model, str(tmp_path / "model"), signature=signature, serialization_format="cloudpickle")
    outcome = compile_model(MlflowOriginal(tmp_path / "model"), tmp_path / "made", 1.0)
    assert outcome.reason is None
    scorer = load(tmp_path / "made")
    row = example_of(frame)
    rows = [{**row, "a": None}, {**row, "a": 3, "job": "unseen"}, {**row, "b": "2.5"}]
    frames = pd.DataFrame(rows).astype({"a": float, "b": float})
    scorer.schema.check(rows)
    assert scorer.score(rows, False) == model.predict(frames).tolist()
    for wrong in ({"c": 1.5}, {"c": None}, {"job": 5}, {"flag": "true"}, {"b": ""}, {"c": "7.0"}):
        with pytest.raises(BadRequest) as refusal:
            given = [{**row, **wrong}]
            scorer.schema.check(given)
            scorer.score(given, False)
        assert refusal.value.column == next(iter(wrong))


_FRAME = mixed(150)
_CELLS = {
    "a": st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
    "b": st.one_of(st.none(), st.floats(-1e6, 1e6), st.integers(-(2**53), 2**53)),
    "c": st.integers(-(2**63), 2**63 - 1),
    "d": st.floats(-2, 2),
    "flag": st.booleans(),
    "job": st.one_of(st.none(), st.sampled_from(["admin", "tech", "öl", ""]), st.text(max_size=8)),
    "size": st.sampled_from(["s", "m", "l", "xl"]),
}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> tuple[FrameOriginal, CompiledScorer]:
    model = prepared(forest()).fit(_FRAME, target(_FRAME, "three"))
    original = FrameOriginal(model, columns_of(_FRAME), example_of(_FRAME))
    return original, compiled(model, _FRAME, tmp_path_factory.mktemp("compiled"), 0.4)


@settings(max_examples=20, deadline=None)
@given(rows=st.lists(st.fixed_dictionaries(_CELLS), min_size=1, max_size=5))
def test_any_rows_are_answered_or_refused_as_by_the_original(
    pipeline: tuple[FrameOriginal, CompiledScorer], rows: list[dict[str, Any]]
) -> None:
    original, scorer = pipeline
    scorer.schema.check(rows)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = original.predict(rows), original.probabilities(rows)
    except (ValueError, OverflowError):
        with pytest.raises(BadRequest):
            scorer.score(rows, False)
        return
    assert scorer.score(rows, False) == wanted[0]
    assert close(scorer.score(rows, True), wanted[1], scorer.tolerance)


@pytest.fixture(scope="module")
def isolation(tmp_path_factory: pytest.TempPathFactory) -> tuple[FrameOriginal, CompiledScorer]:
    frame = _FRAME[["a", "b", "d"]]
    model = IsolationForest(n_estimators=25, contamination=0.2, random_state=0).fit(frame)
    original = FrameOriginal(model, columns_of(frame), example_of(frame))
    return original, compiled(model, frame, tmp_path_factory.mktemp("isolation"), 0.4)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.fixed_dictionaries({name: _CELLS[name] for name in ("a", "b", "d")}), min_size=1, max_size=5))
def test_outliers_are_those_of_the_original(
    isolation: tuple[FrameOriginal, CompiledScorer], rows: list[dict[str, Any]]
) -> None:
    original, scorer = isolation
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = original.predict(rows)
    assert scorer.score(rows, False) == wanted
    assert {type(label) for label in wanted} == {int}
    with pytest.raises(BadRequest, match="no probabilities"):
        scorer.score(rows, True)
