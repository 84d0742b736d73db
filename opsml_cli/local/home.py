"""Which folder a workspace lives in: a copy is another workspace, though every byte of it is the same.

A folder's device and inode go with it when it is moved, and are others for its copy. Whatever names a process carries them:
in a copy it is none of its own. `home.json` is made with the database, so that a database that is gone is noticed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FILE = "home.json"


@dataclass(frozen=True, slots=True)
class Home:
    """What `home.json` says: the folder's identity and path when it was written, and the workspace that it was copied from."""

    identity: str
    path: str
    copied_from: str | None = None


def identity(folder: Path) -> str | None:
    """The folder's device and inode; None when it is not there."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return f"{found.st_dev:x}-{found.st_ino:x}"


def same(said: str | None, folder: Path) -> bool:
    """Whether what carries the identity `said` belongs to `folder`. An older opsml said none."""
    return said is None or said == identity(folder)


def read(root: Path) -> Home | None:
    try:
        return Home(**json.loads((root / FILE).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def original(root: Path) -> str | None:
    """The path of the workspace that this one is a copy of; None for one that is none, or was moved."""
    home = read(root)
    if home is None:
        return None
    if same(home.identity, root):
        return home.copied_from
    return home.path if same(home.identity, Path(home.path)) and Path(home.path).exists() else home.copied_from


def write(root: Path) -> None:
    """Say that the workspace lives here, and what it was copied from."""
    from opsml_cli.content.files import write_atomic

    home, here = read(root), identity(root)
    if here is None or (home is not None and home.identity == here and home.path == str(root)):
        return
    document = {"identity": here, "path": str(root), "copied_from": original(root)}
    write_atomic(root / FILE, json.dumps(document).encode())
