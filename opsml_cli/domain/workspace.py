"""The port. Two adapters stand behind it: `opsml_cli.local` and `opsml_cli.azureml`.

Promises that hold for every operation, asserted on every adapter by tests/contract:
- `begin_*` returns as soon as the work is durable, and `get*` reads its state; nothing here waits for long work.
- A name that does not exist raises NotFoundError. A repeated, identical `register`, `begin_deploy` or `publish` changes
  nothing and says `unchanged`. `dry_run` validates everything and writes nothing.
- Versions are immutable. Names compare without case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

# The values are named in signatures alone: whoever reads one kind of them does not pay for the others.
if TYPE_CHECKING:
    from opsml_cli.domain.access import Check, CreateWorkspace, NewPrincipal, Shared, ShareWorkspace, WorkspaceState
    from opsml_cli.domain.alert import Alert, AlertSaved, Condition
    from opsml_cli.domain.batch import BatchDeployed, BatchEndpoint, BatchRun, DeployBatch, InvokeBatch, PutBatchEndpoint
    from opsml_cli.domain.comparison import CompareModels, Comparison
    from opsml_cli.domain.compute import Compute, ComputeCreated, CreateCompute
    from opsml_cli.domain.data import DataAsset, DataProfile, RegisterData, Registered
    from opsml_cli.domain.deployment import EndpointSpec
    from opsml_cli.domain.endpoint import (
        Configured,
        Deployed,
        DeploySpec,
        EndpointKeys,
        OnlineEndpoint,
        RawReply,
        RawRequest,
        Row,
        ScoreRequest,
        ScoreResult,
    )
    from opsml_cli.domain.explanation import ExplainModel, Explanation
    from opsml_cli.domain.insights import LogLine, LogQuery, RequestStats
    from opsml_cli.domain.job import AutoMLSpec, Job, JobKind, JobState
    from opsml_cli.domain.load import LoadFigures, LoadPlan
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


class OnlineEndpointOperations(Protocol):
    def begin_deploy(self, spec: DeploySpec) -> Deployed:
        """Create the endpoint and deployment where missing and start bringing the model up; traffic moves only after a
        real request was answered. Poll `get` until the deployment's state is finished. Begun again after a break it goes on.
        NotAllowedError for a model that opsml did not train and that nobody trusts."""
        ...

    def configure(self, spec: EndpointSpec) -> Configured:
        """Create the endpoint without deployments, or give the one that is there these settings; traffic that is None stays.
        On Azure the endpoint is Creating or Updating until that is done. UsageError for traffic that does not add up."""
        ...

    def get(self, name: str) -> OnlineEndpoint:
        """The endpoint as it is now. On Azure this also takes the step of a begun deployment that is due, so whoever looks
        brings it on, whatever became of who began it; QuotaError and the like once, when Azure refuses that step."""
        ...

    def list(self) -> Sequence[OnlineEndpoint]: ...

    def start(self, name: str) -> OnlineEndpoint:
        """Bring a stopped endpoint up again with the deployments it had; a running one is returned as it is."""
        ...

    def stop(self, name: str) -> OnlineEndpoint:
        """End its server and keep all else. UnsupportedError on Azure, whose endpoints cost as long as they exist."""
        ...

    def delete(self, name: str, deployment: str | None = None) -> None:
        """Delete the endpoint, or one deployment that has no traffic. On Azure it is accepted, and shown as Deleting until it
        is gone."""
        ...

    def keys(self, name: str) -> EndpointKeys:
        """Both keys. UnsupportedError for an endpoint of Azure whose clients show a token."""
        ...

    def rotate_keys(self, name: str, key: str) -> EndpointKeys:
        """Replace `key` (`primary` or `secondary`) at once, with no failed request under the other key."""
        ...

    def set_traffic(self, name: str, traffic: Mapping[str, int]) -> OnlineEndpoint:
        """Percent by deployment; the sum is 0 or 100; every name is a deployment. On Azure the endpoint is Updating until the
        traffic has moved."""
        ...

    def rollback(self, name: str) -> OnlineEndpoint:
        """Traffic as it was before its last change; ConflictError when there was none."""
        ...

    def score(self, name: str, request: ScoreRequest) -> ScoreResult:
        """Score rows over HTTP, in the dialect that the endpoint speaks. ContractError for a 200 that carries an error or not
        one result a row. With `proba`: UnsupportedError where the model answers classes only; classes that the endpoint does
        not name are called by their position (`class_0`)."""
        ...

    def send(self, name: str, request: RawRequest) -> RawReply:
        """Send one body as it is, and hand back what was answered, whatever its status."""
        ...

    def scorer(self, name: str, plan: ScorePlan) -> RowScorer:
        """As `score`, for any number of rows, batch by batch: several requests at a time, results in order. A request is
        sent again only when the endpoint has not taken it."""
        ...

    def load(self, name: str, plan: LoadPlan, rows: Sequence[Row], progress: Progress) -> LoadFigures:
        """Send `rows` over HTTP in turn, as `plan` says, and measure. One request before them is a `score`, with its errors:
        what nobody answers is not measured. InvalidInputError without rows."""
        ...

    def swagger(self, name: str) -> Mapping[str, object]:
        """The live OpenAPI document."""
        ...

    def serve_swagger_ui(self, name: str, port: int, ready: Callable[[str], None]) -> None:
        """Serve Swagger UI and a proxy that adds the key until interrupted; `ready` gets the URL once it answers."""
        ...


class BatchEndpointOperations(Protocol):
    def begin_deploy(self, spec: DeployBatch) -> BatchDeployed:
        """Create the endpoint and deployment where missing, or change the deployment. Poll `get` until its state is finished.
        The same again is `unchanged`. NotAllowedError for a model that opsml did not train, or a scoring script, that nobody
        trusts (`trust`; on Azure foreign code runs there, and needs none); NotFoundError for an unknown model; UsageError on
        Azure without a compute."""
        ...

    def get(self, name: str) -> BatchEndpoint: ...

    def list(self) -> Sequence[BatchEndpoint]:
        """Newest first."""
        ...

    def delete(self, name: str, deployment: str | None = None) -> None:
        """Delete the endpoint with its deployments, or one deployment, also the default one. Runs and their files stay."""
        ...

    def put(self, spec: PutBatchEndpoint) -> BatchEndpoint:
        """Make the endpoint, or change its default deployment, description and tags, and return when that is done.
        NotFoundError when the default is no deployment of it."""
        ...

    def begin_invoke(self, spec: InvokeBatch) -> BatchRun:
        """Begin a run, which is a job. NotFoundError for an unknown endpoint, deployment or data; ConflictError when no
        deployment is named and none is the default; UsageError for inputs that the deployment does not take. A local run goes
        on where an earlier one of the same input, model and settings was killed."""
        ...

    def run(self, name: str) -> BatchRun:
        """A run as it is now. NotFoundError when `name` is no run of a batch endpoint."""
        ...


class InsightsOperations(Protocol):
    def enable(self, name: str) -> OnlineEndpoint:
        """Record requests from now on. On Azure: Application Insights for every deployment, each Updating until it follows;
        ConflictError when there is none."""
        ...

    def disable(self, name: str) -> OnlineEndpoint: ...

    def stats(self, name: str, since_seconds: float) -> RequestStats:
        """Figures of the window that ends now. Quantiles are exact on this machine; on Azure they are means of Azure Monitor's
        quantiles of each interval, weighted by its requests, and counts come a minute or two later."""
        ...

    def logs(self, name: str, query: LogQuery) -> Iterator[LogLine]:
        """Oldest first; with `query.follow` it goes on until interrupted. Azure hands out the containers' last lines: single
        requests (`kind` request) are not among them, and lines that scroll by between two looks are lost."""
        ...


class AlertOperations(Protocol):
    def create(self, endpoint: str, rule: Condition) -> AlertSaved:
        """Watch the endpoint for `rule` from now on. UnsupportedError for a rule that this kind of workspace cannot watch."""
        ...

    def list(self, endpoint: str) -> Sequence[Alert]: ...

    def delete(self, endpoint: str, name: str) -> None: ...


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
        """One line: which identity is used, and why not another; None where nobody signs in. NotSignedInError."""
        ...

    def checks(self) -> Iterator[Check]:
        """What `doctor` looks at, one after the other; it raises nothing for what is out of order."""
        ...
