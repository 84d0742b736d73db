"""Secrets that must appear in no message, log or traceback, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from opsml_cli.domain.secret_shapes import MASK, redacted

# Parts of the names of environment variables that hold secrets, whoever reads them.
_SECRET_NAMES = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "CONNECTION_STRING", "SAS", "PRIVATE")
# Shorter values are words like `true`: masking them hides nothing and garbles everything.
_SHORTEST = 8


def secret_values(environment: Mapping[str, str]) -> list[str]:
    """The values of variables whose names say that they are secret."""
    return [
        value
        for name, value in environment.items()
        if any(part in name.upper().replace("-", "_") for part in _SECRET_NAMES)
        and not name.endswith(("_FILE", "_PATH", "SOCK"))
    ]


class Masking:
    """Replaces known secrets in texts."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def add(self, secret: str) -> None:
        """Mask `secret` (each of its lines) from now on; values that are too short to be secret are ignored."""
        for line in secret.splitlines():
            if len(line.strip()) >= _SHORTEST:
                self._secrets.add(line.strip())

    def add_all(self, secrets: Iterable[str]) -> None:
        for secret in secrets:
            self.add(secret)

    def mask(self, text: str) -> str:
        """`text` without any known secret, the longest first, for one may contain another, and without what looks like one."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            if secret in text:
                text = text.replace(secret, MASK)
        return redacted(text)
