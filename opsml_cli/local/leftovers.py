"""What killed processes leave behind."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from opsml_cli.content.files import TEMPORARY
from opsml_cli.local.layout import Layout
from opsml_cli.local.processes import pid_alive

# As `files.temporary_name` makes them: a user's own file of a like name is none of ours.
_OURS = re.compile(re.escape(TEMPORARY) + r"([0-9]{1,10})-[0-9a-f]+")


def sweep_all(layout: Layout) -> None:
    """`sweep`, everywhere that a command of any kind writes to: nothing that a killed one began, a key among them, stays."""
    sweep(layout.root)
    for folder in (layout.blobs, layout.staging, layout.secrets, layout.service, layout.batch):
        sweep(folder)
    for name in ("jobs", "models", "endpoints", "emulator", "environments"):
        for place, folders, _ in os.walk(layout.root / name):
            sweep(Path(place))
            # What a step or a model brought along is its own.
            folders[:] = [each for each in folders if each not in ("code", "inputs", "work") and not is_temporary(each)]


def is_temporary(name: str) -> bool:
    """Whether a file of that name is being made, or was when its maker was killed."""
    return _OURS.fullmatch(name) is not None


def sweep(folder: Path) -> None:
    """Remove what killed processes left in `folder`."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        found = _OURS.fullmatch(entry.name)
        if found is None or pid_alive(int(found[1])):
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            Path(entry.path).unlink(missing_ok=True)
