"""How uvicorn serves the emulator: with TLS, and able to close a connection without an answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from opsml_cli.emulator import tls
from opsml_cli.emulator.app import ABORT
from opsml_cli.local.layout import Layout


class AbortingProtocol(HttpToolsProtocol):
    """Hands the application what ends the connection at once: an injected `drop` needs it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[ABORT] = self.transport.abort  # type: ignore[literal-required]


def settings(layout: Layout, now: datetime) -> dict[str, Any]:
    """uvicorn's settings; the certificates are made where needed."""
    return {"ssl_certfile": str(tls.ensure(layout, now).server), "http": AbortingProtocol}
