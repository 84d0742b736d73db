"""AutoML jobs between opsml's words and Azure's."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from opsml_cli.azureml.automl_job import (
    asset_of,
    check_words,
    from_arm,
    metric_of,
    notes,
    seconds_of,
    tags_of,
    to_yaml,
    user_tags,
)
from opsml_cli.domain.errors import UnsupportedError, UsageError
from opsml_cli.domain.job import AutoMLSpec, Limits, TableSource, Task
from opsml_cli.domain.names import AssetRef

SPEC = AutoMLSpec(
    data=TableSource(asset=AssetRef("bank", "3")),
    target_column="y",
    task=Task.CLASSIFICATION,
    metric="AUC_weighted",
    limits=Limits(timeout_seconds=90, max_trials=4, max_concurrent_trials=2, exit_score=0.9),
    cross_validations=3,
    test_data=TableSource(asset=AssetRef("held", "1")),
    drop_columns=("duration",),
    allowed_algorithms=("lightgbm", "LogisticRegression"),
    positive_label="yes",
    experiment="exp",
    compute="cpu-cluster",
    description="words",
    model_name="bank-y",
    features={"training": {"enable_stack_ensemble": True}, "resources": {"instance_type": "Standard_E4s_v3"}},
)

TABLES = {
    "data": "azureml://datastores/workspaceblobstore/paths/a/",
    "test_data": "azureml://datastores/workspaceblobstore/paths/b/",
}


def test_a_spec_is_a_document_that_the_sdk_accepts() -> None:
    import yaml
    from azure.ai.ml import load_job

    document = to_yaml(SPEC, "automl-1", {"team": "a"}, TABLES)
    job = load_job(source=io.StringIO(yaml.safe_dump(document)))
    sent = job._to_rest_object().as_dict()["properties"]
    details = sent["taskDetails"]
    assert job.name == "automl-1"
    assert (sent["experimentName"], sent["displayName"], sent["tags"]) == ("exp", "automl-1", {"team": "a"})
    assert job.resources.instance_type == "Standard_E4s_v3"
    assert details["limitSettings"]["timeout"] == "PT2M"
    assert (details["limitSettings"]["maxTrials"], details["limitSettings"]["exitScore"]) == (4, 0.9)
    assert details["trainingSettings"]["allowedTrainingAlgorithms"] == ["LightGBM", "LogisticRegression"]
    assert details["trainingSettings"]["enableStackEnsemble"] is True
    assert details["featurizationSettings"]["columnNameAndTypes"] == {"duration": "Ignore"}
    assert (details["positiveLabel"], details["targetColumnName"]) == ("yes", "y")


def test_what_the_sdk_sends_reads_back_as_the_spec() -> None:
    import yaml
    from azure.ai.ml import load_job

    document = to_yaml(SPEC, "automl-1", tags_of(replace(SPEC, tags={"team": "a"}), "f"), TABLES)
    sent = load_job(source=io.StringIO(yaml.safe_dump(document)))._to_rest_object().as_dict()["properties"]
    read = from_arm({**sent, "computeId": "/subscriptions/s/computes/cpu-cluster"})
    expected = replace(
        SPEC,
        limits=replace(SPEC.limits, timeout_seconds=120.0),
        allowed_algorithms=("LightGBM", "LogisticRegression"),
        features={},
        tags={"team": "a"},
        description="words",
    )
    assert read == expected


def test_regression_and_defaults() -> None:
    spec = AutoMLSpec(TableSource(asset=AssetRef("a", "1")), "price", task=Task.REGRESSION, metric="r2_score")
    document = to_yaml(spec, "n", {}, TABLES)
    assert document["primary_metric"] == "r2_score"
    assert "positive_label" not in document and "compute" not in document and "featurization" not in document
    check_words(spec)


@pytest.mark.parametrize(
    ("changes", "kind", "named"),
    [
        ({"metric": "log_loss"}, UsageError, "log_loss"),
        ({"threshold_for": "f1"}, UnsupportedError, "threshold"),
        ({"blocked_algorithms": ("LightGMB",)}, UsageError, "LightGMB"),
    ],
)
def test_what_azure_does_not_have_is_said(changes: dict[str, object], kind: type[Exception], named: str) -> None:
    with pytest.raises(kind, match=named):
        check_words(replace(SPEC, **changes))


def test_columns_cannot_be_dropped_without_featurization() -> None:
    with pytest.raises(UnsupportedError, match="featurization"):
        to_yaml(replace(SPEC, features={"featurization": {"mode": "off"}}), "n", {}, TABLES)


def test_notes_say_what_azure_does_otherwise() -> None:
    said = " ".join(notes(replace(SPEC, seed=7)))
    assert "seed" in said and "90 s become 2 min" in said
    assert notes(replace(SPEC, limits=Limits(timeout_seconds=120))) == ()


@pytest.mark.parametrize(
    ("text", "seconds"), [("PT1H30M", 5400.0), ("PT5M", 300.0), ("P1DT2S", 86402.0), ("PT0.5S", 0.5), ("", None), (None, None)]
)
def test_durations(text: str | None, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("uri", "asset"),
    [
        ("/subscriptions/s/resourceGroups/g/providers/p/workspaces/w/data/bank/versions/3", AssetRef("bank", "3")),
        ("azureml://locations/r/workspaces/id/data/bank/versions/2", AssetRef("bank", "2")),
        ("azureml:bank:1", AssetRef("bank", "1")),
        ("bank:1", AssetRef("bank", "1")),
        ("azureml://datastores/d/paths/x.csv", None),
        ("https://host/x.csv", None),
    ],
)
def test_inputs_name_assets(uri: str, asset: AssetRef | None) -> None:
    assert asset_of(uri) == asset


def test_tags_and_metrics() -> None:
    assert user_tags({"a": "b", "opsml.model": "m", "_aml_system_x": "1", "mlflow.user": "u"}) == {"a": "b"}
    assert metric_of("AUCWeighted") == "AUC_weighted"
    assert metric_of("NormalizedRootMeanSquaredError") == "normalized_root_mean_squared_error"
    assert metric_of("auc_weighted") == "AUC_weighted"
    assert metric_of(None) is None
