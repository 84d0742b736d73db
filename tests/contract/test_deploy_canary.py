"""A canary gets all of the traffic on evidence alone, on every workspace; real requests reach it meanwhile."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from azure_live import workspace_of
from command_line import Opsml
from serving_support import ROW, end_all, register_own, trained_once, until_gone
from waiting import until

from opsml_cli.azureml.workspace import AzureWorkspace
from opsml_cli.domain.endpoint import ScoreRequest
from opsml_cli.domain.errors import CancelledError, ConflictError, InvalidInputError, UsageError
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.progress import Silent
from opsml_cli.local.workspace import LocalWorkspace
from opsml_cli.services.canary import Canary, deploy_canary
from opsml_cli.services.deploy import DeployRequest, deploy

Workspace = LocalWorkspace | AzureWorkspace


@pytest.fixture(scope="module", params=["local", pytest.param("azure", marks=pytest.mark.slow)])
def workspace(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace with two versions of the model `bank`."""
    folder = tmp_path_factory.mktemp(request.param)
    model = trained_once(tmp_path_factory.getbasetemp())
    options = {} if request.param == "local" else {"trust": True}
    with workspace_of(request.param, folder, **options) as (found, local):
        register_own(local, model)
        second = tmp_path_factory.mktemp("second") / "model"
        shutil.copytree(model, second)
        (second / "note.txt").write_text("another version")
        register_own(local, second)
        yield found
        end_all(local)


@pytest.fixture
def endpoint(workspace: Workspace) -> Iterator[str]:
    """An endpoint whose deployment `blue` serves version 1."""
    name = f"bank-{time.monotonic_ns() % 10**9}"
    deploy(workspace, DeployRequest("bank:1", endpoint=name, insights=True, trust=True), Silent())
    yield name
    workspace.online_endpoints.delete(name)
    until_gone(workspace, name)


@dataclass
class Visitors:
    """A clock in whose pauses `visit` happens; each pause takes a tenth of what was asked."""

    visit: Callable[[], object]
    passed: float = 0.0
    paused: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return time.monotonic() + self.passed

    def sleep(self, seconds: float) -> None:
        self.visit()
        time.sleep(seconds / 10)
        self.passed += seconds * 0.9
        self.paused.append(seconds)


def visit(workspace: Workspace, endpoint: str, deployment: str | None = "green", *, wrong: bool = False) -> None:
    """A client that is met by the deployment, with a request that is in order or not."""
    row = {**ROW, "age": "forty"} if wrong else ROW
    try:
        workspace.online_endpoints.score(endpoint, ScoreRequest([row], deployment=deployment))
    except InvalidInputError:
        assert wrong


def canary(bake: float = 3.0, objectives: tuple[str, ...] = ("errors<1%", "p95<30s")) -> Canary:
    return Canary(20, bake, objectives, least=3)


def request(endpoint: str, **more: object) -> DeployRequest:
    return DeployRequest("bank:2", endpoint=endpoint, trust=True, **more)  # type: ignore[arg-type]


def traffic(workspace: Workspace, endpoint: str) -> dict[str, int]:
    """The shares that are not zero, once they have settled."""
    found = until(lambda: (each := workspace.online_endpoints.get(endpoint)).state.finished and each)
    return {name: share for name, share in found.traffic.items() if share}


def test_what_holds_gets_all_of_the_traffic(workspace: Workspace, endpoint: str) -> None:
    seen: list[dict[str, int]] = []

    def visited() -> None:
        if any(each.name == "green" for each in workspace.online_endpoints.get(endpoint).deployments):
            shares = workspace.online_endpoints.get(endpoint).traffic
            if shares.get("green"):
                seen.append(dict(shares))
                for _ in range(3):
                    visit(workspace, endpoint)

    done, error = deploy_canary(workspace, request(endpoint), canary(), Silent(), clock=Visitors(visited))
    assert error is None
    assert seen and all(each == {"blue": 80, "green": 20} for each in seen)
    assert done.canary is not None and done.canary.promoted and done.canary.requests >= 3
    assert (done.deployment.name, done.deployment.model.version) == ("green", "2")
    assert traffic(workspace, endpoint) == {"green": 100}
    workspace.online_endpoints.rollback(endpoint)
    assert traffic(workspace, endpoint) == {"blue": 100}  # a canary is one change: its share is nothing to go back to
    workspace.online_endpoints.rollback(endpoint)
    assert traffic(workspace, endpoint) == {"green": 100}
    again, error = deploy_canary(workspace, request(endpoint), canary(), Silent(), clock=Visitors(lambda: None))
    assert (error, again.unchanged, again.canary) == (None, True, None)


@pytest.mark.parametrize("broken", ["requests that fail", "no request at all"])
def test_what_does_not_hold_goes_back(workspace: Workspace, endpoint: str, broken: str) -> None:
    def visited() -> None:
        if broken == "requests that fail" and workspace.online_endpoints.get(endpoint).traffic.get("green"):
            for _ in range(3):
                visit(workspace, endpoint, wrong=True)

    done, error = deploy_canary(workspace, request(endpoint), canary(), Silent(), clock=Visitors(visited))
    assert error is not None and error.exit_code == 10
    assert ("errors" if broken == "requests that fail" else "are needed") in error.message
    assert done.canary is not None and not done.canary.promoted
    assert traffic(workspace, endpoint) == {"blue": 100}
    with pytest.raises(ConflictError, match="never changed"):  # as if the canary had never been
        workspace.online_endpoints.rollback(endpoint)
    assert traffic(workspace, endpoint) == {"blue": 100}


def test_an_interrupted_bake_puts_the_traffic_back(workspace: Workspace, endpoint: str) -> None:
    def visited() -> None:
        if workspace.online_endpoints.get(endpoint).traffic.get("green"):
            raise KeyboardInterrupt

    with pytest.raises(CancelledError):
        deploy_canary(workspace, request(endpoint), canary(60.0), Silent(), clock=Visitors(visited))
    assert traffic(workspace, endpoint) == {"blue": 100}
    assert workspace.online_endpoints.get(endpoint).previous_traffic is None


def test_what_cannot_be_is_refused_before_anything_changes(workspace: Workspace, endpoint: str) -> None:
    for wrong in (request(endpoint, deployment="BLUE"), request(endpoint, traffic=10), request(endpoint, insights=False)):
        with pytest.raises(UsageError):
            deploy_canary(workspace, wrong, canary(), Silent())
    for percent in (0, 100):
        with pytest.raises(UsageError):
            Canary(percent)
    assert [each.name for each in workspace.online_endpoints.get(endpoint).deployments] == ["blue"]
    assert workspace.models.get(AssetRef("bank", "2")).version == "2"


@pytest.mark.parametrize(
    "words", [("--bake", "5m"), ("--slo", "errors<1%"), ("--canary", "10", "--no-wait"), ("--canary", "0")]
)
def test_words_that_do_not_go_together(opsml: Opsml, words: tuple[str, ...]) -> None:
    ran = opsml("deploy", "bank:1", *words)
    assert (ran.exit_code, ran.stdout) == (2, ""), ran.stderr
