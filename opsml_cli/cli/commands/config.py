"""`opsml config …`"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, SecretStr

from opsml_cli.cli.session import Session
from opsml_cli.domain.secret_shapes import MASK


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `value` is None where it is not set, and masked where it is secret."""

    name: str
    value: str | None
    origin: str


def show(session: Session) -> list[Setting]:
    """Show each setting, its value and where it comes from. Secrets are masked.

    Example: opsml config show -o json
    """
    settings = session.settings
    found = _settings(settings.__class__, settings, "", dict(session.loaded.origins))
    named = [
        setting
        for name, workspace in settings.workspaces.items()
        for setting in _settings(workspace.__class__, workspace, f"workspaces.{name}.", dict(session.loaded.origins))
        if setting.value is not None and setting.origin != "default"
    ]
    return found + named


def _settings(model: type[BaseModel], values: BaseModel, start: str, origins: dict[str, str]) -> list[Setting]:
    found: list[Setting] = []
    for field in model.model_fields:
        value = getattr(values, field)
        name = start + field
        if isinstance(value, BaseModel):
            found += _settings(value.__class__, value, name + ".", origins)
        elif not isinstance(value, dict):
            shown = MASK if isinstance(value, SecretStr) else None if value is None else str(value)
            found.append(Setting(name, shown, origins.get(name, "default")))
    return found
