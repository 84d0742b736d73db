"""Settings: where each value may come from, which one wins, and where it did come from.

Flag > environment (`OPSML_…`) > `.env` > `opsml.toml` (nearest parent folder) > studio's `config.json` beside it > the
user's own `config.toml` > default. Where tokens go (`USER_ONLY`) is no project's business: a project file that says so is
refused by name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings.exceptions import SettingsError

from opsml_cli.domain import names
from opsml_cli.domain.errors import ConfigError
from opsml_cli.domain.fields import did_you_mean

PREFIX = "OPSML_"
PROJECT_FILE = "opsml.toml"
USER_FILE = "config.toml"
STUDIO_FILE = "config.json"
# Whoever sets these decides where tokens are sent and which servers are believed.
USER_ONLY = ("cloud", "authority", "arm_url", "inference_url", "ca_bundle")
# Never in a file that is committed.
NOT_IN_PROJECT_FILE = ("client_secret",)
BUILT_IN = ("local", "azure")

Path_ = tuple[str, ...]


# Built once, as parts of Settings, and not each for itself.
_PART = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class AzureSettings(BaseModel):
    """An Azure ML workspace, and how to sign in."""

    model_config = _PART

    subscription_id: str | None = None
    resource_group: str | None = None
    workspace_name: str | None = None
    auth: Literal["default", "cli", "service-principal", "oidc", "managed-identity"] = "default"
    tenant_id: str | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    cloud: str | None = None
    authority: str | None = None
    arm_url: str | None = None
    inference_url: str | None = None
    ca_bundle: str | None = None

    @property
    def complete(self) -> bool:
        """Whether these name a workspace."""
        return bool(self.subscription_id and self.resource_group and self.workspace_name)


class LocalSettings(BaseModel):
    """The workspace in a folder."""

    model_config = _PART

    path: str | None = None


class NamedWorkspace(AzureSettings):
    """A workspace with a name of its own: `path` for kind local, the rest for kind azure."""

    kind: Literal["local", "azure"]
    path: str | None = None


class Settings(BaseSettings):
    """Every setting. Built by `load` alone: the sources are read there, for the origins."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    workspace: str = "local"
    # The empty mapping becomes the model, in the validator that is there anyway.
    local: LocalSettings = Field(default={}, validate_default=True)
    azure: AzureSettings = Field(default={}, validate_default=True)
    workspaces: dict[str, NamedWorkspace] = {}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings' own signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source says. `file` None: the environment or a flag."""

    origin: str
    values: Mapping[str, Any]
    file: Path | None = None
    project: bool = False

    def where(self, path: Path_) -> str:
        """How an error names the place of a value."""
        if self.file is None:
            return f"{self.origin} {variable(path)}" if self.origin == "env" else self.origin
        line = line_of(self.file, path)
        return str(self.file) if line is None else f"{self.file}, line {line}"

    def origin_of(self, path: Path_) -> str:
        return f"env {variable(path)}" if self.origin == "env" else self.origin


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
    layers = list(_layers(environment, workspace, here, project, folder))
    for layer in layers:
        _refuse_foreign(layer)
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


def user_file() -> Path:
    """The user's own settings file, whether it is there or not."""
    import platformdirs

    return Path(platformdirs.user_config_dir("opsml", appauthor=False)) / USER_FILE


def variable(path: Path_) -> str:
    """The environment variable of a setting."""
    return PREFIX + "__".join(path).upper()


def leaves(values: Mapping[str, Any], path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*path, str(key)))
        else:
            yield (*path, str(key)), value


def _layers(
    environment: Mapping[str, str], workspace: str | None, here: Path, project: Path | None, folder: Path
) -> Iterator[Layer]:
    if workspace is not None:
        yield Layer("flag -w", {"workspace": workspace})
    yield Layer("env", _environment(environment))
    dotenv = next((place / ".env" for place in (here, folder) if (place / ".env").is_file()), None)
    if dotenv is not None:
        yield Layer(str(dotenv), _dotenv(dotenv), dotenv, project=True)
    if project is not None:
        yield Layer(str(project), _toml(project), project, project=True)
    studio = _studio(folder / STUDIO_FILE)
    if studio is not None:
        yield Layer(str(folder / STUDIO_FILE), {"azure": studio}, folder / STUDIO_FILE, project=True)
    user = user_file()
    if user.is_file():
        yield Layer(str(user), _toml(user), user)


def _environment(environment: Mapping[str, str]) -> dict[str, Any]:
    class Source(EnvSettingsSource):
        def _load_env_vars(self) -> Mapping[str, str | None]:
            return {name.lower(): value for name, value in environment.items() if value}

    values = _source_values(Source(Settings), "the environment")
    for name in environment:
        _check_variable(name, "the environment")
    return values


