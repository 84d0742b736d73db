"""How backups are shown."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from opsml_cli.cli.render.base import Rendering
from opsml_cli.domain.backup import Backup


def _view(backup: Backup, _width: int) -> str:
    line = f"{backup.workspace} and {backup.path}: {backup.files:,} files, {backup.bytes:,} bytes, as of {backup.created_at}"
    return line if backup.set_aside is None else f"{line}\nthe workspace that lay there is now {backup.set_aside}"


RENDERINGS: dict[type[Any], Rendering] = {
    Backup: Rendering(
        document=asdict,
        view=_view,
        outputs=lambda backup: {"path": backup.path, "workspace": backup.workspace},
    ),
}
