"""What run history adds to an AutoML job as it goes on: tags and properties of the parent, properties of its children."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opsml_cli.domain.job import JobState
from opsml_cli.domain.metric_names import higher_is_better
from opsml_cli.emulator.bodies import duration_seconds
from opsml_cli.emulator.wire import Call
from opsml_cli.local.run_files import MODEL_ARTIFACT
from opsml_cli.local.run_history import Run, RunKind

_BLANK = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Labels:
    tags: Mapping[str, str]
    properties: Mapping[str, str | None]


def of(call: Call, run: Run, definition: Mapping[str, Any]) -> Labels:
    """Of a training, as it is now; nothing before it began."""
    if run.started_at is None:
        return Labels({}, {"errors": _errors(run)} if run.error else {})
    tables = _tables(definition["taskDetails"])
    tags = {
        "_aml_system_automl_mltable_data_json": json.dumps(tables, separators=(",", ":")),
        "model_explain_run": "best_run",
        "_aml_system_automl_run_workspace_id": call.served.workspace_id,
        "_aml_system_azureml.automlComponent": "AutoML",
    }
    trials = call.served.local.history.trials(run)
    if trials:
        tags |= _lists(trials, metric_of(run))
    best = next((trial for trial in trials if trial.best), None)
    if best is not None:
        tags |= {"automl_best_child_run_id": best.id, "model_explain_best_run_child_id": best.id}
    return Labels(tags, _properties(call, run, definition, prepared=bool(trials)))


def metric_of(run: Run) -> str:
    outcome = run.job.automl
    return (outcome.metric if outcome is not None else None) or "accuracy"


def of_child(run: Run) -> dict[str, str]:
    """The properties of a part of a training. A trial's tell algorithm and score."""
    template = {RunKind.TRIAL: "automl_child", RunKind.SETUP: "AutoML_Setup"}.get(run.kind, "automl_child")
    found = {
        "runTemplate": template, "azureml.runsource": "automl", "Orchestrator": "AutoML", "root_attribution": "automl",
        "_aml_system_scenario_identification": "Remote.Child",
    }  # fmt: skip
    if run.trial is None or run.number is None:
        return found
    metric = metric_of(run)
    score = run.trial.metrics.get(metric)
    found |= {
        "iteration": str(run.number),
        "run_algorithm": run.trial.algorithm,
        "run_preprocessor": "",
        "primary_metric": metric,
        "goal": f"{metric}_{'max' if higher_is_better(metric) else 'min'}",
        "pipeline_id": run.trial.trial,
        "pipeline_spec": json.dumps(
            {"objects": [{"class_name": run.trial.algorithm, "param_kwargs": dict(run.trial.parameters)}]}, default=str
        ),
        "fit_time": repr(run.trial.duration_seconds),
        "errors": json.dumps({} if run.error is None else {"error": run.error}),
    }
    if score is not None:
        found["score"] = repr(score)
    if run.best:
        artifacts = f"aml://artifact/ExperimentRun/dcid.{run.id}"
        found |= {
            "model_output_path": MODEL_ARTIFACT,
            "model_data_location": f"{artifacts}/{MODEL_ARTIFACT}",
            "conda_env_data_location": f"{artifacts}/{MODEL_ARTIFACT}/conda.yaml",
            "model_name": run.job.automl.model.name if run.job.automl is not None and run.job.automl.model is not None else "",
        }
    return found


def _lists(trials: Sequence[Run], metric: str) -> dict[str, str]:
    """The tags that list a value for each trial."""
    finished = [run.trial for run in trials if run.trial is not None]
    columns = {
        "score_000": [repr(trial.metrics[metric]) if metric in trial.metrics else "nan" for trial in finished],
        "run_algorithm_000": [trial.algorithm for trial in finished],
        "run_preprocessor_000": [""] * len(finished),
        "pipeline_id_000": [trial.trial for trial in finished],
        "iteration_000": [str(number) for number in range(len(finished))],
        "fit_time_000": [repr(trial.duration_seconds) for trial in finished],
        "predicted_cost_000": ["0"] * len(finished),
        "training_percent_000": ["100"] * len(finished),
    }
    return {name: ";".join(values) for name, values in columns.items()}


