"""Reading what people write for a training: durations, YAML documents, Azure's AutoML YAML, data options."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from opsml_cli.documents import Document, parse_document, read_document
from opsml_cli.domain.automl_document import fingerprint, from_document, to_document
from opsml_cli.domain.automl_yaml import Reading, read_automl
from opsml_cli.domain.durations import format_duration, parse_duration
from opsml_cli.domain.errors import InvalidInputError, NotFoundError, OpsmlError, UsageError
from opsml_cli.domain.job import AutoMLSpec, Limits, TableSource, Task
from opsml_cli.domain.names import AssetRef
from opsml_cli.services.train import table_source

# --- durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5m", 300), ("90s", 90), ("90", 90), ("1h30m", 5400), ("0.5h", 1800), ("250ms", 0.25), (" 2D ", 172800), ("1.5", 1.5)],
)
def test_durations_people_write(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "0", "-5", "5x", "m5", "5m1h", "5m5m", "1h 30m", "1e3", "inf", "nan", "367d", "\u0665m", "5,5m"]
)
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_duration(text)


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_a_usage_error(text: str) -> None:
    try:
        assert 0 < parse_duration(text) <= 366 * 86400
    except UsageError as error:
        assert error.exit_code == 2


@given(st.integers(1, 366 * 86400))
def test_a_shown_duration_is_near_and_can_be_read(seconds: int) -> None:
    shown = format_duration(float(seconds))
    assert parse_duration(shown) == pytest.approx(seconds, rel=0.05)


# --- documents


def parse(text: str) -> Document:
    return parse_document(text, source="job.yml", folder=Path("/base"))


SCALARS = (
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4))


@given(VALUES)
def test_every_json_value_is_read_as_it_is(value: object) -> None:
    def same(a: object, b: object) -> bool:
        if isinstance(a, float) and isinstance(b, int | float):
            return math.isclose(a, b)
        if isinstance(a, dict) and isinstance(b, dict):
            return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
        if isinstance(a, list) and isinstance(b, list):
            return len(a) == len(b) and all(map(same, a, b))
        return type(a) is type(b) and a == b

    assert same(value, parse(json.dumps(value)).value)


@given(st.text(max_size=60))
def test_any_text_is_a_document_or_an_invalid_input(text: str) -> None:
    try:
        parse(text)
    except InvalidInputError as error:
        assert "job.yml" in error.message


def test_yaml_surprises_are_none_here() -> None:
    text = "a: yes\nb: no\nc: on\nd: 010\ne: 1:30\nf: 2026-11-24\ng: true\nh: 1.5\ni: ~\nj: 'true'\nk: 1e3"
    assert parse(text).value == {
        "a": "yes", "b": "no", "c": "on", "d": "010", "e": "1:30", "f": "2026-11-24", "g": True, "h": 1.5, "i": None,
        "j": "true", "k": 1000.0,
    }  # fmt: skip


BOMBS = {
    "laughs": "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(8)),
    "itself": "a: &a [*a]",
    "deep": "[" * 5000,
    "deep mapping": "".join("  " * n + "a:\n" for n in range(60)),
    "size": "#" * 1_000_001,
    "python": "!!python/object/apply:os.system [true]",
    "tag": "a: !custom x",
    "binary": "a: !!binary aGk=",
    "merge": "a: &a {b: 1}\nc: {<<: *a}",
    "list key": "? [1]\n: x",
    "twice": "a: 1\na: 2",
    "anchor": "a: *nothing",
    "tab": "a:\n\t- b",
}


@pytest.mark.parametrize("name", BOMBS)
def test_hostile_documents_end_in_a_clear_error(name: str) -> None:
    with pytest.raises(InvalidInputError, match=r"job\.yml"):
        parse(BOMBS[name])


def test_a_missing_or_binary_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"absent\.yml"):
        read_document(tmp_path / "absent.yml")
    (tmp_path / "x.yml").write_bytes(b"a: \xff")
    with pytest.raises(InvalidInputError, match="UTF-8"):
        read_document(tmp_path / "x.yml")
    with pytest.raises(InvalidInputError):
        read_document(tmp_path)


# --- AutoML YAML

FULL = """
$schema: https://azuremlschemas.azureedge.net/latest/autoMLJob.schema.json
type: automl
name: my-job
experiment_name: exp
description: words
tags: {team: a, year: 2026}
compute: azureml:cpu-cluster
task: classification
primary_metric: accuracy
training_data: {path: ./train, type: mltable}
test_data: {path: azureml:held@latest, type: mltable}
target_column_name: y
positive_label: yes
n_cross_validations: 4
limits:
  timeout_minutes: 1.5
  trial_timeout_minutes: 1
  max_trials: 5
  max_concurrent_trials: 2
  max_nodes: 4
  exit_score: 0.99
  enable_early_termination: false
featurization: {mode: auto, drop_columns: [duration], blocked_transformers: [LabelEncoder]}
training:
  blocked_training_algorithms: [KNN]
  allowed_training_algorithms: [LightGBM]
  enable_stack_ensemble: true
  enable_vote_ensemble: false
  enable_model_explainability: true
