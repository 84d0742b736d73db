"""The local service over real HTTP: who may ask, what a request may hold, and that repeating one starts nothing twice."""

from __future__ import annotations

import http.client
import json
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pipeline_support import cleaned, ended, small_pipeline, written

from opsml_cli.domain.data import RegisterData
from opsml_cli.domain.job import JobState
from opsml_cli.domain.pipeline import PublishPipeline
from opsml_cli.domain.progress import Silent
from opsml_cli.local.service.place import ServicePlace
from opsml_cli.local.service.process import LocalService
from opsml_cli.local.workspace import LocalWorkspace

WITH_DATA = """\
type: pipeline
inputs:
  data: {type: uri_file}
  word: x
jobs:
  a:
    command: head -1 ${{inputs.data}}; echo "${{inputs.word}}"
    inputs: {data: '${{parent.inputs.data}}', word: '${{parent.inputs.word}}'}
"""


class Caller:
    def __init__(self, workspace: LocalWorkspace) -> None:
        self.workspace = workspace
        place = ServicePlace(workspace.layout)
        address, token = place.address(), place.token()
        assert address is not None
        assert token is not None
        self.port, self.token = address.port, token

    def send(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str | None] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """`headers` of None take the usual header away; `body` as bytes is sent as it is."""
        sent: dict[str, str | None] = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            **(headers or {}),
        }
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body=content, headers={k: v for k, v in sent.items() if v is not None})
            reply = connection.getresponse()
            text = reply.read()
            assert reply.headers.get("access-control-allow-origin") is None
            return reply.status, json.loads(text)
        finally:
            connection.close()


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    folder = tmp_path_factory.mktemp("service")
    with cleaned(LocalWorkspace(folder / ".opsml")) as workspace:
        workspace.pipelines.publish(PublishPipeline(str(small_pipeline(folder / "small")), "small"))
        (folder / "t.csv").write_text("a,b\n1,2\n")
        workspace.data.register(RegisterData("table", str(folder / "t.csv")), Silent())
        workspace.pipelines.publish(PublishPipeline(str(written(folder / "data", WITH_DATA)), "reads"))
        yield Caller(workspace)


def inputs(**given: object) -> dict[str, object]:
    data = {
        name: {"JobInputType": "UriFile", "Uri": value} if name == "data" else {"JobInputType": "Literal", "Value": value}
        for name, value in given.items()
    }
    return {"properties": {"InputData": data}}


def test_nothing_answers_without_the_token(caller: Caller) -> None:
    for method, path in (("GET", "/"), ("POST", "/pipelines/small/jobs"), ("GET", "/runs/x"), ("GET", "/nowhere")):
        for header in (None, "Bearer wrong", "Bearer ", "Basic " + caller.token, caller.token):
            status, body = caller.send(method, path, {} if method == "POST" else None, {"Authorization": header})
            assert (status, body["error"]["code"]) == (401, "not_signed_in")
    assert caller.send("GET", "/")[0] == 200


def test_a_foreign_host_or_origin_is_refused_with_the_token_too(caller: Caller) -> None:
    for host in ("evil.example", f"evil.example:{caller.port}", "127.0.0.1:1"):
        assert caller.send("GET", "/", None, {"Host": host})[0] == 421
    for origin in ("https://evil.example", "null", f"http://evil.example:{caller.port}"):
        status, body = caller.send("POST", "/pipelines/small/jobs", inputs(), {"Origin": origin})
        assert (status, body["error"]["code"]) == (403, "foreign_origin")
    assert not caller.workspace.jobs.list()


@pytest.mark.parametrize(
    "text", ['"\\ud800"', '"\\udfff x"', "NaN", "1e999", "9" * 5000, "[" * 5000 + "]" * 5000, '{"\\ud800": 1}']
)
@pytest.mark.parametrize("place", ["word", "DisplayName", "Tags", "ExperimentName"])
def test_what_cannot_be_answered_again_is_refused_before_anything_begins(caller: Caller, text: str, place: str) -> None:
    literal = {"JobInputType": "Literal", "Value": "TEXT"}
    data = {"JobInputType": "UriFile", "Uri": "azureml:table:1"}
    inner: dict[str, object] = {"InputData": {"word": literal if place == "word" else {**literal, "Value": "x"}, "data": data}}
    if place != "word":
        inner[place] = {"a": "TEXT"} if place == "Tags" else "TEXT"
    body = json.dumps({"properties": inner}).replace('"TEXT"', text).encode()
    before = caller.workspace.jobs.list()
    status, answer = caller.send("POST", "/pipelines/reads/jobs", body)
    assert (status, answer["error"]["code"]) == (400, "invalid_input")
    assert caller.workspace.jobs.list() == before
    assert caller.send("GET", "/")[0] == 200


