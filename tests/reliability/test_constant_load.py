"""A minute of constant load at half the peak, while everything changes: no answer fails but those of a killed process, and each
is that of the version that its header names."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from serving_client import Client, request_bytes
from serving_support import ROW, Quiet, deploy, end_all, foreign_folder, register_own
from waiting import until

from opsml_cli.domain.job import AutoMLSpec, Limits, TableSource, Task
from opsml_cli.domain.model import Model, RegisterModel
from opsml_cli.domain.progress import Silent
from opsml_cli.local.workspace import LocalWorkspace
from opsml_cli.services.canary import Canary, deploy_canary
from opsml_cli.services.deploy import DeployRequest

pytestmark = pytest.mark.slow
SECONDS = 60.0
CLIENTS = 8
APART = 1000.0  # what version 2 answers more than version 1
_MODEL = re.compile(rb"x-opsml-model: [^:]+:(\d+)")


def trained(folder: Path, offset: float) -> Path:
    """A small regression whose answers lie around `offset`."""
    import numpy as np
    import pandas as pd

    from opsml_cli.local.automl.engine import Tables, train

    random = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 90, 300),
            "job": random.choice(["technician", "admin.", "retired"], 300),
            "balance": random.normal(0, 100, 300).round(2),
        }
    )
    frame["y"] = frame["age"] + offset + random.normal(0, 1, 300)
    spec = AutoMLSpec(
        data=TableSource(path="rows"),
        target_column="y",
        task=Task.REGRESSION,
        limits=Limits(timeout_seconds=20, max_trials=1),
        cross_validations=2,
        allowed_algorithms=("LightGBM",),
    )
    folder.mkdir()
    train(spec, Tables(frame), folder, Quiet())
    return folder / "outputs" / "model"


def own(workspace: LocalWorkspace, folder: Path) -> list[Model]:
    return [register_own(workspace, trained(folder / f"own{number}", number * APART)) for number in range(2)]


def foreign(workspace: LocalWorkspace, folder: Path) -> list[Model]:
    """Two versions with a module of the same name."""
    found = []
    for number in range(2):
        body = f"return [float(age) + {number * APART} for age in frame['age']]"
        made = foreign_folder(folder / f"foreign{number}", body=body)
        found.append(workspace.models.register(RegisterModel("bank", str(made), trust=True)).model)
    return found


class Load(threading.Thread):
    """Requests at `rate` until it is told to end; what was wrong, and how many answers each version gave."""

    def __init__(self, port: int, key: str, rate: float) -> None:
        super().__init__(daemon=True)
        body = json.dumps({"input_data": {"columns": list(ROW), "data": [list(ROW.values())]}}).encode()
        self._client = Client(port, request_bytes(port, "/score", body, key), CLIENTS, self._seen)
        self._rate = rate
        self.by_version: Counter[int] = Counter()
        self.mixed: list[bytes] = []
        self.wrong: Counter[str] = Counter()
        self.replies: list[bytes] = []
        self.end = threading.Event()

    def peak(self) -> float:
        return len(self._client.closed(2.0).latencies) / 2.0

    def run(self) -> None:
        while not self.end.is_set():
            self.wrong.update(self._client.open(1.0, self._rate).wrong)

    def _seen(self, head: bytes, body: bytes) -> None:
        if not head.startswith(b"HTTP/1.1 200"):
            self.replies.append(head + b"\r\n\r\n" + body[:200])
            return
        version = _MODEL.search(head)
        value = json.loads(body)[0]
        if version is None or (value > APART / 2) != (version[1] == b"2"):
            self.mixed.append(head + body)
        else:
            self.by_version[int(version[1])] += 1


@pytest.fixture
def served(workspace: LocalWorkspace) -> Iterator[LocalWorkspace]:
    yield workspace
    end_all(workspace)


def processes(workspace: LocalWorkspace) -> tuple[psutil.Process, list[psutil.Process]]:
    """The leading process of the endpoint, and all below it."""
    leader = psutil.Process(json.loads((workspace.root / "endpoints" / "bank" / "server.json").read_text())["pid"])
    return leader, leader.children(recursive=True)


def kill(process: psutil.Process) -> None:
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(process.pid) or process.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize("models", [own, foreign])
def test_a_minute_of_changes_under_load(
    served: LocalWorkspace, tmp_path: Path, models: Callable[[LocalWorkspace, Path], list[Model]]
) -> None:
    first, second = models(served, tmp_path)
    operations = served.online_endpoints
    count = 2 if models is own else 1
    endpoint = deploy(served, first, instance_count=count).endpoint
    port = urlsplit(endpoint.scoring_uri or "").port or 0
    key = operations.keys("bank").secondary
    load = Load(port, key, 1.0)
    load._rate = load.peak() / 2
    began = time.monotonic()
    load.start()
    killed = 0
    for number in range(5):  # ten swaps: of the model in its place, and of the traffic
        deploy(served, (second, first)[number % 2], instance_count=count)
        deploy(served, (first, second)[number % 2], deployment="green", traffic=100, instance_count=count)
        operations.set_traffic("bank", {"blue": 100, "green": 0})
        operations.rotate_keys("bank", "primary")
        if number == 1:
            _, below = processes(served)
            kill(next(each for each in below if ("serving.server" in " ".join(each.cmdline())) == (models is own)))
            killed += 1
        if number == 3 and models is own:
            kill(processes(served)[0])
            killed += 1
            until(lambda: operations.get("bank").running)
    trial = Canary(20, 2.0, ("p50<0.0001ms",), 1)
    request = DeployRequest(model=f"bank:{first.version}", endpoint="bank", deployment="canary")
    _, error = deploy_canary(served, request, trial, Silent())
    assert error is not None  # the canary failed, and the traffic went back
    until(lambda: time.monotonic() - began > SECONDS, SECONDS + 30)
    load.end.set()
    load.join(60)
    assert load.mixed == []
    assert min(load.by_version[1], load.by_version[2]) > 100
    # A killed process takes what it was answering with it, and nothing else.
    assert sum(load.wrong.values()) <= killed * CLIENTS, (load.wrong, load.replies[:5])
    assert set(load.wrong) <= {"broken", "502", "503"}, load.replies[:5]
