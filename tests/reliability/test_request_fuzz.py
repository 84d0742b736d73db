"""Whatever bytes come in on a port: no 5xx, no crash, and nothing grows."""

from __future__ import annotations

import json
import os
import random
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from telemetry_live import PRIMARY

TESTS = Path(__file__).parent.parent

_SERVER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from telemetry_live import *
app = ScoringApp("bank")
app.routing = Routing((PRIMARY.encode(),), {"blue": elders()}, {}, {"blue": 100})
laned = Laned(app)
with serving(laned.guard, http=laned.protocol) as port:
    print(port, flush=True)
    sys.stdin.read()
"""
METHODS = (b"POST", b"GET", b"HEAD", b"PUT", b"OPTIONS", b"CONNECT", b"PRI", b"get", b"", b"P\x00ST")
TARGETS = (b"/score", b"/", b"/metrics", b"/swagger.json?version=2", b"/swagger.json?version=%zz", b"*", b"http://x/score")
TARGETS += (b"/%ff%00", b"/score?" + b"a=" * 3000, b"//", b"/\xc3\xa9", b"score", b"/..;/score#x")
VERSIONS = (b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9", b"HTTP/1.", b"")
VALUES = (
    "1e400",
    "-1e400",
    "NaN",
    "1" * 5000,
    '"' + "9" * 70 + '"',
    "[" * 2000,
    '{"a":' * 500,
    '"\\ud800"',
    '"\\u0000"',
    "null",
)
VALUES += (
    "true",
    "{}",
    "[]",
    "18446744073709551616",
    "-0.0",
    '""',
    '" "',
    "1E-999",
    '"1e99999999"',
    '"\u00e9"',
    "0x1",
    "+1",
    "01",
)
BODIES: tuple[object, ...] = (
    {"data": [{"age": 60, "job": "x", "rate": 1.0}]},
    {"Inputs": {"data": [{"age": 60, "job": "x", "rate": 1.0}]}, "GlobalParameters": {"method": "predict_proba"}},
    {"input_data": {"columns": ["age", "job", "rate"], "index": [0], "data": [[60, "x", 1.0]]}},
    {"input_data": [{"age": 60, "job": "x", "rate": 1.0}], "params": {"method": "predict"}},
)


def a_body(draw: random.Random) -> bytes:
    text = json.dumps(draw.choice(BODIES))
    for _ in range(draw.choice((0, 0, 1, 2))):
        # A value in the place of another one, a key twice, or a piece that is gone.
        places = [match.span() for match in re.finditer(r'"[^"]*"|[0-9.]+|\{|\[', text)]
        start, stop = draw.choice(places) if places else (0, 0)
        new = draw.choice((*VALUES, text[start:stop] * 2, ""))
        text = text[:start] + new + text[stop:]
    return text.encode("utf-8", "surrogatepass")


def a_request(draw: random.Random, port: int) -> bytes:
    body = a_body(draw)
    method = draw.choice(METHODS) if draw.random() < 0.2 else b"POST"
    target = draw.choice(TARGETS) if draw.random() < 0.3 else b"/score"
    lines = [method + b" " + target + b" " + (draw.choice(VERSIONS) if draw.random() < 0.1 else b"HTTP/1.1")]
    lines.append(
        b"Host: 127.0.0.1:%d" % port if draw.random() < 0.97 else draw.choice((b"Host: evil", b"X: y", b"Host:", b"Host"))
    )
    if draw.random() < 0.9:
        lines.append(b"Authorization: Bearer " + PRIMARY.encode())
    if draw.random() < 0.2:
        lines.append(
            draw.choice(
                (
                    b"Content-Type: application/json; charset=utf-8",
                    b"Content-Type: \xff\xfe",
                    b"Content-Encoding: gzip",
                    b"Expect: 100-continue",
                    b"Connection: close, Upgrade\r\nUpgrade: h2c",
                    b"azureml-model-deployment: " + draw.randbytes(5).replace(b"\r", b"").replace(b"\n", b""),
                    b"azureml-model-deployment: blue",
                    b"X-Long: " + b"a" * draw.choice((100, 60_000, 70_000)),
                    b"x-ms-client-request-id: " + b"\xe9" * 50,
                    b"Origin: http://evil.example",
                    b" folded: x",
                    b"Transfer-Encoding: identity",
                )
            )
        )
    if draw.random() < 0.25:
        size = draw.choice((1, 7, len(body) or 1))
        parts = [body[at : at + size] for at in range(0, len(body), size)]
        extension = draw.choice((b"", b";a=b", b";" + b"x" * 500))
        sent = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
        sent += draw.choice((b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"", b"-1\r\n\r\n", b"ffffffffffffffffff\r\n"))
        lines.append(b"Transfer-Encoding: chunked")
        if draw.random() < 0.1:
            lines.append(b"Content-Length: %d" % len(body))
    else:
        sent = body
        length = len(body) if draw.random() < 0.9 else draw.choice((0, len(body) + 5, len(body) // 2, 1 << 40, 1 << 70))
        lines.append(b"Content-Length: %d" % length)
    end = b"\n" if draw.random() < 0.02 else b"\r\n"
    return end.join(lines) + end * 2 + sent


def mutated(draw: random.Random, content: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(draw.choice((0, 0, 0, 1, 3, 20))):
        place = draw.randrange(len(data) + 1)
        kind = draw.randrange(4)
        if kind == 0:
            data[place:place] = draw.randbytes(draw.choice((1, 2, 30)))
        elif kind == 1:
            del data[place : place + draw.choice((1, 5, 100))]
        elif kind == 2 and place < len(data):
            data[place] ^= 1 << draw.randrange(8)
        else:
            data[place:place] = data[: draw.randrange(200)]
    return bytes(data)


def sent_bytes(draw: random.Random, port: int) -> bytes:
    if draw.random() < 0.03:
        return draw.randbytes(draw.choice((1, 100, 5000)))
    return b"".join(mutated(draw, a_request(draw, port)) for _ in range(draw.choice((1, 1, 1, 2, 5))))


def statuses(received: bytes) -> list[int]:
    """Of the replies, which must follow each other without anything in between."""
    found = []
    while received:
        head, end, rest = received.partition(b"\r\n\r\n")
        match = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
        assert match is not None and end, received[:200]
        found.append(int(match[1]))
        length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
        size = int(length[1]) if length and found[-1] >= 200 else 0
        # The reply to HEAD has a length and no body.
        received = rest if rest.startswith(b"HTTP/1.1 ") else rest[size:]
    return found


def exchange(port: int, content: bytes) -> bytes:
    """What comes back. The client closes its side after sending, so that nobody waits for the rest of half a request."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        try:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                received += part
        except TimeoutError:
            raise
        except OSError:  # the server ended the connection meanwhile
            pass
    return received