def test_the_token_is_hard_to_guess_and_private(caller: Caller) -> None:
    path = caller.workspace.layout.secrets / "service-token"
    assert len(caller.token) >= 40
    if os.name != "nt":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_it_listens_on_loopback_only(caller: Caller) -> None:
    address = next((info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)), "127.0.0.1")
    if str(address).startswith("127."):
        pytest.skip("this machine has no other address")
    with pytest.raises(OSError), socket.create_connection((str(address), caller.port), timeout=2):
        pass


@pytest.mark.parametrize(
    "uri",
    [
        "/etc/passwd",
        "./t.csv",
        "../t.csv",
        "t.csv",
        "file:///etc/passwd",
        "http://127.0.0.1/x",
        "https://example.com/x.csv",
        "azureml://datastores/x/paths/y",
        "azureml://jobs/../outputs/x",
        "azureml://jobs/x/outputs/../../secrets",
        "azureml:../../etc/passwd",
        "azureml:/etc/passwd",
        "azureml:table:../1",
        "",
    ],
)
def test_a_path_or_url_is_never_an_input(caller: Caller, uri: str) -> None:
    before = len(caller.workspace.jobs.list())
    forms = [
        inputs(data=uri),
        {"properties": {"InputData": {"data": {"JobInputType": "Literal", "Value": uri}}}},
        {"ParameterAssignments": {"data": uri}},
        {"DataPathAssignments": {"data": uri}},
    ]
    for body in forms:
        status, reply = caller.send("POST", "/pipelines/reads/jobs", body)
        assert status == 400, (body, reply)
        assert reply["error"]["code"] in ("invalid_input", "usage")
    assert len(caller.workspace.jobs.list()) == before


def test_a_datastore_path_of_a_v1_client_is_refused(caller: Caller) -> None:
    body = {"ExperimentName": "e", "DataPathAssignments": {"data": {"DataStoreName": "x", "RelativePath": "y"}}}
    status, reply = caller.send("POST", "/pipelines/reads/jobs", body)
    assert status == 400
    assert "DataPathAssignments.data" in reply["error"]["message"]


def test_registered_data_is_an_input_for_both_kinds_of_client(caller: Caller) -> None:
    status, batch = caller.send("POST", "/pipelines/reads/jobs", inputs(data="azureml:table:1", word="$(touch /tmp/evil)"))
    assert status == 201
    assert batch["name"] == batch["Id"] == batch["run"]
    assert batch["properties"]["status"] in ("NotStarted", "Preparing", "Running", "Completed")
    v1 = {"ExperimentName": "retraining", "ParameterAssignments": {"data": "azureml:table@latest", "word": "y"}}
    status, published = caller.send("POST", "/pipelines/reads/jobs", v1)
    assert status == 201
    run = ended(caller.workspace, published["Id"])
    assert (run.status, run.experiment, run.inputs["data"]) == (JobState.COMPLETED, "retraining", "table:1")
    run = ended(caller.workspace, batch["run"])
    assert run.status is JobState.COMPLETED
    text, _ = caller.workspace.jobs.logs(run.run)
    assert "$(touch /tmp/evil)" in text
    status, shown = caller.send("GET", f"/runs/{run.run}")
    assert (status, shown["status"], shown["steps"][0]["status"]) == (200, "Completed", "Completed")
    assert str(caller.workspace.root) not in json.dumps(shown), "no path of this machine"


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/pipelines/nobody/jobs", inputs(), {}, 404),
        ("POST", "/pipelines/..%2f..%2fx/jobs", inputs(), {}, 404),
        ("POST", "/pipelines/small/jobs?version=9", inputs(), {}, 404),
        ("GET", "/runs/nobody", None, {}, 404),
        ("POST", "/runs/nobody/cancel", None, {}, 404),
        ("GET", "/nowhere", None, {}, 404),
        ("GET", "/pipelines/small/jobs", None, {}, 405),
        ("POST", "/pipelines/small/jobs", b"word=x", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ("POST", "/pipelines/small/jobs", b"{}", {"Content-Type": "text/plain"}, 415),
        ("POST", "/pipelines/small/jobs", b"{}", {"Content-Type": None}, 415),
        ("POST", "/pipelines/small/jobs", b"{", {}, 400),
        ("POST", "/pipelines/small/jobs", b"[]", {}, 400),
        ("POST", "/pipelines/small/jobs", b"[" * 100_000, {}, 400),
        ("POST", "/pipelines/small/jobs", b'{"properties": {"InputData": ' + b'{"a":' * 50 + b"1" + b"}" * 52, {}, 400),
        ("POST", "/pipelines/small/jobs", b" " * 1_100_000, {}, 413),
        ("POST", "/pipelines/small/jobs", inputs(count=9), {}, 400),
        ("POST", "/pipelines/small/jobs", inputs(unknown=1), {}, 400),
        ("POST", "/pipelines/small/jobs", {"propertys": {}}, {}, 400),
        ("POST", "/pipelines/small/jobs", {"properties": {"OutputData": {"last": {"Uri": "/tmp/x"}}}}, {}, 400),
        ("POST", "/pipelines/small/jobs", {"properties": {"ExperimentName": "../x"}}, {}, 400),
        ("POST", "/pipelines/small/jobs", inputs(), {"x-ms-client-request-id": "a b"}, 400),
        ("POST", "/pipelines/reads/jobs", inputs(data="azureml:nobody:1"), {}, 404),
        ("POST", "/pipelines/reads/jobs", {"properties": {"InputData": {"data": {"JobInputType": "Path"}}}}, {}, 400),
    ],
)  # fmt: skip
def test_wrong_requests_get_json_errors(
    caller: Caller, method: str, path: str, body: object, headers: Mapping[str, str | None], status: int
) -> None:
    before = len(caller.workspace.jobs.list())
    found, reply = caller.send(method, path, body, headers)
    assert (found, set(reply)) == (status, {"error"})
    assert reply["error"]["message"]
    assert "Traceback" not in json.dumps(reply)
    assert len(caller.workspace.jobs.list()) == before