def _tables(details: Mapping[str, Any]) -> dict[str, Any]:
    def table(key: str) -> dict[str, Any] | None:
        item = details.get(key) or {}
        return {"Uri": item["uri"], "ResolvedUri": None, "AssetId": None} if item.get("uri") else None

    return {
        "Type": "MLTable",
        "TrainData": table("trainingData"),
        "TestData": table("testData"),
        "ValidData": table("validationData"),
    }


def _properties(call: Call, run: Run, definition: Mapping[str, Any], *, prepared: bool) -> dict[str, str | None]:
    details = definition["taskDetails"]
    limits, folds = details["limitSettings"], details["nCrossValidations"] or {}
    metric = metric_of(run)
    compute = str(definition.get("computeId") or "").rpartition("/")[2]
    served = call.served
    settings = {
        "path": f"./sample_projects/{run.job.experiment}",
        "subscription_id": served.subscription,
        "resource_group": served.resource_group,
        "workspace_name": served.name,
        "compute_target": compute or None,
        "iterations": limits["maxTrials"],
        "primary_metric": metric,
        "task_type": details["taskType"].lower(),
        "n_cross_validations": folds.get("value"),
        "max_concurrent_iterations": limits["maxConcurrentTrials"],
        "iteration_timeout_minutes": _minutes(limits["trialTimeout"]),
        "experiment_timeout_minutes": _minutes(limits["timeout"]),
        "experiment_exit_score": limits["exitScore"] if limits["exitScore"] is not None else "NaN",
        "metric_operation": "maximize" if higher_is_better(metric) else "minimize",
        "featurization": (details["featurizationSettings"] or {}).get("mode", "Auto").lower(),
        "label_column_name": details["targetColumnName"],
        "weight_column_name": details["weightColumnName"],
        "save_mlflow": True,
        "track_child_runs": True,
    }
    found: dict[str, str | None] = {
        "num_iterations": str(limits["maxTrials"]),
        "training_type": "TrainFull",
        "acquisition_function": "EI",
        "primary_metric": metric,
        "train_split": "0",
        "acquisition_parameter": "0",
        "num_cross_validation": str(folds.get("value", "")),
        "target": compute,
        "AMLSettingsJsonString": json.dumps(settings, separators=(",", ":")),
        "EnableSubsampling": "False",
        "runTemplate": "AutoML",
        "azureml.runsource": "automl",
        "ClientType": "Mfe",
        "_aml_system_scenario_identification": "Remote.Parent",
        "PlatformVersion": "DPV2",
        "environment_cpu_name": "AzureML-ai-ml-automl",
        "environment_cpu_label": "local",
        "root_attribution": "automl",
        "attribution": "AutoML",
        "Orchestrator": "AutoML",
        "CancelUri": f"{call.site.base}/jasmine/v1.0{served.arm_id}/cancel/{run.id}",
        "mltable_data_json": json.dumps(_tables(details), separators=(",", ":")),
        "snapshotId": _BLANK,
        "SetupRunId": f"{run.id}_setup",
        "SetupRunContainerId": f"dcid.{run.id}_setup",
    }
    if prepared:
        found |= {
            "FeaturizationRunJsonPath": "featurizer_container.json",
            "FeaturizationRunId": f"{run.id}_featurize",
            "ProblemInfoJsonString": json.dumps({"task": details["taskType"].lower(), "metric": metric}),
        }
    if run.status is JobState.COMPLETED:
        found["ModelExplainRunId"] = f"{run.id}_ModelExplain"
    if run.error is not None:
        found["errors"] = _errors(run, prepared=prepared)
    return found


def _errors(run: Run, *, prepared: bool = False) -> str:
    error: dict[str, Any] = {"run_error": {"error": {"code": "UserError", "message": run.error, "details": []}}}
    return f"{'Experiment' if prepared else 'Setup iteration'} failed: {json.dumps(error)}"


def _minutes(duration: str) -> float:
    return (duration_seconds(duration) or 0.0) / 60
