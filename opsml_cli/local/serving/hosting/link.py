"""The channel of the front to one host: a request goes out, its reply or its end comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from opsml_cli.local.serving.host import frames
from opsml_cli.local.serving.host.exchange import HostReply, HostRequest
from opsml_cli.local.serving.hosting.process import HostGoneError, HostProcess, HostTimeoutError


class HostLink(asyncio.Protocol):
    """The channel to one host, on the event loop."""

    def __init__(self, host: HostProcess, free: Callable[[HostLink], None], lost: Callable[[HostLink], None]) -> None:
        self.host = host
        self.alive = True
        self._free = free
        self._lost = lost
        self._reader = frames.FrameReader()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[HostReply] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._free(self)

    def ask(self, request: HostRequest, loop: asyncio.AbstractEventLoop, deadline: float) -> asyncio.Future[HostReply]:
        """The reply to come. It is over at `deadline` (of the loop's clock), whoever still waits for it."""
        assert self._transport is not None
        self._answer = loop.create_future()
        self._timer = loop.call_at(deadline, self._late)
        self._transport.write(frames.request_frame(request))
        return self._answer

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._reader.feed(data):
                if frame.kind == frames.REPLY:
                    if self._answer is None:  # whose was it? A process that the model forked answers too
                        self.kill()
                        return
                    self._end(frames.reply_of(frame))
                    self._free(self)
        except (frames.BrokenFrameError, KeyError, ValueError, TypeError):
            self.kill()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.alive = False
        self._end(HostGoneError("the process that answered it ended"))
        self._lost(self)

    def _late(self) -> None:
        self._timer = None
        self._end(HostTimeoutError("no answer in time"))
        self.kill()

    def _end(self, result: HostReply | Exception) -> None:
        answer, self._answer = self._answer, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if answer is None or answer.done():
            return
        if isinstance(result, HostReply):
            answer.set_result(result)
        else:
            answer.set_exception(result)

    def kill(self) -> None:
        self.alive = False
        self.host.kill()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
