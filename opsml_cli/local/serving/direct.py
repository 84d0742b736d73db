"""The direct lane: a small request is answered when its last byte has come, without ASGI cycle, task and scope of its own.

The lane answers only what it knows to be right: one plain row for a model in this process, with a head that was checked before.
Everything else goes the general way, as if the lane were not there."""

from __future__ import annotations

from typing import ClassVar, Protocol

from opsml_cli.http_protocol import BoundedProtocol, Refused

Head = list[tuple[bytes, bytes]]
HELD_SECONDS = 0.1  # for the rest of a body; then the general way waits for it


class Lane(Protocol):
    """Answers a request to score."""

    def answer(self, headers: Head, body: bytes, further: Head) -> bytes | None:
        """The whole reply, with the headers `further` in its head, for a request's headers (names in lower case) and its whole
        body. None: the general way answers."""
        ...


class ScoringProtocol(BoundedProtocol):
    """BoundedProtocol with a lane for `POST /score`. A body for the lane is held back, for a moment at most."""

    lane: ClassVar[Lane]
    lane_bytes: ClassVar[int] = 16 * 1024  # of a body, and of the held part

    _held: bytes | None = None

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
            and self._is_small()
        ):
            self._held = b""
        else:
            super().begin()

    def _is_small(self) -> bool:
        """Whether the head says a length that the lane takes: a body in chunks says none."""
        length = next((value for name, value in self.headers if name == b"content-length"), b"")
        return length.isdigit() and int(length[:20]) <= self.lane_bytes

    def on_body(self, body: bytes) -> None:
        if self._held is None:
            super().on_body(body)
        else:
            self._held += body

    def on_message_complete(self) -> None:
        if self._held is not None:
            reply = self.lane.answer(self.headers, self._held, self.server_state.default_headers)
            if reply is not None:
                self._held = None
                self.answered(reply)
                return
            self._release()
        super().on_message_complete()

    def _release(self) -> None:
        """The general way goes on from here."""
        held, self._held = self._held, None
        super().begin()
        if held:
            super().on_body(held)

    def shutdown(self) -> None:
        if self._held is not None:
            self._release()
        super().shutdown()

    def bound(self) -> None:
        if self._held is None:
            super().bound()

    def rearm(self, seconds: float) -> None:
        super().rearm(seconds if self._held is None else HELD_SECONDS)

    def late(self) -> None:
        if self._held is None:
            super().late()
        else:
            self._release()
            self.rearm(self.body_seconds)


def protocol_of(lane_: Lane, refused_: Refused, body_bytes: int = ScoringProtocol.lane_bytes) -> type[ScoringProtocol]:
    """The protocol for a server with this lane, which counts its refusals and takes bodies of `body_bytes` at most."""

    class Serving(ScoringProtocol):
        lane = lane_
        lane_bytes = min(ScoringProtocol.lane_bytes, body_bytes)

        def refused(self, status: int, reason: str) -> None:
            refused_(status, reason)

    return Serving
