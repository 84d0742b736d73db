"""From a workspace's name to what stands behind it. The only place that knows every adapter."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain import names
from opsml_cli.domain.errors import ConfigError, UnsupportedError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.settings import AzureSettings, Loaded, local_folder

if TYPE_CHECKING:
    from opsml_cli.domain.emulator import EmulatorOperations
    from opsml_cli.domain.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Choice:
    """The workspace that the settings choose. `location` is a folder, or the Azure workspace's path; `origin` says where
    the choice came from."""

    name: str
    kind: str
    location: str
    origin: str
    azure: AzureSettings | None = None


def choose(loaded: Loaded, cwd: Path | None = None) -> Choice:
    """Find the workspace by name, without opening it. ConfigError for an unknown name or incomplete settings."""
    wanted = loaded.settings.workspace
    origin = loaded.origins.get("workspace", "default")
    key = names.key(wanted)
    if key == "local":
        folder, _ = local_folder(loaded, cwd)
        return Choice("local", "local", str(folder), origin)
    if key == "azure":
        return _azure("azure", loaded.settings.azure, "azure", origin)
    by_key = {names.key(name): name for name in loaded.settings.workspaces}
    if key not in by_key:
        known = ["local", "azure", *loaded.settings.workspaces]
        raise ConfigError(
            f"no workspace is named {wanted!r} (from {origin})",
            cause=did_you_mean(wanted, known),
            fix=f"use one of them, or add [workspaces.{wanted}] to opsml.toml" if wanted.isidentifier() else None,
        )
    name = by_key[key]
    named = loaded.settings.workspaces[name]
    if named.kind == "azure":
        return _azure(name, named, f"workspaces.{name}", origin)
    base = loaded.bases.get(f"workspaces.{name}.path", loaded.folder)
    folder = Path(os.path.normpath(base / Path(named.path or f".opsml-{key}").expanduser()))
    return Choice(name, "local", str(folder), origin)


def _azure(name: str, settings: AzureSettings, section: str, origin: str) -> Choice:
    missing = [key for key in ("subscription_id", "resource_group", "workspace_name") if not getattr(settings, key)]
    if missing:
        variables = " and ".join(f"OPSML_{section.upper().replace('.', '__')}__{key.upper()}" for key in missing)
        raise ConfigError(
            f"the workspace {name!r} (from {origin}) lacks {', '.join(missing)}",
            fix=f"set {variables}, or write them below [{section}] in opsml.toml; or use -w local",
        )
    location = f"{settings.subscription_id}/{settings.resource_group}/{settings.workspace_name}"
    return Choice(name, "azure", location, origin, settings)


def open_workspace(loaded: Loaded) -> Workspace:
    """The adapter of the chosen workspace. Nothing is written or connected yet."""
    choice = choose(loaded)
    if choice.kind == "local":
        from opsml_cli.local.workspace import LocalWorkspace

        return LocalWorkspace(Path(choice.location), choice.name)
    from opsml_cli.azureml.workspace import AzureWorkspace

    assert choice.azure is not None
    return AzureWorkspace(choice.azure, choice.name)


def open_emulator(loaded: Loaded, workspace: Workspace) -> EmulatorOperations:
    """The emulator of Azure's wire over a local workspace, under the names that complete Azure settings give it.
    UnsupportedError for a workspace that is not on this machine."""
    from opsml_cli.local.workspace import LocalWorkspace

    if not isinstance(workspace, LocalWorkspace):
        raise UnsupportedError(
            f"workspace {workspace.name} is not on this machine: it has no emulator", fix="add -w local to the command"
        )
    from opsml_cli.emulator.process import EmulatorProcess

    azure = loaded.settings.azure
    wanted = None
    if azure.subscription_id and azure.resource_group and azure.workspace_name:
        wanted = (azure.subscription_id, azure.resource_group, azure.workspace_name)
    return EmulatorProcess(workspace, wanted)
