"""The port. Two adapters stand behind it: `opsml_cli.local` and `opsml_cli.azureml`.

Promises that hold for every operation, asserted on every adapter by tests/contract:
- `begin_*` returns as soon as the work is durable, and `get*` reads its state; nothing here waits for long work.
- A name that does not exist raises NotFoundError. A repeated, identical `register`, `begin_deploy` or `publish` changes
  nothing and says `unchanged`. `dry_run` validates everything and writes nothing.
- Versions are immutable. Names compare without case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from opsml_cli.domain.endpoint_operations import (
    AlertOperations,
    BatchEndpointOperations,
    InsightsOperations,
    OnlineEndpointOperations,
)

# The values are named in signatures alone: whoever reads one kind of them does not pay for the others.
if TYPE_CHECKING:
    from opsml_cli.domain.access import Check, CreateWorkspace, NewPrincipal, Shared, ShareWorkspace, WorkspaceState
    from opsml_cli.domain.comparison import CompareModels, Comparison
    from opsml_cli.domain.compute import Compute, ComputeCreated, CreateCompute
    from opsml_cli.domain.data import DataAsset, DataProfile, RegisterData, Registered
    from opsml_cli.domain.endpoint import Row, ScoreRequest, ScoreResult
    from opsml_cli.domain.explanation import ExplainModel, Explanation
    from opsml_cli.domain.job import AutoMLSpec, Job, JobKind, JobState
    from opsml_cli.domain.model import Model, RegisteredModel, RegisterModel
    from opsml_cli.domain.names import AssetRef
    from opsml_cli.domain.pipeline import (
        PipelineEndpoint,
        PipelineRun,
        Published,
        PublishPipeline,
        TriggerPipeline,
    )
    from opsml_cli.domain.progress import Progress
    from opsml_cli.domain.report import JobReport
    from opsml_cli.domain.schedule import CreateSchedule, Schedule, ScheduleSaved
    from opsml_cli.domain.scoring import RowScorer, ScorePlan


class DataOperations(Protocol):
    def register(self, spec: RegisterData, progress: Progress) -> Registered:
        """Copy or upload the content and record a new version, unless the latest version (or `spec.version`) holds the
        same content and type already. ConflictError when `spec.version` exists with other content; InvalidInputError
        when the content is no sound table; NotFoundError when the source is missing; QuotaError when the disk is full.
        `spec.source` `-` reads standard input."""
        ...

    def get(self, ref: AssetRef) -> DataAsset:
        """The version, or the latest."""
        ...

    def list(self, name: str | None = None) -> Sequence[DataAsset]:
        """The latest version of every asset; every version of `name` when given; newest first; without profiles."""
        ...

    def profile(self, ref: AssetRef, target_column: str | None = None) -> DataProfile:
        """The stored profile; with `target_column`, its class balance too."""
        ...

    def check(self, ref: AssetRef) -> DataAsset:
        """The version, once its whole content was read and has the hash that was registered. ConflictError when it has not;
        InvalidInputError for content that is known by its address alone."""
        ...

    def sample(self, ref: AssetRef, rows: int, seed: int = 0) -> Sequence[Row]:
        """`rows` rows drawn without replacement, reproducible by `seed`, typed by the profile, missing values None."""
        ...


class JobOperations(Protocol):
    def begin_automl(self, spec: AutoMLSpec, dry_run: bool = False) -> Job:
        """Validate the spec against its data, record the job, start it detached. The first error names the field. The same
        work that is still unfinished is joined, whatever broke in between. `notes` of the job say what the workspace does
        otherwise: Azure AutoML takes no seed and counts budgets in minutes. UnsupportedError for `threshold_for` on Azure."""
        ...

    def get(self, name: str) -> Job:
        """The job as it is now, its trials ranked. A completed training has its model registered: on Azure by whoever looks
        first, once. What a workspace has no source for is None, and the outcome's `unknown` says why."""
        ...

    def list(
        self,
        *,
        kind: JobKind | None = None,
        status: JobState | None = None,
        experiment: str | None = None,
        parent: str | None = None,
        limit: int | None = None,
    ) -> Sequence[Job]:
        """Newest first. Child jobs only when `parent` is given: steps of pipelines, and on Azure trials too. On Azure listed
        jobs have no times and no trials; `get` has them."""
        ...

    def cancel(self, name: str) -> Job:
        """Ask the job to end; a finished job is returned as it is. Returns at once."""
        ...

    def logs(self, name: str, position: int = 0) -> tuple[str, int]:
        """The log text from `position` (a byte offset, never inside a character) and the next position. On Azure it is the
        logs of the job's runs one behind the other: with trials at once, a later one's comes when the earlier has ended."""
        ...

    def download(self, name: str, destination: str, output: str | None = None) -> Sequence[str]:
        """Copy the job's outputs (or one of them) and logs below `destination`/JOB, every file verified; the paths written. A
        training's model is the output `model`, on Azure `best_model`."""
        ...

    def report(self, name: str) -> JobReport:
        """The figures of a completed training. ConflictError for a job that has not completed; UnsupportedError for a job
        that trains nothing. Azure gives the validation metrics, and keeps curves and importance for its studio."""
        ...