@pytest.fixture
def server() -> Iterator[tuple[int, psutil.Process]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(TESTS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS.parent)},
    )
    assert process.stdout is not None and process.stdin is not None
    try:
        yield int(process.stdout.readline()), psutil.Process(process.pid)
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


def measured(process: psutil.Process) -> tuple[int, int, int]:
    return process.memory_info().rss, process.num_fds() if hasattr(process, "num_fds") else 0, process.num_threads()


def fuzz(port: int, seed: int, count: int, make: Callable[[random.Random, int], bytes] = sent_bytes) -> dict[int, int]:
    """How often each status came; a content that is answered with 5xx, or by no HTTP, fails the test."""
    counts: dict[int, int] = {}
    for number in range(count):
        draw = random.Random(f"{seed}-{number}")
        content = make(draw, port)
        for status in statuses(exchange(port, content)):
            counts[status] = counts.get(status, 0) + 1
            assert status < 500, (status, seed, number, content[:2000])
    return counts


@pytest.mark.parametrize("count", [1_200, pytest.param(100_000, marks=pytest.mark.slow)])
def test_no_bytes_break_an_endpoint(server: tuple[int, psutil.Process], count: int) -> None:
    port, process = server
    fuzz(port, 1, count // 5)
    memory, descriptors, threads = measured(process)
    counts = fuzz(port, 2, count - count // 5)
    assert {200, 400, 401, 404, 405, 415, 421} <= counts.keys()
    answer = httpx.post(f"http://127.0.0.1:{port}/score", json=BODIES[0], headers={"Authorization": f"Bearer {PRIMARY}"})
    assert answer.status_code == 200
    later = measured(process)
    assert later[0] - memory < 24 * 2**20
    assert later[1] <= descriptors + 2
    assert later[2] <= threads
