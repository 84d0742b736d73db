"""One kept HTTP/1.1 connection: bytes out, one reply in. Bare, so that the client's own time stays below the server's."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast
from urllib.parse import urlsplit

import httptools

from opsml_cli.scoring_client import DEPLOYMENT_HEADER, MODEL_STATUS_HEADER, Address, Answer

_DEPLOYMENT, _MODEL_STATUS = DEPLOYMENT_HEADER.encode(), MODEL_STATUS_HEADER.encode()
_FRONT_DOOR = 424


class BrokenError(Exception):
    """There is no reply: the connection ended, or what came is no HTTP."""


class Connection(asyncio.Protocol):
    """`exchange` one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._reply: asyncio.Future[tuple[Answer, float]] | None = None
        self._deployment: str | None = None
        self._model_status = 0
        self._parts: list[bytes] = []
        self._parser: Any = httptools.HttpResponseParser(self)

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, request: bytes) -> tuple[Answer, float]:
        """The reply, and when it was there (`time.perf_counter`: an event loop's own clock may be coarse). BrokenError."""
        if self._transport is None:
            raise BrokenError
        self._reply = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._reply

    def close(self) -> None:
        """At once: what is under way is given up."""
        if self._transport is not None:
            self._transport.abort()

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()
            self._broke()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None
        self._broke()

    # httptools' callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == _DEPLOYMENT:
            self._deployment = value.decode("latin-1")
        elif name == _MODEL_STATUS and value.isdigit():
            self._model_status = int(value)

    def on_body(self, part: bytes) -> None:
        self._parts.append(part)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == _FRONT_DOOR and self._model_status:
            status = self._model_status
        answer = Answer(status, b"".join(self._parts), self._deployment)
        keep = self._parser.should_keep_alive()
        self._begin()
        reply, self._reply = self._reply, None
        if reply is None or not keep:
            self.close()  # a reply that nobody asked for, or the server's wish
        if reply is not None and not reply.done():
            reply.set_result((answer, time.perf_counter()))

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._parts, self._deployment, self._model_status = [], None, 0

    def _broke(self) -> None:
        reply, self._reply = self._reply, None
        if reply is not None and not reply.done():
            reply.set_exception(BrokenError())


async def connect(address: Address) -> Connection:
    """A new connection to the endpoint. OSError."""
    place = urlsplit(address.scoring_uri)
    secure = place.scheme == "https"
    port = place.port or (443 if secure else 80)
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, place.hostname or "", port, ssl=address.trust if secure else None)
    return connection


def request_bytes(address: Address, body: bytes, deployment: str | None) -> bytes:
    """A whole scoring request."""
    place = urlsplit(address.scoring_uri)
    lines = [
        f"POST {place.path or '/score'} HTTP/1.1",
        f"Host: {place.netloc}",
        f"Authorization: Bearer {address.key}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Accept: application/json",
        "User-Agent: opsml-bench",
    ]
    if deployment is not None:
        lines.append(f"{DEPLOYMENT_HEADER}: {deployment}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
