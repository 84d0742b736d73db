"""The scoring server against everybody: keys, foreign pages, sizes, slow and endless requests."""

from __future__ import annotations

import hmac
import http.client
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from telemetry_live import PRIMARY, SECONDARY, Elders, serving

from opsml_cli import guard
from opsml_cli.guard import Guard, loopback_names, same_secret
from opsml_cli.http_protocol import BoundedProtocol
from opsml_cli.local.serving import admission
from opsml_cli.local.serving.app import ScoringApp
from opsml_cli.local.serving.request import Limits
from opsml_cli.local.serving.routing import Live, Routing

BODY = json.dumps({"data": [{"age": 60, "job": "x", "rate": 1.0}]}).encode()
KEY = {"Authorization": f"Bearer {PRIMARY}"}
LIMITS = Limits(body_bytes=4096, body_seconds=0.5, request_seconds=0.3, in_flight=2, inline_bytes=2048, threads=2)


class Sleeper(Elders):
    """A model that answers when it is let go."""

    quick = False

    def __init__(self) -> None:
        self.go = threading.Event()

    def score(self, rows: Any, proba: bool) -> list[Any]:
        self.go.wait(10)
        return super().score(rows, proba)


class Broken(Elders):
    def score(self, rows: Any, proba: bool) -> list[Any]:
        raise RuntimeError("canary-detail")


def head(port: int, *lines: str) -> bytes:
    """The head of a scoring request with the key and `lines`."""
    first = ["POST /score HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Authorization: Bearer {PRIMARY}", *lines]
    return "".join(f"{line}\r\n" for line in first).encode() + b"\r\n"


class Server:
    def __init__(self, port: int, app: ScoringApp, slow: Sleeper) -> None:
        self.port, self.app, self.slow = port, app, slow

    def ask(
        self, method: str = "POST", path: str = "/score", body: bytes | None = BODY, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, KEY if headers is None else headers)
            reply = connection.getresponse()
            return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
        finally:
            connection.close()

    def raw(self, data: bytes, wait: float = 5.0) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as connection:
            connection.sendall(data)
            received = b""
            while part := connection.recv(65536):
                received += part
            return received


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    app, slow = ScoringApp("bank", limits=LIMITS), Sleeper()
    blue = Live("blue", "r1", "elders", "1", Elders())
    others = {"slow": Live("slow", "r2", "elders", "2", slow), "broken": Live("broken", "r3", "elders", "3", Broken())}
    app.routing = Routing((PRIMARY.encode(), SECONDARY.encode()), {"blue": blue, **others}, {}, {"blue": 100})
    with serving(lambda port: Guard(app, loopback_names(port))) as port:
        yield Server(port, app, slow)
        slow.go.set()


@pytest.mark.parametrize("path", ["/", "/score", "/metrics", "/swagger.json", "/nowhere", "/../etc/passwd", "/%2e%2e/x"])
@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {PRIMARY}"}, {"Authorization": PRIMARY}]
)
def test_nothing_is_told_without_the_key(server: Server, path: str, headers: dict[str, str]) -> None:
    status, answer, body = server.ask("POST" if path == "/score" else "GET", path, None, headers)
    assert status == 401
    assert answer["www-authenticate"] == "Bearer"
    assert PRIMARY.encode() not in body


def test_both_keys_are_good(server: Server) -> None:
    for key in (PRIMARY, SECONDARY):
        assert server.ask(headers={"Authorization": f"bearer {key}"})[0] == 200


def test_two_keys_in_one_request_are_none(server: Server) -> None:
    twice = f"Authorization: Bearer {PRIMARY}\r\n" * 2
    answer = server.raw(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n{twice}\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 401")


def test_keys_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def digest(given: bytes, expected: bytes) -> bool:
        compared.append(expected)
        return given == expected

    monkeypatch.setattr(guard.hmac, "compare_digest", digest)
    assert guard.hmac is hmac
    assert admission.knows(b"one", (b"one", b"two"))
    assert compared == [b"one", b"two"]  # the second too, although the first fits
    assert not same_secret("a", "b")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", "127.0.0.1.evil.example"])
def test_a_foreign_host_is_refused(server: Server, host: str) -> None:
    assert server.ask("GET", "/", None, {**KEY, "Host": host})[0] == 421


def test_no_host_and_two_hosts_are_refused(server: Server) -> None:
    good = f"Host: 127.0.0.1:{server.port}\r\n"
    for hosts in ("", good + "Host: evil.example\r\n"):
        request = f"GET / HTTP/1.1\r\n{hosts}Connection: close\r\nAuthorization: Bearer {PRIMARY}\r\n\r\n"
        assert server.raw(request.encode()).split(b" ")[1] in (b"421", b"400")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://localhost:1", "http://127.0.0.1"])
def test_a_foreign_page_is_refused(server: Server, origin: str) -> None:
    status, answer, _ = server.ask(headers={**KEY, "Origin": origin})
    assert status == 403
    assert "access-control-allow-origin" not in answer


def test_its_own_page_may_ask(server: Server) -> None:
    assert server.ask(headers={**KEY, "Origin": f"http://localhost:{server.port}"})[0] == 200


def test_paths_and_methods(server: Server) -> None:
    assert server.ask("GET", "/", None)[::2] == (200, b"Healthy")
    assert server.ask("HEAD", "/", None)[0] == 200
    assert server.ask("GET", "/nowhere", None)[0] == 404
    status, answer, _ = server.ask("GET", "/score", None)
    assert (status, answer["allow"]) == (405, "POST")
    assert server.ask("POST", "/metrics", b"")[0] == 405


def test_metrics_count_requests_by_deployment(server: Server) -> None:
    server.ask()
    text = server.ask("GET", "/metrics", None)[2].decode()
    assert 'opsml_requests_total{deployment="blue",status="200"}' in text
    assert 'opsml_request_seconds_bucket{deployment="blue",le="+Inf"}' in text


@pytest.mark.parametrize(
    "headers",
    [{"Content-Type": "text/plain"}, {"Content-Type": "application/json; charset=utf-16"}, {"Content-Encoding": "gzip"}],
)
def test_other_media_are_refused(server: Server, headers: dict[str, str]) -> None:
    assert server.ask(headers={**KEY, **headers})[0] == 415


def test_a_large_body_is_refused_with_and_without_a_length(server: Server) -> None:
    body = b" " * 6000
    assert server.ask(body=body)[0] == 413
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    assert server.raw(head(server.port, "Transfer-Encoding: chunked") + chunked).startswith(b"HTTP/1.1 413")


def test_a_body_that_dribbles_is_given_up(server: Server) -> None:
    assert server.raw(head(server.port, "Content-Length: 100") + b"{").startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("header", ["content-length: -1", "content-length: x", "content-length: 9" * 30])
def test_absurd_lengths_end_in_a_refusal(server: Server, header: str) -> None:
    assert server.raw(head(server.port, "Connection: close", header)).split(b" ")[1] in (b"400", b"408", b"413")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[" * 5000,
        b'{"data": NaN}',
        b'{"data": [{"age": 1e999, "job": "x", "rate": 1}]}',
        b'{"data": [{"age": Infinity, "job": "x", "rate": 1}]}',
        b'{"data": [{"age": "\\ud800", "job": "x", "rate": 1}]}',
        b'{"data": [{"age": {}, "job": "x", "rate": 1}]}',
        b"\xff\xfe{\x00}\x00",
        b'{"data": "x"}',
    ],
)
def test_bad_input_is_the_clients_fault(server: Server, body: bytes) -> None:
    status, _, answer = server.ask(body=body if len(body) < 4096 else body[:4000])
    assert status == 400
    assert json.loads(answer)


