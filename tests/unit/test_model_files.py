"""Model files: told by their content, loaded in a process of their own, and wrapped so that they answer as they did."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsml_cli.content import model_file, model_folder
from opsml_cli.domain.errors import InvalidInputError, NotAllowedError, NotFoundError
from opsml_cli.domain.model import RegisterModel
from opsml_cli.local.workspace import LocalWorkspace


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("m.pkl", b"\x80\x05\x95", "pickle"),
        ("m.joblib", b"\x78\x9c", "pickle"),
        ("m.txt", b"tree\nversion=v4\nnum_class=1\n", "lightgbm"),
        ("m.model", b"tree\r\nversion=v4\r\n", "lightgbm"),
        ("m.json", b'{"learner":{"attributes":{}}}', "xgboost"),
        ("m.ubj", b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner{", "xgboost"),
        ("m.cbm", b"CBM1\x00", "catboost"),
        ("m.onnx", b"\x08\x0a\x12\x08skl2onnx", "onnx"),
    ],
)
def test_a_file_is_told_by_its_content(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert model_file.kind_of(tmp_path / name) == kind


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.pkl", b"PK\x03\x04 no zip"),
        ("m.pkl", b"{}"),
        ("m.pkl", b""),
        ("m.txt", b"a tree\n"),
        ("m.json", b'{"a": 1}'),
        ("m.cbm", b"\x80\x05"),
        ("m.h5", b"\x89HDF"),
    ],
)
def test_any_other_file_is_refused_with_what_was_expected(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInputError) as caught:
        model_file.kind_of(tmp_path / name)
    assert "LightGBM" in (caught.value.cause or "") and name in caught.value.message
    with pytest.raises(NotFoundError):
        model_file.kind_of(tmp_path / "missing.pkl")


@given(st.binary(max_size=64), st.sampled_from(["m.pkl", "m.onnx", "m.json", "m.txt", "m"]))
def test_any_bytes_are_a_kind_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(content)
    try:
        assert model_file.kind_of(path) in ("pickle", "lightgbm", "xgboost", "catboost", "onnx", "skops")
    except InvalidInputError as error:
        assert "no model" in error.message


@pytest.fixture
def workspace(tmp_path: Path) -> LocalWorkspace:
    return LocalWorkspace(tmp_path / ".opsml")


def pipeline_file(folder: Path) -> Path:
    """A pickled Pipeline on a number and a text."""
    import numpy as np
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = pd.DataFrame({"age": [20.0, 30.0, 50.0, 60.0] * 5, "job": ["a", "b", "c", "a"] * 5})
    steps = ColumnTransformer([("o", OneHotEncoder(handle_unknown="ignore"), ["job"]), ("s", StandardScaler(), ["age"])])
    model = Pipeline([("c", steps), ("m", LogisticRegression())]).fit(frame, np.where(frame["age"] > 40, "yes", "no"))
    path = folder / "pipeline.pkl"
    path.write_bytes(pickle.dumps(model))
    return path


def test_a_pickled_pipeline_is_registered_and_scores(workspace: LocalWorkspace, tmp_path: Path) -> None:
    import mlflow.pyfunc
    import pandas as pd

    path = pipeline_file(tmp_path)
    with pytest.raises(NotAllowedError, match="may run what it holds"):
        workspace.models.register(RegisterModel("pipe", str(path)))
    made = workspace.models.register(RegisterModel("pipe", str(path), trust=True))
    assert made.model.signature is not None and not made.unchanged
    assert {each.name: each.type for each in made.model.signature.inputs} == {"age": "double", "job": "string"}
    assert workspace.models.register(RegisterModel("pipe", str(path), trust=True)).unchanged
    frame = pd.DataFrame({"age": [25.0, 55.0], "job": ["a", "z"]})
    expected = pickle.loads(path.read_bytes()).predict(frame).tolist()
    assert mlflow.pyfunc.load_model(made.model.path).predict(frame).tolist() == expected


@pytest.mark.slow
def test_a_lightgbm_text_file_is_wrapped_the_same_each_time(tmp_path: Path) -> None:
    import lightgbm
    import numpy as np
    import pandas as pd

    frame = pd.DataFrame({"one": np.arange(100.0), "two": np.arange(100.0) % 7})
    booster = lightgbm.train({"verbose": -1, "min_data_in_leaf": 5}, lightgbm.Dataset(frame, frame["two"]), 3)
    booster.save_model(tmp_path / "model.txt")
    hashes = set()
    for _ in range(2):
        with model_file.wrapped(tmp_path / "model.txt") as folder:
            manifest = model_folder.read_manifest(folder)
            hashes.add(model_folder.folder_hash(folder).sha256)
    assert manifest.signature is not None and "lightgbm" in manifest.flavors
    assert [(each.name, each.type) for each in manifest.signature.inputs] == [("one", "double"), ("two", "double")]
    assert len(hashes) == 1


class Tells:
    """Writes down which process loads it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"echo $PPID > {self.path}",)


def test_a_pickle_runs_in_another_process_and_only_with_trust(workspace: LocalWorkspace, tmp_path: Path) -> None:
    path, ran = tmp_path / "evil.pkl", tmp_path / "ran"
    path.write_bytes(pickle.dumps(Tells(str(ran))))
    with pytest.raises(NotAllowedError):
        workspace.models.register(RegisterModel("evil", str(path)))
    assert not ran.exists()
    with pytest.raises(InvalidInputError, match="has no predict"):
        workspace.models.register(RegisterModel("evil", str(path), trust=True))
    assert int(ran.read_text()) != os.getpid()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x80\x04cnosuchlib.deep\nThing\n.", "nosuchlib, which is not installed|pip install nosuchlib"),
        (b"\x80\x04csys\nexit\n(I3\ntR.", "SystemExit"),
        (b"\x80\x04cos\n_exit\n(I3\ntR.", "ended its process (exit code 3)"),
        (b"\x80\x04}.", "it holds a dict, which has no predict"),
        (b"\x80\x04c__main__\nMine\n.", "whose own classes|--code"),
    ],
    ids=["missing-package", "exits", "dies", "no-model", "of-a-script"],
)
def test_what_does_not_load_is_said(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError) as caught, model_file.wrapped(path):
        pass
    told = f"{caught.value.message} {caught.value.cause} {caught.value.fix}"
    assert all(word in told for word in words.split("|")), told