def _dotenv(file: Path) -> dict[str, Any]:
    class Source(DotEnvSettingsSource):
        def _load_env_vars(self) -> Mapping[str, str | None]:
            # Only our own: a .env also holds what is meant for others.
            return {name: value for name, value in super()._load_env_vars().items() if name.startswith(PREFIX.lower())}

    try:
        source = Source(Settings, env_file=file, env_file_encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    for name in source.env_vars:
        _check_variable(name, str(file))
    return _source_values(source, str(file))


def _source_values(source: EnvSettingsSource, place: str) -> dict[str, Any]:
    try:
        values = source()
    except SettingsError as error:
        raise ConfigError(f"{place}: {error}", fix=f"write {variable(('azure', 'auth'))}=… for a nested setting") from error
    # DotEnvSettingsSource hands on what it does not know; _check_variable has looked at that.
    return {key: value for key, value in values.items() if key in Settings.model_fields}


def _check_variable(name: str, place: str) -> None:
    """Refuse OPSML_ variables that look like a setting and are none."""
    if not name.upper().startswith(PREFIX):
        return
    word = name.upper().removeprefix(PREFIX)
    first = word.split("__")[0].lower()
    if first in Settings.model_fields:
        return
    import difflib

    near = difflib.get_close_matches(first, Settings.model_fields, n=1, cutoff=0.8)
    if near or "__" in word:
        hint = f"did you mean {PREFIX}{near[0].upper()}?" if near else did_you_mean(first, sorted(Settings.model_fields))
        raise ConfigError(f"{place}: unknown setting {name.upper()}", cause=hint, fix="see `opsml help environment`")


def _toml(file: Path) -> dict[str, Any]:
    import tomllib

    try:
        with file.open("rb") as handle:
            return tomllib.load(handle)
    except tomllib.TOMLDecodeError as error:
        told = str(error)
        line = told.rpartition("(at line ")[2].partition(",")[0]
        if not line.isdigit():  # "at end of document"
            line = str(len(file.read_bytes().splitlines()))
        place = f"{file}, line {line}"
        raise ConfigError(f"{place}: no valid TOML: {told.partition(' (at ')[0]}", fix=f"correct {file}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text (byte {error.start})", fix="save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error


def _studio(file: Path) -> dict[str, str] | None:
    """The workspace that a config.json from Azure ML studio names; None when there is no such file, or it is another's."""
    keys = ("subscription_id", "resource_group", "workspace_name")
    try:
        document = json.loads(file.read_bytes()[:65536])
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not all(isinstance(document.get(key), str) for key in keys):
        return None
    return {key: document[key] for key in keys}


def _refuse_foreign(layer: Layer) -> None:
    if not layer.project:
        return
    committed = layer.file is not None and layer.file.name == PROJECT_FILE
    for path, _ in leaves(layer.values):
        if len(path) < 2 or path[0] not in ("azure", "workspaces"):
            continue
        if path[-1] in USER_ONLY:
            raise ConfigError(
                f"{layer.where(path)}: {'.'.join(path)} is not allowed in a project file",
                cause="it decides where tokens are sent, so only the user's own settings may say it",
                fix=f"remove it there; if you want it, set {variable(path)} or put it into {user_file()}",
            )
        if committed and path[-1] in NOT_IN_PROJECT_FILE:
            raise ConfigError(
                f"{layer.where(path)}: {'.'.join(path)} is a secret and not allowed in {PROJECT_FILE}",
                cause="the file is meant to be committed",
                fix=f"remove it there and set {variable(path)}",
            )


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


def line_of(file: Path, path: Path_) -> int | None:
    """The line (from 1) on which a settings file sets `path`; that of its table when the key is not found alone."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    if file.name == ".env":
        wanted = variable(path)
        names_ = (line.strip().removeprefix("export ").partition("=")[0].strip().upper() for line in lines)
        return next((number for number, name in enumerate(names_, 1) if name == wanted), None)
    table: Path_ = ()
    fallback = None
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if stripped.startswith("["):
            table = _key_path(stripped.strip("[] \t").partition("]")[0])
            here = table
        else:
            key, equals, _ = stripped.partition("=")
            if not equals:
                continue
            here = (*table, *_key_path(key))
        if here == path:
            return number
        if here and path[: len(here)] == here:
            fallback = number
    return fallback


def _key_path(text: str) -> Path_:
    return tuple(part.strip().strip("\"'") for part in text.split("."))


def environment_variables() -> list[tuple[str, str, str]]:
    """Variable, default and meaning of every setting, for the help topic and the docs."""
    rows = []
    for name, default, meaning in _DESCRIPTIONS:
        rows.append((variable(tuple(name.split("."))), default, meaning))
    return rows


_DESCRIPTIONS = (
    ("workspace", "local", "the workspace to act on: local, azure, or a named one (flag: -w)"),
    ("local.path", "", "the local workspace's folder; without it the nearest .opsml"),
    ("azure.subscription_id", "", "the Azure subscription"),
    ("azure.resource_group", "", "the resource group"),
    ("azure.workspace_name", "", "the Azure ML workspace"),
    ("azure.auth", "default", "how to sign in: default, cli, service-principal, oidc, managed-identity"),
    ("azure.tenant_id", "", "the tenant, for service-principal and oidc"),
    ("azure.client_id", "", "the application, for service-principal, oidc and managed-identity"),
    ("azure.client_secret", "", "the application's secret; never in opsml.toml"),
    ("azure.cloud", "", "the Azure cloud; only here or in the user's own settings"),
    ("azure.authority", "", "where to sign in; only here or in the user's own settings"),
    ("azure.arm_url", "", "the management endpoint; only here or in the user's own settings"),
    ("azure.inference_url", "", "the base of scoring URLs; only here or in the user's own settings"),
    ("azure.ca_bundle", "", "certificates to believe; only here or in the user's own settings"),
)


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
