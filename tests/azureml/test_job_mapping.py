"""Azure's jobs and runs as values. The documents are skeletons of what the service answers."""

from __future__ import annotations

import json

import pytest

from opsml_cli.azureml.job_mapping import best_of, error_of, job_of, job_of_run, kind_of, stamp_of, state_of, trials_of
from opsml_cli.azureml.run_history import numbers
from opsml_cli.domain.job import JobKind, JobState, Task

PROPERTIES = {
    "jobType": "AutoML",
    "status": "Completed",
    "experimentName": "exp",
    "displayName": "shown",
    "tags": {"team": "a", "opsml.model": "bank-y", "automl_best_child_run_id": "n_1", "_aml_system_x": "1"},
    "properties": {},
    "taskDetails": {
        "taskType": "Classification",
        "primaryMetric": "AUCWeighted",
        "targetColumnName": "y",
        "trainingData": {"uri": "/s/data/bank/versions/2", "jobInputType": "mltable"},
        "limitSettings": {"timeout": "PT5M", "maxTrials": 2, "maxConcurrentTrials": 1},
        "nCrossValidations": None,
        "trainingSettings": None,
        "featurizationSettings": None,
    },
}
RESOURCE = {"name": "n", "properties": PROPERTIES, "systemData": {"createdAt": "2026-03-27T04:21:57.8899375+00:00"}}
RUN = {
    "runId": "n",
    "status": "Completed",
    "startTimeUtc": "2026-03-27T04:22:00.5Z",
    "endTimeUtc": "2026-03-27T04:23:00.0000001+00:00",
    "experimentId": "e",
}


def child(name: str, status: str = "Completed", **properties: str) -> dict[str, object]:
    return {
        "runId": name,
        "parentRunId": "n",
        "status": status,
        "createdUtc": "2026-03-27T04:22:01+00:00",
        "startTimeUtc": "2026-03-27T04:22:01+00:00",
        "endTimeUtc": "2026-03-27T04:22:11+00:00",
        "properties": properties,
    }


def test_a_job_and_its_run_are_one_value() -> None:
    job = job_of(RESOURCE, "azure", RUN)
    assert (job.name, job.kind, job.status, job.experiment) == ("n", JobKind.AUTOML, JobState.COMPLETED, "exp")
    assert job.created_at == "2026-03-27T04:21:57.889Z"
    assert (job.started_at, job.ended_at) == ("2026-03-27T04:22:00.500Z", "2026-03-27T04:23:00.000Z")
    assert job.duration_seconds == pytest.approx(59.5)
    assert job.tags == {"team": "a"}
    assert job.spec["data"] == {"asset": "bank:2"} and job.spec["target_column"] == "y"
    assert job.automl is not None
    assert (job.automl.task, job.automl.metric) == (Task.CLASSIFICATION, "AUC_weighted")


def test_a_job_that_has_no_run_yet() -> None:
    job = job_of({**RESOURCE, "properties": {**PROPERTIES, "status": "NotStarted"}}, "azure", None)
    assert (job.status, job.started_at, job.ended_at, job.duration_seconds) == (JobState.NOT_STARTED, None, None, None)


def test_trials_are_ranked_and_the_rest_is_left_out() -> None:
    children = [
        child("n_setup"),
        child("n_0", iteration="0", run_algorithm="LightGBM", score="0.91"),
        child("n_1", iteration="1", run_algorithm="VotingEnsemble", score="0.93"),
        child("n_2", "Running", iteration="2"),
        child("n_3", "Failed", iteration="3", run_algorithm="SVM", score="nan"),
    ]
    trials = trials_of(children, {"n_1": {"AUC_weighted": 0.931, "accuracy": 0.9}}, "AUC_weighted")
    assert [(trial.trial, trial.rank) for trial in trials] == [("n_1", 1), ("n_0", 2), ("n_2", None), ("n_3", None)]
    assert trials[0].metrics == {"AUC_weighted": 0.931, "accuracy": 0.9}
    assert trials[1].metrics == {"AUC_weighted": 0.91}
    assert trials[0].duration_seconds == 10
    best = best_of(job_of(RESOURCE, "azure", RUN), RESOURCE, trials)
    assert best is not None and (best.trial, best.algorithm) == ("n_1", "VotingEnsemble")


def test_lower_errors_rank_first() -> None:
    children = [child("n_0", iteration="0", score="0.2"), child("n_1", iteration="1", score="0.1")]
    trials = trials_of(children, {}, "normalized_root_mean_squared_error")
    assert [trial.trial for trial in trials] == ["n_1", "n_0"]


def test_a_step_is_a_job_too() -> None:
    job = job_of_run({**child("n_0"), "displayName": "step"}, "azure", "exp")
    assert (job.name, job.kind, job.parent, job.experiment) == ("n_0", JobKind.COMMAND, "n", "exp")


@pytest.mark.parametrize(
    ("properties", "run", "words"),
    [
        ({}, {"error": {"error": {"code": "UserError", "message": "no such column"}}}, "no such column"),
        (
            {"properties": {"errors": "Setup iteration failed: " + json.dumps({"run_error": {"message": "text found"}})}},
            {},
            "Setup iteration failed: text found",
        ),
        ({"properties": {"errors": "plain words"}}, {}, "plain words"),
        ({}, {"error": None, "properties": {"errors": "{}"}}, None),
    ],
)
def test_why_a_job_failed(properties: dict[str, object], run: dict[str, object], words: str | None) -> None:
    assert error_of(properties, run) == words


@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        ("2026-03-27T04:21:57.8899375+00:00", "2026-03-27T04:21:57.889Z"),
        ("2026-03-27T06:21:57+02:00", "2026-03-27T04:21:57.000Z"),
        ("0001-01-01T00:00:00+00:00", None),
        (None, None),
        ("soon", None),
    ],
)
def test_times(text: str | None, stamp: str | None) -> None:
    assert stamp_of(text) == stamp


def test_states_and_kinds() -> None:
    assert state_of("Queued") is JobState.PREPARING
    assert state_of("Finalizing") is JobState.RUNNING
    assert state_of("SomethingNew") is JobState.RUNNING
    assert kind_of("Sweep") is JobKind.COMMAND
    assert kind_of("Pipeline") is JobKind.PIPELINE


def test_metrics_that_are_no_numbers_are_left_out() -> None:
    data = {"metrics": [{"key": "a", "value": 0.5}, {"key": "b", "value": "NaN"}, {"key": "c"}, {"key": "d", "value": "1"}]}
    assert numbers(data) == {"a": 0.5, "d": 1.0}
