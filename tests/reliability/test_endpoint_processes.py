"""The processes of an endpoint while they are killed, hang, and share names: fronts, hosts, and what is left of them."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from endpoint_live import Client, Scripts, fronts, hosts, leader, load, processes_of
from serving_support import end_all, payload, register_own, trained_once, wait_ready
from waiting import until

from opsml_cli.domain.endpoint import DeploymentState, DeploySpec
from opsml_cli.domain.model import RegisterModel
from opsml_cli.domain.names import AssetRef
from opsml_cli.local.endpoint_traffic import EndpointSettings
from opsml_cli.local.workspace import LocalWorkspace

_FOLDER = """flavors:
  python_function:
    loader_module: {module}
    code: code
    data: data
signature:
  inputs: '[{{"type": "double", "name": "x", "required": true}}]'
"""
_LOADER = """
import shared_parts


class Model:
    def predict(self, frame, params=None):
        return [shared_parts.OFFSET + value for value in frame["x"]]


def _load_pyfunc(path):
    return Model()
"""


@pytest.fixture
def place(workspace: LocalWorkspace) -> Iterator[LocalWorkspace]:
    yield workspace
    if workspace.root.exists():
        end_all(workspace)


def offset_model(workspace: LocalWorkspace, folder: Path, offset: int) -> None:
    """`shift`, a version more, whose answer its own module `shared_parts` tells: each version has one of that name."""
    (folder / "code").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "data" / "nothing.txt").write_text("1")
    (folder / "code" / "shift_loader.py").write_text(_LOADER)
    (folder / "code" / "shared_parts.py").write_text(f"OFFSET = {offset}\n")
    (folder / "MLmodel").write_text(_FOLDER.format(module="shift_loader"))
    workspace.models.register(RegisterModel("shift", str(folder), trust=True))


# Names


@pytest.mark.slow
def test_two_models_with_a_module_of_the_same_name_never_mix(place: LocalWorkspace, tmp_path: Path) -> None:
    for offset in (100, 200):
        offset_model(place, tmp_path / str(offset), offset)
    body = json.dumps({"input_data": {"columns": ["x"], "data": [[5]]}})

    def deploy(version: str, deployment: str) -> None:
        place.online_endpoints.begin_deploy(DeploySpec(AssetRef("shift", version), "shift", deployment))
        assert wait_ready(place, "shift", deployment).deployments[-1].state is DeploymentState.SUCCEEDED

    def answers() -> list[tuple[int, Any, str | None]]:
        client = Client(place, "shift")
        return [client.ask(body, each) for each in ("blue", "green", "blue")]

    deploy("1", "blue")
    deploy("2", "green")
    expected = [(200, [105.0], "blue"), (200, [205.0], "green"), (200, [105.0], "blue")]
    assert answers() == expected
    place.online_endpoints.stop("shift")
    place.online_endpoints.start("shift")
    assert answers() == expected
    deploy("2", "blue")
    assert Client(place, "shift").ask(body, "blue") == (200, [205.0], "blue")


def test_two_scripts_with_a_module_of_the_same_name_never_mix(place: LocalWorkspace) -> None:
    scripts = Scripts(place, "scripts")
    text = "import parts\ndef init(): pass\ndef run(body):\n    import later\n    return [parts.WORD, later.WORD]"
    for word in ("blue", "green"):
        scripts.deploy(word, text, files={"parts.py": f"WORD = '{word}'", "later.py": f"WORD = 'later {word}'"})
    client = Client(place, "scripts")
    for word in ("green", "blue", "green"):
        assert client.ask("1", word) == (200, [word, f"later {word}"], word)


# Hanging, ending


def test_a_deployment_that_hangs_keeps_no_other_waiting(place: LocalWorkspace) -> None:
    scripts = Scripts(place, "hanging")
    scripts.deploy("fast", "def init(): pass\ndef run(body): return 'fast'")
    scripts.deploy("slow", "import time\ndef init(): pass\ndef run(body): return time.sleep(float(body)) or 'slow'", seconds=2)
    client = Client(place, "hanging")
    client.ask("1", "fast")
    [slow] = [each for each in hosts(place) if each.pid in serving_pids(place, "hanging", "slow")]
    statuses: list[int] = []
    hanging = [threading.Thread(target=lambda: statuses.append(client.ask("600", "slow")[0])) for _ in range(6)]
    for each in hanging:
        each.start()
    took = []
    while any(each.is_alive() for each in hanging):
        started = time.perf_counter()
        assert client.ask("1", "fast") == (200, "fast", "fast")
        took.append(time.perf_counter() - started)
    # The middle one: this machine may have other work for an instant.
    assert sorted(took)[len(took) // 2] < 0.1
    # The first was being answered; the others may have waited in vain, for it or for its successor.
    assert set(statuses) <= {503, 504} and 504 in statuses
    until(lambda: not slow.is_running())
    assert client.ask("0", "slow") == (200, "slow", "slow")


def serving_pids(workspace: LocalWorkspace, endpoint: str, deployment: str) -> list[int]:
    found = next(each for each in workspace.online_endpoints.get(endpoint).deployments if each.name == deployment)
    assert found.serving is not None
    return list(found.serving.processes)


def test_a_process_that_ends_fails_the_request_in_it_alone(place: LocalWorkspace) -> None:
    text = "import os\ndef init(): pass\ndef run(body): return os._exit(9) if body == 'end' else os.getpid()"
    Scripts(place, "ending").deploy("blue", text)
    client = Client(place, "ending")
    first = client.ask("1", "blue")[1]
    status, reply, name = client.ask("end", "blue")
    assert (status, reply["error"]["code"], name) == (502, "process_ended", "blue")
    status, second, _ = client.ask("1", "blue")  # waits for the next process
    assert status == 200 and second != first
    journal = (place.layout.endpoint("ending") / "logs" / "server.jsonl").read_text()
    assert "exit code 9" in journal


def test_a_process_that_ends_is_noticed_though_what_it_forked_holds_the_channel(place: LocalWorkspace) -> None:
    text = (
        "import os, time\ndef init(): pass\ndef run(body):\n"
        "    if body != 'end': return body\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        time.sleep(20)\n"
        "        os._exit(0)\n"
        "    os._exit(9)"
    )
    Scripts(place, "leaving").deploy("blue", text)
    client = Client(place, "leaving")
    started = time.perf_counter()
    status, reply, _ = client.ask("end", "blue")
    assert (status, reply["error"]["code"]) == (502, "process_ended")
    assert time.perf_counter() - started < 10
    assert client.ask("1", "blue")[:2] == (200, "1")


def test_a_process_that_cannot_start_again_is_tried_with_pauses(place: LocalWorkspace, tmp_path: Path) -> None:
    marker = tmp_path / "may-start"
    marker.write_text("")
    starts = tmp_path / "starts"
    text = (
        f"import os\nopen({str(starts)!r}, 'a').write('x')\n"
        f"def init(): os.path.exists({str(marker)!r}) or os._exit(4)\ndef run(body): return 1 if body == '1' else os._exit(5)"
    )
    Scripts(place, "crashing").deploy("blue", text, seconds=1)
    client = Client(place, "crashing")
    marker.unlink()
    assert client.ask("end", "blue")[0] == 502
    status, reply, _ = client.ask("1", "blue")
    assert (status, reply["error"]["code"]) == (503, "unavailable")
    assert "exit code 4" in reply["error"]["message"]
    assert len(starts.read_text()) < 8
    marker.write_text("")
    until(lambda: client.ask("1", "blue")[0] == 200)


def test_what_a_process_started_ends_with_it(place: LocalWorkspace, tmp_path: Path) -> None:
    text = (
        "import subprocess, sys, os\n"
        "def init(): global child; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "def run(body): return child.pid if body == '1' else os._exit(1)"
    )
    Scripts(place, "parents").deploy("blue", text)
    client = Client(place, "parents")
    first = client.ask("1", "blue")[1]
    assert psutil.pid_exists(first)
    client.ask("end", "blue")
    until(lambda: not psutil.pid_exists(first) or psutil.Process(first).status() == psutil.STATUS_ZOMBIE)
    second = client.ask("1", "blue")[1]
    place.online_endpoints.stop("parents")
    until(lambda: not psutil.pid_exists(second) or psutil.Process(second).status() == psutil.STATUS_ZOMBIE)


_HARD = {
    "sleeps": "import time; time.sleep(600)",
    "holds the interpreter's lock": "import ctypes; ctypes.PyDLL(None).sleep(600)",
}


@pytest.mark.parametrize("how", [pytest.param("sleeps", marks=pytest.mark.slow), "holds the interpreter's lock"])
def test_hosts_end_with_a_front_that_is_killed_whatever_they_do(place: LocalWorkspace, how: str) -> None:
    if "lock" in how and sys.platform != "linux":
        pytest.skip("the kernel's help is Linux's")
    Scripts(place, "orphans").deploy(
        "blue", f"def init(): pass\ndef run(body):\n    {_HARD[how]}", environment={"WORKER_COUNT": "2"}
    )
    client = Client(place, "orphans")

    def hang() -> None:
        with suppress(OSError, http.client.HTTPException):
            client.ask("1", "blue")

    thread = threading.Thread(target=hang)
    thread.start()
    found = hosts(place)
    assert len(found) == 2
    until(lambda: sum(each.cpu_times().user for each in found) > 0)
    os.kill(leader(place, "orphans"), signal.SIGKILL)
    thread.join()
    until(lambda: not hosts(place), 5.0)


# Files


def test_a_script_that_writes_beside_itself_starts_again(place: LocalWorkspace) -> None:
    text = "def init(): open('cache.bin', 'x').write('kept')\ndef run(body): return open('cache.bin').read()"
    Scripts(place, "writing").deploy("blue", text)
    assert Client(place, "writing").ask("1", "blue")[:2] == (200, "kept")
    place.online_endpoints.stop("writing")
    work = place.layout.endpoint("writing") / "work"
    assert list(work.iterdir()) == []
    found = place.online_endpoints.start("writing")
    assert [each.state for each in found.deployments] == [DeploymentState.SUCCEEDED]
    assert Client(place, "writing").ask("1", "blue")[:2] == (200, "kept")
    assert len(list(work.iterdir())) == 1
    place.online_endpoints.delete("writing", "blue")
    until(lambda: list(work.iterdir()) == [])


# Fronts


@pytest.mark.parametrize(
    "killed", [pytest.param("leader", marks=pytest.mark.slow), pytest.param("worker", marks=pytest.mark.slow), "each in turn"]
)
def test_no_connection_is_refused_while_a_front_is_killed(
    place: LocalWorkspace, tmp_path_factory: pytest.TempPathFactory, killed: str
) -> None:
    register_own(place, trained_once(tmp_path_factory.getbasetemp()))
    operations = place.online_endpoints
    operations.begin_deploy(DeploySpec(AssetRef("bank"), "bank", "blue", instance_count=2))
    wait_ready(place, "bank")
    client = Client(place, "bank")
    before = {each.pid for each in fronts(place)}
    assert len(before) == 2
    with load(client, payload()) as (replies, errors):
        for _ in range(3 if killed == "each in turn" else 1):
            first = leader(place, "bank")
            worker = next(each.pid for each in fronts(place) if each.pid != first)
            victim = worker if killed == "worker" else first
            os.kill(victim, signal.SIGKILL)
            until(lambda: len([each for each in fronts(place) if each.status() != psutil.STATUS_ZOMBIE]) == 2)
            until(lambda pid=victim: leader(place, "bank") != pid and operations.get("bank").running)  # type: ignore[misc]
            until(lambda: json.loads((place.layout.endpoint("bank") / "server.json").read_text())["workers"] == 2)
        count = len(replies)
        until(lambda: len(replies) > count + 20)
    assert {status for status, _, _ in replies} == {200}
    # A request in the killed process, and idle connections to it, are lost; nobody was refused.
    assert not [each for each in errors if isinstance(each, ConnectionRefusedError)]
    # The new leader follows the record as the first did.
    operations.set_traffic("bank", {"blue": 0})
    assert client.ask(payload())[0] == 404
    operations.stop("bank")
    assert fronts(place) == []


def test_all_fronts_and_hosts_end_with_the_workspace(place: LocalWorkspace) -> None:
    scripts = Scripts(place, "removed")
    scripts.deploy("blue", "def init(): pass\ndef run(body): return 1", instances=2)
    assert (len(fronts(place)), len(hosts(place))) == (2, 2)
    os.kill(leader(place, "removed"), signal.SIGKILL)
    until(lambda: len(hosts(place)) == 2 and len(fronts(place)) == 2)
    place.store.close()
    shutil.rmtree(place.root)
    until(lambda: not processes_of(place))
    assert not place.root.exists()


# Swaps


def test_swaps_of_scripts_under_load_lose_nothing_and_every_answer_is_of_the_version_that_it_names(
    place: LocalWorkspace,
) -> None:
    scripts = Scripts(place, "swapped")
    text = "import time\ndef init(): pass\ndef run(body): time.sleep(0.005); return {}"
    scripts.deploy("blue", text.format(100))
    scripts.deploy("green", text.format(200))
    operations = place.online_endpoints
    operations.set_traffic("swapped", {"blue": 50, "green": 50})
    client = Client(place, "swapped")
    with load(client, "1", clients=6) as (replies, errors):
        for number in (101, 102, 103):
            scripts.deploy("blue", text.format(number))
            operations.set_traffic("swapped", {"blue": 50 + number % 2, "green": 50 - number % 2})
            operations.rotate_keys("swapped", "secondary")
    assert errors == []
    assert {status for status, _, _ in replies} == {200}
    assert {(answer, name) for _, answer, name in replies} == {
        *((number, "blue") for number in (100, 101, 102, 103)),
        (200, "green"),
    }
    # The processes of what was replaced have ended, and their files are gone.
    until(lambda: len(hosts(place)) == 2)
    until(lambda: len(list((place.layout.endpoint("swapped") / "work").iterdir())) == 2)


def test_a_killed_host_fails_nothing_but_the_request_in_it(place: LocalWorkspace) -> None:
    Scripts(place, "killed").deploy("blue", "import time\ndef init(): pass\ndef run(body): time.sleep(0.01); return 1")
    place.online_endpoints.set_traffic("killed", {"blue": 100})
    with load(Client(place, "killed"), "1", clients=6) as (replies, errors):
        for _ in range(2):
            [host] = until(lambda: hosts(place))
            host.kill()
            until(lambda killed=host.pid: [each for each in hosts(place) if each.pid != killed])  # type: ignore[misc]
            count = len(replies)
            until(lambda so_far=count: len(replies) > so_far + 12)  # type: ignore[misc]
    assert errors == []
    statuses = [status for status, _, _ in replies]
    assert set(statuses) <= {200, 502}
    assert statuses.count(502) <= 2


@pytest.mark.slow
def test_mirrored_requests_reach_a_host_and_nobody_waits_for_it(place: LocalWorkspace, tmp_path: Path) -> None:
    scripts, seen = Scripts(place, "mirrored"), tmp_path / "seen"
    scripts.deploy("blue", "def init(): pass\ndef run(body): return 1")
    shadow = f"import time\ndef init(): pass\ndef run(body):\n    time.sleep(0.5)\n    open({str(seen)!r}, 'a').write('x')"
    scripts.deploy("shadow", shadow)
    place.online_endpoints.put("mirrored", EndpointSettings(traffic={"blue": 100, "shadow": 0}, mirror={"shadow": 50}))
    client = Client(place, "mirrored")
    for _ in range(20):
        started = time.perf_counter()
        assert client.ask("1") == (200, 1, "blue")
        assert time.perf_counter() - started < 0.5
    until(seen.exists)


def test_more_requests_than_a_deployment_takes_are_refused_and_those_still_coming_do_not_count(place: LocalWorkspace) -> None:
    scripts = Scripts(place, "bounded")
    scripts.deploy("blue", "import time\ndef init(): pass\ndef run(body): time.sleep(0.3); return 1", concurrency=1)
    client = Client(place, "bounded")
    uri = urlsplit(place.online_endpoints.get("bounded").scoring_uri or "")
    key = place.online_endpoints.keys("bounded").primary
    coming = []
    for _ in range(8):
        connection = http.client.HTTPConnection(uri.hostname or "", uri.port, timeout=10)
        connection.putrequest("POST", "/score")
        headers = {"Authorization": f"Bearer {key}", "azureml-model-deployment": "blue", "Content-Length": "5"}
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(b"1")
        coming.append(connection)
    assert client.ask("1", "blue")[0] == 200
    statuses: list[int] = []
    asking = [threading.Thread(target=lambda: statuses.append(client.ask("1", "blue")[0])) for _ in range(6)]
    for each in asking:
        each.start()
    for each in asking:
        each.join()
    assert statuses.count(200) == 2  # as on Azure: twice as many as an instance may have at once
    assert statuses.count(429) == 4
    for each in coming:
        each.close()


@pytest.mark.slow
def test_a_front_whose_hosts_die_again_and_again_keeps_no_descriptors_and_no_threads(place: LocalWorkspace) -> None:
    Scripts(place, "descriptors").deploy(
        "blue", "import os\ndef init(): pass\ndef run(body): return os._exit(1) if body == '0' else 1"
    )
    client = Client(place, "descriptors")
    [front] = fronts(place)

    def die() -> None:
        assert client.ask("0", "blue")[0] == 502
        assert client.ask("1", "blue")[0] == 200

    die()
    before = front.num_fds(), front.num_threads()
    for _ in range(4):
        die()
    until(lambda: front.num_fds() <= before[0] + 1 and front.num_threads() <= before[1] + 1)
