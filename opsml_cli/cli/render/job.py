"""How jobs, trials and their logs are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opsml_cli.cli import formats
from opsml_cli.cli.render.base import Rendering
from opsml_cli.domain.durations import format_duration
from opsml_cli.domain.job import AutoMLOutcome, Job, Trial
from opsml_cli.services.jobs import Downloaded, JobLogLine, Watched

_SHOWN_TRIALS = 10
_SHOWN_METRICS = 3
_MARKS = {"passed": "ok  ", "warning": "warn", "failed": "FAIL"}


def document(job: Job) -> dict[str, object]:
    """The fields of `train automl` and `jobs show`."""
    found = job.automl or AutoMLOutcome()
    return {
        "job": job.name,
        "experiment": job.experiment,
        "status": job.status,
        "workspace": job.workspace,
        "best": found.best,
        "test_metrics": found.test_metrics,
        "baseline_metrics": found.baseline_metrics,
        "threshold": found.threshold,
        "leaderboard": [_trial_document(trial) for trial in found.leaderboard],
        "guardrails": found.guardrails,
        "model": found.model,
        "duration_seconds": job.duration_seconds,
        "kind": job.kind,
        "task": found.task,
        "metric": found.metric,
        "intervals": found.intervals,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "attempts": job.attempts,
        "unknown": {**found.unknown, **job.unknown},
        "parent": job.parent,
        "error": job.error,
        "tags": job.tags,
        "spec": job.spec,
    }


def _trial_document(trial: Trial) -> dict[str, object]:
    return {
        "rank": trial.rank,
        "trial": trial.trial,
        "algorithm": trial.algorithm,
        "metrics": trial.metrics,
        "duration_seconds": trial.duration_seconds,
        "status": trial.state,
        "parameters": trial.parameters,
        "detail": trial.detail,
    }


def _view(job: Job, width: int) -> str:
    took = f" in {format_duration(job.duration_seconds)}" if job.duration_seconds is not None else ""
    lines = [f"{job.name}  {job.status}{took}  experiment {job.experiment}"]
    if job.error:
        lines.append(f"error      {job.error}")
    found = job.automl
    if found is not None:
        lines += _outcome(found, width)
    return "\n".join(lines)


def _outcome(found: AutoMLOutcome, width: int) -> list[str]:
    lines = []
    if found.best is not None:
        lines.append(
            f"best       trial {found.best.trial}, {found.best.algorithm}: {_figures(found.best.metrics, found.metric)}"
        )
    if found.test_metrics:
        lines.append(f"test       {_figures(found.test_metrics, found.metric, found.intervals)}")
    if found.baseline_metrics:
        lines.append(f"baseline   {_figures(found.baseline_metrics, found.metric)}")
    if found.threshold is not None:
        lines.append(f"threshold  {found.threshold:.4f}")
    lines += [
        f"{_MARKS.get(check.status, check.status)}       {check.check}: {check.detail}"
        for check in found.guardrails
        if check.status != "passed"
    ]
    passed = sum(check.status == "passed" for check in found.guardrails)
    if passed:
        lines.append(f"checks     {passed} of {len(found.guardrails)} passed")
    if found.leaderboard:
        lines += ["", board(found.leaderboard[:_SHOWN_TRIALS], width, found.metric).rstrip("\n")]
        if len(found.leaderboard) > _SHOWN_TRIALS:
            lines.append(f"… and {len(found.leaderboard) - _SHOWN_TRIALS} more: opsml jobs leaderboard JOB")
    if found.model is not None:
        lines += ["", f"model      {found.model.name}:{found.model.version}  {found.model.path or ''}".rstrip()]
    return lines


def _figures(
    metrics: Mapping[str, float], metric: str | None, intervals: Mapping[str, tuple[float, float]] | None = None
) -> str:
    shown = []
    for name in main_metrics(metrics, metric):
        low_high = (intervals or {}).get(name)
        shown.append(f"{name} {metrics[name]:.4f}" + (f" ({low_high[0]:.4f} to {low_high[1]:.4f})" if low_high else ""))
    return ", ".join(shown)


def main_metrics(metrics: Mapping[str, float], metric: str | None) -> list[str]:
    """The ranking metric, then a few others that people ask for."""
    wanted = (metric, "AUC_weighted", "accuracy", "f1_score_binary", "f1_score_macro", "r2_score", "root_mean_squared_error",
              "mean_absolute_error")  # fmt: skip
    names = [name for name in dict.fromkeys(wanted) if name is not None and name in metrics]
    return (names or list(metrics))[:_SHOWN_METRICS]


def board(trials: Sequence[Trial], width: int, metric: str | None = None) -> str:
    first: Mapping[str, float] = next((trial.metrics for trial in trials if trial.metrics), {})
    names = main_metrics(first, metric or next(iter(first), None))
    rows = [
        [
            "" if trial.rank is None else str(trial.rank),
            trial.trial,
            trial.algorithm,
            *("" if name not in trial.metrics else f"{trial.metrics[name]:.5f}" for name in names),
            format_duration(trial.duration_seconds),
        ]
        for trial in trials
    ]
    return formats.to_table(["rank", "trial", "algorithm", *names, "time"], rows, width)


def _list_view(jobs: Sequence[Job], width: int) -> str:
    rows = []
    for job in jobs:
        found = job.automl or AutoMLOutcome()
        best = "" if found.best is None or found.metric is None else _best(found)
        model = "" if found.model is None else f"{found.model.name}:{found.model.version}"
        took = "" if job.duration_seconds is None else format_duration(job.duration_seconds)
        rows.append([job.name, job.kind.value, job.status.value, job.experiment, best, model, took, job.created_at])
    return formats.to_table(["job", "kind", "status", "experiment", "best", "model", "time", "created"], rows, width)


def _best(found: AutoMLOutcome) -> str:
    assert found.best is not None
    value = found.best.metrics.get(found.metric or "")
    return found.best.algorithm if value is None else f"{found.metric} {value:.4f}"


def _outputs(job: Job) -> dict[str, str]:
    found = job.automl or AutoMLOutcome()
    outputs = {"job": job.name, "status": job.status.value}
    if found.model is not None:
        outputs |= {"model": found.model.name, "model_version": found.model.version}
    if found.best is not None and found.metric is not None and found.metric in found.best.metrics:
        outputs |= {"metric": found.metric, "best_metric": repr(found.best.metrics[found.metric])}
    return outputs


def _summary(job: Job) -> str | None:
    found = job.automl
    if found is None or not found.leaderboard:
        return None
    names = main_metrics(found.leaderboard[0].metrics, found.metric)
    lines = [
        f"### {_escaped(job.name)}: {job.status}",
        "",
        f"| rank | trial | algorithm | {' | '.join(names)} | seconds |",
        f"|---|---|---|{'---|' * len(names)}---|",
    ]
    for trial in found.leaderboard[:_SHOWN_TRIALS]:
        figures = " | ".join(f"{trial.metrics[name]:.5f}" if name in trial.metrics else "" for name in names)
        name = f"{_escaped(trial.trial)} | {_escaped(trial.algorithm)}"
        lines.append(f"| {trial.rank} | {name} | {figures} | {trial.duration_seconds:.1f} |")
    if found.test_metrics:
        lines += ["", f"On rows no trial has seen: {_escaped(_figures(found.test_metrics, found.metric, found.intervals))}"]
    if found.model is not None:
        lines += ["", f"Model: {_escaped(found.model.name)}:{_escaped(found.model.version)}"]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")


def _watched(value: Watched, _width: int) -> str:
    job = value.job
    metric = job.automl.metric if job.automl is not None else None
    lines = [
        f"  trial {trial.trial}  {trial.algorithm}  {_figures(trial.metrics, metric)}".rstrip()
        for trial in sorted(value.fresh, key=lambda trial: trial.trial)
    ]
    reason = f": {job.error}" if job.error else ""
    return "\n".join([*lines, f"{job.name}  {job.status}{reason}"])


def _log_text(line: JobLogLine) -> str:
    return line.message if line.timestamp is None else f"{line.timestamp} {line.message}"


def _log_document(line: JobLogLine) -> dict[str, Any]:
    return {"timestamp": line.timestamp, "job": line.job, "message": line.message}


RENDERINGS: dict[type, Rendering] = {
    Job: Rendering(
        document=document,
        columns=("job", "kind", "experiment", "status", "workspace", "best", "model", "duration_seconds", "created_at"),
        view=_view,
        list_view=_list_view,
        outputs=_outputs,
        summary=_summary,
    ),
    Trial: Rendering(
        document=_trial_document,
        columns=("rank", "trial", "algorithm", "metrics", "duration_seconds", "status"),
        list_view=board,
    ),
    Watched: Rendering(document=lambda value: document(value.job), view=_watched),
    JobLogLine: Rendering(
        document=_log_document,
        columns=("timestamp", "job", "message"),
        view=lambda line, _width: _log_text(line),
        list_view=lambda lines, _width: "\n".join(_log_text(line) for line in lines),
    ),
    Downloaded: Rendering(
        document=lambda found: {"name": found.name, "files": list(found.files)},
        view=lambda found, _width: "\n".join(found.files),
    ),
}
