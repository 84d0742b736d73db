"""Bodies of every size, sent in every way: the answer depends on neither."""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from telemetry_live import PRIMARY, Laned, elders, serving

from opsml_cli.http_protocol import PIPELINED
from opsml_cli.local.serving.app import ScoringApp
from opsml_cli.local.serving.refusals import Refusals
from opsml_cli.local.serving.request import Limits
from opsml_cli.local.serving.routing import Routing

KEY = {"Authorization": f"Bearer {PRIMARY}"}
SIZES = [1, 100, 16_384, 65_535, 65_536, 65_537, 131_072, 719_000, 10 * 2**20]


@contextmanager
def endpoint(limits: Limits | None = None, **bounds: Any) -> Iterator[tuple[int, ScoringApp]]:
    app = ScoringApp("bank", limits=limits)
    app.routing = Routing((PRIMARY.encode(),), {"blue": elders()}, {}, {"blue": 100})
    laned = Laned(app, **bounds)
    with serving(laned.guard, http=laned.protocol) as bound:
        yield bound, app


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with endpoint() as (bound, _):
        yield bound


def body_of(size: int) -> bytes:
    """A request of `size` bytes that is answered, where a request can be so short."""
    body = json.dumps({"data": [{"age": 60, "job": "x", "rate": 1.0}]}).encode()
    return body + b" " * (size - len(body)) if size >= len(body) else b"{"[:size]


def expected(size: int) -> int:
    return 200 if size > 50 else 400


def head(port: int, *lines: str) -> bytes:
    first = ("POST /score HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Authorization: Bearer {PRIMARY}")
    return "".join(f"{line}\r\n" for line in (*first, *lines)).encode() + b"\r\n"


def chunked(body: bytes, size: int, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts) + b"0\r\n" + trailer + b"\r\n"


def pieces(content: bytes, seed: int) -> list[bytes]:
    draw, found = random.Random(seed), []
    while content:
        size = draw.choice((1, 7, 1000, 65_536, 65_537, 300_000))
        found.append(content[:size])
        content = content[size:]
    return found