class ModelOperations(Protocol):
    def get(self, ref: AssetRef) -> Model: ...

    def list(self, name: str | None = None) -> Sequence[Model]:
        """The latest version of every model; every version of `name` when given; newest first."""
        ...

    def register(self, spec: RegisterModel) -> RegisteredModel:
        """NotAllowedError for a folder that opsml did not train and that nobody trusts (`trust`)."""
        ...

    def download(self, ref: AssetRef, destination: str) -> Sequence[str]: ...

    def score(self, ref: AssetRef, request: ScoreRequest) -> ScoreResult:
        """Score in this process, with no server. Input errors as on an endpoint: InvalidInputError naming the column."""
        ...

    def scorer(self, ref: AssetRef, plan: ScorePlan) -> RowScorer:
        """As `score`, for any number of rows, batch by batch."""
        ...

    def compare(self, spec: CompareModels) -> Comparison:
        """Two models on the same rows, with a paired interval; reproducible by `spec.seed`. UnsupportedError for models
        that opsml did not train; InvalidInputError when their tasks or classes differ, or the rows do not fit."""
        ...

    def explain(self, spec: ExplainModel) -> Explanation:
        """Which columns move the model's answers, on the whole and for single rows; reproducible by `spec.seed`.
        UnsupportedError for a model that opsml did not train; NotFoundError when its training data is unknown and none is
        given; InvalidInputError for rows that do not fit, and an unknown class."""
        ...


class PipelineOperations(Protocol):
    def validate(self, path: str) -> PipelineEndpoint:
        """Check a pipeline YAML as `publish` would; InvalidInputError names the file, line or field."""
        ...

    def publish(self, spec: PublishPipeline) -> Published: ...

    def get(self, name: str, version: str | None = None) -> PipelineEndpoint: ...

    def list(self) -> Sequence[PipelineEndpoint]: ...

    def delete(self, name: str, version: str | None = None) -> None: ...

    def begin_trigger(self, spec: TriggerPipeline) -> PipelineRun:
        """Start a run over the pipeline's REST endpoint, with authentication."""
        ...

    def begin_run(self, path: str, inputs: Mapping[str, str], experiment: str | None) -> PipelineRun:
        """Run a pipeline YAML without publishing it."""
        ...

    def run(self, name: str) -> PipelineRun:
        """A run as it is now. NotFoundError when `name` is no pipeline run."""
        ...

    def trigger_command(self, name: str) -> str:
        """A shell command that triggers the pipeline and reads its token from `local token`; it holds no secret."""
        ...


class ScheduleOperations(Protocol):
    """On Azure a change takes some seconds, and these return when it is made: an answer in between says nothing yet."""

    def create_or_update(self, spec: CreateSchedule) -> ScheduleSaved:
        """Make the schedule, or make it as `spec` says. Nothing runs before the first due time after now."""
        ...

    def get(self, name: str) -> Schedule: ...

    def list(self, *, enabled_only: bool = False) -> Sequence[Schedule]:
        """Newest first."""
        ...

    def enable(self, name: str) -> Schedule:
        """Begin runs from now on; what would have been due while it was disabled is not made up for."""
        ...

    def disable(self, name: str) -> Schedule: ...

    def delete(self, name: str) -> None:
        """ConflictError for an enabled schedule. Its runs stay."""
        ...

    def begin_trigger(self, name: str) -> str:
        """Begin a run now, beside the times of the schedule, enabled or not; the run's name."""
        ...


class ComputeOperations(Protocol):
    def list(self) -> Sequence[Compute]: ...

    def get(self, name: str) -> Compute: ...

    def begin_create(self, spec: CreateCompute) -> ComputeCreated:
        """Make the cluster, or change the scale of the one that is there; `unchanged` when it is as asked. ConflictError for
        another size; QuotaError when the cores do not suffice. Poll `get` until its state is finished."""
        ...


class AccessOperations(Protocol):
    def share(self, spec: ShareWorkspace) -> Shared:
        """Idempotent. NotFoundError for an unknown principal, UsageError for an unknown role."""
        ...

    def create_principal(self, name: str) -> NewPrincipal:
        """Make an application of that name with its service principal, where missing, and a new secret for it. It has no
        right yet. ConflictError when several are named so."""
        ...


class CreationOperations(Protocol):
    def begin(self, spec: CreateWorkspace) -> WorkspaceState:
        """Idempotent. Poll `state` until it is finished."""
        ...

    def state(self) -> WorkspaceState: ...


class Workspace(Protocol):
    """One workspace: its name as the user wrote it, its kind, and its groups of operations."""

    name: str
    kind: str
    location: str

    @property
    def data(self) -> DataOperations: ...
    @property
    def jobs(self) -> JobOperations: ...
    @property
    def models(self) -> ModelOperations: ...
    @property
    def online_endpoints(self) -> OnlineEndpointOperations: ...
    @property
    def batch_endpoints(self) -> BatchEndpointOperations: ...
    @property
    def pipelines(self) -> PipelineOperations: ...
    @property
    def schedules(self) -> ScheduleOperations: ...
    @property
    def insights(self) -> InsightsOperations: ...
    @property
    def alerts(self) -> AlertOperations: ...
    @property
    def computes(self) -> ComputeOperations: ...
    @property
    def access(self) -> AccessOperations: ...
    @property
    def creation(self) -> CreationOperations: ...
    def signed_in(self) -> str | None:
        """One line: which identity is used, and why not another; on this machine, that the workspace is a copy of another. None
        where there is nothing to say. NotSignedInError."""
        ...

    def checks(self, *, deep: bool = False) -> Iterator[Check]:
        """What `doctor` looks at, one after the other; it raises nothing for what is out of order. `deep`: all content of a
        local workspace is read; on Azure nothing more."""
        ...
