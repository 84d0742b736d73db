"""The groups of the port about endpoints: online and batch ones, what was asked of them, and alert rules. The promises of all
groups stand in `workspace`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

# The values are named in signatures alone: whoever reads one kind of them does not pay for the others.
if TYPE_CHECKING:
    from opsml_cli.domain.alert import Alert, AlertSaved, Condition
    from opsml_cli.domain.batch import BatchDeployed, BatchEndpoint, BatchRun, DeployBatch, InvokeBatch, PutBatchEndpoint
    from opsml_cli.domain.deployment import EndpointSpec
    from opsml_cli.domain.endpoint import (
        Configured,
        Deployed,
        DeploySpec,
        EndpointAccess,
        EndpointKeys,
        OnlineEndpoint,
        RawReply,
        RawRequest,
        Row,
        ScoreRequest,
        ScoreResult,
    )
    from opsml_cli.domain.insights import LogLine, LogQuery, RequestStats
    from opsml_cli.domain.load import LoadFigures, LoadPlan
    from opsml_cli.domain.progress import Progress
    from opsml_cli.domain.scoring import RowScorer, ScorePlan


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

    def access(self, name: str) -> EndpointAccess:
        """Where and with which credential clients reach the endpoint. ConflictError for one that has no address now."""
        ...

    def rotate_keys(self, name: str, key: str) -> EndpointKeys:
        """Replace `key` (`primary` or `secondary`) at once, with no failed request under the other key."""
        ...

    def set_traffic(
        self, name: str, traffic: Mapping[str, int], *, previous: Mapping[str, int] | None = None
    ) -> OnlineEndpoint:
        """Percent by deployment; the sum is 0 or 100; every name is a deployment. On Azure the endpoint is Updating until the
        traffic has moved. `previous` is what a rollback goes to afterwards (empty: nothing), for a change of several steps;
        None: the traffic of now."""
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
