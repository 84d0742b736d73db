"""A deployment that gets all of the traffic only on evidence: a share first, its requests watched, then all or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from opsml_cli.domain import names
from opsml_cli.domain.alert import Condition, parse_objectives
from opsml_cli.domain.clock import Clock, SystemClock
from opsml_cli.domain.durations import format_duration
from opsml_cli.domain.endpoint import Baked, Deployed, OnlineEndpoint
from opsml_cli.domain.errors import CancelledError, GateError, NotFoundError, UsageError
from opsml_cli.domain.insights import DeploymentStats, Latency, RequestStats
from opsml_cli.domain.progress import Progress
from opsml_cli.domain.traffic import shared_out
from opsml_cli.services.deploy import DEPLOYMENT, DeployRequest, deploy, endpoint_of, resolve
from opsml_cli.services.wait import slowest_poll

if TYPE_CHECKING:
    from opsml_cli.domain.workspace import Workspace

BAKE_SECONDS = 300.0
OBJECTIVES = "errors<1%"
LEAST_REQUESTS = 20
_OTHER = "green"


@dataclass(frozen=True, slots=True)
class Canary:
    """`percent` of the traffic for `bake_seconds`; `objectives` (texts as of --slo) must hold for its requests, of which there
    must be `least`: fewer prove nothing, and the first ones on Azure are opsml's own."""

    percent: int
    bake_seconds: float = BAKE_SECONDS
    objectives: Sequence[str] = (OBJECTIVES,)
    least: int = LEAST_REQUESTS

    def __post_init__(self) -> None:
        if not 1 <= self.percent <= 99:
            raise UsageError(f"--canary {self.percent} leaves nothing to compare with", cause="expected 1 to 99 percent")


def deploy_canary(
    workspace: Workspace,
    request: DeployRequest,
    canary: Canary,
    progress: Progress,
    *,
    timeout: float | None = None,
    clock: Clock | None = None,
) -> tuple[Deployed, GateError | None]:
    """Deploy beside what serves, give it its share, and after the bake all of the traffic, or none when an objective was
    missed: GateError. Where nothing serves yet there is nothing to protect, and it gets all at once. Interrupted
    (CancelledError), the traffic goes back to what it was. Run again after a break, the bake begins anew."""
    clock = clock or SystemClock()
    wanted = [condition for text in canary.objectives for condition in parse_objectives(text)]
    if request.traffic is not None:
        raise UsageError("--canary and --traffic do not go together", fix="leave --traffic out")
    if request.insights is False:
        raise UsageError("--canary needs the requests recorded", fix="leave --no-insights out")
    model = resolve(workspace, request, progress)
    if not request.dry_run and model is not None:  # a newer training may end meanwhile: this model it is
        request = replace(request, model=f"{model.name}:{model.version}", job=None)
    name = request.endpoint or endpoint_of(request, model)
    endpoint = _found(workspace, name)
    serving = None if endpoint is None else max(endpoint.traffic, key=lambda each: endpoint.traffic[each], default=None)
    if endpoint is None or serving is None or not endpoint.traffic[serving]:
        progress.note(f"nothing serves behind {name} yet: all of the traffic goes to the first deployment")
        return deploy(workspace, replace(request, insights=True), progress, timeout=timeout, clock=clock), None
    served = next(each.model for each in endpoint.deployments if each.name == serving)
    same = (
        model is not None
        and request.code is None
        and request.environment is None
        and (served.name, served.version) == (model.name, model.version)
    )
    if same and endpoint.traffic[serving] == 100:
        # Nothing new: what serves it all is this model.
        return deploy(workspace, replace(request, deployment=serving), progress, timeout=timeout, clock=clock), None
    chosen = request.deployment or (_OTHER if names.key(serving) == DEPLOYMENT else DEPLOYMENT)
    if names.key(chosen) == names.key(serving):
        raise UsageError(
            f"deployment {serving!r} serves most of the traffic, so it cannot be the canary",
            fix="leave --deployment out, or name another",
        )
    # It gets its share when somebody is there to watch it, so none while it is brought up.
    share = canary.percent if request.dry_run else 0
    tried = replace(request, deployment=chosen, traffic=share, insights=True)
    done = deploy(workspace, tried, progress, timeout=timeout, clock=clock)
    if request.dry_run:
        return done, None
    # A rollback after a refused canary goes where it would have gone had there been none.
    trial = _Trial(canary, tuple(wanted), progress, clock, endpoint.previous_traffic or {})
    return _baked(workspace, done, shared_out(endpoint.traffic, chosen, 0), trial)


