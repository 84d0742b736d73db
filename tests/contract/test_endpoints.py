"""What the port promises of online endpoints, on the local workspace: real processes, real HTTP."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from serving_support import ROW, deploy, end_all, foreign_folder, payload, register_own, trained_once, wait_ready
from waiting import until

from opsml_cli.domain.endpoint import DeploymentState, DeploySpec, ScoreRequest
from opsml_cli.domain.errors import (
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    UsageError,
)
from opsml_cli.domain.model import Model, RegisterModel
from opsml_cli.domain.names import AssetRef
from opsml_cli.local.workspace import LocalWorkspace


@pytest.fixture
def served(workspace: LocalWorkspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalWorkspace, Model]]:
    """A workspace with the model `bank:1`; every server ends with the test."""
    model = register_own(workspace, trained_once(tmp_path_factory.getbasetemp()))
    yield workspace, model
    end_all(workspace)


Served = tuple[LocalWorkspace, Model]


def post(uri: str, key: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes, http.client.HTTPMessage]:
    place = urlsplit(uri)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    try:
        connection.request("POST", "/score", body or payload(), {"Authorization": f"Bearer {key}", **headers})
        reply = connection.getresponse()
        return reply.status, reply.read(), reply.headers
    finally:
        connection.close()


def trusted(workspace: LocalWorkspace, folder: Path, name: str) -> Model:
    return workspace.models.register(RegisterModel(name, str(folder), trust=True)).model


def test_a_deployment_answers_and_the_same_again_is_unchanged(served: Served) -> None:
    workspace, model = served
    first = deploy(workspace, model)
    assert not first.unchanged
    assert first.endpoint.traffic == {"blue": 100}
    assert (first.endpoint.running, first.deployment.model.name, first.deployment.model.version) == (True, "bank", "1")
    again = deploy(workspace, model)
    assert again.unchanged
    assert again.endpoint == first.endpoint
    result = workspace.online_endpoints.score("BANK", ScoreRequest([ROW, ROW], proba=True))
    assert result.rows == 2 and result.deployment == "blue"
    assert set(result.predictions) <= set(result.classes) == {"no", "yes"}
    assert all(sum(row) == pytest.approx(1) for row in result.probabilities)


def test_the_server_agrees_with_scoring_in_process(served: Served) -> None:
    workspace, model = served
    deploy(workspace, model)
    rows = [{"age": age, "job": job, "balance": None} for age in (20, 45, 70) for job in ("retired", "never seen", None)]
    here = workspace.models.score(AssetRef("bank"), ScoreRequest(rows, proba=True))
    there = workspace.online_endpoints.score("bank", ScoreRequest(rows, proba=True))
    assert list(here.predictions) == list(there.predictions)
    assert list(map(list, here.probabilities)) == list(map(list, there.probabilities))


def test_what_does_not_exist_is_not_found(served: Served) -> None:
    workspace, model = served
    operations = workspace.online_endpoints
    for ask in (operations.get, operations.start, operations.stop, operations.delete, operations.keys, operations.rollback):
        with pytest.raises(NotFoundError):
            ask("nowhere")
    with pytest.raises(NotFoundError):
        operations.begin_deploy(DeploySpec(AssetRef("nobody"), "bank", "blue"))
    deploy(workspace, model)
    with pytest.raises(NotFoundError):
        operations.score("bank", ScoreRequest([ROW], deployment="green"))
    with pytest.raises(NotFoundError):
        operations.set_traffic("bank", {"green": 100})


@pytest.mark.parametrize(
    ("endpoint", "deployment", "options"),
    [
        ("../up", "blue", {}),
        ("ba", "blue", {}),
        ("bank", "b/e", {}),
        ("bank", "blue", {"traffic": 101}),
        ("bank", "blue", {"traffic": 30}),
        ("bank", "blue", {"instance_count": 0}),
    ],
)
def test_a_wrong_spec_writes_nothing(served: Served, endpoint: str, deployment: str, options: dict[str, int]) -> None:
    workspace, _ = served
    with pytest.raises(UsageError):
        workspace.online_endpoints.begin_deploy(DeploySpec(AssetRef("bank"), endpoint, deployment, **options))
    assert workspace.online_endpoints.list() == []
    assert not (workspace.root / "endpoints").exists()


def test_a_dry_run_writes_nothing(served: Served) -> None:
    workspace, _ = served
    planned = workspace.online_endpoints.begin_deploy(DeploySpec(AssetRef("bank"), "bank", "blue", dry_run=True))
    assert not planned.unchanged and planned.deployment.state is DeploymentState.CREATING
    assert workspace.online_endpoints.list() == []
    assert not (workspace.root / "endpoints").exists() and not (workspace.root / "secrets").exists()


def test_a_second_deployment_gets_its_share_after_it_answered(served: Served) -> None:
    workspace, model = served
    operations = workspace.online_endpoints
    deploy(workspace, model)
    assert deploy(workspace, model, deployment="green").endpoint.traffic == {"blue": 100, "green": 0}
    assert deploy(workspace, model, deployment="third", traffic=25).endpoint.traffic == {"blue": 75, "green": 0, "third": 25}
    uri, key = operations.get("bank").scoring_uri or "", operations.keys("bank").primary
    seen = {post(uri, key)[2]["azureml-model-deployment"] for _ in range(80)}
    assert seen == {"blue", "third"}
    assert post(uri, key, **{"azureml-model-deployment": "green"})[2]["azureml-model-deployment"] == "green"
    assert operations.score("bank", ScoreRequest([ROW], deployment="GREEN")).deployment == "green"
    assert operations.rollback("bank").traffic["blue"] == 100
    assert operations.rollback("bank").traffic["third"] == 25  # what was before the rollback
    operations.set_traffic("bank", {"green": 100})
    assert {post(uri, key)[2]["azureml-model-deployment"] for _ in range(20)} == {"green"}
    with pytest.raises(ConflictError, match="100 percent"):
        operations.delete("bank", "green")
    operations.delete("bank", "third")
    assert [each.name for each in operations.get("bank").deployments] == ["blue", "green"]
    for wrong in ({"blue": 50}, {"blue": 120}, {"blue": -20, "green": 120}):
        with pytest.raises(UsageError):
            operations.set_traffic("bank", wrong)
    operations.set_traffic("bank", {"blue": 0, "green": 0})
    assert post(uri, key)[0] == 404


def test_a_key_is_replaced_and_the_other_goes_on(served: Served) -> None:
    workspace, model = served
    operations = workspace.online_endpoints
    deploy(workspace, model)
    uri, old = operations.get("bank").scoring_uri or "", operations.keys("bank")
    fresh = operations.rotate_keys("bank", "primary")
    assert fresh.secondary == old.secondary and fresh.primary != old.primary
    assert [post(uri, key)[0] for key in (fresh.primary, old.secondary, old.primary)] == [200, 200, 401]
    assert old.primary not in repr(old)
    secrets = workspace.root / "secrets" / "endpoints" / "bank.json"
    assert secrets.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError):
        operations.rotate_keys("bank", "third")


def test_stop_and_start_keep_address_and_traffic(served: Served) -> None:
    workspace, model = served
    operations = workspace.online_endpoints
    before = deploy(workspace, model).endpoint
    stopped = operations.stop("bank")
    assert (stopped.running, stopped.scoring_uri, stopped.traffic) == (False, before.scoring_uri, before.traffic)
    with pytest.raises(ConflictError) as caught:
        operations.score("bank", ScoreRequest([ROW]))
    assert caught.value.fix == "opsml endpoints start bank"
    started = operations.start("bank")
    assert started == before == operations.start("bank")
    assert operations.score("bank", ScoreRequest([ROW])).rows == 1


def test_delete_ends_the_server_and_leaves_nothing(served: Served) -> None:
    workspace, model = served
    operations = workspace.online_endpoints
    uri = deploy(workspace, model).endpoint.scoring_uri or ""
    key = operations.keys("bank").primary
    operations.delete("bank")
    assert operations.list() == []
    with pytest.raises(ConnectionRefusedError):
        post(uri, key)
    assert not (workspace.root / "endpoints" / "bank").exists()
    assert not (workspace.root / "secrets" / "endpoints" / "bank.json").exists()
    again = deploy(workspace, model).endpoint
    assert again.scoring_uri == uri  # an address depends on the name
    assert operations.keys("bank").primary != key


def test_bad_rows_name_column_row_and_value(served: Served) -> None:
    workspace, model = served
    deploy(workspace, model)
    rows = [ROW] * 3 + [{**ROW, "age": "forty"}]
    with pytest.raises(InvalidInputError, match=r"'age', row 3 of the input \(counted from 0\): 'forty'") as caught:
        workspace.online_endpoints.score("bank", ScoreRequest(rows))
    assert "an integer" in (caught.value.cause or "")


def test_large_inputs_are_sent_in_parts(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from opsml_cli.scoring_client import bodies

    workspace, model = served
    deploy(workspace, model)
    monkeypatch.setattr(bodies, "CHUNK_BYTES", 500)
    rows = [{**ROW, "age": 18 + number % 70} for number in range(200)]
    result = workspace.online_endpoints.score("bank", ScoreRequest(rows, proba=True))
    assert list(result.predictions) == list(workspace.models.score(AssetRef("bank"), ScoreRequest(rows)).predictions)
    assert len(result.probabilities) == 200
    bad = [*rows, {**ROW, "balance": "much"}]
    with pytest.raises(InvalidInputError, match="balance") as caught:
        workspace.online_endpoints.score("bank", ScoreRequest(bad))
    assert "row 200 of the input (counted from 0)" in caught.value.message


def test_insights_are_switched_without_a_restart(served: Served) -> None:
    workspace, model = served
    operations = workspace.online_endpoints
    deploy(workspace, model)
    pid = json.loads((workspace.root / "endpoints/bank/server.json").read_text())["pid"]
    assert operations.set_insights("bank", True).insights
    operations.score("bank", ScoreRequest([ROW]))
    until(lambda: workspace.insights.stats("bank", 60).requests)
    assert not operations.set_insights("bank", False).insights
    assert json.loads((workspace.root / "endpoints/bank/server.json").read_text())["pid"] == pid


def test_a_foreign_model_serves_only_when_trusted(served: Served, tmp_path: Path) -> None:
    workspace, _ = served
    folder = foreign_folder(tmp_path / "foreign")
    with pytest.raises(NotAllowedError):
        workspace.models.register(RegisterModel("foreign", str(folder)))
    model = trusted(workspace, folder, "foreign")
    deploy(workspace, model, endpoint="other")
    result = workspace.online_endpoints.score("other", ScoreRequest([ROW, {**ROW, "age": 10}]))
    # A Series with a name, as MLflow's own server writes it.
    assert list(result.predictions) == [{"age": 82.0}, {"age": 20.0}]
    with pytest.raises(InvalidInputError, match="probabilities"):
        workspace.online_endpoints.score("other", ScoreRequest([ROW], proba=True))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"load": "raise RuntimeError('no luck')"}, "no luck"),
        pytest.param({"body": "raise ValueError('cannot')"}, "cannot", marks=pytest.mark.slow),
    ],
)
def test_a_model_that_cannot_answer_fails_and_what_served_goes_on(
    served: Served, tmp_path: Path, options: dict[str, str], reason: str
) -> None:
    workspace, model = served
    operations = workspace.online_endpoints
    deploy(workspace, model)
    broken = trusted(workspace, foreign_folder(tmp_path / "broken", example=True, **options), "broken")
    operations.begin_deploy(DeploySpec(AssetRef("broken", broken.version), "bank", "blue"))
    after = wait_ready(workspace, "bank")
    assert after.deployments[0].state is DeploymentState.FAILED
    assert reason in (after.deployments[0].detail or "")
    assert operations.score("bank", ScoreRequest([ROW])).predictions[0] in ("no", "yes")
    operations.begin_deploy(DeploySpec(AssetRef("broken", broken.version), "bank", "green", traffic=50))
    after = wait_ready(workspace, "bank", "green")
    assert after.traffic == {"blue": 100, "green": 0}
    assert any(reason in line.message for line in workspace.insights.logs("bank", _errors()))
    assert not deploy(workspace, model).unchanged  # a failed deployment is tried again
    assert operations.get("bank").deployments[0].state is DeploymentState.SUCCEEDED


def _errors() -> object:
    from opsml_cli.domain.insights import LogQuery

    return LogQuery(level="error")


def test_a_changed_model_folder_is_not_served(served: Served) -> None:
    workspace, model = served
    (Path(model.path) / "data" / "planted.txt").write_text("x")
    workspace.online_endpoints.begin_deploy(DeploySpec(AssetRef("bank", "1"), "bank", "blue"))
    found = wait_ready(workspace, "bank").deployments[0]
    assert found.state is DeploymentState.FAILED and "not those that were registered" in (found.detail or "")


def test_more_processes_share_the_address(served: Served) -> None:
    workspace, model = served
    operations = workspace.online_endpoints
    deploy(workspace, model, instance_count=2)
    status = json.loads((workspace.root / "endpoints/bank/server.json").read_text())
    assert status["workers"] == 2
    uri, keys = operations.get("bank").scoring_uri or "", operations.keys("bank")
    assert {post(uri, keys.primary)[0] for _ in range(40)} == {200}
    fresh = operations.rotate_keys("bank", "primary")
    assert {post(uri, keys.primary)[0] for _ in range(40)} == {401}
    assert {post(uri, fresh.primary)[0] for _ in range(40)} == {200}
    operations.stop("bank")
    assert operations.start("bank").scoring_uri == uri
