"""A finished training on the MLflow server that the user's environment names (`MLFLOW_TRACKING_URI`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain.job import Job, Trial
from opsml_cli.local.clock import parse

if TYPE_CHECKING:
    from mlflow import MlflowClient

VARIABLE = "MLFLOW_TRACKING_URI"
JOB_TAG = "opsml.job"
_MOST_VALUE = 500  # characters of a parameter: older servers take no more


def log(job: Job, outputs: Path, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Write the job's run with its metrics, settings and files, and a child run a trial; nothing when no server is named, or
    the run is there already. A server that fails is told by `say`, and is no failure of the training."""
    uri = environment.get(VARIABLE)
    if not uri or job.automl is None:
        return
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        run = _written(MlflowClient(tracking_uri=uri), job, outputs)
    # What the server's own transport raises is not all of MLflow's kind.
    except (MlflowException, OSError, ValueError) as error:
        first = str(error).strip().splitlines()
        say(f"not logged to {VARIABLE}: {type(error).__name__}: {first[0][:300] if first else 'no reason is known'}")
        return
    say(f"logged to MLflow: experiment {job.experiment}, run {run}")


def _written(client: MlflowClient, job: Job, outputs: Path) -> str:
    found = client.get_experiment_by_name(job.experiment)
    experiment = found.experiment_id if found is not None else client.create_experiment(job.experiment)
    earlier = client.search_runs([experiment], f"tags.`{JOB_TAG}` = '{job.name}'", max_results=1)
    if earlier and earlier[0].info.status == "FINISHED":
        return str(earlier[0].info.run_id)
    if earlier:
        client.delete_run(earlier[0].info.run_id)
    assert job.automl is not None
    tags = {JOB_TAG: job.name, "mlflow.runName": job.name, **job.tags}
    run = client.create_run(experiment, start_time=_milliseconds(job.started_at), tags=tags, run_name=job.name).info.run_id
    for trial in job.automl.leaderboard:
        _trial(client, experiment, run, trial)
    settings = {key: value for key, value in job.spec.items() if value not in (None, (), [], {}, "")}
    _batch(client, run, job.automl.test_metrics or {}, settings, prefix="test_")
    best = job.automl.best
    if best is not None:
        _batch(client, run, best.metrics, {"best_trial": best.trial, "best_algorithm": best.algorithm})
    client.log_artifacts(run, str(outputs))
    client.set_terminated(run, "FINISHED", _milliseconds(job.ended_at))
    return str(run)


def _trial(client: MlflowClient, experiment: str, parent: str, trial: Trial) -> None:
    tags = {"mlflow.parentRunId": parent, "algorithm": trial.algorithm}
    run = client.create_run(experiment, tags=tags, run_name=f"trial {trial.trial}").info.run_id
    _batch(client, run, {**trial.metrics, "duration_seconds": trial.duration_seconds}, trial.parameters)
    client.set_terminated(run, "FINISHED" if trial.metrics else "FAILED")


def _batch(
    client: MlflowClient, run: str, metrics: Mapping[str, float], parameters: Mapping[str, object], prefix: str = ""
) -> None:
    import time

    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    client.log_batch(
        run,
        [Metric(prefix + name, float(value), now, 0) for name, value in metrics.items()],
        [Param(name, str(value)[:_MOST_VALUE]) for name, value in parameters.items()],
    )


def _milliseconds(stamp: str | None) -> int | None:
    moment: datetime | None = parse(stamp) if stamp else None
    return None if moment is None else int(moment.timestamp() * 1000)
