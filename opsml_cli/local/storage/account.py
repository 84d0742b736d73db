"""The key of the workspace's storage account: what tokens for its objects are signed with."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from opsml_cli.content import files
from opsml_cli.local.layout import Layout

KEY_BYTES = 64


def account_key(layout: Layout) -> bytes:
    """The key, 64 bytes; made on first use, in a file that only the user can read."""
    place = layout.secrets / "storage-account.key"
    try:
        return place.read_bytes()
    except FileNotFoundError:
        layout.secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = files.temporary_name(layout.secrets)
    files.write_atomic(fresh, secrets.token_bytes(KEY_BYTES))
    try:
        _link(fresh, place)
    finally:
        fresh.unlink(missing_ok=True)
    return place.read_bytes()


def _link(fresh: Path, place: Path) -> None:
    """Give the file its name, unless another process was quicker."""
    try:
        os.link(fresh, place)
    except FileExistsError:
        return
    files.sync_folder(place.parent)
