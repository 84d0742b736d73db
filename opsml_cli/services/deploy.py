"""Deploying: which model, under which name, and waiting until it answered a real request."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from opsml_cli.domain import names
from opsml_cli.domain.clock import Clock, SystemClock
from opsml_cli.domain.deployment import (
    CodeSource,
    DeploymentSettings,
    EnvironmentKind,
    EnvironmentSource,
    ModelFormat,
    ModelSource,
)
from opsml_cli.domain.durations import format_duration
from opsml_cli.domain.endpoint import Deployed, Deployment, DeploymentState, DeploySpec, OnlineEndpoint, RawRequest, Row
from opsml_cli.domain.errors import (
    CancelledError,
    InvalidInputError,
    NotFinishedError,
    NotFoundError,
    UsageError,
    WorkFailedError,
)
from opsml_cli.domain.job import JobKind, JobState
from opsml_cli.domain.model import Model, RegisterModel
from opsml_cli.domain.pointer import ModelPointer
from opsml_cli.domain.progress import Progress
from opsml_cli.domain.traffic import shared_out
from opsml_cli.domain.workspace import Workspace
from opsml_cli.services.wait import slowest_poll, wait_for

DEPLOYMENT = "blue"
MANIFEST = "MLmodel"


@dataclass(frozen=True, slots=True)
class DeployRequest:
    """What `deploy` was asked. `model` is `name[:version]`, a path, or None for the best model of `job` (None: of the newest
    finished training; with `code`: for a script that needs none). `sample` is a request that the deployment must answer with
    200 before it gets traffic; `example` are rows that show what a model file takes."""

    model: str | ModelSource | None = None
    job: str | None = None
    endpoint: str | None = None
    deployment: str | None = None
    traffic: int | None = None
    instance_type: str | None = None
    instance_count: int = 1
    insights: bool | None = None
    trust: bool = False
    dry_run: bool = False
    code: CodeSource | None = None
    environment: EnvironmentSource | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    settings: DeploymentSettings = field(default_factory=DeploymentSettings)
    sample: RawRequest | None = None
    example: Sequence[Row] = ()


def deploy(
    workspace: Workspace,
    request: DeployRequest,
    progress: Progress,
    *,
    wait: bool = True,
    timeout: float | None = None,
    clock: Clock | None = None,
) -> Deployed:
    """Deploy, and with `wait` return once a real request was answered, at most `timeout` seconds later.

    WorkFailedError when the model could not answer (what served before still serves); NotFinishedError after `timeout`
    and CancelledError on Ctrl-C, in both of which the work continues."""
    if request.sample is not None and not wait:
        raise UsageError("the sample request is sent when the deployment is up", fix="leave --no-wait out")
    _note_ignored(workspace, request, progress)
    model = resolve(workspace, request, progress)
    spec = DeploySpec(
        model=None if model is None else names.AssetRef(model.name, model.version),
        endpoint=request.endpoint or endpoint_of(request, model),
        deployment=request.deployment or DEPLOYMENT,
        traffic=request.traffic,
        instance_type=request.instance_type,
        instance_count=request.instance_count,
        insights=request.insights,
        trust=request.trust,
        dry_run=request.dry_run,
        code=request.code,
        environment=request.environment,
        variables=request.variables,
        settings=request.settings,
    )
    if model is not None and request.dry_run and not _registered(workspace, model):
        return _planned(workspace, spec, model)
    if request.sample is not None and not request.dry_run:
        return _sampled(workspace, spec, request.sample, progress, timeout=timeout, clock=clock or SystemClock())
    begun = _begun(workspace, spec, progress)
    if request.dry_run:
        return _shared(spec, begun)
    if not wait:
        progress.note(f"deployment goes on in the background; see it with: opsml endpoints show {spec.endpoint}")
        return begun
    if not begun.unchanged:
        progress.phase(f"Deploying {_title(spec)} as {spec.endpoint}/{spec.deployment}")
    return _followed(workspace, spec, begun, progress, timeout=timeout, clock=clock or SystemClock())


def _begun(workspace: Workspace, spec: DeploySpec, progress: Progress) -> Deployed:
    """Begin, and say what is not as it was asked for."""
    source = spec.environment
    if workspace.kind == "local" and source is not None and source.kind is not EnvironmentKind.CURRENT and not spec.dry_run:
        progress.phase(f"Preparing the environment {source.title}")
    begun = workspace.online_endpoints.begin_deploy(spec)
    for note in begun.notes:
        progress.warn(note)
    return begun


def resolve(workspace: Workspace, request: DeployRequest, progress: Progress) -> Model | None:
    """The model to deploy; a file or folder is registered first. None: a script that needs none. With `dry_run` what is not
    registered gives its planned version."""
    if request.model is None:
        if request.code is not None and request.job is None:
            return None
        return _trained(workspace, request.job, progress)
    if request.job is not None:
        raise UsageError("MODEL and --job are two ways to say the same", fix="give one of them")
    source = request.model if isinstance(request.model, ModelSource) else _source(request.model)
    if source.ref is not None:
        return workspace.models.get(source.ref)
    assert source.path is not None
    path = Path(source.path).expanduser()
    registered = workspace.models.register(
        RegisterModel(
            name=source.name or _model_name(path),
            path=str(path) if "://" not in source.path else source.path,
            version=source.version,
            trust=request.trust,
            description=source.description,
            tags=source.tags,
            dry_run=request.dry_run,
            format=source.format or _format(path, request),
            example=request.example,
            properties=source.properties,
        )
    )
    if not registered.unchanged and not request.dry_run:
        progress.note(f"registered {path} as model {registered.model.name}:{registered.model.version}")
    return registered.model


def _source(text: str) -> ModelSource:
    """A model as one word: a path when it looks like one or is there, otherwise a registered model."""
    path = Path(text).expanduser()
    if (path / MANIFEST).is_file() or path.is_file() or "/" in text or text.startswith("."):
        return ModelSource(path=text)
    return ModelSource(ref=names.parse_ref(text, "model name"))


def _format(path: Path, request: DeployRequest) -> ModelFormat:
    """A script may read anything; what answers by itself is in MLflow format."""
    if request.code is not None and not (path / MANIFEST).is_file():
        return ModelFormat.CUSTOM
    return ModelFormat.MLFLOW


def endpoint_of(request: DeployRequest, model: Model | None) -> str:
    """The endpoint's name when none is given."""
    if model is not None:
        return endpoint_name(model.name)
    assert request.code is not None
    return endpoint_name(Path(request.code.folder).absolute().name)


