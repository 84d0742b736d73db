"""Where the local service is: its port, its token, its lock. Reading it costs two small files."""

from __future__ import annotations

import secrets
from pathlib import Path

from opsml_cli.content import files
from opsml_cli.local.background import Place
from opsml_cli.local.layout import Layout


class ServicePlace(Place):
    """The files of one workspace's service."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout.service, "service")
        self._layout = layout

    @property
    def _token(self) -> Path:
        return self._layout.secrets / "service-token"

    def url(self, path: str) -> str | None:
        """The address of `path`; None before the service ran for the first time."""
        address = self.address()
        return None if address is None else address.url + path

    def token(self) -> str | None:
        try:
            return self._token.read_text(encoding="ascii").strip() or None
        except FileNotFoundError:
            return None

    def make_token(self) -> str:
        """The token, made on first use. Of two that make it at once, one wins and both get the same."""
        existing = self.token()
        if existing is not None:
            return existing
        self._token.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return files.write_once(self._token, secrets.token_urlsafe(32).encode()).decode().strip()
