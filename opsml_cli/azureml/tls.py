"""Which certificates are believed: the user's own bundle, else what the environment names, else the usual roots."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain.errors import ConfigError

if TYPE_CHECKING:
    import ssl

# As the libraries below Azure's SDK read them.
VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


def bundle(setting: str | None) -> tuple[str, str] | None:
    """The bundle's path and which setting or variable names it; None when none does."""
    if setting is not None:
        return str(Path(setting).expanduser()), "azure.ca_bundle"
    return next(((os.environ[name], name) for name in VARIABLES if os.environ.get(name)), None)


def client_context(setting: str | None) -> ssl.SSLContext:
    """TLS for a client. ConfigError when the bundle cannot be read."""
    found = bundle(setting)
    if found is None:
        import certifi

        return _context(certifi.where(), "certifi")
    return _context(*found)


@cache
def _context(path: str, origin: str) -> ssl.SSLContext:
    """Reading a hundred roots costs more than a request: once a process."""
    import ssl

    try:
        if Path(path).is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the certificates in {path} (from {origin}) cannot be read: {error}", fix="name a file of PEM certificates"
        ) from error


def load_httpx() -> None:
    """Load httpx without its own command line (rich, pygments, click) and without trio and anyio, which it takes along
    wherever they are installed: nothing here needs them, and they would make a read cost a third more. To be called before
    httpx is imported."""
    kept = [name for name in ("httpx._main", "trio", "anyio") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(kept))  # type: ignore[arg-type]
    try:
        import httpcore  # noqa: F401 - httpx loads it with its first client only
        import httpx  # noqa: F401
    finally:
        for name in kept:
            del sys.modules[name]
