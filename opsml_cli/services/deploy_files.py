"""An endpoint that a file describes: set up first, and given its traffic when its deployments are there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from opsml_cli.domain.clock import Clock, SystemClock
from opsml_cli.domain.durations import format_duration
from opsml_cli.domain.endpoint import Configured, Deployed, DeploymentState, OnlineEndpoint
from opsml_cli.domain.errors import NotFinishedError, WorkFailedError
from opsml_cli.domain.progress import Silent
from opsml_cli.services.deploy import DeployRequest, deploy
from opsml_cli.services.wait import slowest_poll, wait_for

if TYPE_CHECKING:
    from opsml_cli.domain.deployment import EndpointSpec
    from opsml_cli.domain.progress import Progress
    from opsml_cli.domain.workspace import Workspace


def configure(
    workspace: Workspace,
    spec: EndpointSpec,
    progress: Progress,
    *,
    dry_run: bool = False,
    traffic: bool = False,
    timeout: float | None = None,
    clock: Clock | None = None,
) -> Configured:
    """Create or change the endpoint and wait until that is done; its traffic only with `traffic`, for its deployments may be
    still to come. WorkFailedError when the endpoint could not be made."""
    ignored = spec.without_local_effect
    if workspace.kind == "local" and ignored:
        verb = "has" if len(ignored) == 1 else "have"
        progress.note(f"{len(ignored)} of the endpoint's settings {verb} no effect on this machine: {', '.join(ignored)}")
    wanted = replace(spec, dry_run=dry_run)
    if not traffic:
        wanted = replace(wanted, traffic=None, mirror_traffic=None)
    done = workspace.online_endpoints.configure(wanted)
    if dry_run:
        return done
    endpoint = _settled(workspace, spec.name, progress, timeout=timeout, clock=clock or SystemClock())
    if endpoint.state is DeploymentState.FAILED and not endpoint.deployments:
        raise WorkFailedError(
            f"endpoint {spec.name} could not be made", cause=endpoint.detail, fix=f"opsml endpoints delete {spec.name} --yes"
        )
    return Configured(endpoint, done.unchanged)


def prepare(
    workspace: Workspace, spec: EndpointSpec, request: DeployRequest, progress: Progress, *, timeout: float | None = None
) -> DeployRequest:
    """Set the endpoint up for `request`, which is looked at before anything is written. The deployment gets no traffic by
    itself where the file says which it gets in the end."""
    deploy(workspace, replace(request, dry_run=True, sample=None), Silent())
    done = configure(workspace, spec, progress, timeout=timeout)
    if request.traffic is None and spec.traffic is not None and not any(done.endpoint.traffic.values()):
        return replace(request, traffic=0)
    return request


def give_traffic(workspace: Workspace, spec: EndpointSpec, done: Deployed) -> Deployed:
    """Once the deployment is up: the traffic and the mirrored traffic that the file says."""
    if spec.traffic is None and not spec.mirror_traffic:
        return done
    configured = workspace.online_endpoints.configure(spec)
    return replace(done, endpoint=configured.endpoint, unchanged=done.unchanged and configured.unchanged)


def _settled(workspace: Workspace, name: str, progress: Progress, *, timeout: float | None, clock: Clock) -> OnlineEndpoint:
    def still_running(endpoint: OnlineEndpoint) -> NotFinishedError:
        return NotFinishedError(
            f"endpoint {name} is {endpoint.state} after {format_duration(timeout or 0)}; it goes on",
            fix="run the same command again",
        )

    return wait_for(
        lambda: workspace.online_endpoints.get(name),
        lambda found: found.state.finished,
        timeout=timeout,
        clock=clock,
        on_update=lambda found: progress.phase(f"{name}: {found.state}"),
        still_running=still_running,
        slowest=slowest_poll(workspace),
    )
