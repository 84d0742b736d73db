"""Names of assets and how they are written: Azure's patterns, compared without case, never a path."""

from __future__ import annotations

import re
from dataclasses import dataclass

from opsml_cli.domain.errors import UsageError

_ASSET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}\Z", re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,29}\Z", re.ASCII)
_ENDPOINT = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]{1,30})[A-Za-z0-9]\Z", re.ASCII)
_STEP = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z", re.ASCII)
# Reserved by Windows whatever the suffix; a workspace may be copied to such a machine.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AssetRef:
    """`name`, `name:version` or `name@latest`; `version` None means the latest."""

    name: str
    version: str | None = None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}:{self.version}"


def key(name: str) -> str:
    """The form under which a name is compared and stored: without case."""
    return name.casefold()


def _refuse(kind: str, text: str, expected: str) -> UsageError:
    return UsageError(f"{text!r} is no valid {kind}", cause=f"expected {expected}")


def asset_name(text: str, kind: str = "name") -> str:
    """`text` when it is a valid asset, job or experiment name; otherwise UsageError."""
    if not _ASSET.match(text) or _DEVICE.match(text):
        raise _refuse(kind, text, "1 to 255 letters, digits, '-' or '_', starting with a letter or digit")
    return text


def version(text: str) -> str:
    """`text` when it is a valid version; otherwise UsageError."""
    if not _VERSION.match(text) or _DEVICE.match(text) or ".." in text:
        raise _refuse("version", text, "1 to 30 letters, digits, '-', '_' or '.', starting with a letter or digit")
    return text


def endpoint_name(text: str, kind: str = "endpoint name") -> str:
    """`text` when it is a valid endpoint or deployment name (3 to 32 characters); otherwise UsageError."""
    if not _ENDPOINT.match(text) or _DEVICE.match(text):
        raise _refuse(kind, text, "3 to 32 letters, digits or '-', starting with a letter, ending with a letter or digit")
    return text


def step_name(text: str, kind: str = "step name") -> str:
    """`text` when a pipeline's expressions can name it (a step, input or output); otherwise UsageError."""
    if not _STEP.match(text) or _DEVICE.match(text):
        raise _refuse(kind, text, "1 to 128 letters, digits or '_', starting with a letter or '_'")
    return text


def parse_ref(text: str, kind: str = "name") -> AssetRef:
    """Read `name`, `name:version`, `name@latest`, or those behind `azureml:`; otherwise UsageError."""
    body = text.removeprefix("azureml:")
    if body.endswith("@latest"):
        return AssetRef(asset_name(body.removesuffix("@latest"), kind))
    name, colon, tail = body.partition(":")
    return AssetRef(asset_name(name, kind), version(tail) if colon else None)
