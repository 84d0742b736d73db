"""Bodies of every size, sent in every way: the answer depends on neither."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from telemetry_live import PRIMARY, Elders, serving

from opsml_cli.guard import Guard, loopback_names
from opsml_cli.http_protocol import BoundedProtocol
from opsml_cli.local.serving.app import ScoringApp
from opsml_cli.local.serving.routing import Live, Routing

KEY = {"Authorization": f"Bearer {PRIMARY}"}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    app = ScoringApp("bank")
    app.routing = Routing((PRIMARY.encode(),), {"blue": Live("blue", "r1", "elders", "1", Elders())}, {}, {"blue": 100})
    with serving(lambda bound: Guard(app, loopback_names(bound)), http=BoundedProtocol) as bound:
        yield bound


def body_of(size: int) -> bytes:
    """A request of `size` bytes that is answered, where a request can be so short."""
    body = json.dumps({"data": [{"age": 60, "job": "x", "rate": 1.0}]}).encode()
    return body + b" " * (size - len(body)) if size >= len(body) else b"{"[:size]


@pytest.mark.parametrize("size", [1, 100, 16_384, 65_535, 65_536, 65_537, 131_072, 300_000, 719_000, 2**20, 10 * 2**20])
def test_one_send_on_a_kept_connection(port: int, size: int) -> None:
    body = body_of(size)
    expected = 200 if size > 50 else 400
    with httpx.Client(headers=KEY) as client:
        assert [client.post(f"http://127.0.0.1:{port}/score", content=body).status_code for _ in range(3)] == [expected] * 3


def test_a_large_body_is_refused_and_the_client_reads_why(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        lines = f"POST /score HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {PRIMARY}\r\n"
        size = 50 * 2**20
        connection.sendall(f"{lines}Content-Length: {size}\r\n\r\n".encode())
        connection.sendall(b" " * size)
        received = b""
        while part := connection.recv(65536):
            received += part
    assert received.startswith(b"HTTP/1.1 413")
    assert b"too_large" in received
