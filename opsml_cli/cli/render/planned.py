"""How the plans of --dry-run are shown."""

from __future__ import annotations

from opsml_cli.cli.render.base import Rendering
from opsml_cli.cli.result import Planned

RENDERINGS: dict[type, Rendering] = {
    Planned: Rendering(
        document=lambda plan: {"dry_run": True, "action": plan.action, "target": plan.target, **plan.details},
        view=lambda plan, _width: "\n".join(
            [
                f"would {plan.action} {plan.target}",
                *(f"  {name.replace('_', ' ')}: {value}" for name, value in plan.details.items()),
            ]
        ),
    )
}
