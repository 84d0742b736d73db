"""Jobs of an Azure ML workspace: AutoML trainings are begun here, jobs of every kind are read, canceled and downloaded.

Reads go over ARM and run history; the SDK is loaded where a job is submitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from opsml_cli.azureml import automl_job, job_mapping
from opsml_cli.azureml.run_history import RunHistory
from opsml_cli.domain.errors import (
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    OpsmlError,
    UnsupportedError,
)
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.domain.job import AutoMLOutcome, AutoMLSpec, Job, JobKind, JobState

if TYPE_CHECKING:
    from opsml_cli.azureml.automl_request import Request
    from opsml_cli.azureml.context import Context
    from opsml_cli.azureml.data import AzureData
    from opsml_cli.azureml.job_logs import JobLogs
    from opsml_cli.azureml.models import AzureModels
    from opsml_cli.domain.report import JobReport

VERSION = "2024-01-01-preview"
CANCEL_VERSION = "2023-04-01-preview"
_JOB_TYPES = {JobKind.AUTOML: "AutoML", JobKind.PIPELINE: "Pipeline"}
# What Azure keeps of a training nowhere.
UNKNOWN = {
    "guardrails": "Azure AutoML shows its data checks in the studio only",
    "baseline_metrics": "Azure AutoML trains no baseline",
    "intervals": "Azure AutoML gives no confidence intervals",
    "threshold": "Azure AutoML tunes no decision threshold",
    "test_metrics": "Azure keeps them with a test run, which opsml does not read",
}


# What a list does not ask for: each would cost requests for every job.
_LISTED = dict.fromkeys(("leaderboard", "model"), "a list does not read it: opsml jobs show has it")
_UNTAGGED = "Azure's tags of the job do not tell it: opsml jobs show looks at its trials"
_TIMED = 500  # listed jobs whose times are read


class AzureJobs:
    """The `jobs` group of an Azure ML workspace.

    Running the same command again never duplicates work: a job's name is made of what was asked (the spec without its labels
    and the content of its tables) and a number, so a repeated submission finds the job that it made. While that job is
    unfinished it is joined; after its end the next number begins."""

    def __init__(self, context: Context, data: Callable[[], AzureData], models: Callable[[], AzureModels]) -> None:
        self._context = context
        self._data = data
        self._models = models

    # Beginning

    def begin_automl(self, spec: AutoMLSpec, dry_run: bool = False) -> Job:
        """As the port says. The result is NotStarted for a job that this call began; an earlier one is as it stands now."""
        from opsml_cli.azureml import automl_request

        request = automl_request.resolve(self._context, spec, self._data(), dry_run=dry_run)
        name, joined = self._place(request, spec.name)
        if joined is not None and not dry_run:
            return replace(joined, notes=automl_job.notes(spec))
        if not dry_run:
            resource = self._submitted(request, name)
            if resource is not None:
                begun = job_mapping.job_of(resource, self._context.place.name)
                return replace(begun, status=JobState.NOT_STARTED, notes=automl_job.notes(spec))
        return self._planned(request, name)

    def _submitted(self, request: Request, name: str) -> Mapping[str, Any] | None:
        """The job as Azure shows it; None while it does not know it yet. One whose answer was lost is found by its name."""
        from opsml_cli.azureml import automl_request

        failure = None
        try:
            automl_request.submit(self._context, request, name)
        except OpsmlError as error:
            failure = error
        found: Mapping[str, Any] | None = None
        try:
            found = self._context.rest.find(f"{{ws}}/jobs/{name}", VERSION)
        except OpsmlError:
            if failure is None:
                raise
        if found is None and failure is not None:
            raise failure
        return found

    def _place(self, request: Request, wanted: str | None) -> tuple[str, Job | None]:
        """The name for this work, and the unfinished job that does it already."""
        if wanted is not None:
            found = self._context.rest.find(f"{{ws}}/jobs/{wanted}", VERSION)
            if found is None:
                return wanted, None
            job = job_mapping.job_of(found, self._context.place.name)
            if _fingerprint(found) != request.fingerprint or job.status.finished:
                raise ConflictError(f"job {job.name} exists ({job.status})", fix="choose another name, or leave it out")
            return job.name, self.get(job.name)
        base = f"automl-{request.fingerprint[:16]}"
        latest = self._count(base)
        if latest:
            found = self._context.rest.get(f"{{ws}}/jobs/{base}-{latest}", VERSION)
            if not job_mapping.job_of(found, self._context.place.name).status.finished:
                return str(found["name"]), self.get(str(found["name"]))
        return f"{base}-{latest + 1}", None

    def _count(self, base: str) -> int:
        """How many jobs of this name were numbered so far, in a logarithm of requests."""

        def there(number: int) -> bool:
            return self._context.rest.find(f"{{ws}}/jobs/{base}-{number}", VERSION) is not None

        low, high = 0, 1
        while there(high):
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if there(middle) else (low, middle)
        return low

    def _planned(self, request: Request, name: str) -> Job:
        from opsml_cli.domain import automl_document

        spec = request.spec
        return Job(
            name=name,
            kind=JobKind.AUTOML,
            status=JobState.NOT_STARTED,
            experiment=spec.experiment,
            workspace=self._context.place.name,
            created_at="",
            tags=dict(spec.tags),
            spec=automl_document.to_document(spec),
            automl=AutoMLOutcome(task=spec.task, metric=spec.metric),
            notes=automl_job.notes(spec),
        )

    # Reading

    def get(self, name: str) -> Job:
        """As the port says. A training that opsml began and that has completed gets its model registered, by whoever looks
        first; reading again finds it."""
        resource = self._context.rest.find(f"{{ws}}/jobs/{name}", VERSION)
        run = self._history.find(str(resource["name"]) if resource is not None else name)
        if resource is None or not resource.get("properties"):
            # Trials and steps are runs only; Azure answers for some of them without any properties.
            if run is None:
                raise self._unknown(name)
            return job_mapping.job_of_run(run, self._context.place.name, _experiment(run))
        job = job_mapping.job_of(resource, self._context.place.name, run)
        return job if job.automl is None else replace(job, automl=self._outcome(job, resource, run))

    def list(
        self,
        *,
        kind: JobKind | None = None,
        status: JobState | None = None,
        experiment: str | None = None,
        parent: str | None = None,
        limit: int | None = None,
    ) -> Sequence[Job]:
        """As the port says. The times come from run history for the newest of them, the best trial from the tags of the job;
        the rest is unknown here, and `get` has it."""
        found: list[Job] = []
        if limit is not None and limit <= 0:
            return found
        for job in self._children(parent) if parent is not None else self._listed(kind):
            if kind is not None and job.kind is not kind:
                continue
            if status is not None and job.status is not status:
                continue
            if experiment is not None and job.experiment.casefold() != experiment.casefold():
                continue
            found.append(job)
            if limit is not None and len(found) >= limit:
                break
        return found if parent is not None else self._timed(found)

    def cancel(self, name: str) -> Job:
        job = self.get(name)
        if job.status.finished:
            return job
        self._context.rest.send("POST", f"{{ws}}/jobs/{job.name}/cancel", CANCEL_VERSION, repeatable=True)
        return self.get(job.name)

    def logs(self, name: str, position: int = 0) -> tuple[str, int]:
        if position == 0:
            self._require(name)
        return self._logs.read(name, position)

    def download(self, name: str, destination: str, output: str | None = None) -> Sequence[str]:
        """As the port says; trainings have the output `best_model`."""
        from opsml_cli.azureml import job_files

        return job_files.download(self._context, self._history, self._logs, self._require(name), destination, output)

    def report(self, name: str) -> JobReport:
        """As the port says: the validation metrics. Azure keeps curves, importance and checks for its studio."""
        from opsml_cli.domain.report import JobReport

        job = self.get(name)
        if job.automl is None:
            raise UnsupportedError(f"job {job.name} trains nothing", fix=f"opsml jobs show {job.name}")
        if job.status is not JobState.COMPLETED:
            raise ConflictError(f"job {job.name} is {job.status}", fix=f"opsml jobs watch {job.name}")
        best = job.automl.best
        return JobReport(job, rows="validation", validation_metrics=best.metrics if best is not None else {})

    @cached_property
    def _history(self) -> RunHistory:
        return RunHistory(self._context)

    @cached_property
    def _logs(self) -> JobLogs:
        from opsml_cli.azureml.job_logs import JobLogs

        return JobLogs(self._context, self._history)

    def _outcome(self, job: Job, resource: Mapping[str, Any], run: Mapping[str, Any] | None) -> AutoMLOutcome:
        assert job.automl is not None
        outcome = replace(job.automl, unknown=UNKNOWN)
        if run is None:
            return outcome
        children = self._history.children(job.name)
        experiment = str(run.get("experimentId") or "")
        metrics = self._history.metrics(job.name, experiment) if experiment and children else {}
        trials = job_mapping.trials_of(children, metrics, outcome.metric)
        best = job_mapping.best_of(job, resource, trials)
        outcome = replace(outcome, best=best, leaderboard=trials)
        if job.status is not JobState.COMPLETED:
            return outcome
        from opsml_cli.azureml import job_model

        try:
            spec = automl_job.from_arm(resource["properties"])
            model = job_model.ensure(self._models(), self._history, job, spec, outcome)
            unknown = UNKNOWN if spec.model_name is not None else UNKNOWN | {"model": "this training named none to register"}
            return replace(outcome, model=model, unknown=unknown)
        except NotAllowedError:  # whoever may only read sees no model until somebody else has looked
            return outcome

    def _listed(self, kind: JobKind | None) -> Iterator[Job]:
        query = {"listViewType": "ActiveOnly"}
        if kind in _JOB_TYPES:
            query["jobType"] = _JOB_TYPES[kind]
        for resource in self._context.rest.pages("{ws}/jobs", VERSION, **query):
            job = job_mapping.job_of(resource, self._context.place.name)
            if job.automl is None:
                yield job
                continue
            best = job_mapping.best_in_tags(resource, job.automl.metric)
            unknown = UNKNOWN | _LISTED | ({} if best is not None or not job.status.finished else {"best": _UNTAGGED})
            yield replace(job, automl=replace(job.automl, best=best, unknown=unknown))

    def _timed(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """The listed jobs with their times, where run history tells them."""
        try:
            runs = self._history.many([job.name for job in jobs[:_TIMED]]) if jobs else {}
        except (NotFoundError, InvalidInputError):  # a data plane that does not answer for many runs at once
            runs = {}
        return [job_mapping.with_times(job, runs.get(job.name)) for job in jobs]

    def _children(self, parent: str) -> Sequence[Job]:
        name = self._require(parent)
        return [
            job_mapping.job_of_run(run, self._context.place.name, _experiment(run))
            for run in reversed(self._history.children(name))
        ]

    def _require(self, name: str) -> str:
        """The job's name as Azure writes it."""
        resource = self._context.rest.find(f"{{ws}}/jobs/{name}", VERSION)
        if resource is not None:
            return str(resource["name"])
        run = self._history.find(name)
        if run is None:
            raise self._unknown(name)
        return str(run["runId"])

    def _unknown(self, name: str) -> NotFoundError:
        known = [job.name for job in self.list(limit=200)]
        return NotFoundError(f"no job {name!r}", cause=did_you_mean(name, known), fix="opsml jobs list shows what there is")


def _fingerprint(resource: Mapping[str, Any]) -> str | None:
    tags = (resource.get("properties") or {}).get("tags") or {}
    found = tags.get(automl_job.FINGERPRINT)
    return None if found is None else str(found)


def _experiment(run: Mapping[str, Any]) -> str:
    return str(run.get("experimentName") or "Default")
