"""The sources of settings, strongest first: the flag, the environment, `.env`, `opsml.toml`, studio's `config.json`, and the
user's own `config.toml`; and what a project's files may not say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource
from pydantic_settings.exceptions import SettingsError

from opsml_cli.domain.errors import ConfigError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.settings.layer import Layer, leaves
from opsml_cli.settings.model import NOT_IN_PROJECT_FILE, PREFIX, USER_ONLY, Settings, variable

PROJECT_FILE = "opsml.toml"
USER_FILE = "config.toml"
STUDIO_FILE = "config.json"
SDK_FOLDER = ".azureml"


def layers(
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
    for file in _studio_files(folder):
        studio = _studio(file)
        if studio is not None:
            yield Layer(str(file), {"azure": studio}, file, project=True)
            break
    user = user_file()
    if user.is_file():
        yield Layer(str(user), _toml(user), user)


def user_file() -> Path:
    """The user's own settings file, whether it is there or not."""
    import platformdirs

    return Path(platformdirs.user_config_dir("opsml", appauthor=False)) / USER_FILE


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


def _studio_files(folder: Path) -> Iterator[Path]:
    """Where Azure's SDK looks for a workspace's config.json: in the folder, then in `.azureml` there or further up."""
    yield folder / STUDIO_FILE
    for place in (folder, *folder.parents):
        yield place / SDK_FOLDER / STUDIO_FILE


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


def refuse_foreign(layer: Layer) -> None:
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
