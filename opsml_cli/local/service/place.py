"""Where the local service is: its port, its token, its lock. Reading it costs two small files."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from opsml_cli.content import files
from opsml_cli.local.layout import Layout


@dataclass(frozen=True, slots=True)
class Address:
    """What the running service wrote about itself."""

    port: int
    pid: int
    started: float | None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class ServicePlace:
    """The files of one workspace's service."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    @property
    def lock(self) -> Path:
        """Held by the service as long as it lives."""
        return self._layout.service / "lock"

    @property
    def log(self) -> Path:
        return self._layout.service / "service.log"

    @property
    def _address(self) -> Path:
        return self._layout.service / "address.json"

    @property
    def _token(self) -> Path:
        return self._layout.secrets / "service-token"

    def address(self) -> Address | None:
        """The last one; the service may be down by now. Its port is tried again at the next start."""
        try:
            value = json.loads(self._address.read_text(encoding="utf-8"))
            return Address(int(value["port"]), int(value["pid"]), value["started"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def write_address(self, address: Address) -> None:
        files.write_atomic(self._address, json.dumps(asdict(address)).encode())

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
        temporary = files.temporary_name(self._token.parent)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(32))
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(temporary, self._token)
        finally:
            temporary.unlink(missing_ok=True)
        files.sync_folder(self._token.parent)
        made = self.token()
        assert made is not None
        return made