def _title(spec: DeploySpec) -> str:
    if spec.code is None:
        return str(spec.model)
    return f"script {spec.code.entry}" + (f" with model {spec.model}" if spec.model is not None else "")


def _note_ignored(workspace: Workspace, request: DeployRequest, progress: Progress) -> None:
    """Say which of the settings mean nothing on this machine."""
    source = request.model if isinstance(request.model, ModelSource) else ModelSource()
    ignored = (*request.settings.without_local_effect, *(("model.properties",) if source.properties else ()))
    if workspace.kind == "local" and ignored:
        verb = "has" if len(ignored) == 1 else "have"
        progress.note(f"{len(ignored)} of the settings {verb} no effect on this machine: {', '.join(ignored)}")


def _sampled(
    workspace: Workspace, spec: DeploySpec, sample: RawRequest, progress: Progress, *, timeout: float | None, clock: Clock
) -> Deployed:
    """Deploy without traffic where it has none, send the request, and give the deployment its share when that was answered
    with 200: WorkFailedError otherwise."""
    before = _endpoint(workspace, spec.endpoint)
    mine = names.key(spec.deployment)
    others = sum(percent for name, percent in before.traffic.items() if names.key(name) != mine) if before else 0
    has = sum(percent for name, percent in before.traffic.items() if names.key(name) == mine) if before else 0
    quiet = spec if has else replace(spec, traffic=0)
    begun = _begun(workspace, quiet, progress)
    if not begun.unchanged:
        progress.phase(f"Deploying {_title(spec)} as {spec.endpoint}/{spec.deployment}")
    done = _followed(workspace, quiet, begun, progress, timeout=timeout, clock=clock)
    reply = workspace.online_endpoints.send(spec.endpoint, replace(sample, deployment=done.deployment.name))
    if reply.status != 200:
        raise WorkFailedError(
            f"deployment {spec.deployment} of endpoint {spec.endpoint} answered the sample request with {reply.status}",
            cause=reply.body[:300].decode("utf-8", "replace") or None,
            fix=f"opsml logs {spec.endpoint} --deployment {spec.deployment}",
        )
    progress.note("the sample request was answered with 200")
    share = spec.traffic if spec.traffic is not None else (None if others else 100)
    if share is None or share == has:
        return done
    traffic = shared_out(done.endpoint.traffic, done.deployment.name, share)
    changed = workspace.online_endpoints.set_traffic(spec.endpoint, traffic)
    return replace(done, endpoint=changed, unchanged=False)


def _endpoint(workspace: Workspace, name: str) -> OnlineEndpoint | None:
    try:
        return workspace.online_endpoints.get(name)
    except NotFoundError:
        return None


def endpoint_name(model: str) -> str:
    """A valid endpoint name made from a model's name."""
    text = re.sub(r"[^A-Za-z0-9-]+", "-", model).strip("-")
    text = re.sub(r"-{2,}", "-", text)
    if not text or not text[0].isalpha():
        text = f"model-{text}".strip("-")
    text = text[:32].rstrip("-")
    return text if len(text) >= 3 else f"{text}-endpoint"


