"""The port's promises about endpoints and their insights that hold on every workspace: real servers answer behind both."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure_live import KINDS, workspace_of
from serving_support import ROW, end_all, foreign_folder, register_own, trained_once, until_gone
from waiting import until

from opsml_cli.azureml.workspace import AzureWorkspace
from opsml_cli.domain.endpoint import Deployed, DeploymentState, DeploySpec, OnlineEndpoint, ScoreRequest
from opsml_cli.domain.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    UnsupportedError,
    UsageError,
)
from opsml_cli.domain.insights import LogQuery
from opsml_cli.domain.load import LoadPlan
from opsml_cli.domain.model import RegisterModel
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.progress import Silent
from opsml_cli.local.workspace import LocalWorkspace
from opsml_cli.services.swagger import check

Workspace = LocalWorkspace | AzureWorkspace


@pytest.fixture(scope="module", params=KINDS)
def workspace(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace with the model `bank:1`; its servers end with the module."""
    folder = tmp_path_factory.mktemp(request.param)
    model = trained_once(tmp_path_factory.getbasetemp())
    options = {} if request.param == "local" else {"trust": True}
    with workspace_of(request.param, folder, **options) as (found, local):
        register_own(local, model)
        yield found
        end_all(local)


@pytest.fixture
def endpoint(workspace: Workspace) -> Iterator[str]:
    """A name for one test; what is behind it goes with the test."""
    name = f"bank-{time.monotonic_ns() % 10**9}"
    yield name
    try:
        workspace.online_endpoints.delete(name)
    except NotFoundError:
        return
    until_gone(workspace, name)


def ready(workspace: Workspace, endpoint: str, deployment: str = "blue") -> OnlineEndpoint:
    """The endpoint once the deployment's state is final."""

    def finished() -> OnlineEndpoint | None:
        found = workspace.online_endpoints.get(endpoint)
        state = next(each.state for each in found.deployments if each.name == deployment)
        return found if state.finished else None

    return until(finished, 60.0)


def settled(workspace: Workspace, endpoint: str) -> OnlineEndpoint:
    """The endpoint once nothing about it goes on."""

    def idle() -> OnlineEndpoint | None:
        found = workspace.online_endpoints.get(endpoint)
        done = found.state.finished and all(each.state.finished for each in found.deployments)
        return found if done else None

    return until(idle, 60.0)


def deploy(workspace: Workspace, endpoint: str, deployment: str = "blue", model: str = "bank", **options: Any) -> Deployed:
    wanted = DeploySpec(AssetRef(model, "1"), endpoint, deployment, trust=True, **options)
    begun = workspace.online_endpoints.begin_deploy(wanted)
    found = ready(workspace, endpoint, deployment)
    return Deployed(found, next(each for each in found.deployments if each.name == deployment), begun.unchanged)


def test_a_deployment_answers_and_the_same_again_is_unchanged(workspace: Workspace, endpoint: str) -> None:
    first = deploy(workspace, endpoint)
    assert first.deployment.state is DeploymentState.SUCCEEDED, first.deployment.detail
    assert not first.unchanged
    assert first.endpoint.traffic == {"blue": 100}
    assert first.endpoint.running is (True if workspace.kind == "local" else None)
    assert "running" in first.endpoint.unknown or first.endpoint.running
    assert (first.deployment.model.name, first.deployment.model.version) == ("bank", "1")
    again = deploy(workspace, endpoint)
    assert again.unchanged
    assert again.endpoint == first.endpoint
    result = workspace.online_endpoints.score(endpoint.upper(), ScoreRequest([ROW, ROW], proba=True))
    assert (result.rows, result.deployment) == (2, "blue")
    assert set(result.predictions) <= set(result.classes) == {"no", "yes"}
    assert all(sum(row) == pytest.approx(1) for row in result.probabilities)
    assert workspace.online_endpoints.score(endpoint, ScoreRequest([])).rows == 0
    checked = check(workspace, endpoint)
    assert (checked.ok, checked.findings) == (True, ()) and checked.requests > 10
    with pytest.raises(InvalidInputError, match=r"'age', row 3 of the input \(counted from 0\): 'forty'") as caught:
        workspace.online_endpoints.score(endpoint, ScoreRequest([ROW] * 3 + [{**ROW, "age": "forty"}]))
    assert "an integer" in (caught.value.cause or "")


def test_what_does_not_exist_is_not_found(workspace: Workspace, endpoint: str) -> None:
    operations = workspace.online_endpoints
    for ask in (operations.get, operations.start, operations.stop, operations.delete, operations.keys, operations.rollback):
        with pytest.raises(NotFoundError):
            ask("nowhere")
    with pytest.raises(NotFoundError):
        operations.begin_deploy(DeploySpec(AssetRef("nobody"), endpoint, "blue"))
    deploy(workspace, endpoint)
    with pytest.raises(NotFoundError):
        operations.score(endpoint, ScoreRequest([ROW], deployment="green"))
    with pytest.raises(NotFoundError):
        operations.set_traffic(endpoint, {"green": 100})
    with pytest.raises(NotFoundError):
        operations.delete(endpoint, "green")


