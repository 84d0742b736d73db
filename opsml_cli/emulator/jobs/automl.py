"""AutoML jobs on the wire: `taskDetails` read and filled as Azure fills it, and what the local engine trains of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opsml_cli.domain.job import AutoMLSpec, Limits, TableSource, Task
from opsml_cli.emulator.bodies import Body, duration_seconds, duration_text
from opsml_cli.emulator.jobs import common

_TASKS = (
    "Classification", "Regression", "Forecasting", "ImageClassification", "ImageClassificationMultilabel",
    "ImageObjectDetection", "ImageInstanceSegmentation", "TextClassification", "TextClassificationMultilabel", "TextNER",
)  # fmt: skip
# Azure's names of metrics in control-plane documents, and those of run history.
METRICS: Mapping[str, Mapping[str, str]] = {
    "Classification": {
        "AUCWeighted": "AUC_weighted",
        "Accuracy": "accuracy",
        "NormMacroRecall": "norm_macro_recall",
        "AveragePrecisionScoreWeighted": "average_precision_score_weighted",
        "PrecisionScoreWeighted": "precision_score_weighted",
    },
    "Regression": {
        "SpearmanCorrelation": "spearman_correlation",
        "NormalizedRootMeanSquaredError": "normalized_root_mean_squared_error",
        "R2Score": "r2_score",
        "NormalizedMeanAbsoluteError": "normalized_mean_absolute_error",
    },
}
_DEFAULT_METRIC = {"Classification": "Accuracy", "Regression": "NormalizedRootMeanSquaredError"}
ALGORITHMS: Mapping[str, Sequence[str]] = {
    "Classification": (
        "LogisticRegression", "SGD", "MultinomialNaiveBayes", "BernoulliNaiveBayes", "SVM", "LinearSVM", "KNN", "DecisionTree",
        "RandomForest", "ExtremeRandomTrees", "LightGBM", "GradientBoosting", "XGBoostClassifier",
    ),
    "Regression": (
        "ElasticNet", "GradientBoosting", "DecisionTree", "KNN", "LassoLars", "SGD", "RandomForest", "ExtremeRandomTrees",
        "LightGBM", "XGBoostRegressor",
    ),
}  # fmt: skip
_VERBOSITY = ("NotSet", "Debug", "Info", "Warning", "Error", "Critical")
_TRANSFORMERS = (
    "TextTargetEncoder", "OneHotEncoder", "CatTargetEncoder", "TfIdf", "WoETargetEncoder", "LabelEncoder", "WordEmbedding",
    "NaiveBayes", "CountVectorizer", "HashOneHotEncoder",
)  # fmt: skip
_META_LEARNERS = (
    "None", "LogisticRegression", "LogisticRegressionCV", "LightGBMClassifier", "ElasticNet", "ElasticNetCV",
    "LightGBMRegressor", "LinearRegression",
)  # fmt: skip
# What a job without a limit of its own gets. Azure's timeout is six hours: this machine's is the local engine's.
_TIMEOUT_SECONDS = Limits().timeout_seconds
_TRIAL_SECONDS = 1800.0
_TRIALS = 1000
TABLES = {"trainingData": "data", "validationData": "validation_data", "testData": "test_data"}


def read(properties: Body) -> dict[str, Any]:
    """The members of an AutoML job besides those that every job has, as Azure answers them."""
    details = properties.section("taskDetails", required=True)
    task = details.choice("taskType", _TASKS, required=True)
    if task not in METRICS:
        raise common.not_here(f"taskType is {task}, and this machine trains Classification and Regression on tables")
    return members(_details(details, task), properties)


def members(details: Mapping[str, Any], properties: Body | None = None) -> dict[str, Any]:
    """The members around filled `taskDetails`."""
    properties = properties or Body({})
    return {
        "resources": common.resources(properties),
        "environmentId": properties.text("environmentId"),
        "environmentVariables": properties.texts("environmentVariables") or None,
        "taskDetails": dict(details),
        "outputs": {name: common.job_output(body) for name, body in properties.sections("outputs")},
        "queueSettings": common.queue_settings(properties),
    }


def spec(name: str, properties: Mapping[str, Any], tables: Mapping[str, TableSource]) -> AutoMLSpec:
    """What to train. `properties` are those that `read` made; `tables` by the spec's fields."""
    details: Mapping[str, Any] = properties["taskDetails"]
    training, limits = details["trainingSettings"], details["limitSettings"]
    folds = details["nCrossValidations"]
    return AutoMLSpec(
        data=tables["data"],
        target_column=details["targetColumnName"],
        task=Task(details["taskType"].lower()),
        metric=METRICS[details["taskType"]][details["primaryMetric"]],
        limits=Limits(
            timeout_seconds=duration_seconds(limits["timeout"]) or _TIMEOUT_SECONDS,
            max_trials=limits["maxTrials"],
            trial_timeout_seconds=duration_seconds(limits["trialTimeout"]),
            max_concurrent_trials=limits["maxConcurrentTrials"],
            exit_score=limits["exitScore"],
            enable_early_termination=limits["enableEarlyTermination"],
        ),
        cross_validations=folds["value"] if folds is not None and folds["mode"] == "Custom" else None,
        validation_data=tables.get("validation_data"),
        validation_size=details["validationDataSize"],
        test_data=tables.get("test_data"),
        test_size=details["testDataSize"],
        allowed_algorithms=tuple(training["allowedTrainingAlgorithms"] or ()),
        blocked_algorithms=tuple(training["blockedTrainingAlgorithms"] or ()),
        weight_column=details["weightColumnName"],
        positive_label=details.get("positiveLabel"),
        features=_features(details),
        experiment=properties["experimentName"],
        name=name,
        model_of_trial=True,
        description=properties["description"],
        tags=properties["tags"],
    )


