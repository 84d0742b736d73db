"""uvicorn's HTTP protocol with bounds, for every server of this machine.

A head must be short and arrive in time; so must a body's framing, and what is left of a body whose answer is already sent.
Each read is counted for a part of a message (head, body) only when it lies wholly within it: a bound is exceeded by at most
one read. A refusal never overtakes the answer to an earlier request of the connection, and the client can read it: what is
still on its way is read and thrown away, within bounds, before the connection is closed.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 10.0
BODY_SECONDS = 120.0  # for servers whose application has no limit of its own
CONNECTIONS = 1024
PIPELINED = 128  # requests of one connection that wait for the one that is being answered
DRAIN_SECONDS = 30.0  # what is read and thrown away, so that a client that is still sending lives to read its answer
DRAIN_BYTES = 2**30
HALF_CLOSED_SECONDS = 5.0  # for a client that closed its side: it waits for its answer, or it is gone
CROWDED_SECONDS = 1.0
HESITANT_SECONDS = 1.0  # for a head, while others wait for a connection
FRAMING = 8  # bytes of chunk heads, extensions and trailers for each byte of content, beyond HEAD_BYTES

_IDLE, _HEAD, _BODY, _DEAF = range(4)
_log = logging.getLogger("opsml.http")

Refused = Callable[[int, str], None]  # status and reason


def fit_descriptors() -> None:
    """Ask the system for the file descriptors that the connections may take, and where it gives fewer, take fewer connections:
    what serves them needs some as well. To be called when a server starts."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows knows no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        given = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (given, hard))
        except (ValueError, OSError):
            given = soft
        BoundedProtocol.max_connections = min(CONNECTIONS, given // 4)


class BoundedProtocol(HttpToolsProtocol):
    """Refuses a head that is too large (431) or too slow (408), a body that is too slow (408) or badly framed (400, 431),
    and connections that are too many (429)."""

    head_bytes: ClassVar[int] = HEAD_BYTES
    head_seconds: ClassVar[float] = HEAD_SECONDS
    body_seconds: ClassVar[float] = BODY_SECONDS
    max_connections: ClassVar[int] = CONNECTIONS
    drain_seconds: ClassVar[float] = DRAIN_SECONDS
    drain_bytes: ClassVar[int] = DRAIN_BYTES

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._part = _IDLE
        self._turned = False  # whether a head or a message ended within this read
        self._read = 0  # bytes of this read
        self._counted = 0  # bytes of the reads that lay wholly within the part that is being read
        self._content = 0  # bytes of the body's content
        self._due = 0  # answers that are still to be sent
        self._farewell: bytes | None = None  # a refusal that waits for them
        self._kept = False  # whether a request was answered without a cycle
        self._ended = False  # nothing more will be read: closing needs no patience
        self._timer: asyncio.TimerHandle | None = None
        self._opened = 0.0

    def refused(self, status: int, reason: str) -> None:
        """Called for each refusal."""
        _log.warning("refused with %d: %s", status, reason)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._opened = self.loop.time()
        patient = _Patient(transport, self)
        super().connection_made(patient)  # type: ignore[arg-type]
        self.flow = _OneAtATime(patient, self)
        if len(self.connections) > 2 * self.max_connections:
            self.refused(429, "too many connections")
            transport.abort()
        elif len(self.connections) > self.max_connections and not self._make_room():
            self._refuse(429, "too_many_connections", f"there are {self.max_connections} connections already; try again")
        else:
            self.rearm(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._disarm()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server ends: what a client is still sending is not waited for."""
        if self.transport.is_closing():
            self.transport.close()
            return
        self._ended = self._ended or not self._due
        super().shutdown()

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that closed its side after a whole request may wait for the answer, for a moment: it may be gone, too."""
        whole, self._ended = self._part == _IDLE, True
        if not (whole and self._due) or self.scheme == "https":
            return False
        self.cycle.keep_alive = False
        self._part = _DEAF
        self.rearm(HALF_CLOSED_SECONDS)
        return True

    def data_received(self, data: bytes) -> None:
        self._read = len(data)
        if self._part == _DEAF:
            self._thrown_away()
            return
        self._turned = False
        super().data_received(data)
        if self._part == _DEAF:
            return
        if self._turned:
            self._disarm()
            self._counted = 0
        else:
            self._counted += self._read
            self.bound()
        if self._timer is None and self._part != _DEAF and (self._part != _IDLE or self._counted):
            self.rearm(self.body_seconds if self._part == _BODY else self.head_seconds)

    def on_message_begin(self) -> None:
        if self._part != _DEAF:
            self._part = _HEAD
            super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self._part == _HEAD:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        # What comes after the body, as a trailer, is no header: it may not carry a key or choose a deployment.
        if self._part == _HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._part != _HEAD:
            return
        if self._counted + self._read > self.head_bytes:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self.head_bytes:
                self._refuse_head()
                return
        if len(self.pipeline) >= PIPELINED:
            self._refuse(429, "too_many_requests", f"{PIPELINED} requests of this connection wait already")
            return
        self._turned = True
        self._content = 0
        self._part = _BODY
        self.begin()

    def begin(self) -> None:
        """The head is sound: have the request answered."""
        super().on_headers_complete()
        self._due += 1

    def answered(self, reply: bytes) -> None:
        """The request was answered when its last byte had come, with `reply`, by whoever held `begin` back."""
        self._turned = self._kept = True
        self._part = _IDLE
        self.server_state.total_requests += 1
        self.transport.write(reply)
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    @property
    def prompt(self) -> bool:
        """Whether a reply may be written now: no answer is due before it, and the client reads."""
        return not self._due and not self.flow.write_paused

    def on_body(self, body: bytes) -> None:
        if self._part == _BODY:
            self._content += len(body)
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._part != _BODY:
            return
        self._turned = True
        self._part = _IDLE
        super().on_message_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            # Answered before its body had come whole: only now is the connection idle.
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def on_response_complete(self) -> None:
        self._due -= 1
        super().on_response_complete()
        if self._farewell is not None and not self._due and not self.transport.is_closing():
            self._say(self._farewell)

    def timeout_keep_alive_handler(self) -> None:
        """Close what is idle. What is still coming has its own time."""
        if self._part == _IDLE and not self._counted:
            super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """The parser gave up: what came is no HTTP."""
        self._refuse(400, "bad_request", msg)

    def _unsupported_upgrade_warning(self) -> None:
        """Clients may offer HTTP/2 with every first request (Java's do): going on with HTTP/1.1 is the answer."""

    def bound(self) -> None:
        """Refuse what has outgrown its part."""
        if self._part != _BODY:
            if self._counted > self.head_bytes:
                self._refuse_head()
        elif self.cycle.response_complete:
            self._thrown_away(0)
        elif self._counted - self._content > self.head_bytes + FRAMING * self._content:
            self._refuse(431, "too_large", f"the chunk heads and trailers of the body are larger than {self.head_bytes} bytes")

    def _thrown_away(self, size: int | None = None) -> None:
        self._counted += self._read if size is None else size
        if self._counted > self.drain_bytes:
            self.transport.abort()

    def late(self) -> None:
        self._timer = None
        if self._part == _DEAF:
            self.transport.abort()
        elif self.flow.read_paused:
            self.rearm(self.head_seconds)  # it is this side that does not read
        elif self._part != _BODY:
            self._refuse(408, "too_slow", f"the head did not arrive within {self.head_seconds:g} s")
        else:
            self._refuse(408, "too_slow", f"the body did not arrive within {self.body_seconds:g} s")

    def _refuse_head(self) -> None:
        self._refuse(431, "too_large", f"the head is larger than {self.head_bytes} bytes")

    def _refuse(self, status: int, code: str, message: str) -> None:
        """End the connection with a reply of the protocol's own, after the answers that are still due."""
        if self._part == _DEAF or self.transport.is_closing():
            return
        self.refused(status, message)
        mute = self._part == _BODY and not self._give_up()
        self._part, self._counted = _DEAF, 0
        self._disarm()
        if mute:
            self._ended = True
            self.transport.close()
        elif self._due:
            self._farewell = _reply(status, code, message)
        else:
            self._say(_reply(status, code, message))

    def _give_up(self) -> bool:
        """The request whose body is refused gets no further. False when its answer has begun: there can be no other."""
        cycle = self.cycle
        if cycle.response_started:
            return False
        self._due -= 1
        cycle.disconnected = True
        cycle.message_event.set()
        if self.pipeline and self.pipeline[0][0] is cycle:  # the youngest stands first
            self.pipeline.popleft()
        return True

    def _say(self, reply: bytes) -> None:
        self._farewell = None
        self.transport.write(reply)
        self.transport.close()

    def _make_room(self) -> bool:
        """Close a connection that is only kept, or one that has been hesitating: a new one is worth more."""
        for each in self.connections:
            if isinstance(each, BoundedProtocol) and each.idle:
                each.transport.close()
                return True
        now = self.loop.time()
        for each in self.connections:
            if isinstance(each, BoundedProtocol) and each.hesitates(now):
                each.transport.abort()
                return True
        return False

    def hesitates(self, now: float) -> bool:
        """Whether it was opened a while ago, and has not sent the head of its first request yet."""
        return (
            self.cycle is None
            and not self._kept
            and not self._due
            and self._part in (_IDLE, _HEAD)
            and now - self._opened > HESITANT_SECONDS
        )

    @property
    def idle(self) -> bool:
        """Whether a request was answered, and none has begun since."""
        unused = self._part == _IDLE and not self._counted and not self._due
        return unused and (self._kept or self.cycle is not None) and not self.transport.is_closing()

    def linger(self) -> bool:
        """Before the connection is closed: whether what the client still sends must be read first, and thrown away."""
        if self._ended or (self._part == _IDLE and not self.flow.read_paused):
            return False
        self._part, self._counted = _DEAF, 0
        self._unset_keepalive_if_required()
        self.rearm(CROWDED_SECONDS if len(self.connections) > self.max_connections else self.drain_seconds)
        self.flow.resume_reading()
        return True

    def rearm(self, seconds: float) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, self.late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def deaf(self) -> bool:
        """Whether what comes is thrown away."""
        return self._part == _DEAF


class _Patient:
    """A transport whose end leaves the client the time to read what was sent: bytes that nobody has read when a socket is
    closed reset the connection, and the answer with it."""

    __slots__ = ("_closing", "_protocol", "_transport", "abort", "get_extra_info", "pause_reading", "resume_reading", "write")

    def __init__(self, transport: asyncio.Transport, protocol: BoundedProtocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self._closing = False
        self.write = transport.write
        self.abort = transport.abort
        self.get_extra_info = transport.get_extra_info
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        again, self._closing = self.is_closing(), True
        if again or not self._protocol.linger():
            self._transport.close()
        elif self._transport.can_write_eof():
            self._transport.write_eof()


class _OneAtATime(FlowControl):
    """Reads nothing while requests wait for their turn: otherwise a client could queue without end."""

    def __init__(self, transport: Any, protocol: BoundedProtocol) -> None:
        super().__init__(transport)
        self._protocol = protocol

    def resume_reading(self) -> None:
        if self._protocol.deaf or not self._protocol.pipeline:
            super().resume_reading()


def _reply(status: int, code: str, message: str) -> bytes:
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    retry = "retry-after: 1\r\n" if status == HTTPStatus.TOO_MANY_REQUESTS else ""
    return f"{head}{retry}connection: close\r\n\r\n".encode() + body
