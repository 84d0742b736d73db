"""How the reply to a raw request is shown."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from opsml_cli.cli.commands.invoke import Invoked
from opsml_cli.cli.render.base import Rendering

RENDERINGS: dict[type[Any], Rendering] = {
    Invoked: Rendering(
        document=asdict,
        view=lambda invoked, _width: invoked.body or "",
        outputs=lambda invoked: {"status": str(invoked.status), "deployment": invoked.deployment or ""},
    ),
}
