"""AutoML jobs between opsml's words and Azure's: the spec as Azure ML's YAML document, and ARM's `taskDetails` as a spec."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from opsml_cli.domain.algorithms import known_algorithm
from opsml_cli.domain.compute import SERVERLESS
from opsml_cli.domain.errors import UnsupportedError, UsageError
from opsml_cli.domain.job import AutoMLSpec, Limits, TableSource, Task
from opsml_cli.domain.names import AssetRef

# What Azure AutoML can optimize; it measures many more.
PRIMARY_METRICS = {
    Task.CLASSIFICATION: (
        "AUC_weighted",
        "accuracy",
        "norm_macro_recall",
        "average_precision_score_weighted",
        "precision_score_weighted",
    ),
    Task.REGRESSION: (
        "normalized_root_mean_squared_error",
        "normalized_mean_absolute_error",
        "r2_score",
        "spearman_correlation",
    ),
}
# Tags with which opsml knows its own work again; they are no tags of the user.
FINGERPRINT = "opsml.fingerprint"
MODEL_NAME = "opsml.model"
# Which asset each table is: a file is handed to Azure as an MLTable folder, which has no name.
ASSET_TAGS = {"data": "opsml.data", "validation_data": "opsml.validation_data", "test_data": "opsml.test_data"}
# How Azure's featurization says that a column is left out.
IGNORED_TYPE = "Ignore"
_NO_USER_TAG = re.compile(
    r"opsml\.|_aml_system|mlflow\.|automl_best_child|model_explain_"
    r"|(?:score|run_algorithm|run_preprocessor|pipeline_id|iteration|fit_time|predicted_cost|training_percent)(?:_[0-9]+)?\Z"
)
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?\Z", re.ASCII)
_ASSET_ID = re.compile(r"(?:.*/)?(?:data|datasets)/([^/]+)/versions/([^/]+)/?\Z")


def check_words(spec: AutoMLSpec) -> None:
    """What Azure AutoML does not have. UnsupportedError or UsageError; the metric and task of `spec` are set."""
    assert spec.task is not None
    assert spec.metric is not None
    if spec.threshold_for is not None:
        raise UnsupportedError(
            "Azure AutoML tunes no decision threshold",
            fix="leave --threshold-for out, or train on this machine: opsml -w local train automl …",
        )
    known = PRIMARY_METRICS[spec.task]
    if spec.metric not in known:
        raise UsageError(
            f"Azure AutoML cannot optimize {spec.metric} for {spec.task.value}",
            cause=f"it can: {', '.join(known)}",
            fix="--metric with one of them; gates may name any metric",
        )
    for option, named in (("--allow-algorithm", spec.allowed_algorithms), ("--block-algorithm", spec.blocked_algorithms)):
        for name in named:
            known_algorithm(name, spec.task, option)


def tags_of(spec: AutoMLSpec, fingerprint: str) -> dict[str, str]:
    """The user's tags, and those by which opsml knows the job again."""
    own = {FINGERPRINT: fingerprint, MODEL_NAME: spec.model_name or ""}
    for field, tag in ASSET_TAGS.items():
        source: TableSource | None = getattr(spec, field)
        if source is not None and source.asset is not None:
            own[tag] = str(source.asset)
    return {**spec.tags, **own}


def notes(spec: AutoMLSpec) -> tuple[str, ...]:
    """What of the spec Azure does otherwise, for the person who began the job."""
    found = []
    if spec.seed:
        found.append("Azure AutoML takes no seed: the same training may find other models")
    limits = spec.limits
    for flag, seconds in (("--timeout", limits.timeout_seconds), ("--trial-timeout", limits.trial_timeout_seconds)):
        if seconds is not None and _minutes(seconds) * 60 != seconds:
            found.append(f"Azure counts {flag} in whole minutes: {seconds:g} s become {_minutes(seconds)} min")
    return tuple(found)


def to_yaml(spec: AutoMLSpec, name: str, tags: Mapping[str, str], tables: Mapping[str, str]) -> dict[str, Any]:
    """The job as a document of Azure ML's AutoML YAML. `tables` are the MLTable folders' URIs by the spec's fields."""
    assert spec.task is not None
    features = dict(spec.features)
    document: dict[str, Any] = {
        "type": "automl",
        "name": name,
        "display_name": features.pop("display_name", None) or name,
        "experiment_name": spec.experiment,
        "description": spec.description,
        "tags": dict(tags),
        "task": spec.task.value,
        "primary_metric": spec.metric,
        "target_column_name": spec.target_column,
        "training_data": _input(tables.get("data")),
        "validation_data": _input(tables.get("validation_data")),
        "test_data": _input(tables.get("test_data")),
        "validation_data_size": spec.validation_size,
        "test_data_size": spec.test_size,
        "n_cross_validations": spec.cross_validations,
        "weight_column_name": spec.weight_column,
        "limits": _limits(spec.limits, features.pop("limits", None)),
        "featurization": _featurization(spec, features.pop("featurization", None)),
        "training": _training(spec, features.pop("training", None)),
        "compute": None if spec.compute is None else f"azureml:{spec.compute}",
    }
    if spec.task is Task.CLASSIFICATION:
        document["positive_label"] = spec.positive_label
    # The rest of what the YAML said is Azure's own: resources, identity, queue settings, …
    document.update({key: value for key, value in features.items() if key not in document})
    return {key: value for key, value in document.items() if value not in (None, {}, "")}


