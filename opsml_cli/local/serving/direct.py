"""The direct lane: a small request that arrives whole is answered at once, without ASGI cycle, task and scope of its own.

The lane answers only what it knows to be right: one plain row for a model in this process, with a head that was checked before.
Everything else goes the general way, as if the lane were not there."""

from __future__ import annotations

from typing import ClassVar, Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from opsml_cli.http_protocol import BoundedProtocol, Refused

Head = list[tuple[bytes, bytes]]


class Lane(Protocol):
    """Answers a request to score."""

    def answer(self, headers: Head, body: bytes, further: Head) -> bytes | None:
        """The whole reply, with the headers `further` in its head, for a request's headers (names in lower case) and its whole
        body. None: the general way answers."""
        ...


class ScoringProtocol(BoundedProtocol):
    """BoundedProtocol with a lane for `POST /score`."""

    lane: ClassVar[Lane]
    lane_bytes: ClassVar[int] = 16 * 1024  # of a body; larger ones are read as they come

    _held: bytes | None = None  # the body so far of a request that may take the lane

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._held is not None:
            self._release()  # it did not arrive whole

    def begin(self) -> None:
        """Hold back what may take the lane, if nothing before it waits for an answer."""
        parser = self.parser
        if (
            self.url == b"/score"
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and self.prompt
            and not self.expect_100_continue
            and parser.should_keep_alive()
            and not parser.should_upgrade()
        ):
            self._held = b""
        else:
            super().begin()

    def on_body(self, body: bytes) -> None:
        if self._held is None:
            super().on_body(body)
        elif len(self._held) + len(body) <= self.lane_bytes:
            self._held += body
        else:
            self._release()
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._held is not None:
            reply = self.lane.answer(self.headers, self._held, self.server_state.default_headers)
            if reply is not None:
                self._held = None
                self.answered(reply)
                return
            self._release()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if self._held is not None:
            self._release()
        super().send_400_response(msg)

    def _release(self) -> None:
        held, self._held = self._held, None
        super().begin()
        if held:
            HttpToolsProtocol.on_body(self, held)


def protocol_of(lane_: Lane, refused_: Refused) -> type[ScoringProtocol]:
    """The protocol for a server with this lane, which counts its refusals."""

    class Serving(ScoringProtocol):
        lane = lane_

        def refused(self, status: int, reason: str) -> None:
            refused_(status, reason)

    return Serving
