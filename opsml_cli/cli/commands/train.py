"""`opsml train automl`"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from opsml_cli.cli import options
from opsml_cli.cli.result import Planned
from opsml_cli.cli.session import Session
from opsml_cli.domain.automl_yaml import Reading, read_automl
from opsml_cli.domain.compute import DEFAULT_SIZE, CreateCompute
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.domain.job import AutoMLSpec, Job, TableSource, Task
from opsml_cli.services import computes
from opsml_cli.services import train as services

Words = list[str] | None
Seconds = float | None


def automl(
    session: Session,
    data: Annotated[str | None, typer.Option("--data", metavar="NAME[:V]|PATH", help="A registered table, or a file.")] = None,
    target_column: Annotated[str | None, typer.Option("--target-column", metavar="COL", help="The column to predict.")] = None,
    task: Annotated[str | None, typer.Option("--task", help="classification or regression; told from the target.")] = None,
    metric: Annotated[
        str | None,
        typer.Option("--metric", help="What to make best; AUC_weighted, or normalized_root_mean_squared_error for numbers."),
    ] = None,
    timeout: Annotated[
        Seconds, typer.Option("--timeout", parser=options.seconds, metavar="DURATION", help="The whole training; 5m.")
    ] = None,
    max_trials: Annotated[int | None, typer.Option("--max-trials", help="At most so many models.")] = None,
    trial_timeout: Annotated[
        Seconds, typer.Option("--trial-timeout", parser=options.seconds, metavar="DURATION", help="At most so long a model.")
    ] = None,
    max_concurrent_trials: Annotated[int | None, typer.Option("--max-concurrent-trials", help="So many at once; 1.")] = None,
    cv: Annotated[int | None, typer.Option("--cv", metavar="N", help="Cross-validation folds; 5, for large tables 1.")] = None,
    validation_data: Annotated[str | None, typer.Option("--validation-data", metavar="NAME[:V]|PATH")] = None,
    validation_size: Annotated[float | None, typer.Option("--validation-size", help="A share of the rows, 0 to 1.")] = None,
    test_data: Annotated[str | None, typer.Option("--test-data", metavar="NAME[:V]|PATH", help="Rows no trial sees.")] = None,
    test_size: Annotated[float | None, typer.Option("--test-size", help="A share of the rows, 0 to 1.")] = None,
    group_column: Annotated[
        str | None, typer.Option("--group-column", metavar="COL", help="Rows of one group are learned from or scored together.")
    ] = None,
    time_column: Annotated[
        str | None,
        typer.Option("--time-column", metavar="COL", help="Score and hold out by time: the past predicts the future."),
    ] = None,
    drop_column: Annotated[
        Words, typer.Option("--drop-column", metavar="COL", help="Do not learn from it; repeatable.")
    ] = None,
    allow_algorithm: Annotated[Words, typer.Option("--allow-algorithm", metavar="NAME", help="Only these; repeatable.")] = None,
    block_algorithm: Annotated[Words, typer.Option("--block-algorithm", metavar="NAME", help="Not these; repeatable.")] = None,
    exit_score: Annotated[float | None, typer.Option("--exit-score", help="Enough: stop when the metric reaches it.")] = None,
    experiment: Annotated[str | None, typer.Option("--experiment", help="The experiment the job belongs to; Default.")] = None,
    compute: Annotated[str | None, typer.Option("--compute", help="Where to train; this machine in a local workspace.")] = None,
    create_compute: Annotated[
        bool, typer.Option("--create-compute", help="Make the cluster of --compute when there is none of that name.")
    ] = False,
    compute_size: Annotated[
        str | None,
        typer.Option("--compute-size", metavar="SIZE", help=f"Of a new cluster: Azure's name of a size; {DEFAULT_SIZE}."),
    ] = None,
    compute_max_nodes: Annotated[
        int | None, typer.Option("--compute-max-nodes", min=1, help="Of a new cluster: the most nodes; 1.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Makes a training reproducible; 0.")] = None,
    gate: Annotated[
        Words, typer.Option("--gate", metavar="EXPR", help="Exit 10 unless it holds: 'AUC_weighted>=0.93', 'no leakage'.")
    ] = None,
    threshold_for: Annotated[
        str | None,
        typer.Option("--threshold-for", metavar="AIM", help="Tune the threshold: f1, balanced_accuracy or cost:FP,FN."),
    ] = None,
    serve: Annotated[
        str | None,
        typer.Option("--serve", metavar="FORM", help="small: the smallest form as good as the ensemble; or ensemble."),
    ] = None,
    model_name: Annotated[str | None, typer.Option("--model-name", help="The registered model's name; DATA-TARGET.")] = None,
    file: Annotated[str | None, typer.Option("--file", "-f", metavar="JOB.YML", help="Azure ML AutoML YAML.")] = None,
    no_wait: options.NoWait = False,
    wait_timeout: options.WaitTimeout = None,
    dry_run: options.DryRun = False,
) -> Job | Planned:
    """Train the best model for a table within a time limit, and register it.

    Example: opsml train automl --data bank --target-column y --timeout 5m
    """
    flags: dict[str, Any] = {
        "data": _source(data),
        "target_column": target_column,
        "task": _task(task),
        "metric": metric,
        "cross_validations": cv,
        "validation_data": _source(validation_data),
        "validation_size": validation_size,
        "test_data": _source(test_data),
        "test_size": test_size,
        "group_column": group_column,
        "time_column": time_column,
        "drop_columns": tuple(drop_column or ()) or None,
        "allowed_algorithms": tuple(allow_algorithm or ()) or None,
        "blocked_algorithms": tuple(block_algorithm or ()) or None,
        "experiment": experiment,
        "compute": compute,
        "seed": seed,
        "gates": tuple(gate or ()) or None,
        "threshold_for": threshold_for,
        "serve": serve,
        "model_name": model_name,
    }
    limits: dict[str, Any] = {
        "timeout_seconds": timeout,
        "max_trials": max_trials,
        "trial_timeout_seconds": trial_timeout,
        "max_concurrent_trials": max_concurrent_trials,
        "exit_score": exit_score,
    }
    spec = _spec(session, file, _given(flags), _given(limits))
    if create_compute:
        name = spec.compute or session.require(None, "--compute")
        cluster = CreateCompute(name, compute_size or DEFAULT_SIZE, max_nodes=compute_max_nodes or 1, dry_run=dry_run)
        computes.ensure(session.workspace, cluster, session.progress, timeout=wait_timeout)
        if dry_run:  # there is none yet to look for
            spec = replace(spec, compute=None)
    elif compute_size is not None or compute_max_nodes is not None:
        raise UsageError("--compute-size and --compute-max-nodes are for a new cluster", fix="add --create-compute")
    if dry_run:
        return _plan(session.workspace.jobs.begin_automl(spec, dry_run=True))
    return services.train(session.workspace, spec, session.progress, wait=not no_wait, timeout=wait_timeout)


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in flags.items() if value is not None}


# Flags of one group exclude each other: one of them on the command line replaces the file's choice whole.
_EXCLUSIVE = (("cross_validations", "validation_data", "validation_size"), ("test_data", "test_size"))


def _spec(session: Session, file: str | None, flags: dict[str, Any], limits: dict[str, Any]) -> AutoMLSpec:
    """What the file says, with the flags over it."""
    if file is None:
        data = flags.pop("data", None) or services.table_source(session.require(None, "--data"))
        target = flags.pop("target_column", None) or session.require(None, "--target-column")
        spec = AutoMLSpec(data=data, target_column=target)
    else:
        from opsml_cli.documents import read_document

        document = read_document(Path(file))
        local = session.workspace.kind == "local"
        reading: Reading = document.read(lambda value: read_automl(value, document.folder, remote=not local))
        spec = reading.spec
        if reading.ignored and local:
            session.progress.warn(f"{file}: without effect on this machine: {', '.join(reading.ignored)}")
        for group in _EXCLUSIVE:
            if any(name in flags for name in group):
                cleared: dict[str, Any] = dict.fromkeys(group)
                spec = replace(spec, **cleared)
    return replace(spec, limits=replace(spec.limits, **limits), **flags)


def _source(text: str | None) -> TableSource | None:
    return None if text is None else services.table_source(text)


def _task(text: str | None) -> Task | None:
    if text is None:
        return None
    try:
        return Task(text.lower())
    except ValueError:
        known = [task.value for task in Task]
        raise UsageError(f"{text!r} is no task for tables", cause=did_you_mean(text, known)) from None


def _plan(job: Job) -> Planned:
    spec = job.spec
    kept = {
        name: spec[name] for name in ("data", "target_column", "task", "metric", "model_name", "experiment") if name in spec
    }
    return Planned("train", f"a model of {spec.get('target_column')}", {**kept, "limits": spec.get("limits")})
