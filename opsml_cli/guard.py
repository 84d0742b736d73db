"""What every server on this machine does before anything else: loopback is reachable from any web page the user visits.

A page of a stranger may send requests to 127.0.0.1, or point a name of its own there (DNS rebinding). The first carries
the page's `Origin`, the second the stranger's `Host`: both are refused, before any route is looked at.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def loopback_names(port: int) -> frozenset[str]:
    """The `host:port` spellings under which a loopback server on `port` may be addressed."""
    names = {f"{host}:{port}" for host in LOOPBACK}
    return frozenset(names | set(LOOPBACK) if port == 80 else names)


def same_secret(given: str | bytes, expected: str | bytes) -> bool:
    """Whether both are the same, in a time that does not depend on where they differ."""
    return hmac.compare_digest(_bytes(given), _bytes(expected))


def bearer(scope: Scope) -> bytes | None:
    """The token of `Authorization: Bearer …`; None when there is none, or more than one such header."""
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(values) != 1:
        return None
    scheme, _, token = values[0].partition(b" ")
    token = token.strip()
    return token if scheme.lower() == b"bearer" and token else None


class Guard:
    """ASGI middleware: 421 for a `Host` that is none of `names`, 403 for an `Origin` that is none of them.

    `names` are `host[:port]` texts (see `loopback_names`). A request without `Origin` comes from no web page and passes.
    Refusals are JSON: `{"error": {"code", "message"}}`; `refused` hears of each: status and reason."""

    def __init__(self, app: ASGIApp, names: Collection[str], refused: Callable[[int, str], None] | None = None) -> None:
        self._app = app
        self._refused = refused
        self._hosts = frozenset(name.lower().encode() for name in names)
        self._origins = frozenset(scheme + host for host in self._hosts for scheme in (b"http://", b"https://"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            refusal = self.refusal(scope["headers"])
            if refusal is not None:
                if self._refused is not None:
                    self._refused(refusal[0], refusal[2])
                await _refuse(scope, send, *refusal)
                return
            if any(name == b"expect" for name, _ in scope["headers"]):
                receive, send = _expecting(receive, send)
        await self._app(scope, receive, send)

    def refusal(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[int, str, str] | None:
        """Why a request with these headers is refused: status, code, message; None when it is not."""
        hosts = 0
        for name, value in headers:
            if name == b"host":
                hosts += 1
                if hosts > 1 or value.lower() not in self._hosts:
                    return 421, "foreign_host", "this server does not answer for that Host"
            elif name == b"origin" and value.lower() not in self._origins:
                return 403, "foreign_origin", "requests from another site's pages are refused"
        if not hosts:
            return 421, "foreign_host", "a Host header is required"
        return None


def _expecting(receive: Receive, send: Send) -> tuple[Receive, Send]:
    """For a client that waits to be asked for its body: an answer without asking ends the connection, since nobody could
    say whether the body follows."""
    asked = False

    async def ask() -> MutableMapping[str, Any]:
        nonlocal asked
        asked = True
        return await receive()

    async def answer(message: MutableMapping[str, Any]) -> None:
        if not asked and message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        await send(message)

    return ask, answer


async def _refuse(scope: Scope, send: Send, status: int, code: str, message: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _bytes(secret: str | bytes) -> bytes:
    return secret.encode() if isinstance(secret, str) else secret