def test_a_repeated_request_is_one_run(caller: Caller) -> None:
    for header in ("x-ms-client-request-id", "Idempotency-Key"):
        headers = {header: f"request-{header}"}

        def send(word: str, headers: Mapping[str, str] = headers) -> tuple[int, dict[str, Any]]:
            return caller.send("POST", "/pipelines/small/jobs", inputs(word=word), headers)

        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda _: send("same"), range(8)))
        assert {status for status, _ in replies} <= {200, 201}
        assert [status for status, _ in replies].count(201) == 1
        (run,) = {reply["run"] for _, reply in replies}
        assert send("other")[0] == 409
        assert ended(caller.workspace, run).status is JobState.COMPLETED
        assert send("same")[1]["run"] == run


def test_a_run_is_canceled_over_http(caller: Caller, tmp_path: Path) -> None:
    path = written(tmp_path, "type: pipeline\njobs:\n  a:\n    command: sleep 300\n")
    caller.workspace.pipelines.publish(PublishPipeline(str(path), "sleeps"))
    _, begun = caller.send("POST", "/pipelines/sleeps/jobs", {})
    assert caller.send("POST", f"/runs/{begun['run']}/cancel")[0] == 202
    assert ended(caller.workspace, begun["run"]).status is JobState.CANCELED


def test_the_port_and_token_stay_when_it_starts_again(caller: Caller) -> None:
    service = LocalService(caller.workspace.layout)
    before, token = service.running(), caller.token
    assert before is not None
    assert service.down()
    assert service.running() is None
    assert not service.down()
    after, started = service.up()
    assert started
    assert (after.port, ServicePlace(caller.workspace.layout).token()) == (before.port, token)
    assert after.pid != before.pid
    assert service.up() == (after, False)


def test_a_taken_port_is_left_to_who_has_it(caller: Caller) -> None:
    service = LocalService(caller.workspace.layout)
    service.down()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", caller.port))
        other.listen()
        address, _ = service.up()
        assert address.port != caller.port
    caller.port = address.port
    assert caller.send("GET", "/")[0] == 200


def test_many_starts_at_once_make_one_service(tmp_path: Path) -> None:
    with cleaned(LocalWorkspace(tmp_path / ".opsml")) as workspace, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: LocalService(workspace.layout).up(), range(4)))
        assert len({address.pid for address, _ in found}) == 1
        assert sum(started for _, started in found) <= 1


def test_an_input_of_another_type_is_refused_by_name(caller: Caller) -> None:
    asked = {"properties": {"InputData": {"data": {"JobInputType": "UriFolder", "Uri": "azureml:table:1"}}}}
    status, body = caller.send("POST", "/pipelines/reads/jobs", asked)
    assert status == 400 and "data is of type uri_file" in body["error"]["message"]


def test_what_a_run_is_called_and_tagged_is_kept(caller: Caller) -> None:
    asked = inputs()
    properties = asked["properties"]
    assert isinstance(properties, dict)
    properties |= {"DisplayName": "Nightly", "Tags": {"team": "risk", "n": 7}}
    status, body = caller.send("POST", "/pipelines/small/jobs", asked)
    assert status == 201, body
    (job,) = [job for job in caller.workspace.jobs.list() if job.display_name == "Nightly"]
    assert job.tags == {"team": "risk", "n": "7"}
