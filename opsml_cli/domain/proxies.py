"""What a proxy variable of the environment that nobody can use is called."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opsml_cli.domain.errors import ConfigError, OpsmlError

_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_SCHEMES = ("http", "https")


@contextmanager
def usable_proxies(environment: Mapping[str, str] | None = None) -> Iterator[None]:
    """Around the making of an HTTP client, which reads the environment: ConfigError naming the variable in place of the
    client's own ImportError (SOCKS) or ValueError."""
    try:
        yield
    except Exception as error:
        found = _unusable(os.environ if environment is None else environment)
        if found is None or isinstance(error, OpsmlError):
            raise
        name, scheme = found
        raise ConfigError(
            f"{name} names a proxy that opsml cannot use" + (f": {scheme}://" if scheme else ""),
            cause="only proxies with http:// or https:// are",
            fix=f"set {name} to an http:// proxy, or unset it; NO_PROXY names the hosts that need none",
        ) from error


def _unusable(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The first variable that is no http or https proxy, and its scheme. The value is not told: it may hold a password."""
    for name in _VARIABLES:
        for spelled in (name, name.lower()):
            value = environment.get(spelled, "").strip()
            scheme, separator, host = value.partition("://")
            if value and separator and (scheme.lower() not in _SCHEMES or not host or "[" in host):
                return spelled, scheme.lower()[:20]
    return None
