"""Azure ML's YAML of batch endpoints and deployments, and the options that override it."""

from __future__ import annotations

from pathlib import Path

import pytest

from opsml_cli.cli.batch_words import DeployWords, read, request
from opsml_cli.domain import batch_wire
from opsml_cli.domain.batch import BatchSettings, OutputAction, RetrySettings, ScriptCode
from opsml_cli.domain.errors import InvalidInputError, UsageError

MODEL = """
$schema: https://azuremlschemas.azureedge.net/latest/modelBatchDeployment.schema.json
name: classifier
endpoint_name: heart
type: model
description: at night
model: azureml:heart-classifier@latest
code_configuration:
  code: src
  scoring_script: app/score.py
environment:
  image: python:3.11
  conda_file: environment/conda.yaml
compute: azureml:cpu-cluster
resources:
  instance_count: 2
settings:
  max_concurrency_per_instance: 3
  mini_batch_size: 4
  output_action: summary_only
  output_file_name: out.csv
  retry_settings:
    max_retries: 1
    timeout: 300
  error_threshold: 5
  logging_level: debug
  environment_variables:
    A: b
tags: {team: risk}
"""
# As it was written before version 1.7 of the extension: settings at the top.
OLD = """
endpoint_name: heart
name: old
model: azureml:heart:3
compute: azureml:cpu
resources: {instance_count: 2}
mini_batch_size: 2
retry_settings: {max_retries: 3, timeout: 300}
error_threshold: -1
"""
ENDPOINT = """
$schema: https://azuremlschemas.azureedge.net/latest/batchEndpoint.schema.json
name: heart
description: hearts
auth_mode: aad_token
defaults: {deployment_name: classifier}
tags: {a: b}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deployment.yml"


def test_a_model_deployment(file: Path) -> None:
    file.write_text(MODEL)
    found = read(str(file), {})
    folder = file.parent
    assert (found.endpoint, found.deployment, found.model, found.compute) == (
        "heart",
        "classifier",
        "heart-classifier",
        "cpu-cluster",
    )
    assert found.code == ScriptCode(str(folder / "src"), "app/score.py")
    assert found.environment == {"image": "python:3.11", "conda_file": str(folder / "environment/conda.yaml")}
    assert found.settings == BatchSettings(
        4, 3, 2, 5, RetrySettings(1, 300.0), OutputAction.SUMMARY_ONLY, "out.csv", "debug", {"A": "b"}
    )
    assert (found.description, found.tags) == ("at night", {"team": "risk"})


def test_the_old_form_an_endpoint_and_a_pipeline(file: Path) -> None:
    file.write_text(OLD)
    old = read(str(file), {})
    assert (old.model, old.settings) == ("heart:3", BatchSettings(2, 1, 2, -1, RetrySettings(3, 300.0)))
    file.write_text(ENDPOINT)
    endpoint = read(str(file), {})
    assert endpoint.endpoint_only
    assert (endpoint.endpoint, endpoint.default, endpoint.description) == ("heart", "classifier", "hearts")
    file.write_text("type: pipeline\nname: p\nendpoint_name: e\ncomponent: ./pipe.yml\nsettings: {default_compute: cpu}\n")
    assert read(str(file), {}).component == str(file.parent / "./pipe.yml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model: azureml:m\nmini_batch_size: 0\n", "mini_batch_size"),
        ("model: azureml:m\nmini_batch_sise: 1\n", "did you mean 'mini_batch_size'"),
        ("model: azureml:m\nsettings: {error_threshold: -2}\n", "error_threshold"),
        ("model: azureml:m\nsettings: {output_action: append}\n", "append_row or summary_only"),
        ("model: azureml:m\nsettings: {output_file_name: ../x}\n", "output_file_name"),
        ("model: azureml:m\nsettings: {}\nmini_batch_size: 3\n", "below settings"),
        ("model: azureml:m\ncode_configuration: {code: src}\n", "scoring_script is missing"),
        ("type: online\nmodel: azureml:m\n", "model or pipeline"),
        ("name: e\nauth_mode: key\n", "aad_token"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(file: Path, text: str, words: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidInputError) as caught:
        read(str(file), {})
    assert "deployment.yml, line" in caught.value.message
    assert words in f"{caught.value.message} {caught.value.cause}"


def test_options_win_over_the_file_and_set_over_its_values(file: Path) -> None:
    file.write_text(MODEL)
    reading = read(str(file), {"settings.mini_batch_size": "7", "tags.team": "fraud"})
    words = DeployWords(
        endpoint="other",
        settings={"error_threshold": 0, "max_retries": 2, "output_action": "append_row", "timeout": None},
        environment_variables={"C": "d"},
        tags={"x": "y"},
        compute="big",
    )
    spec, model = request(reading, words, None)
    assert (spec.endpoint, spec.deployment, spec.compute) == ("other", "classifier", "big")
    assert (spec.settings.mini_batch_size, spec.settings.error_threshold) == (7, 0)
    assert spec.settings.retry_settings == RetrySettings(2, 300.0)
    assert spec.settings.output_action is OutputAction.APPEND_ROW
    assert spec.settings.environment_variables == {"A": "b", "C": "d"}
    assert spec.tags == {"team": "fraud", "x": "y"}
    assert spec.model is not None and spec.model.name == "heart-classifier" and model is None


def test_what_does_not_go_together() -> None:
    with pytest.raises(UsageError, match="or a model or script"):
        request(None, DeployWords(component="p.yml", endpoint="e"), "bank")
    with pytest.raises(UsageError, match="--endpoint is missing"):
        request(None, DeployWords(code="src", scoring_script="s.py"), None)
    with pytest.raises(UsageError, match="--code needs the script"):
        request(None, DeployWords(code="src", endpoint="e"), None)
    with pytest.raises(UsageError, match="--output-action"):
        request(None, DeployWords(settings={"output_action": "none"}), "bank")
    spec, _ = request(None, DeployWords(scoring_script="src/app.py", endpoint="eee"), None)
    assert spec.code == ScriptCode("src", "app.py")


def test_settings_in_azures_words() -> None:
    settings = BatchSettings(3, 2, 4, 7, RetrySettings(0, 90.5), OutputAction.SUMMARY_ONLY, "x.csv", "warning", {"a": "b"})
    assert batch_wire.read(batch_wire.written(settings)) == settings
    assert batch_wire.written(settings)["retrySettings"] == {"maxRetries": 0, "timeout": "PT90.5S"}
    assert batch_wire.read({}) == BatchSettings()
