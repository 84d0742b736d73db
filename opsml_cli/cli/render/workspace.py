"""How workspaces are shown."""

from __future__ import annotations

from opsml_cli.cli.render.base import Rendering
from opsml_cli.workspaces import Choice

COLUMNS = ("name", "kind", "location", "origin")

RENDERINGS: dict[type, Rendering] = {
    Choice: Rendering(document=lambda choice: {name: getattr(choice, name) for name in COLUMNS}, columns=COLUMNS)
}
