"""How the plans of --dry-run are shown."""

from __future__ import annotations

from collections.abc import Mapping

from opsml_cli.cli.render.base import Rendering
from opsml_cli.cli.result import Planned

_SHARES = ("traffic", "from", "to")
_SWITCHES = ("insights",)


def _view(plan: Planned, _width: int) -> str:
    lines = [f"would {plan.action} {plan.target}"]
    for name, value in plan.details.items():
        if value is not None:
            lines.append(f"  {name.replace('_', ' ')}: {_words(name, value)}")
    return "\n".join(lines)


def _words(name: str, value: object) -> str:
    """A value as a person writes it."""
    if isinstance(value, bool):
        return ("on" if value else "off") if name in _SWITCHES else ("yes" if value else "no")
    if isinstance(value, Mapping):
        pairs = [(str(key), _words("", each)) for key, each in value.items() if each is not None]
        return ", ".join(f"{key} {each} %" if name in _SHARES else f"{key}={each}" for key, each in pairs) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(_words("", each) for each in value) or "none"
    return str(value)


RENDERINGS: dict[type, Rendering] = {
    Planned: Rendering(
        document=lambda plan: {"dry_run": True, "action": plan.action, "target": plan.target, **plan.details},
        view=_view,
    )
}
