"""Long-running operations: their URLs, bodies, paces and failures, and that they outlive the emulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from emulator_support import Emulated, MovedClock

from opsml_cli.domain.errors import UsageError
from opsml_cli.emulator.faults import Faults
from opsml_cli.emulator.identity import Identity
from opsml_cli.emulator.operations import Operations, Outcome, Pace, Watch
from opsml_cli.emulator.site import Served, Site
from opsml_cli.emulator.wire import Call
from opsml_cli.local.workspace import LocalWorkspace

Emulate = Callable[..., Emulated]


def _endpoint(client: httpx.Client, emulator: Emulated, name: str) -> httpx.Response:
    body = {"location": "local", "identity": {"type": "SystemAssigned"}, "properties": {"authMode": "Key"}}
    reply = client.put(f"{emulator.ws}/onlineEndpoints/{name}", json=body)
    assert reply.status_code == 201, reply.text
    return reply


def test_the_first_answer_and_the_polls_are_azures(emulate: Emulate) -> None:
    clock = MovedClock(datetime.now(UTC))
    emulator = emulate(pace="azure", clock=clock)
    with emulator.client() as client:
        first = _endpoint(client, emulator, "ep-azure")
        url = first.headers["azure-asyncoperation"]
        assert "retry-after" not in first.headers
        assert "retry-after-ms" not in first.headers
        assert first.headers["x-ms-async-operation-timeout"] == "PT30M"
        parts = urlsplit(url)
        assert parts.path.startswith(
            f"/subscriptions/{emulator.subscription}/providers/Microsoft.MachineLearningServices/locations/local/"
            f"mfeOperationsStatus/oeidp:{emulator.names.workspace_id}:"
        )
        assert set(parse_qs(parts.query)) == {"api-version", "t", "c", "s", "h"}
        poll = client.get(url)
        assert "retry-after-ms" not in poll.headers
        body = poll.json()
        assert set(body) == {"id", "name", "startTime", "endTime", "percentComplete", "status"}
        assert (body["status"], body["endTime"], body["percentComplete"]) == ("Updating", "0001-01-01T00:00:00+00:00", 0.0)
        clock.move(89)
        assert client.get(url).json()["status"] == "Updating"
        assert client.get(f"{emulator.ws}/onlineEndpoints/ep-azure").json()["properties"]["provisioningState"] == "Creating"
        clock.move(2)
        done = client.get(url).json()
        assert (done["status"], done["percentComplete"]) == ("Succeeded", 0.0)
        assert done["endTime"] != body["endTime"]
        found = client.get(f"{emulator.ws}/onlineEndpoints/ep-azure").json()["properties"]
        assert found["provisioningState"] == "Succeeded"


def test_a_changed_signature_is_refused_and_none_is_taken(emulator: Emulated) -> None:
    with emulator.client() as client:
        url = _endpoint(client, emulator, "ep-signed").headers["azure-asyncoperation"]
        plain = httpx.URL(url).copy_with(query=b"api-version=2022-05-01")
        assert client.get(plain).status_code == 200
        changed = url.replace("&s=", "&s=0")
        assert client.get(changed).status_code == 400
        assert client.get(url.replace("oeidp:", "oeidx:")).status_code == 400


def test_the_fast_pace_says_when_to_come_back(emulator: Emulated) -> None:
    with emulator.client() as client:
        first = _endpoint(client, emulator, "ep-fast")
        assert first.headers["retry-after-ms"] == "50"
        poll = client.get(first.headers["azure-asyncoperation"])
        assert (poll.headers["retry-after-ms"], poll.json()["status"]) == ("50", "Succeeded")


def test_a_slow_fault_makes_the_next_operation_take_longer(emulate: Emulate) -> None:
    clock = MovedClock()
    emulator = emulate(clock=clock)
    emulator.faults.add("slow:seconds=40,count=1")
    with emulator.client() as client:
        url = _endpoint(client, emulator, "ep-slow").headers["azure-asyncoperation"]
        assert client.get(url).json()["status"] == "Updating"
        clock.move(41)
        assert client.get(url).json()["status"] == "Succeeded"
        quick = _endpoint(client, emulator, "ep-quick").headers["azure-asyncoperation"]
        assert client.get(quick).json()["status"] == "Succeeded"


@pytest.mark.parametrize("text", ["", "slow", "polls", "polls=-1", "polls=x", "seconds=-1", "fast=1"])
def test_an_unknown_pace_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Pace.read(text)


class Bench:
    """Operations over a local workspace alone, with work that ends when the test says so."""

    def __init__(self, root: Path, pace: str, faults: Faults | None = None) -> None:
        self.workspace = LocalWorkspace(root)
        self.clock = MovedClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.outcome = Outcome(None)
        identity = Identity("https://localhost:1", root, self.clock)
        self.watches: dict[str, Watch] = {"work": lambda served, subject: self.outcome}
        self.operations = Operations(Pace.read(pace), self.watches, self.clock, identity, faults or Faults())
        self.served = Served(self.workspace, "s", "rg", "w", "11111111-1111-1111-1111-111111111111", "account")

    def begin(self, prefix: str, **options: Any) -> Mapping[str, str]:
        site = cast(Site, SimpleNamespace(base="https://localhost:1"))
        call = Call("PUT", "/x/deployments/y", {}, {"api-version": "2023-04-01"}, {}, b"", site, self.served)
        return self.operations.begin(call, prefix, "work", ["Name"], **options)

    def state(self, headers: Mapping[str, str], pace: str | None = None) -> str:
        url = headers.get("azure-asyncoperation") or headers["location"]
        found = self.operations.look(self.served, urlsplit(url).path.rpartition("/")[2])
        assert found is not None
        return "running" if not found.ended_at else "done" if found.succeeded else "failed"


def test_after_some_polls(tmp_path: Path) -> None:
    bench = Bench(tmp_path / ".opsml", "polls=2")
    headers = bench.begin("od", location="resource")
    bench.outcome = Outcome(True)
    assert [bench.state(headers) for _ in range(3)] == ["running", "running", "done"]


def test_after_some_seconds_and_never_before_the_work(tmp_path: Path) -> None:
    bench = Bench(tmp_path / ".opsml", "seconds=5")
    headers = bench.begin("s")
    bench.clock.move(60)
    assert bench.state(headers) == "running"
    assert bench.operations.pending(bench.served, "work", ["name"])
    bench.outcome = Outcome(True)
    assert bench.state(headers) == "done"
    assert not bench.operations.pending(bench.served, "work", ["NAME"])
    fresh = bench.begin("s")
    assert bench.state(fresh) == "running"
    bench.clock.move(5)
    assert bench.state(fresh) == "done"


def test_an_end_stays_and_outlives_the_emulator(tmp_path: Path) -> None:
    bench = Bench(tmp_path / ".opsml", "fast")
    headers = bench.begin("bebes")
    running = bench.begin("bdbes")
    bench.outcome = Outcome(False, "it broke", "ImageBuildFailure")
    assert bench.state(headers) == "failed"
    bench.workspace.store.close()
    again = Bench(tmp_path / ".opsml", "fast")
    again.outcome = Outcome(True)
    assert again.state(headers) == "failed"
    assert again.state(running) == "done"
    assert again.operations.failure(again.served, "work", ["name"]) is None  # the newest one succeeded


def test_a_crash_is_the_operations_and_the_resources(tmp_path: Path) -> None:
    faults = Faults()
    faults.add("crash")
    bench = Bench(tmp_path / ".opsml", "fast", faults)
    bench.outcome = Outcome(True)
    assert bench.state(bench.begin("bdbes")) == "failed"
    failure = bench.operations.failure(bench.served, "work", ["name"])
    assert failure is not None
    assert failure.code == "ResourceNotReady"
    assert bench.state(bench.begin("bdbes")) == "done"
    assert bench.operations.failure(bench.served, "work", ["name"]) is None


def test_urls_by_kind(tmp_path: Path) -> None:
    bench = Bench(tmp_path / ".opsml", "fast")
    put = bench.begin("od", location="resource")
    assert put["location"] == "https://localhost:1/x/deployments/y?api-version=2023-04-01"
    delete = bench.begin("oeidp", location="results")
    status, result = (urlsplit(delete[name]).path for name in ("azure-asyncoperation", "location"))
    assert result == status.replace("mfeOperationsStatus", "mfeOperationResults")
    cancel = bench.begin("jc", location="results", minutes=60)
    assert "azure-asyncoperation" not in cancel
    assert cancel["x-ms-async-operation-timeout"] == "PT1H"
    assert urlsplit(cancel["location"]).path.endswith(f"/mfeOperationResults/jc:{bench.served.workspace_id}:Name")
    compute = bench.begin("compute")
    assert "location" not in compute
    assert "/locations/local/computeOperationsStatus/" in compute["azure-asyncoperation"]
    assert compute["azure-asyncoperation"].endswith("&service=new")
    schedule = urlsplit(bench.begin("s")["azure-asyncoperation"]).path.rpartition(":")[2]
    assert len(schedule) == 43


def test_an_end_that_another_client_saw_meanwhile_stays(tmp_path: Path) -> None:
    bench = Bench(tmp_path / ".opsml", "polls=2")
    headers = bench.begin("od")
    bench.outcome = Outcome(True)
    others: list[str] = []

    def slow(*_: object) -> Outcome:
        # While this poll looks at the work, another client polls until it sees the end.
        if not others:
            others.append("begun")
            others.extend(bench.state(headers) for _ in range(3))
        return Outcome(True)

    bench.watches["work"] = slow
    assert bench.state(headers) == "done"
    assert others == ["begun", "running", "running", "done"]
    assert bench.state(headers) == "done"