def _features(details: Mapping[str, Any]) -> dict[str, object]:
    """The settings that a spec keeps as the YAML has them."""
    told, training = details["featurizationSettings"], details["trainingSettings"]
    switches = {
        "enable_onnx_compatible_models": (training["enableOnnxCompatibleModels"], False),
        "enable_dnn_training": (training["enableDnnTraining"], False),
        "enable_stack_ensemble": (training["enableStackEnsemble"], True),
        "enable_vote_ensemble": (training["enableVoteEnsemble"], True),
    }
    chosen = {key: value for key, (value, usual) in switches.items() if value is not usual}
    columns = {
        "dataset_language": "datasetLanguage", "blocked_transformers": "blockedTransformers",
        "column_name_and_types": "columnNameAndTypes", "transformer_params": "transformerParams",
        "enable_dnn_featurization": "enableDnnFeaturization",
    }  # fmt: skip
    features: dict[str, object] = {"training": chosen} if chosen else {}
    if told is not None:
        features["featurization"] = {
            "mode": told["mode"].lower(), **{key: told[wire] for key, wire in columns.items() if told[wire]}
        }  # fmt: skip
    return features


def details_of(found: AutoMLSpec) -> dict[str, Any]:
    """`taskDetails` of a training that was not submitted over the wire."""
    task = (found.task or Task.CLASSIFICATION).value.capitalize()
    metric = next((wire for wire, plain in METRICS[task].items() if plain == found.metric), None)
    limits = found.limits
    sent: dict[str, Any] = {
        "taskType": task,
        "targetColumnName": found.target_column,
        "primaryMetric": metric,
        "limitSettings": {
            "timeout": duration_text(limits.timeout_seconds),
            "maxTrials": limits.max_trials,
            "trialTimeout": None if limits.trial_timeout_seconds is None else duration_text(limits.trial_timeout_seconds),
            "maxConcurrentTrials": limits.max_concurrent_trials,
            "exitScore": limits.exit_score,
            "enableEarlyTermination": limits.enable_early_termination,
        },
        "trainingSettings": {
            "allowedTrainingAlgorithms": list(found.allowed_algorithms) or None,
            "blockedTrainingAlgorithms": list(found.blocked_algorithms) or None,
        },
        "nCrossValidations": None if found.cross_validations is None else {"mode": "Custom", "value": found.cross_validations},
        "validationDataSize": found.validation_size,
        "testDataSize": found.test_size,
        "weightColumnName": found.weight_column,
        "positiveLabel": found.positive_label,
    }
    if found.drop_columns:
        sent["featurizationSettings"] = {"mode": "Custom", "columnNameAndTypes": dict.fromkeys(found.drop_columns, "Ignore")}
    for wire, field in TABLES.items():
        source: TableSource | None = getattr(found, field)
        if source is not None and source.asset is not None:
            sent[wire] = {"jobInputType": "mltable", "uri": f"azureml:{source.asset}"}
    return _details(Body(sent, "properties.taskDetails"), task)


def _details(details: Body, task: str) -> dict[str, Any]:
    if details.words("cvSplitColumnNames"):
        raise common.not_here("cvSplitColumnNames is not known to this machine's trainings")
    training = common.job_input(details.section("trainingData", required=True))
    if "uri" not in training:
        raise details.wrong("trainingData.uri", "a value is required.", "ArgumentNullOrEmpty")
    filled = {
        "logVerbosity": details.choice("logVerbosity", _VERBOSITY) or "Info",
        "trainingData": training,
        "targetColumnName": details.text("targetColumnName", required=True),
        "limitSettings": _limits(details),
        "sweepSettings": None,
        "fixedParameters": None,
        "searchSpace": None,
        "nCrossValidations": _folds(details),
        "cvSplitColumnNames": None,
        "weightColumnName": details.text("weightColumnName"),
        "validationData": _table(details, "validationData"),
        "testData": _table(details, "testData"),
        "validationDataSize": _share(details, "validationDataSize"),
        "testDataSize": _share(details, "testDataSize"),
        "featurizationSettings": _featurization(details),
        "taskType": task,
        "primaryMetric": details.choice("primaryMetric", tuple(METRICS[task])) or _DEFAULT_METRIC[task],
        "trainingSettings": _training(details, task),
    }
    if task == "Classification":
        filled["positiveLabel"] = details.text("positiveLabel")
    return filled


