"""How help topics are shown."""

from __future__ import annotations

from opsml_cli.cli.commands.help import ExitCode, Format, Variable
from opsml_cli.cli.render.base import Rendering


def _rows(*columns: str) -> Rendering:
    return Rendering(document=lambda row: {name: getattr(row, name) for name in columns}, columns=columns)


RENDERINGS: dict[type, Rendering] = {
    ExitCode: _rows("exit_code", "codes", "meaning"),
    Variable: _rows("variable", "default", "meaning"),
    Format: _rows("format", "meaning"),
}