class Wire:
    """One connection, and what comes back on it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self.socket.sendall(part)

    def reply(self) -> tuple[int, dict[str, str], bytes]:
        """The next one; (0, …) when the connection ended."""
        line = self.file.readline()
        if not line:
            return 0, {}, b""
        headers = {}
        while (header := self.file.readline().strip()) != b"":
            name, _, value = header.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return int(line.split()[1]), headers, self.file.read(int(headers.get("content-length", "0")))

    def status(self) -> int:
        return self.reply()[0]

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@contextmanager
def wired(port: int) -> Iterator[Wire]:
    wire = Wire(port)
    try:
        yield wire
    finally:
        wire.close()


WAYS: dict[str, Callable[[bytes, bytes, bytes], Sequence[bytes]]] = {
    "one send": lambda plain, _, body: [plain + body],
    "head and body apart": lambda plain, _, body: [plain, body],
    "many sends": lambda plain, _, body: pieces(plain + body, 1),
    "the head byte by byte": lambda plain, _, body: [*(plain[at : at + 1] for at in range(len(plain))), body],
    "the head's end with the body": lambda plain, _, body: [plain[:-2], plain[-2:] + body],
    "one chunk": lambda _, open_, body: [open_ + chunked(body, len(body))],
    "many chunks": lambda _, open_, body: pieces(open_ + chunked(body, 4093), 2),
    "chunks with extensions and a trailer": lambda _, open_, body: [
        open_,
        chunked(body, 10_000, b";name=value", b"Authorization: Bearer x\r\nX-Sum: 1\r\n"),
    ],
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_on_a_kept_connection(port: int, way: str) -> None:
    for size in SIZES:
        body = body_of(size)
        request = WAYS[way](head(port, f"Content-Length: {size}"), head(port, "Transfer-Encoding: chunked"), body)
        with wired(port) as wire:
            for _ in range(2):
                wire.send(*request)
                assert wire.status() == expected(size), size


@pytest.mark.parametrize("size", [100, 65_537, 300_000])
def test_pipelined_requests_are_answered_in_their_order(port: int, size: int) -> None:
    many = head(port, f"Content-Length: {size}") + body_of(size)
    health = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {PRIMARY}\r\n\r\n".encode()
    with wired(port) as wire:
        wire.send(many + health + many + health)
        assert [wire.reply()[2] == b"Healthy" for _ in range(4)] == [False, True, False, True]


@pytest.mark.parametrize("size", [100, 70_000, 10 * 2**20])
def test_a_client_that_asks_before_it_sends(port: int, size: int) -> None:
    with wired(port) as wire:
        for _ in range(2):
            wire.send(head(port, f"Content-Length: {size}", "Expect: 100-continue"))
            assert wire.status() == 100
            wire.send(body_of(size))
            assert wire.status() == expected(size)


def test_a_refused_client_that_asked_first_sends_nothing(port: int) -> None:
    with wired(port) as wire:
        wire.send(head(port, f"Content-Length: {50 * 2**20}", "Expect: 100-continue"))
        status, headers, _ = wire.reply()
        assert (status, headers["connection"]) == (413, "close")


@pytest.mark.parametrize("way", ["content-length", "chunked", "no key", "Expect"])
def test_a_large_body_is_refused_and_the_client_reads_why(port: int, way: str) -> None:
    size = 50 * 2**20
    lines = {"chunked": ["Transfer-Encoding: chunked"]}.get(way, [f"Content-Length: {size}"])
    start = head(port, *lines, *(["Expect: 100-continue"] if way == "Expect" else []))
    if way == "no key":
        start = start.replace(PRIMARY.encode(), b"wrong")
    with wired(port) as wire:
        wire.send(start, chunked(b" " * size, 2**20) if way == "chunked" else b" " * size)
        status, _, body = wire.reply()
    assert status == (401 if way == "no key" else 413)
    assert b"error" in body


def test_a_trailer_is_no_header(port: int) -> None:
    body = body_of(100)
    keyless = f"POST /score HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    with wired(port) as wire:
        wire.send(keyless + chunked(body, 100, trailer=f"Authorization: Bearer {PRIMARY}\r\n".encode()))
        assert wire.status() == 401


def test_a_refusal_does_not_overtake_an_earlier_answer(port: int) -> None:
    health = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {PRIMARY}\r\n\r\n".encode()
    for broken, status in ((b"\x00\x01\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nX: " + b"a" * 600_000, 431)):
        with wired(port) as wire:
            wire.send(health + health)
            wire.send(broken)
            assert [wire.status() for _ in range(4)] == [200, 200, status, 0]


def test_a_broken_chunk_is_refused(port: int) -> None:
    with wired(port) as wire:
        wire.send(head(port, "Transfer-Encoding: chunked") + b"5\r\nabcde\r\nnonsense\r\n")
        assert [wire.status(), wire.status()] == [400, 0]


def test_framing_that_outgrows_its_content_is_refused(port: int) -> None:
    with wired(port) as wire:
        wire.send(head(port, "Transfer-Encoding: chunked"))
        wire.send(*[b"1;" + b"x" * 1000 + b"\r\n \r\n"] * 200)
        assert wire.status() == 431


def test_only_so_many_pipelined_requests_wait() -> None:
    with endpoint() as (port, app), wired(port) as wire:
        health = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        wire.send(health * (PIPELINED * 4))
        statuses = [wire.status() for _ in range(PIPELINED * 4 + 1)]
        assert statuses.count(0) == 0 or 429 in statuses
        assert set(statuses[: PIPELINED // 2]) == {401}
        assert app.metrics.requests["", 401] <= PIPELINED * 4


def test_a_client_that_closed_its_side_is_answered(port: int) -> None:
    with wired(port) as wire:
        wire.send(head(port, "Content-Length: 100") + body_of(100))
        wire.socket.shutdown(socket.SHUT_WR)
        assert [wire.status(), wire.status()] == [200, 0]


def test_a_head_that_began_with_the_requests_before_it_has_its_time() -> None:
    with endpoint(head_seconds=0.3, head_bytes=65536) as (port, _), wired(port) as wire:
        health = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        wire.send(health + health + b"GET / HT")
        assert [wire.status() for _ in range(4)] == [401, 401, 408, 0]


def test_an_early_answer_leaves_the_connection_as_it_was(port: int) -> None:
    """Head, answer, then the body: the next request on the connection is understood."""
    wrong = head(port, "Content-Length: 70000").replace(PRIMARY.encode(), b"wrong")
    with wired(port) as wire:
        wire.send(wrong)
        assert wire.status() == 401
        wire.send(b" " * 70_000, head(port, "Content-Length: 100") + body_of(100))
        assert wire.status() == 200


def test_refusals_are_counted_and_logged() -> None:
    lines: list[str] = []
    with endpoint(Limits(body_bytes=1000, body_seconds=0.2), head_seconds=0.3, max_connections=8) as (port, app):
        app._refusals = Refusals(lines.append)
        cases = {
            400: b"\x00\r\n\r\n",
            408: b"GET /",
            413: head(port, "Content-Length: 5000"),
            415: head(port, "Content-Length: 2", "Content-Type: text/plain") + b"{}",
            421: b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            431: b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000,
        }
        for status, sent in cases.items():
            with wired(port) as wire:
                wire.send(sent)
                assert wire.status() == status
        with wired(port) as wire:
            wire.send(head(port, "Content-Length: 500") + b"{")
            assert wire.status() == 408
        text = app.metrics.text(0).decode()
        for status in cases:
            assert f'status="{status}"' in text
            assert any(line.startswith(f"refused a request with {status}: ") for line in lines), status


def test_dribbling_bodies_keep_nobody_waiting() -> None:
    with endpoint(Limits(in_flight=4)) as (port, _):
        slow = [Wire(port) for _ in range(300)]
        for wire in slow:
            wire.send(head(port, "Content-Length: 1000") + b"{")
        try:
            with httpx.Client(headers=KEY) as client:
                statuses = [client.post(f"http://127.0.0.1:{port}/score", content=body_of(200)).status_code for _ in range(70)]
        finally:
            for wire in slow:
                wire.close()
    assert statuses == [200] * 70


def test_slow_heads_do_not_stop_others(port: int) -> None:
    slow = [Wire(port) for _ in range(200)]
    for wire in slow:
        wire.send(b"POST /score HTTP/1.1\r\nHost:")
    began = time.monotonic()
    try:
        assert httpx.post(f"http://127.0.0.1:{port}/score", content=body_of(200), headers=KEY).status_code == 200
    finally:
        for wire in slow:
            wire.close()
    assert time.monotonic() - began < 5


def test_kept_connections_make_room_for_new_ones() -> None:
    with endpoint(max_connections=4) as (port, _):
        kept = [Wire(port) for _ in range(4)]
        for wire in kept:
            wire.send(head(port, "Content-Length: 100") + body_of(100))
            assert wire.status() == 200
        assert httpx.post(f"http://127.0.0.1:{port}/score", content=body_of(200), headers=KEY).status_code == 200
        for wire in kept:
            wire.close()


def _urllib(url: str, body: bytes) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, {**KEY, "Content-Type": "application/json"})) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def _requests(url: str, body: bytes) -> int:
    import requests

    return int(requests.post(url, body, headers=KEY, timeout=30).status_code)


def _curl(url: str, body: bytes, *options: str) -> int:
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"Authorization: Bearer {PRIMARY}", *options]
    command += ["-H", "Content-Type: application/json", "--data-binary", "@-", url]
    return int(subprocess.run(command, input=body, capture_output=True, check=True, timeout=60).stdout)


_FETCH = """
const [url, key, ...sizes] = process.argv.slice(1);
const row = JSON.stringify({data: [{age: 60, job: "x", rate: 1.0}]});
(async () => {
  for (const size of sizes.map(Number)) {
    const body = size < row.length ? "{" : row.padEnd(size, " ");
    const headers = {Authorization: `Bearer ${key}`, "Content-Type": "application/json"};
    const reply = await fetch(url, {method: "POST", body, headers});
    await reply.text();
    console.log(reply.status);
  }
})();
"""


@pytest.mark.parametrize("client", ["urllib", "requests", "curl", "curl chunked", "node"])
def test_usual_clients(port: int, client: str) -> None:
    url = f"http://127.0.0.1:{port}/score"
    sizes = [1, 100, 65_537, 300_000, 10 * 2**20, 50 * 2**20]
    wanted = [413 if size > 10 * 2**20 else expected(size) for size in sizes]
    if client == "node":
        if shutil.which("node") is None:
            pytest.skip("node is not installed")
        command = ["node", "-e", _FETCH, url, PRIMARY, *map(str, sizes)]
        out = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
        assert [int(line) for line in out.split()] == wanted
        return
    if client == "requests":
        pytest.importorskip("requests")
    if client.startswith("curl") and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    ways: dict[str, Callable[[str, bytes], int]] = {
        "urllib": _urllib,
        "requests": _requests,
        "curl": _curl,
        "curl chunked": lambda url, body: _curl(url, body, "-H", "Transfer-Encoding: chunked"),
    }
    assert [ways[client](url, body_of(size)) for size in sizes] == wanted


def test_refusals_do_not_flood_the_log() -> None:
    lines: list[str] = []
    now = [0.0]
    refusals = Refusals(lines.append, every=10.0, clock=lambda: now[0])
    for _ in range(1000):
        refusals.note(431, "the head is too large")
    now[0] = 11.0
    refusals.note(431, "the head is too large")
    assert len(lines) == 2
    assert "999 more" in lines[1]