outputs: {best_model: {type: mlflow_model}}
"""


def read(text: str, folder: Path = Path("/base")) -> Reading:
    document = parse(text)
    return document.read(lambda value: read_automl(value, folder))


def test_azures_yaml_becomes_a_spec() -> None:
    reading = read(FULL)
    assert reading.spec == AutoMLSpec(
        data=TableSource(path="/base/train"),
        target_column="y",
        task=Task.CLASSIFICATION,
        metric="accuracy",
        limits=Limits(90.0, 5, 60.0, 2, 0.99, False),
        cross_validations=4,
        test_data=TableSource(asset=AssetRef("held")),
        drop_columns=("duration",),
        allowed_algorithms=("LightGBM",),
        blocked_algorithms=("KNN",),
        positive_label="yes",
        features={
            "limits": {"max_nodes": 4},
            "training": {"enable_stack_ensemble": True, "enable_vote_ensemble": False},
            "featurization": {"blocked_transformers": ["LabelEncoder"], "mode": "auto"},
        },
        experiment="exp",
        name="my-job",
        compute="cpu-cluster",
        description="words",
        tags={"team": "a", "year": "2026"},
    )
    assert set(reading.ignored) == {"limits.max_nodes", "featurization.blocked_transformers", "training.enable_stack_ensemble"}


SHORT = "type: automl\ntarget_column_name: y\ntraining_data: {path: a.csv}\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (SHORT + "limits:\n  max_trails: 3\n", 5, "max_trials"),
        (SHORT + "primry_metric: x\n", 4, "primary_metric"),
        (SHORT + "task: clasification\n", 4, "classification"),
        (SHORT + "task: forecasting\n", 4, "tables only"),
        (SHORT + "limits:\n  timeout_minutes: soon\n", 5, "number"),
        (SHORT + "limits:\n  timeout_minutes: -1\n", 5, "zero"),
        (SHORT + "limits: 5\n", 4, "mapping"),
        (SHORT + "n_cross_validations: 1\n", 4, "at least 2"),
        (SHORT + "n_cross_validations: 3\nvalidation_data_size: 0.2\n", 5, "exclude"),
        (SHORT + "test_data_size: 2\n", 4, "between 0 and 1"),
        (SHORT + "test_data: {path: 'https://example.org/x.csv'}\n", 4, "URL"),
        (SHORT + "test_data: {path: 'azureml://datastores/a/paths/b'}\n", 4, "Azure"),
        (SHORT + "test_data: {path: 'azureml:../x'}\n", 4, "no valid name"),
        (SHORT + "test_data: {type: mltable}\n", 4, "path is missing"),
        (SHORT + "name: ../up\n", 4, "no valid name"),
        ("type: command\n", 1, "automl"),
        ("- a\n", 1, "mapping"),
        ("type: automl\ntarget_column_name: y\n", None, "training_data is missing"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int | None, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read(text)
    said = f"{caught.value.message} {caught.value.cause}"
    assert words in said
    if line is not None:
        assert f"job.yml, line {line}:" in said


KEYS = st.sampled_from([*yaml.safe_load(FULL), "limits", "seed", "x", "validation_data"])


@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_mapping_is_a_spec_or_an_invalid_input(value: dict[str, object]) -> None:
    try:
        assert isinstance(read(json.dumps({"target_column_name": "y", "training_data": "a.csv", **value})).spec, AutoMLSpec)
    except OpsmlError as error:
        assert error.exit_code == 7


# --- specs


def test_a_spec_survives_its_document() -> None:
    spec = read(FULL).spec
    assert from_document(json.loads(json.dumps(to_document(spec)))) == spec


def test_a_fingerprint_is_of_the_work_not_of_its_labels() -> None:
    from dataclasses import replace

    spec = read(FULL).spec
    same = replace(spec, name="other", description=None, tags={}, gates=("no leakage",))
    assert fingerprint(spec, {"data": "1"}) == fingerprint(same, {"data": "1"})
    others = [
        replace(spec, seed=1),
        replace(spec, metric="log_loss"),
        replace(spec, limits=Limits()),
        replace(spec, model_name="m"),
    ]
    found = {fingerprint(spec, {"data": "2"}), *(fingerprint(other, {"data": "1"}) for other in [spec, *others])}
    assert len(found) == 6


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("bank", TableSource(asset=AssetRef("bank"))),
        ("bank:3", TableSource(asset=AssetRef("bank", "3"))),
        ("bank:1.2", TableSource(asset=AssetRef("bank", "1.2"))),
        ("bank@latest", TableSource(asset=AssetRef("bank"))),
        ("azureml:bank:3", TableSource(asset=AssetRef("bank", "3"))),
        ("bank.csv", TableSource(path="bank.csv")),
        ("./bank", TableSource(path="./bank")),
        ("data/bank", TableSource(path="data/bank")),
        ("C:\\bank.csv", TableSource(path="C:\\bank.csv")),
        ("-", TableSource(path="-")),
    ],
)
def test_a_data_option_is_an_asset_or_a_path(text: str, source: TableSource) -> None:
    assert table_source(text) == source
