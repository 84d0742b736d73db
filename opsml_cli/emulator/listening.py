"""How uvicorn serves the emulator: with TLS, able to close a connection without an answer, and quick to end."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from opsml_cli.emulator import tls
from opsml_cli.emulator.app import ABORT
from opsml_cli.http_protocol import BoundedProtocol
from opsml_cli.local.layout import Layout

_FAREWELL_SECONDS = 0.1


class AbortingProtocol(BoundedProtocol):
    """Hands the application what ends the connection at once: an injected `drop` needs it.

    At the server's end, idle connections end with it: TLS would wait for a farewell from clients that only keep them for
    later."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self.scope is not None:
            self.scope[ABORT] = self.transport.abort  # type: ignore[literal-required]

    def shutdown(self) -> None:
        idle = self.cycle is None or self.cycle.response_complete
        super().shutdown()
        if idle and not self.flow.write_paused:
            self.loop.call_later(_FAREWELL_SECONDS, self.transport.abort)


def settings(layout: Layout, now: datetime) -> dict[str, Any]:
    """uvicorn's settings; the certificates are made where needed."""
    return {"ssl_certfile": str(tls.ensure(layout, now).server), "http": AbortingProtocol}