def _found(workspace: Workspace, name: str) -> OnlineEndpoint | None:
    try:
        return workspace.online_endpoints.get(name)
    except NotFoundError:
        return None


@dataclass(frozen=True, slots=True)
class _Trial:
    canary: Canary
    wanted: tuple[Condition, ...]
    progress: Progress
    clock: Clock
    previous: Mapping[str, int]


def _baked(workspace: Workspace, done: Deployed, before: dict[str, int], trial: _Trial) -> tuple[Deployed, GateError | None]:
    """The end of the trial: all of the traffic, or what was before. For a rollback it is one change, however many steps."""
    endpoint, name = done.endpoint.name, done.deployment.name
    trial.progress.phase(
        f"{endpoint}/{name} gets {trial.canary.percent} % of the traffic for {format_duration(trial.canary.bake_seconds)}"
    )
    try:
        workspace.online_endpoints.set_traffic(endpoint, shared_out(before, name, trial.canary.percent), previous=before)
        stats = _watch(workspace, endpoint, name, trial)
    except BaseException as error:
        workspace.online_endpoints.set_traffic(endpoint, before, previous=trial.previous)
        if isinstance(error, KeyboardInterrupt):
            raise CancelledError(
                f"interrupted; the traffic of {endpoint} is what it was before", fix="run the same command again"
            ) from error
        raise
    missed = _missed(trial, stats)
    passed = not missed
    after = {**dict.fromkeys(before, 0), name: 100} if passed else before
    changed = workspace.online_endpoints.set_traffic(endpoint, after, previous=before if passed else trial.previous)
    told = tuple(f"{condition.objective}: {condition.shown(condition.value(stats))}" for condition in trial.wanted)
    baked = Baked(trial.canary.percent, stats.window_seconds, stats.requests, stats.failures, passed, told)
    result = replace(done, endpoint=changed, canary=baked)
    if passed:
        trial.progress.note(f"{stats.requests} requests, all objectives held: {name} gets all of the traffic")
        return result, None
    return result, GateError(
        f"deployment {name} of endpoint {endpoint} got no more traffic, what served before serves again: {'; '.join(missed)}",
        fix=f"opsml logs {endpoint} --deployment {name}",
    )


def _watch(workspace: Workspace, endpoint: str, deployment: str, trial: _Trial) -> RequestStats:
    """The figures of the deployment's requests at the end of the bake; earlier when enough of them break an objective."""
    begun = trial.clock.monotonic()
    pause = slowest_poll(workspace)
    while True:
        passed = trial.clock.monotonic() - begun
        stats = _of(workspace.insights.stats(endpoint, max(passed, 1.0)), deployment)
        rest = trial.canary.bake_seconds - passed
        if rest <= 0 or (stats.requests >= trial.canary.least and _missed(trial, stats)):
            return stats
        trial.progress.amount(round(passed), round(trial.canary.bake_seconds), "s")
        trial.clock.sleep(min(pause, rest))


def _of(stats: RequestStats, deployment: str) -> RequestStats:
    """The figures of one deployment alone."""
    empty = DeploymentStats(0, 0, Latency(None, None, None))
    found = next((each for name, each in stats.by_deployment.items() if names.key(name) == names.key(deployment)), empty)
    return RequestStats(stats.endpoint, stats.window_seconds, found.requests, found.failures, found.latency_ms)


def _missed(trial: _Trial, stats: RequestStats) -> list[str]:
    """The objectives that do not hold; with too few requests none is proven."""
    if stats.requests < max(trial.canary.least, 1):
        wanted = f"{trial.canary.least} are needed (a longer --bake, a larger --canary, or --bake-requests)"
        return [f"it got {stats.requests or 'no'} request{'s' if stats.requests > 1 else ''}, and {wanted}"]
    return [f"{each.objective} ({each.shown(each.value(stats))})" for each in trial.wanted if not each.met_by(stats)]
