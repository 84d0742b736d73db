"""uvicorn's HTTP protocol with bounds: a head must arrive whole, in time, and be of sane size."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 10.0
CONNECTIONS = 1024

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_MANY = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\nretry-after: 1\r\nconnection: close\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """Ends connections that dribble a head (408), send an endless one (431), or are too many (429)."""

    head_bytes: ClassVar[int] = HEAD_BYTES
    head_seconds: ClassVar[float] = HEAD_SECONDS
    max_connections: ClassVar[int] = CONNECTIONS

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_received = 0
        self._in_head = True
        self._head_ended = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            self._end(_TOO_MANY)
            return
        self._deadline = self.loop.call_later(self.head_seconds, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head and self._deadline is None:
            self._deadline = self.loop.call_later(self.head_seconds, self._late)
        self._head_ended = False
        super().data_received(data)
        if self._in_head and not self._head_ended:
            self._head_received += len(data)
            if self._head_received > self.head_bytes:
                self._end(_TOO_LARGE)

    def on_headers_complete(self) -> None:
        self._disarm()
        self._in_head = False
        self._head_ended = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True
        self._head_received = 0

    def _late(self) -> None:
        self._deadline = None
        if self._in_head:
            self._end(_TOO_SLOW)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self, reply: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(reply)
            self.transport.close()
