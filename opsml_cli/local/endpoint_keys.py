"""An endpoint's two keys, in a file of its own with rights 0600; never in the database."""

from __future__ import annotations

import json
from pathlib import Path

from opsml_cli.content.files import write_atomic
from opsml_cli.domain import names
from opsml_cli.domain.endpoint import EndpointKeys
from opsml_cli.domain.errors import NotFoundError
from opsml_cli.local.layout import Layout


def path(layout: Layout, endpoint: str) -> Path:
    return layout.secrets / "endpoints" / f"{names.key(names.endpoint_name(endpoint))}.json"


def read(layout: Layout, endpoint: str) -> EndpointKeys:
    try:
        document = json.loads(path(layout, endpoint).read_text("utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(
            f"the keys of endpoint {endpoint!r} are gone from the secrets folder",
            fix=f"opsml endpoints rotate-keys {endpoint}",
        ) from error
    return EndpointKeys(document["primary"], document["secondary"])


def ensure(layout: Layout, endpoint: str) -> EndpointKeys:
    """The keys, made when there are none."""
    if path(layout, endpoint).exists():
        return read(layout, endpoint)
    return _write(layout, endpoint, EndpointKeys(_new(), _new()))


def rotate(layout: Layout, endpoint: str, which: str, value: str | None = None) -> EndpointKeys:
    """Replace the `primary` or the `secondary` key, by `value` or a random one; the other stays."""
    keys = ensure(layout, endpoint)
    made = value or _new()
    fresh = EndpointKeys(made, keys.secondary) if which == "primary" else EndpointKeys(keys.primary, made)
    return _write(layout, endpoint, fresh)


def remove(layout: Layout, endpoint: str) -> None:
    path(layout, endpoint).unlink(missing_ok=True)


def _new() -> str:
    import secrets

    return secrets.token_urlsafe(32)


def _write(layout: Layout, endpoint: str, keys: EndpointKeys) -> EndpointKeys:
    place = path(layout, endpoint)
    layout.secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    place.parent.mkdir(mode=0o700, exist_ok=True)
    write_atomic(place, json.dumps({"primary": keys.primary, "secondary": keys.secondary}).encode())
    return keys