@pytest.mark.parametrize(
    ("name", "deployment", "options"),
    [
        ("../up", "blue", {}),
        ("ba", "blue", {}),
        (None, "b/e", {}),
        (None, "blue", {"traffic": 101}),
        (None, "blue", {"traffic": 30}),
        (None, "blue", {"instance_count": 0}),
    ],
)
def test_a_wrong_spec_writes_nothing(
    workspace: Workspace, endpoint: str, name: str | None, deployment: str, options: dict[str, int]
) -> None:
    before = {each.name for each in workspace.online_endpoints.list()}
    with pytest.raises(UsageError):
        workspace.online_endpoints.begin_deploy(
            DeploySpec(AssetRef("bank"), name or endpoint, deployment, trust=True, **options)
        )
    assert {each.name for each in workspace.online_endpoints.list()} == before


def test_a_dry_run_writes_nothing(workspace: Workspace, endpoint: str) -> None:
    planned = workspace.online_endpoints.begin_deploy(DeploySpec(AssetRef("bank"), endpoint, "blue", trust=True, dry_run=True))
    assert not planned.unchanged and planned.deployment.state is DeploymentState.CREATING
    assert endpoint not in {each.name for each in workspace.online_endpoints.list()}


@pytest.mark.slow
def test_a_second_deployment_gets_its_share_after_it_answered(workspace: Workspace, endpoint: str) -> None:
    operations = workspace.online_endpoints
    deploy(workspace, endpoint)
    with pytest.raises(ConflictError):
        operations.delete(endpoint, "blue")
    assert deploy(workspace, endpoint, "green").endpoint.traffic == {"blue": 100, "green": 0}
    assert deploy(workspace, endpoint, "third", traffic=25).endpoint.traffic == {"blue": 75, "green": 0, "third": 25}
    seen = {operations.score(endpoint, ScoreRequest([ROW])).deployment for _ in range(80)}
    assert seen == {"blue", "third"}
    assert operations.score(endpoint, ScoreRequest([ROW], deployment="GREEN")).deployment == "green"
    assert operations.rollback(endpoint).traffic["blue"] == 100
    settled(workspace, endpoint)
    assert operations.rollback(endpoint).traffic["third"] == 25  # what was before the rollback
    settled(workspace, endpoint)
    operations.set_traffic(endpoint, {"green": 100})
    settled(workspace, endpoint)
    assert {operations.score(endpoint, ScoreRequest([ROW])).deployment for _ in range(10)} == {"green"}
    with pytest.raises(ConflictError, match="100 percent"):
        operations.delete(endpoint, "green")
    operations.delete(endpoint, "third")
    until(lambda: [each.name for each in operations.get(endpoint).deployments] == ["blue", "green"])
    for wrong in ({"blue": 50}, {"blue": 120}, {"blue": -20, "green": 120}):
        with pytest.raises(UsageError):
            operations.set_traffic(endpoint, wrong)
    operations.set_traffic(endpoint, {"blue": 0, "green": 0})
    assert settled(workspace, endpoint).traffic == {"blue": 0, "green": 0}


def test_a_key_is_replaced_and_the_other_goes_on(workspace: Workspace, endpoint: str) -> None:
    operations = workspace.online_endpoints
    deploy(workspace, endpoint)
    old = operations.keys(endpoint)
    fresh = operations.rotate_keys(endpoint, "primary")
    assert fresh.secondary == old.secondary and fresh.primary != old.primary
    assert operations.keys(endpoint) == fresh
    assert old.primary not in repr(old)
    assert operations.score(endpoint, ScoreRequest([ROW])).rows == 1
    with pytest.raises(UsageError):
        operations.rotate_keys(endpoint, "third")


def test_an_endpoint_stops_here_and_never_on_azure(workspace: Workspace, endpoint: str) -> None:
    operations = workspace.online_endpoints
    before = deploy(workspace, endpoint).endpoint
    if workspace.kind == "azure":
        with pytest.raises(UnsupportedError) as caught:
            operations.stop(endpoint)
        assert "endpoints delete" in (caught.value.fix or "")
        assert before.running is None
    else:
        assert operations.stop(endpoint).running is False
    assert operations.start(endpoint) == before
    assert operations.score(endpoint, ScoreRequest([ROW])).rows == 1


def test_delete_leaves_nothing(workspace: Workspace, endpoint: str) -> None:
    deploy(workspace, endpoint)
    key = workspace.online_endpoints.keys(endpoint).primary
    workspace.online_endpoints.delete(endpoint)
    until_gone(workspace, endpoint)
    with pytest.raises(NotFoundError):
        workspace.online_endpoints.get(endpoint)
    deploy(workspace, endpoint)
    assert workspace.online_endpoints.keys(endpoint).primary != key