def test_duplicate_keys_and_huge_numbers_are_answered(server: Server) -> None:
    rows = b'[{"age": 1, "age": 99, "job": "x", "rate": 12345678901234567890123}]'
    body = b'{"data": %b, "data": %b}' % (rows, rows)
    assert server.ask(body=body)[0] == 200


def test_extra_columns_come_back_as_a_warning(server: Server) -> None:
    body = json.dumps({"data": [{"age": 60, "job": "x", "rate": 1, 'ev"il\r\nSet-Cookie: a\u2603': 1}]}).encode()
    status, answer, _ = server.ask(body=body)
    assert status == 200
    assert answer["warning"].startswith('299 opsml "ignored: ev')
    assert "set-cookie" not in answer


def test_a_deployment_is_picked_by_header_and_echoed(server: Server) -> None:
    status, answer, _ = server.ask(headers={**KEY, "azureml-model-deployment": "BLUE"})
    assert (status, answer["azureml-model-deployment"]) == (200, "blue")
    assert server.ask(headers={**KEY, "azureml-model-deployment": "../blue"})[0] == 404
    assert server.ask(headers={**KEY, "x-opsml-revision": "r1"})[0] == 404


def test_request_ids_are_echoed_when_they_are_sane(server: Server) -> None:
    _, answer, _ = server.ask(headers={**KEY, "x-ms-request-id": "abc-1", "x-ms-client-request-id": "mine"})
    assert (answer["x-ms-request-id"], answer["x-ms-client-request-id"]) == ("abc-1", "mine")
    _, answer, _ = server.ask(headers={**KEY, "x-ms-request-id": "a b", "x-ms-client-request-id": "x" * 500})
    assert answer["x-ms-request-id"] != "a b" and "x-ms-client-request-id" not in answer


def test_a_failing_model_is_told_without_its_details(server: Server) -> None:
    status, _, body = server.ask(headers={**KEY, "azureml-model-deployment": "broken"})
    assert status == 500
    assert b"canary-detail" not in body


def test_a_slow_model_times_out_then_saturates_and_recovers(server: Server) -> None:
    slow = {**KEY, "azureml-model-deployment": "slow"}
    assert [server.ask(headers=slow)[0] for _ in range(2)] == [504, 504]
    status, answer, _ = server.ask(headers=slow)  # both threads still work
    assert (status, answer["retry-after"]) == (429, "1")
    assert server.ask("GET", "/", None)[0] == 200
    server.slow.go.set()
    deadline = time.monotonic() + 60
    while server.ask(headers=slow)[0] != 200:
        assert time.monotonic() < deadline


def _bounded(**bounds: Any) -> type[BoundedProtocol]:
    return type("Bounded", (BoundedProtocol,), bounds)


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"GET / HTTP/1.1\r\nHost: x\r\nX-Endless: " + b"a" * 3000, b"431"), (b"GET / HTTP/1.1\r\nHost:", b"408"), (b"", b"408")],
)
def test_a_head_must_be_short_and_come_in_time(sent: bytes, status: bytes) -> None:
    app = ScoringApp("bank")
    with serving(lambda port: Guard(app, loopback_names(port)), http=_bounded(head_bytes=2048, head_seconds=0.3)) as port:
        assert Server(port, app, Sleeper()).raw(sent).split(b" ")[1] == status


def test_connections_are_bounded() -> None:
    app = ScoringApp("bank")
    with serving(lambda port: Guard(app, loopback_names(port)), http=_bounded(max_connections=2)) as port:
        first = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
        assert Server(port, app, Sleeper()).raw(b"").split(b" ")[1] == b"429"
        for each in first:
            each.close()
