"""Deploying: which model, under which name, and waiting until it answered a real request."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from opsml_cli.domain import names
from opsml_cli.domain.clock import Clock, SystemClock
from opsml_cli.domain.durations import format_duration
from opsml_cli.domain.endpoint import Deployed, Deployment, DeploymentState, DeploySpec, OnlineEndpoint
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
from opsml_cli.domain.progress import Progress
from opsml_cli.domain.workspace import Workspace
from opsml_cli.services.wait import slowest_poll, wait_for

DEPLOYMENT = "blue"
MANIFEST = "MLmodel"


@dataclass(frozen=True, slots=True)
class DeployRequest:
    """What `deploy` was asked. `model` is `name[:version]`, a folder in MLflow format, or None for the best model of `job`
    (None: of the newest finished training)."""

    model: str | None = None
    job: str | None = None
    endpoint: str | None = None
    deployment: str | None = None
    traffic: int | None = None
    instance_type: str | None = None
    instance_count: int = 1
    insights: bool | None = None
    trust: bool = False
    dry_run: bool = False


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
    model = resolve(workspace, request, progress)
    spec = DeploySpec(
        model=names.AssetRef(model.name, model.version),
        endpoint=request.endpoint or endpoint_name(model.name),
        deployment=request.deployment or DEPLOYMENT,
        traffic=request.traffic,
        instance_type=request.instance_type,
        instance_count=request.instance_count,
        insights=request.insights,
        trust=request.trust,
        dry_run=request.dry_run,
    )
    if request.dry_run and not _registered(workspace, model):
        return _planned(spec, model)
    begun = workspace.online_endpoints.begin_deploy(spec)
    if request.dry_run or not wait:
        if not request.dry_run:
            progress.note(f"deployment goes on in the background; see it with: opsml endpoints show {spec.endpoint}")
        return begun
    if not begun.unchanged:
        progress.phase(f"Deploying {model.name}:{model.version} as {spec.endpoint}/{spec.deployment}")
    return _followed(workspace, spec, begun, progress, timeout=timeout, clock=clock or SystemClock())


def resolve(workspace: Workspace, request: DeployRequest, progress: Progress) -> Model:
    """The model to deploy; a folder is registered first. With `dry_run` an unregistered folder gives its planned version."""
    if request.model is None:
        return _trained(workspace, request.job, progress)
    if request.job is not None:
        raise UsageError("MODEL and --job are two ways to say the same", fix="give one of them")
    folder = Path(request.model).expanduser()
    if (folder / MANIFEST).is_file() or "/" in request.model or request.model.startswith("."):
        registered = workspace.models.register(
            RegisterModel(name=_model_name(folder), path=str(folder), trust=request.trust, dry_run=request.dry_run)
        )
        if not registered.unchanged and not request.dry_run:
            progress.note(f"registered {folder} as model {registered.model.name}:{registered.model.version}")
        return registered.model
    return workspace.models.get(names.parse_ref(request.model, "model name"))


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


def _registered(workspace: Workspace, model: Model) -> bool:
    try:
        return workspace.models.get(names.AssetRef(model.name, model.version)).sha256 == model.sha256
    except NotFoundError:
        return False


def _planned(spec: DeploySpec, model: Model) -> Deployed:
    """What a dry run of an unregistered folder says; nobody can know more before it is registered."""
    names.endpoint_name(spec.endpoint)
    names.endpoint_name(spec.deployment, "deployment name")
    from opsml_cli.domain.pointer import ModelPointer

    share = 100 if spec.traffic is None else spec.traffic
    deployment = Deployment(
        name=spec.deployment,
        endpoint=spec.endpoint,
        state=DeploymentState.CREATING,
        model=ModelPointer(model.name, model.version),
        created_at=model.created_at,
    )
    endpoint = OnlineEndpoint(
        name=spec.endpoint,
        state=DeploymentState.CREATING,
        scoring_uri=None,
        swagger_uri=None,
        traffic={spec.deployment: share},
        deployments=(deployment,),
        insights=bool(spec.insights),
        created_at=model.created_at,
    )
    return Deployed(endpoint, deployment, unchanged=False)


def _model_name(folder: Path) -> str:
    text = re.sub(r"[^A-Za-z0-9_-]+", "-", folder.resolve().name).strip("-_")
    return text or "model"
