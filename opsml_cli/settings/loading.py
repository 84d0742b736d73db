"""Putting the sources together: which value wins, where it came from, and what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from opsml_cli.domain import names
from opsml_cli.domain.errors import ConfigError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.settings import sources
from opsml_cli.settings.layer import Layer, leaves
from opsml_cli.settings.model import BUILT_IN, AzureSettings, LocalSettings, NamedWorkspace, Path_, Settings
from opsml_cli.settings.sources import PROJECT_FILE


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and the origin of every value that is no default, by dotted name."""

    settings: Settings
    origins: Mapping[str, str]
    folder: Path  # that of the project file, else the current one
    project_file: Path | None
    bases: Mapping[str, Path] = field(default_factory=dict)  # where a relative path in that value starts

    def secrets(self) -> Iterator[str]:
        for azure in (self.settings.azure, *self.settings.workspaces.values()):
            if azure.client_secret is not None:
                yield azure.client_secret.get_secret_value()

    def azure_complete(self) -> bool:
        return self.settings.azure.complete


def load(environment: Mapping[str, str], *, workspace: str | None = None, cwd: Path | None = None) -> Loaded:
    """Read every source. `workspace` is the flag's value. ConfigError naming file and line, or variable."""
    here = (cwd or _current_folder()).absolute()
    project = nearest(here, PROJECT_FILE)
    folder = project.parent if project is not None else here
    layers = list(sources.layers(environment, workspace, here, project, folder))
    for layer in layers:
        sources.refuse_foreign(layer)
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        _merge(merged, layer.values)
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise _explained(error, layers) from error
    for name in settings.workspaces:
        if names.key(name) in BUILT_IN:
            raise ConfigError(f"[workspaces.{name}]: the name is taken by the built-in workspace {names.key(name)}")
    origins: dict[str, str] = {}
    bases: dict[str, Path] = {}
    for layer in reversed(layers):
        for path, _ in leaves(layer.values):
            origins[".".join(path)] = layer.origin_of(path)
            bases[".".join(path)] = here if layer.file is None else layer.file.parent
    return Loaded(settings, origins, folder, project, bases)


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise ConfigError("the current folder does not exist any more", fix="change to one that does") from None


def nearest(start: Path, name: str) -> Path | None:
    """`name` in `start` or the nearest folder above it."""
    for folder in (start, *start.parents):
        if (folder / name).is_file():
            return folder / name
    return None


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping):
            inner = into.setdefault(key, {})
            if isinstance(inner, dict):
                _merge(inner, value)
                continue
            into[key] = dict(value)
        else:
            into[key] = value


def _explained(error: ValidationError, layers: list[Layer]) -> ConfigError:
    """The first problem, with its place. The value itself is never told: it may be a secret."""
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = tuple(str(part) for part in problem["loc"])
    layer = next((layer for layer in layers if _has(layer.values, path)), None)
    if layer is None:  # something is missing: the layer that holds what it is missing from
        layer = next((layer for layer in layers if _has(layer.values, path[:-1])), None)
    place = f"{layer.where(path)}: " if layer is not None else ""
    name = ".".join(path)
    if problem["type"] == "extra_forbidden":
        return ConfigError(f"{place}unknown setting {name!r}", cause=did_you_mean(path[-1], _known_beside(path)))
    if problem["type"] == "missing":
        return ConfigError(f"{place}{name} is missing")
    return ConfigError(f"{place}{name}: {problem['msg'][:1].lower()}{problem['msg'][1:]}", fix="see `opsml help environment`")


def _has(values: object, path: Path_) -> bool:
    for part in path:
        if not isinstance(values, Mapping) or part not in values:
            return False
        values = values[part]
    return True


def _known_beside(path: Path_) -> list[str]:
    """The settings that could stand where `path` stands."""
    if len(path) == 1:
        return sorted(Settings.model_fields)
    models: dict[str, type[BaseModel]] = {"azure": AzureSettings, "local": LocalSettings, "workspaces": NamedWorkspace}
    model = models.get(path[0])
    return sorted(model.model_fields) if model is not None else []


def local_folder(loaded: Loaded, cwd: Path | None = None) -> tuple[Path, str]:
    """The local workspace's folder and why it is that one: `local.path`, else the nearest `.opsml` above, else one beside
    the project file, else one here."""
    here = (cwd or Path.cwd()).absolute()
    if loaded.settings.local.path:
        base = loaded.bases.get("local.path", here)
        return Path(os.path.normpath(base / Path(loaded.settings.local.path).expanduser())), loaded.origins.get(
            "local.path", ""
        )
    for folder in (here, *here.parents):
        candidate = folder / ".opsml"
        if candidate.is_dir() and (folder == here or _own(candidate)):
            return candidate, "nearest .opsml"
    if loaded.project_file is not None:
        return loaded.folder / ".opsml", f"beside {PROJECT_FILE}"
    return here / ".opsml", "current folder"


def _own(folder: Path) -> bool:
    """A folder further up that belongs to somebody else (/tmp/.opsml) is not taken."""
    return os.name == "nt" or folder.stat().st_uid == os.getuid()
