"""MLflow's REST interface over run history, to be read: experiments, runs with their metrics, parameters and tags, artifacts.

The tracking URI of the workspace (`azureml://HOST/mlflow/v1.0/…`) is this server's `https://HOST/mlflow/v1.0/…`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opsml_cli.domain.errors import NotFoundError
from opsml_cli.domain.job import Job, JobState
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.jobs import resource, run_document
from opsml_cli.emulator.jobs.command import artifact_root
from opsml_cli.emulator.wire import Call, Reply, Route, WireError
from opsml_cli.local.clock import parse
from opsml_cli.local.run_history import Run, RunKind

_STATUS = {
    JobState.COMPLETED: "FINISHED", JobState.FAILED: "FAILED", JobState.CANCELED: "KILLED", JobState.NOT_STARTED: "SCHEDULED",
}  # fmt: skip
_CLAUSE = re.compile(
    r"\s*(?P<what>tags?|params?|parameters?|metrics?|attributes?)?\.?(?P<key>`[^`]+`|\"[^\"]+\"|[\w.]+)\s*"
    r"(?P<test>=|!=|>=|<=|>|<)\s*(?P<value>'[^']*'|\"[^\"]*\"|-?[\d.]+(?:[eE][-+]?\d+)?)\s*\Z"
)
_MOST = 1000


def get_run(call: Call) -> Reply:
    return Reply(value={"run": _run(call, _named(call, _asked(call, "run_id", "run_uuid")))})


def search_runs(call: Call) -> Reply:
    """Runs of experiments, newest first: jobs, and with a parent in the filter its children."""
    body = Body.of(call)
    wanted = set(body.words("experiment_ids") or [])
    clauses = _clauses(body.text("filter"))
    parents = [value for what, key, test, value in clauses if (what, key, test) == ("tag", "mlflow.parentRunId", "=")]
    history = call.served.local.history
    if parents:
        try:
            runs: Sequence[Run] = history.children(history.get(parents[0]))
        except NotFoundError:
            runs = []
    else:
        runs = [history.of_job(job) for job in call.served.local.jobs.list()]
    runs = [run for run in runs if run_document.experiment_id(call, run.job.experiment) in wanted]
    found = [shown for run in runs if _matches(shown := _run(call, run), clauses)]
    start = _offset(body.text("page_token"))
    size = min(body.integer("max_results", least=1) or _MOST, _MOST)
    reply: dict[str, Any] = {"runs": found[start : start + size]}
    if start + size < len(found):
        reply["next_page_token"] = str(start + size)
    return Reply(value=reply)


def metric_history(call: Call) -> Reply:
    run = _named(call, _asked(call, "run_id", "run_uuid"))
    key = _asked(call, "metric_key")
    return Reply(value={"metrics": [item for item in _metrics(run) if item["key"] == key]})


def list_artifacts(call: Call) -> Reply:
    """The files and folders right below `path`."""
    run = _named(call, _asked(call, "run_id", "run_uuid"))
    prefix = call.query.get("path", "").strip("/")
    prefix = f"{prefix}/" if prefix else ""
    files: dict[str, dict[str, Any]] = {}
    for name, path in call.served.local.run_files.artifacts(run).items():
        if not name.startswith(prefix):
            continue
        first, slash, _ = name.removeprefix(prefix).partition("/")
        folder = {"path": prefix + first, "is_dir": True}
        files[first] = folder if slash else {"path": name, "is_dir": False, "file_size": path.stat().st_size}
    return Reply(value={"root_uri": artifact_root(run.id), "files": [files[name] for name in sorted(files)]})


def get_experiment(call: Call) -> Reply:
    return _experiment_by(call, lambda one: one["experiment_id"] == _asked(call, "experiment_id"))


def get_experiment_by_name(call: Call) -> Reply:
    return _experiment_by(call, lambda one: one["name"].casefold() == _asked(call, "experiment_name").casefold())


def search_experiments(call: Call) -> Reply:
    return Reply(value={"experiments": _experiments(call)})


def _experiment_by(call: Call, wanted: Callable[[Mapping[str, Any]], bool]) -> Reply:
    found = next((one for one in _experiments(call) if wanted(one)), None)
    if found is None:
        raise _unknown("No such experiment")
    return Reply(value={"experiment": found})


def _experiments(call: Call) -> list[dict[str, Any]]:
    """Every experiment that has a job, newest first."""
    by_name: dict[str, list[Job]] = {}
    for job in call.served.local.jobs.list():
        by_name.setdefault(job.experiment.casefold(), []).append(job)
    return [
        {
            "experiment_id": run_document.experiment_id(call, jobs[0].experiment),
            "name": jobs[0].experiment,
            "artifact_location": "",
            "lifecycle_stage": "active",
            "creation_time": _moment(jobs[-1].created_at),
            "last_update_time": _moment(jobs[0].ended_at or jobs[0].created_at),
            "tags": [],
        }
        for jobs in by_name.values()
    ]


def _run(call: Call, run: Run) -> dict[str, Any]:
    tags, _ = run_document.tags_and_properties(call, run)
    tags = {**tags, "mlflow.runName": run.display_name, "mlflow.rootRunId": run.root, "mlflow.user": _user(call, run)}
    if run.parent is not None:
        tags["mlflow.parentRunId"] = run.parent
    info = {
        "run_id": run.id,
        "run_uuid": run.id,
        "run_name": run.display_name,
        "experiment_id": run_document.experiment_id(call, run.job.experiment),
        "user_id": tags["mlflow.user"],
        "status": _STATUS.get(run.status, "RUNNING"),
        "start_time": _moment(run.started_at or run.created_at),
        "artifact_uri": artifact_root(run.id),
        "lifecycle_stage": "active",
    }
    if run.ended_at is not None:
        info["end_time"] = _moment(run.ended_at)
    return {
        "info": info,
        "data": {
            "metrics": _metrics(run),
            "params": [{"key": key, "value": str(value)} for key, value in _parameters(run).items()],
            "tags": [{"key": key, "value": str(value)} for key, value in tags.items() if value is not None],
        },
    }


def _metrics(run: Run) -> list[dict[str, Any]]:
    """Of a trial its own; of a completed training those of its best trial, as Azure copies them."""
    found: Mapping[str, float] = {}
    if run.trial is not None:
        found = run.trial.metrics
    elif run.kind is RunKind.AUTOML and run.status is JobState.COMPLETED and run.job.automl and run.job.automl.best:
        found = run.job.automl.best.metrics
    moment = _moment(run.ended_at or run.created_at)
    return [{"key": key, "value": value, "timestamp": moment, "step": 0} for key, value in found.items()]


def _parameters(run: Run) -> Mapping[str, object]:
    return run.trial.parameters if run.trial is not None else {}


def _user(call: Call, run: Run) -> str:
    return str(resource.notes_of(call, run.job.name).get("createdBy") or "opsml")


def _clauses(text: str | None) -> list[tuple[str, str, str, str]]:
    """A filter as (what, key, test, value), joined by `and`."""
    found = []
    for part in re.split(r"\s+and\s+", text or "", flags=re.IGNORECASE):
        if not part.strip():
            continue
        match = _CLAUSE.match(part)
        if match is None:
            raise WireError(400, f"Invalid filter string: {part!r}", code="INVALID_PARAMETER_VALUE", form="data")
        what = (match["what"] or "attribute").rstrip("s")
        found.append((what, match["key"].strip('`"'), match["test"], match["value"].strip("'\"")))
    return found


def _matches(run: Mapping[str, Any], clauses: Sequence[tuple[str, str, str, str]]) -> bool:
    for what, key, test, value in clauses:
        group = {"tag": "tags", "metric": "metrics", "param": "params", "parameter": "params"}.get(what)
        items = run["info"] if group is None else {item["key"]: item["value"] for item in run["data"][group]}
        have = items.get(key)
        if have is None or not _holds(have, test, value):
            return False
    return True


def _holds(have: object, test: str, value: str) -> bool:
    if test in ("=", "!="):
        same = float(value) == have if isinstance(have, float) else str(have) == value
        return same is (test == "=")
    try:
        left, right = float(str(have)), float(value)
    except ValueError:
        return False
    return {">": left > right, "<": left < right, ">=": left >= right, "<=": left <= right}[test]


def _asked(call: Call, *names: str) -> str:
    for name in names:
        if call.query.get(name):
            return call.query[name]
    raise WireError(400, f"Missing value for required parameter '{names[0]}'.", code="INVALID_PARAMETER_VALUE", form="data")


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    if not (token.isascii() and token.isdigit()):
        raise WireError(400, "The page token is not valid.", code="INVALID_PARAMETER_VALUE", form="data")
    return int(token)


def _named(call: Call, run: str) -> Run:
    try:
        return call.served.local.history.get(run)
    except NotFoundError as error:
        raise _unknown(f"Run {run} not found") from error


def _unknown(message: str) -> WireError:
    return WireError(404, message, code="RESOURCE_DOES_NOT_EXIST", form="data")


def _moment(text: str) -> int:
    """Milliseconds since the epoch."""
    return int(parse(text).timestamp() * 1000)


_READS = (
    ("GET", "runs/get", get_run),
    ("POST", "runs/search", search_runs),
    ("GET", "metrics/get-history", metric_history),
    ("GET", "artifacts/list", list_artifacts),
    ("GET", "experiments/get", get_experiment),
    ("GET", "experiments/get-by-name", get_experiment_by_name),
    ("GET", "experiments/search", search_experiments),
    ("POST", "experiments/search", search_experiments),
)
ROUTES = tuple(
    Route(method, f"/mlflow/{version}{{ws}}/api/2.0/mlflow/{path}", handler, note="to be read; logging is not emulated")
    for version in ("v1.0", "v2.0")
    for method, path, handler in _READS
)
