"""A request while it is answered, the bounds of all of them, and the reading of bodies."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from opsml_cli.guard import Receive, Scope
from opsml_cli.local.serving.admission import Refused


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one server process; sizes in bytes. `inline_bytes`: bodies up to this size are scored on the event loop
    when the model is quick, those up to `soon_bytes` one by one in a thread; larger ones, and slow models, in one of
    `threads` threads. `in_flight` requests are answered at
    once, with bodies of `pending_bytes`; bodies that are still coming have `arriving_bytes`."""

    body_bytes: int = 10 * 2**20
    body_seconds: float = 30.0
    request_seconds: float = 60.0
    in_flight: int = 256
    pending_bytes: int = 128 * 2**20
    arriving_bytes: int = 256 * 2**20
    inline_bytes: int = 16 * 1024
    soon_bytes: int = 2**20
    threads: int = 2


@dataclass(slots=True)
class Request:
    """What is known of a request while it is answered."""

    scope: Scope
    headers: dict[bytes, bytes]
    started: float
    clock: float
    deployment: str = ""
    model: bytes = b""
    received: int = 0
    telling: bool = True


class Disconnected(Exception):  # noqa: N818 - nobody is there to be told
    pass


class Bodies:
    """Reads bodies, and counts what has come of those that are still coming."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._arriving = 0

    async def read(self, request: Request, receive: Receive) -> bytes:
        """The whole body. What is refused is not read to its end: the protocol lets the client read the reply."""
        limits, headers = self._limits, request.headers
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length[:20]) > limits.body_bytes:
            raise _too_large(limits.body_bytes)
        content, held = bytearray(), 0
        try:
            async with asyncio.timeout(limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Disconnected
                    part = message["body"]
                    request.received += len(part)
                    if request.received > limits.body_bytes:
                        raise _too_large(limits.body_bytes)
                    if not message.get("more_body"):
                        return bytes(content + part) if content else part
                    content += part
                    self._arriving += len(part)
                    held += len(part)
                    # Small bodies always have room: there are only so many connections.
                    if held > limits.inline_bytes and self._arriving > limits.arriving_bytes:
                        raise saturated()
        except TimeoutError:
            close = [(b"connection", b"close")]
            raise Refused(408, "too_slow", f"the body did not arrive within {limits.body_seconds:g} s", close) from None
        finally:
            self._arriving -= held


def saturated() -> Refused:
    return Refused(429, "saturated", "too many requests at once; try again", [(b"retry-after", b"1")])


def _too_large(limit: int) -> Refused:
    text = f"the body is larger than {limit} bytes; send the rows in several requests"
    return Refused(413, "too_large", text, [(b"connection", b"close")])