def from_arm(properties: Mapping[str, Any]) -> AutoMLSpec:
    """The spec of an AutoML job's ARM `properties`. Names of tables are asset versions where Azure says so, else URIs."""
    details = properties.get("taskDetails") or {}
    limits = details.get("limitSettings") or {}
    training = details.get("trainingSettings") or {}
    featurization = details.get("featurizationSettings") or {}
    folds = details.get("nCrossValidations") or {}
    tags = properties.get("tags") or {}
    default = Limits()
    timeout = seconds_of(limits.get("timeout"))
    task = str(details.get("taskType") or "").casefold()
    return AutoMLSpec(
        data=_source(details.get("trainingData"), tags.get(ASSET_TAGS["data"])) or TableSource(path=""),
        target_column=str(details.get("targetColumnName") or ""),
        task=Task(task) if task in (each.value for each in Task) else None,
        metric=metric_of(details.get("primaryMetric")),
        limits=Limits(
            timeout_seconds=default.timeout_seconds if timeout is None else timeout,
            max_trials=limits.get("maxTrials"),
            trial_timeout_seconds=seconds_of(limits.get("trialTimeout")),
            max_concurrent_trials=limits.get("maxConcurrentTrials") or 1,
            exit_score=limits.get("exitScore"),
            enable_early_termination=limits.get("enableEarlyTermination") is not False,
        ),
        cross_validations=folds.get("value") if folds.get("mode") == "Custom" else None,
        validation_data=_source(details.get("validationData"), tags.get(ASSET_TAGS["validation_data"])),
        validation_size=details.get("validationDataSize"),
        test_data=_source(details.get("testData"), tags.get(ASSET_TAGS["test_data"])),
        test_size=details.get("testDataSize"),
        drop_columns=tuple(
            column for column, kind in (featurization.get("columnNameAndTypes") or {}).items() if kind == IGNORED_TYPE
        ),
        allowed_algorithms=tuple(training.get("allowedTrainingAlgorithms") or ()),
        blocked_algorithms=tuple(training.get("blockedTrainingAlgorithms") or ()),
        weight_column=details.get("weightColumnName"),
        positive_label=details.get("positiveLabel"),
        experiment=properties.get("experimentName") or "Default",
        compute=compute_of(properties.get("computeId")),
        model_name=tags.get(MODEL_NAME),
        description=properties.get("description"),
        tags=user_tags(tags),
    )


def user_tags(tags: Mapping[str, Any] | None) -> dict[str, str]:
    """The tags that people gave: neither opsml's own nor Azure's."""
    return {key: str(value) for key, value in (tags or {}).items() if not _NO_USER_TAG.match(key)}


def metric_of(name: object) -> str | None:
    """A primary metric as everything but ARM's enumeration spells it: `AUCWeighted` is `AUC_weighted`."""
    if not name:
        return None
    plain = str(name).replace("_", "").casefold()
    known = (*PRIMARY_METRICS[Task.CLASSIFICATION], *PRIMARY_METRICS[Task.REGRESSION])
    return next((metric for metric in known if metric.replace("_", "").casefold() == plain), str(name))


def seconds_of(duration: object) -> float | None:
    """ISO 8601 (`PT1H30M`) in seconds; None for anything else."""
    match = _DURATION.match(str(duration or ""))
    if match is None or not any(match.groups()):
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds


def compute_of(compute_id: object) -> str | None:
    text = str(compute_id or "")
    name = text.rpartition("/")[2]
    return None if name.casefold() in ("", SERVERLESS) else name


def asset_of(uri: object) -> AssetRef | None:
    """The data asset that an input names: an ARM id, an asset id, `azureml:name:1`, or the short `name:1`."""
    text = str(uri or "")
    match = _ASSET_ID.match(text)
    if match is not None:
        return AssetRef(match[1], match[2])
    name, colon, version = text.removeprefix("azureml:").partition(":")
    if colon and version and "/" not in text:
        return AssetRef(name, version)
    return None


def _source(value: Mapping[str, Any] | None, named: object) -> TableSource | None:
    """The table of an input; `named` is the asset that opsml's tag says it is."""
    if not value:
        return None
    asset = asset_of(named) or asset_of(value.get("uri"))
    return TableSource(asset=asset) if asset is not None else TableSource(path=str(value.get("uri") or ""))


def _input(uri: str | None) -> dict[str, str] | None:
    return None if uri is None else {"type": "mltable", "path": uri}


def _minutes(seconds: float) -> int:
    return max(1, math.ceil(seconds / 60))


def _limits(limits: Limits, more: object) -> dict[str, Any]:
    document = {
        "timeout_minutes": _minutes(limits.timeout_seconds),
        "trial_timeout_minutes": None if limits.trial_timeout_seconds is None else _minutes(limits.trial_timeout_seconds),
        "max_trials": limits.max_trials,
        "max_concurrent_trials": limits.max_concurrent_trials,
        "exit_score": limits.exit_score,
        "enable_early_termination": limits.enable_early_termination,
        **(more if isinstance(more, dict) else {}),
    }
    return {key: value for key, value in document.items() if value is not None}


def _featurization(spec: AutoMLSpec, more: object) -> dict[str, Any]:
    document = dict(more) if isinstance(more, dict) else {}
    if spec.drop_columns:
        if document.get("mode") == "off":
            raise UnsupportedError(
                "Azure AutoML drops columns by featurization, which the job turns off",
                fix="leave the columns out of the data, or set featurization.mode to auto",
            )
        types = dict(document.get("column_name_and_types") or {})
        document["column_name_and_types"] = {**types, **dict.fromkeys(spec.drop_columns, IGNORED_TYPE)}
        document["mode"] = "custom"
    return document


def _training(spec: AutoMLSpec, more: object) -> dict[str, Any]:
    assert spec.task is not None
    document = dict(more) if isinstance(more, dict) else {}
    for key, names in (
        ("allowed_training_algorithms", spec.allowed_algorithms),
        ("blocked_training_algorithms", spec.blocked_algorithms),
    ):
        if names:
            document[key] = [known_algorithm(name, spec.task, key) for name in names]
    return document
