"""How settings are shown."""

from __future__ import annotations

from opsml_cli.cli.commands.config import Setting
from opsml_cli.cli.commands.init import WrittenSettings
from opsml_cli.cli.render.base import Rendering

_SETTING = ("name", "value", "origin")
_WRITTEN = ("path", "workspace", "unchanged", "dry_run")


def _written(written: WrittenSettings, _width: int) -> str:
    did = "unchanged:" if written.unchanged else "would write" if written.dry_run else "wrote"
    return f"{did} {written.path}\nworkspace: {written.workspace}"


RENDERINGS: dict[type, Rendering] = {
    Setting: Rendering(document=lambda setting: {name: getattr(setting, name) for name in _SETTING}, columns=_SETTING),
    WrittenSettings: Rendering(
        document=lambda written: {name: getattr(written, name) for name in _WRITTEN}, columns=_WRITTEN, view=_written
    ),
}
