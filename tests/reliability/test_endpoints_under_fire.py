"""Endpoints while things go wrong: swaps under load, killed servers, killed deploys, taken ports."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from serving_support import ROW, deploy, end_all, payload, register_own, trained_once, wait_ready
from waiting import until

from opsml_cli.domain.endpoint import DeploymentState, DeploySpec, ScoreRequest
from opsml_cli.domain.errors import ConflictError
from opsml_cli.domain.names import AssetRef
from opsml_cli.local import endpoint_records
from opsml_cli.local.processes import pid_alive
from opsml_cli.local.workspace import LocalWorkspace


@pytest.fixture
def models(workspace: LocalWorkspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorkspace]:
    """A workspace with bank:1 and bank:2; every server ends with the test."""
    for _ in range(2):
        register_own(workspace, trained_once(tmp_path_factory.getbasetemp()))
    yield workspace
    if workspace.root.exists():
        end_all(workspace)


def status(workspace: LocalWorkspace, endpoint: str = "bank") -> dict[str, int]:
    found: dict[str, int] = json.loads((workspace.root / "endpoints" / endpoint / "server.json").read_text())
    return found


def gone(pid: int) -> bool:
    """Whether the process has ended; a zombie of ours has."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return not pid_alive(pid)


@contextmanager
def load(uri: str, key: str, clients: int = 3) -> Iterator[list[object]]:
    """Requests without pause while the block runs, on kept connections; yields the list of everything but 200."""
    place, end, wrong = urlsplit(uri), threading.Event(), []
    answered = [0] * clients

    def client(number: int) -> None:
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
        while not end.is_set():
            try:
                connection.request("POST", "/score", payload(), {"Authorization": f"Bearer {key}"})
                reply = connection.getresponse()
                body = reply.read()
                if reply.status != 200:
                    wrong.append((reply.status, body))
            except (OSError, http.client.HTTPException) as error:
                wrong.append(error)
                connection.close()
            answered[number] += 1
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: all(answered))
        yield wrong
    finally:
        end.set()
        for thread in threads:
            thread.join()


def test_no_request_fails_while_models_traffic_and_keys_change(models: LocalWorkspace) -> None:
    operations = models.online_endpoints
    first, second = models.models.get(AssetRef("bank", "1")), models.models.get(AssetRef("bank", "2"))
    uri = deploy(models, first).endpoint.scoring_uri or ""
    with load(uri, operations.keys("bank").secondary) as wrong:
        for model in (second, first, second):
            assert deploy(models, model).deployment.model.version == model.version
        deploy(models, first, deployment="green", traffic=50)
        operations.set_traffic("bank", {"green": 100, "blue": 0})
        operations.rotate_keys("bank", "primary")
        operations.delete("bank", "blue")
    assert wrong == []