def test_a_model_that_cannot_answer_fails_with_its_cause_and_what_served_goes_on(
    workspace: Workspace, endpoint: str, tmp_path: Path
) -> None:
    deploy(workspace, endpoint)
    name = f"broken-{endpoint}"
    folder = foreign_folder(tmp_path / "broken", load="raise RuntimeError('no luck')")
    workspace.models.register(RegisterModel(name, str(folder), trust=True))
    failed = deploy(workspace, endpoint, "green", model=name, traffic=50)
    assert failed.deployment.state is DeploymentState.FAILED
    assert "no luck" in (failed.deployment.detail or "")
    assert failed.endpoint.traffic == {"blue": 100, "green": 0}
    assert workspace.online_endpoints.score(endpoint, ScoreRequest([ROW])).deployment == "blue"
    # A failed deployment is tried again.
    assert not workspace.online_endpoints.begin_deploy(DeploySpec(AssetRef(name, "1"), endpoint, "green", trust=True)).unchanged
    assert ready(workspace, endpoint, "green").traffic["green"] == 0


def test_insights_are_switched_and_count_requests(workspace: Workspace, endpoint: str) -> None:
    deploy(workspace, endpoint)
    assert not workspace.online_endpoints.get(endpoint).insights
    workspace.insights.enable(endpoint)
    assert settled(workspace, endpoint).insights
    for _ in range(3):
        workspace.online_endpoints.score(endpoint, ScoreRequest([ROW]))
    with pytest.raises(InvalidInputError):
        workspace.online_endpoints.score(endpoint, ScoreRequest([{**ROW, "age": "forty"}]))
    stats = until(lambda: (found := workspace.insights.stats(endpoint, 600)).requests >= 4 and found)
    assert (stats.requests, stats.failures, stats.endpoint) == (4, 1, endpoint)
    assert stats.by_status == {"200": 3, "400": 1}
    assert stats.by_deployment["blue"].requests == 4
    assert stats.latency_ms.p50 is not None and 0 < stats.latency_ms.p50 <= (stats.latency_ms.p99 or 0)
    assert sum(requests for _, requests, _ in stats.over_time) == 4
    workspace.insights.disable(endpoint)
    assert not settled(workspace, endpoint).insights


def test_logs_are_filtered_and_followed(workspace: Workspace, endpoint: str) -> None:
    deploy(workspace, endpoint, insights=True)
    lines = list(workspace.insights.logs(endpoint, LogQuery(kind="container")))
    assert lines and [line.timestamp for line in lines] == sorted(line.timestamp for line in lines)
    assert len(list(workspace.insights.logs(endpoint, LogQuery(tail=1)))) == 1
    assert list(workspace.insights.logs(endpoint, LogQuery(grep="no line has this"))) == []
    assert list(workspace.insights.logs(endpoint, LogQuery(level="error"))) == []
    with pytest.raises(NotFoundError):
        workspace.insights.logs(endpoint, LogQuery(deployment="green"))
    with pytest.raises(UsageError):
        workspace.insights.logs(endpoint, LogQuery(grep="("))
    followed = workspace.insights.logs(endpoint, LogQuery(follow=True, grep="200 in"))
    workspace.online_endpoints.score(endpoint, ScoreRequest([ROW]))
    first = next(followed)
    assert "200 in" in first.message and first.deployment == "blue"
    workspace.online_endpoints.score(endpoint, ScoreRequest([ROW]))
    assert next(followed).timestamp > first.timestamp  # told once, and in order


def test_load_is_measured_and_named(workspace: Workspace, endpoint: str) -> None:
    deploy(workspace, endpoint)
    plan = LoadPlan(duration_seconds=0.5, warmup_seconds=0.1, rate=20.0, deployment="BLUE")
    figures = workspace.online_endpoints.load(endpoint.upper(), plan, [ROW, ROW], Silent())
    assert (figures.endpoint, figures.requests, figures.errors) == (endpoint, 10, 0), figures
    assert figures.deployments == {"blue": 10}
    assert figures.latency_ms.p50 is not None and figures.latency_ms.p50 > 0
    several = LoadPlan(duration_seconds=0.2, warmup_seconds=0.0, clients=2, rows_per_request=3)
    assert workspace.online_endpoints.load(endpoint, several, [ROW, ROW], Silent()).errors == 0
    with pytest.raises(NotFoundError):
        workspace.online_endpoints.load(endpoint, LoadPlan(deployment="green"), [ROW], Silent())
    with pytest.raises(NotFoundError):
        workspace.online_endpoints.load("nowhere", plan, [ROW], Silent())
    with pytest.raises(InvalidInputError):
        workspace.online_endpoints.load(endpoint, plan, [{**ROW, "age": "forty"}], Silent())
