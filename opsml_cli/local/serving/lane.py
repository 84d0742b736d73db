"""What the direct lane answers: one plain row, for a model in this process with a short way, with a head that is in order."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opsml_cli.domain import names
from opsml_cli.local.serving.admission import DEPLOYMENT_HEADER, MODEL_HEADER, REVISION_HEADER, Refused, check_media
from opsml_cli.local.serving.admission import request_id as new_id
from opsml_cli.local.serving.routing import Live, Routing

if TYPE_CHECKING:
    from opsml_cli.guard import Guard
    from opsml_cli.local.serving.app import ScoringApp

HEADS = 512  # that are remembered
_IDS = (b"x-ms-request-id", b"x-ms-client-request-id")


@dataclass(frozen=True, slots=True)
class _Head:
    """A head that was looked at: whom it asks for (None: whoever the traffic picks), and who asks."""

    live: Live | None
    agent: str


class ScoringLane:
    """The lane of `app` behind `guard`. A client sends the same head with each request of a connection, so a head that was
    found in order is remembered whole, key included, until keys, traffic or models change."""

    def __init__(self, app: ScoringApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard
        self._routing: Routing | None = None
        self._heads: dict[tuple[tuple[bytes, bytes], ...], _Head] = {}
        self._further: list[tuple[bytes, bytes]] | None = None
        self._started = b""  # of the replies: the status and the headers that come with each

    def answer(self, headers: list[tuple[bytes, bytes]], body: bytes, further: list[tuple[bytes, bytes]]) -> bytes | None:
        """As `direct.Lane` says."""
        clock = time.perf_counter()
        app = self._app
        routing = app.routing
        if routing is not self._routing:
            self._routing = routing
            self._heads.clear()
        if further is not self._further:
            self._further = further
            lines = b"".join(b"%b: %b\r\n" % each for each in further)
            self._started = b"HTTP/1.1 200 OK\r\n" + lines + b"content-type: application/json\r\ncontent-length: "
        key = tuple(headers)
        head = self._heads.get(key)
        if head is None:
            head = self._look(headers, routing)
            if head is None:
                return None
            if len(self._heads) >= HEADS:
                self._heads.clear()
            self._heads[key] = head
        live = head.live or routing.pick()
        if live is None or live.single is None or app.saturated:
            return None
        try:
            answer = live.single.answer(body)
        except Exception:  # the general way meets it again, and reports it
            return None
        if answer is None:
            return None
        size = len(answer)
        started = time.time()
        seconds = time.perf_counter() - clock
        app.metrics.rows[live.deployment] += 1
        app.note(started - seconds, live.deployment, 200, seconds, len(body), size, head.agent)
        return b"%b%d\r\nx-ms-request-id: %b%b\r\n\r\n%b" % (self._started, size, new_id(), _named(live), answer)

    def _look(self, headers: list[tuple[bytes, bytes]], routing: Routing) -> _Head | None:
        """The head, when the lane may answer it."""
        found = dict(headers)
        if routing.mirror or REVISION_HEADER in found or any(name in found for name in _IDS):
            return None
        if self._guard.refusal(headers) is not None:
            return None
        try:
            self._app.admission.authenticate(headers, routing.keys)
            check_media(found)
        except Refused:
            return None
        wanted, live = found.get(DEPLOYMENT_HEADER), None
        if wanted is not None:
            live = routing.live.get(names.key(wanted.decode("latin-1")))
            if live is None:
                return None
        return _Head(live, found.get(b"user-agent", b"").decode("latin-1"))


def _named(live: Live) -> bytes:
    """The lines that name who answered."""
    lines = b"\r\n%b: %b" % (DEPLOYMENT_HEADER, live.deployment.encode())
    return lines + b"\r\n%b: %b" % (MODEL_HEADER, live.title) if live.model else lines