def test_a_killed_server_is_seen_and_comes_back(models: LocalWorkspace) -> None:
    operations = models.online_endpoints
    before = deploy(models, models.models.get(AssetRef("bank"))).endpoint
    pid = status(models)["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: not operations.get("bank").running)
    found = operations.get("bank")
    assert found.detail == "its process has ended"
    with pytest.raises(ConflictError, match="not running"):
        operations.score("bank", ScoreRequest([ROW]))
    assert operations.start("bank") == before  # the address too
    assert operations.score("bank", ScoreRequest([ROW])).rows == 1
    assert status(models)["pid"] != pid


def test_a_killed_worker_is_replaced(models: LocalWorkspace) -> None:
    import psutil

    deploy(models, models.models.get(AssetRef("bank")), instance_count=2)
    leader = psutil.Process(status(models)["pid"])
    [worker] = leader.children()
    worker.kill()
    until(lambda: [each for each in leader.children() if each.pid != worker.pid and each.status() != psutil.STATUS_ZOMBIE])
    assert models.online_endpoints.score("bank", ScoreRequest([ROW])).rows == 1


def test_deploying_again_brings_a_dead_endpoint_back(models: LocalWorkspace) -> None:
    deploy(models, models.models.get(AssetRef("bank", "1")))
    pid = status(models)["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: not models.online_endpoints.get("bank").running)
    models.online_endpoints.begin_deploy(DeploySpec(AssetRef("bank", "1"), "bank", "blue"))
    until(lambda: models.online_endpoints.get("bank").running)


def test_a_server_that_cannot_say_how_it_stands_goes_on_and_says_it_later(models: LocalWorkspace) -> None:
    operations = models.online_endpoints
    deploy(models, models.models.get(AssetRef("bank", "1")))
    folder = models.root / "endpoints/bank"
    word = folder / "server.json"
    word.rename(folder / "kept.json")
    word.mkdir()  # no file can take its place
    with models.store.write() as connection:
        record = endpoint_records.read(connection, "bank")
        assert record is not None and record.record_requests(not record.insights)
        endpoint_records.save(connection, record)
    until(lambda: "could not be followed" in (folder / "logs/server.jsonl").read_text())
    assert operations.score("bank", ScoreRequest([ROW])).rows == 1
    word.rmdir()
    until(word.exists)
    assert status(models)["applied"] == record.generation


def test_a_deployment_whose_server_died_is_failed_and_can_be_repeated(models: LocalWorkspace) -> None:
    operations = models.online_endpoints
    operations.begin_deploy(DeploySpec(AssetRef("bank", "1"), "bank", "blue"))
    launched = json.loads((models.root / "endpoints/bank/launch.json").read_text())["pid"]
    os.kill(launched, signal.SIGKILL)
    found = wait_ready(models, "bank").deployments[0]
    if found.state is DeploymentState.FAILED:  # otherwise it was quicker than the signal
        assert "deploy again" in (found.detail or "")
    until(lambda: gone(launched))
    assert deploy(models, models.models.get(AssetRef("bank", "1"))).deployment.state is DeploymentState.SUCCEEDED


def test_a_record_without_a_server_is_finished_by_the_next_deploy(
    models: LocalWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opsml_cli.local.endpoint_servers import EndpointServers

    class Killed(Exception):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(EndpointServers, "ensure", die)
        with pytest.raises(Killed):
            models.online_endpoints.begin_deploy(DeploySpec(AssetRef("bank", "1"), "bank", "blue"))
    assert models.online_endpoints.get("bank").deployments[0].state is DeploymentState.FAILED
    assert deploy(models, models.models.get(AssetRef("bank", "1"))).endpoint.traffic == {"blue": 100}


def test_a_taken_port_gives_a_new_address(models: LocalWorkspace) -> None:
    operations = models.online_endpoints
    before = deploy(models, models.models.get(AssetRef("bank"))).endpoint
    operations.stop("bank")
    with socket.create_server(("127.0.0.1", urlsplit(before.scoring_uri or "").port or 0)):
        after = operations.start("bank")
        assert after.scoring_uri != before.scoring_uri
        assert operations.score("bank", ScoreRequest([ROW])).rows == 1
    operations.stop("bank")
    assert operations.start("bank").scoring_uri == after.scoring_uri


def test_a_server_ends_when_its_workspace_is_removed(models: LocalWorkspace) -> None:
    deploy(models, models.models.get(AssetRef("bank")))
    pid = status(models)["pid"]
    models.store.close()
    shutil.rmtree(models.root)
    until(lambda: gone(pid))


def test_a_deleted_endpoint_whose_folder_was_left_is_made_anew(models: LocalWorkspace) -> None:
    deploy(models, models.models.get(AssetRef("bank")))
    pid = status(models)["pid"]
    with models.store.write() as connection:
        endpoint_records.remove(connection, "bank")  # killed before anything else was done
    until(lambda: gone(pid))
    marker = models.root / "endpoints/bank/telemetry-of-before"
    marker.write_text("old")
    deploy(models, models.models.get(AssetRef("bank")))
    assert not marker.exists()


def _kill_server(workspace: LocalWorkspace) -> None:
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(json.loads((workspace.root / "endpoints/bank/launch.json").read_text())["pid"], signal.SIGKILL)


def _kill_deploys(workspace: LocalWorkspace, folder: Path, times: int) -> None:
    """Kill `opsml deploy` with all it started at random instants; then the same command must finish the work."""
    random_ = random.Random(5)
    command = [sys.executable, "-m", "opsml_cli", "deploy", "bank:1", "--endpoint", "bank", "-o", "json"]
    environment = {**os.environ, "OPSML_WORKSPACE": "local", "HOME": str(folder)}
    for number in range(times):
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        # The instant is what is tested here: nothing is waited for.
        time.sleep(random_.uniform(0.0, 1.0))
        if number % 2:
            _kill_server(workspace)
        process.kill()
        process.wait()
        for endpoint in workspace.online_endpoints.list():
            assert [each.name for each in endpoint.deployments] == ["blue"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False, timeout=90)
        assert done.returncode == 0, done.stderr.decode()
        answer = json.loads(done.stdout)
        assert (answer["state"], answer["traffic"], answer["running"]) == ("Succeeded", {"blue": 100}, True)
        assert workspace.online_endpoints.score("bank", ScoreRequest([ROW])).rows == 1
        if number % 3 == 2:
            workspace.online_endpoints.delete("bank")


@pytest.mark.slow
def test_a_killed_deploy_is_finished_by_the_next(models: LocalWorkspace, tmp_path: Path) -> None:
    _kill_deploys(models, tmp_path, 4)


@pytest.mark.slow
def test_deploys_killed_at_many_instants(models: LocalWorkspace, tmp_path: Path) -> None:
    _kill_deploys(models, tmp_path, 20)
