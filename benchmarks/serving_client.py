"""A load client for any HTTP server: closed loop (each connection sends when it was answered) or open loop (at a fixed rate).

    python benchmarks/serving_client.py PORT PATH BODY_FILE [--clients 16] [--seconds 3] [--rate R]

The endpoint's key is read from the variable ENDPOINT_KEY, where there is one. One JSON line: requests a second, p50 and p99 in
milliseconds, and what was no 200. It is one process without threads, so that on two cores a server with one worker has the
other core; the requests' bytes are prepared, and replies are read only as far as their length. In the open loop latency counts
from when a request was due: a server that stalls cannot hide it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import selectors
import socket
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_CLOSES = re.compile(rb"connection:\s*close", re.IGNORECASE)


@dataclass
class _Connection:
    port: int
    socket: socket.socket | None = None
    buffer: bytes = b""
    since: float = 0.0
    waits: bool = False  # for a reply


@dataclass
class Figures:
    """What one run measured. `wrong` counts replies by status, and "broken" for connections that ended."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    wrong: dict[str, int] = field(default_factory=dict)

    def document(self) -> dict[str, object]:
        count = len(self.latencies)
        cuts = statistics.quantiles(self.latencies, n=100) if count > 1 else [0.0] * 99
        return {
            "rate": round(count / self.seconds, 1),
            "requests": count,
            "p50_ms": round(cuts[49] * 1000, 3),
            "p99_ms": round(cuts[98] * 1000, 3),
            "wrong": self.wrong,
        }


class Client:
    """`clients` connections to `port`, each sending `request`, a whole HTTP request. `seen` gets head and body of replies."""

    def __init__(self, port: int, request: bytes, clients: int, seen: Callable[[bytes, bytes], None] | None = None) -> None:
        self._request = request
        self._seen = seen
        self._selector = selectors.DefaultSelector()
        self._idle = deque(_Connection(port) for _ in range(clients))
        self._busy = 0

    def closed(self, seconds: float) -> Figures:
        """Every connection sends its next request when the last was answered."""
        began = time.perf_counter()
        figures = Figures(seconds)
        end = began + seconds
        while (now := time.perf_counter()) < end:
            while self._idle:
                self._send(self._idle.popleft(), now, figures)
            self._receive(figures, 0.1)
        self._drain(figures)
        return figures

    def open(self, seconds: float, rate: float) -> Figures:
        """Requests are due at even intervals; one that finds no free connection waits, and its latency counts that."""
        figures = Figures(seconds)
        due: deque[float] = deque()
        began = next_due = time.perf_counter()
        while (now := time.perf_counter()) < began + seconds:
            while next_due <= now:
                due.append(next_due)
                next_due += 1 / rate
            while due and self._idle:
                self._send(self._idle.popleft(), due.popleft(), figures)
            self._receive(figures, max(0.0, next_due - time.perf_counter()) if not due or not self._idle else 0.0)
        self._drain(figures)
        return figures

    def _send(self, connection: _Connection, since: float, figures: Figures) -> None:
        connection.since, connection.buffer = since, b""
        try:
            if connection.socket is None:
                connection.socket = socket.create_connection(("127.0.0.1", connection.port), timeout=60)
                connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.socket.sendall(self._request)
        except OSError:
            self._broken(connection, figures)
            return
        connection.waits = True
        self._busy += 1

    def _receive(self, figures: Figures, wait: float) -> None:
        for key, _ in self._selector.select(wait):
            connection: _Connection = key.data
            assert connection.socket is not None
            try:
                data = connection.socket.recv(1 << 18)
            except OSError:
                data = b""
            if not data:
                if connection.waits:
                    self._busy -= 1
                    self._broken(connection, figures)
                else:  # an idle connection ends: the next request makes another
                    self._close(connection)
                continue
            connection.buffer += data
            head, found, rest = connection.buffer.partition(b"\r\n\r\n")
            length = _LENGTH.search(head) if found else None
            if length is None or len(rest) < int(length[1]):
                continue
            self._busy -= 1
            connection.waits = False
            if self._seen is not None:
                self._seen(head, rest)
            status = head[9:12].decode()
            if status == "200":
                figures.latencies.append(time.perf_counter() - connection.since)
            else:
                figures.wrong[status] = figures.wrong.get(status, 0) + 1
            if _CLOSES.search(head):
                self._close(connection)
            self._idle.append(connection)

    def _broken(self, connection: _Connection, figures: Figures) -> None:
        connection.waits = False
        figures.wrong["broken"] = figures.wrong.get("broken", 0) + 1
        self._close(connection)
        self._idle.append(connection)

    def _close(self, connection: _Connection) -> None:
        if connection.socket is not None:
            self._selector.unregister(connection.socket)
            connection.socket.close()
            connection.socket = None

    def _drain(self, figures: Figures) -> None:
        """Read what is on its way, uncounted."""
        count, deadline = len(figures.latencies), time.perf_counter() + 30
        while self._busy and time.perf_counter() < deadline:
            self._receive(figures, 0.1)
        del figures.latencies[count:]


def request_bytes(port: int, path: str, body: bytes, key: str | None = None) -> bytes:
    """The request as bytes; `key` is the endpoint's."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    )
    if key:
        head += f"Authorization: Bearer {key}\r\n"
    return head.encode() + b"\r\n" + body


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("body", type=Path)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rate", type=float)
    options = parser.parse_args()
    gc.disable()  # a pause of the client's own is none of the server's
    request = request_bytes(options.port, options.path, options.body.read_bytes(), os.environ.get("ENDPOINT_KEY"))
    client = Client(options.port, request, options.clients)
    figures = client.closed(options.seconds) if options.rate is None else client.open(options.seconds, options.rate)
    print(json.dumps(figures.document()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