def _table(details: Body, key: str) -> dict[str, Any] | None:
    found = details.section(key)
    return None if found is None else common.job_input(found)


def _share(details: Body, key: str) -> float | None:
    share = details.number(key)
    if share is not None and not 0 <= share < 1:
        raise details.wrong(key, f"the value {share:g} is out of range: 0 to 1.", "ArgumentOutOfRange")
    return share or None


def _folds(details: Body) -> dict[str, Any] | None:
    found = details.section("nCrossValidations")
    if found is None:
        return None
    mode = found.choice("mode", ("Auto", "Custom"), required=True)
    if mode == "Auto":
        return {"mode": mode}
    value = found.integer("value", least=2)
    if value is None:
        raise found.wrong("value", "a value is required.", "ArgumentNullOrEmpty")
    return {"mode": mode, "value": value}


def _limits(details: Body) -> dict[str, Any]:
    found = details.section("limitSettings") or Body({}, "properties.taskDetails.limitSettings")
    early = found.flag("enableEarlyTermination")
    return {
        "maxTrials": found.integer("maxTrials", least=1) or _TRIALS,
        "trialTimeout": duration_text(_positive(found, "trialTimeout", _TRIAL_SECONDS)),
        "timeout": duration_text(_positive(found, "timeout", _TIMEOUT_SECONDS)),
        "maxConcurrentTrials": found.integer("maxConcurrentTrials", least=1) or 1,
        "maxNodes": found.integer("maxNodes", least=1) or 1,
        "maxCoresPerTrial": found.integer("maxCoresPerTrial", least=-1) or -1,
        "exitScore": found.number("exitScore"),
        "enableEarlyTermination": True if early is None else early,
        "sweepTrials": 0,
        "sweepConcurrentTrials": 0,
    }


def _positive(limits: Body, key: str, default: float) -> float:
    seconds = limits.seconds(key)
    if seconds is None:
        return default
    if seconds <= 0:
        raise limits.wrong(key, "the value must be more than zero.", "ArgumentOutOfRange")
    return seconds


def _featurization(details: Body) -> dict[str, Any] | None:
    found = details.section("featurizationSettings")
    if found is None:
        return None
    columns = found.section("transformerParams")
    types = found.texts("columnNameAndTypes")
    return {
        "datasetLanguage": found.text("datasetLanguage"),
        "mode": found.choice("mode", ("Auto", "Custom", "Off")) or "Auto",
        "blockedTransformers": found.choices("blockedTransformers", _TRANSFORMERS),
        "columnNameAndTypes": types or None,
        "transformerParams": {} if columns is None else dict(columns.value),
        "enableDnnFeaturization": found.flag("enableDnnFeaturization") or False,
    }


def _training(details: Body, task: str) -> dict[str, Any]:
    found = details.section("trainingSettings") or Body({}, "properties.taskDetails.trainingSettings")

    def switch(key: str, usual: bool) -> bool:
        value = found.flag(key)
        return usual if value is None else value

    stack = found.section("stackEnsembleSettings")
    if stack is not None:
        stack.choice("stackMetaLearnerType", _META_LEARNERS)
    return {
        "enableOnnxCompatibleModels": switch("enableOnnxCompatibleModels", False),
        "stackEnsembleSettings": None if stack is None else dict(stack.value),
        "enableStackEnsemble": switch("enableStackEnsemble", True),
        "enableVoteEnsemble": switch("enableVoteEnsemble", True),
        "ensembleModelDownloadTimeout": duration_text(_positive(found, "ensembleModelDownloadTimeout", 300.0)),
        "enableModelExplainability": switch("enableModelExplainability", True),
        "enableDnnTraining": switch("enableDnnTraining", False),
        "trainingMode": found.choice("trainingMode", ("Auto", "Distributed", "NonDistributed")) or "Auto",
        "allowedTrainingAlgorithms": found.choices("allowedTrainingAlgorithms", ALGORITHMS[task]),
        "blockedTrainingAlgorithms": found.choices("blockedTrainingAlgorithms", ALGORITHMS[task]),
    }