def _trained(workspace: Workspace, job: str | None, progress: Progress) -> Model:
    if job is not None:
        found = workspace.jobs.get(job)
        pointer = found.automl.model if found.automl is not None else None
        if pointer is None:
            raise InvalidInputError(
                f"job {found.name} ({found.status}) has no model", fix=f"opsml jobs show {found.name} says how it went"
            )
        return workspace.models.get(names.AssetRef(pointer.name, pointer.version))
    for each in workspace.jobs.list(kind=JobKind.AUTOML, status=JobState.COMPLETED, limit=20):
        outcome = each.automl or workspace.jobs.get(each.name).automl
        pointer = outcome.model if outcome is not None else None
        if pointer is not None:
            progress.note(f"model {pointer.name}:{pointer.version}, the best of job {each.name}")
            return workspace.models.get(names.AssetRef(pointer.name, pointer.version))
    raise NotFoundError(
        "there is no finished training whose model could be deployed",
        fix="opsml train automl --data NAME --target-column COLUMN, or name a model: opsml deploy NAME:VERSION",
    )


def _followed(
    workspace: Workspace, spec: DeploySpec, begun: Deployed, progress: Progress, *, timeout: float | None, clock: Clock
) -> Deployed:
    def still_running(endpoint: OnlineEndpoint) -> NotFinishedError:
        return NotFinishedError(
            f"deployment {spec.deployment} is {_of(endpoint, spec).state} after {format_duration(timeout or 0)}; it goes on",
            fix=f"opsml endpoints show {spec.endpoint}",
        )

    try:
        endpoint = wait_for(
            lambda: workspace.online_endpoints.get(spec.endpoint),
            lambda found: _of(found, spec).state.finished,
            timeout=timeout,
            clock=clock,
            on_update=lambda found: progress.phase(_phase(spec, _of(found, spec))),
            still_running=still_running,
            interval=0.03,
            slowest=slowest_poll(workspace),
        )
    except KeyboardInterrupt as interrupt:
        raise CancelledError("interrupted; the deployment goes on", fix=f"opsml endpoints show {spec.endpoint}") from interrupt
    deployment = _of(endpoint, spec)
    if deployment.state is not DeploymentState.SUCCEEDED:
        raise WorkFailedError(
            f"deployment {spec.deployment} of endpoint {spec.endpoint} failed",
            cause=deployment.detail,
            fix=f"opsml logs {spec.endpoint} has what the server said",
        )
    if endpoint.running is False:
        # It was deployed before, and its server has ended since.
        endpoint = workspace.online_endpoints.start(spec.endpoint)
    return Deployed(endpoint, _of(endpoint, spec), begun.unchanged)


def _phase(spec: DeploySpec, deployment: Deployment) -> str:
    """The state, and what the server said last while it comes up."""
    told = f": {deployment.detail}" if deployment.detail and not deployment.state.finished else ""
    return f"{spec.endpoint}/{spec.deployment}: {deployment.state}{told}"


def _of(endpoint: OnlineEndpoint, spec: DeploySpec) -> Deployment:
    key = names.key(spec.deployment)
    found = next((each for each in endpoint.deployments if names.key(each.name) == key), None)
    if found is None:
        raise NotFoundError(
            f"deployment {spec.deployment!r} was deleted meanwhile", fix=f"opsml endpoints show {spec.endpoint}"
        )
    return found


def _shared(spec: DeploySpec, planned: Deployed) -> Deployed:
    """A dry run's plan with the traffic as it will be once the deployment answers."""
    before, name = planned.endpoint.traffic, planned.deployment.name
    others = sum(percent for each, percent in before.items() if names.key(each) != names.key(name))
    share = spec.traffic if spec.traffic is not None else (None if others else 100)
    if share is None or planned.unchanged:
        return planned
    return replace(planned, endpoint=replace(planned.endpoint, traffic=shared_out(before, name, share)))


def _registered(workspace: Workspace, model: Model) -> bool:
    try:
        return workspace.models.get(names.AssetRef(model.name, model.version)).sha256 == model.sha256
    except NotFoundError:
        return False


def _planned(workspace: Workspace, spec: DeploySpec, model: Model) -> Deployed:
    """What a dry run of a model that is not registered says; nobody can know more before it is."""
    pointer = ModelPointer(model.name, model.version)
    if spec.code is not None:
        # The script is looked at all the same.
        planned = workspace.online_endpoints.begin_deploy(replace(spec, model=None))
        return _shared(spec, replace(planned, deployment=replace(planned.deployment, model=pointer), unchanged=False))
    names.endpoint_name(spec.endpoint)
    names.endpoint_name(spec.deployment, "deployment name")
    before = _endpoint(workspace, spec.endpoint)
    deployment = Deployment(
        name=spec.deployment,
        endpoint=spec.endpoint,
        state=DeploymentState.CREATING,
        model=pointer,
        created_at=model.created_at,
    )
    endpoint = OnlineEndpoint(
        name=spec.endpoint,
        state=DeploymentState.CREATING,
        scoring_uri=None,
        swagger_uri=None,
        traffic={} if before is None else before.traffic,
        deployments=(deployment,),
        insights=spec.insights if spec.insights is not None else before is not None and before.insights,
        created_at=model.created_at,
    )
    return _shared(spec, Deployed(endpoint, deployment, unchanged=False))


def _model_name(folder: Path) -> str:
    name = folder.stem if folder.is_file() else folder.resolve().name
    text = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")
    return text or "model"
