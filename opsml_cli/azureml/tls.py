"""Which certificates are believed: the user's own bundle, else what the environment names, else the usual roots."""

from __future__ import annotations

import os
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
    import ssl

    found = bundle(setting)
    if found is None:
        import certifi

        return ssl.create_default_context(cafile=certifi.where())
    path, origin = found
    try:
        if Path(path).is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the certificates in {path} (from {origin}) cannot be read: {error}", fix="name a file of PEM certificates"
        ) from error
