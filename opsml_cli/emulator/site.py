"""Where the emulator stands: its address, its clock and pace, and the workspaces that it serves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from opsml_cli.emulator.clock import WallClock
    from opsml_cli.emulator.identity import Identity
    from opsml_cli.emulator.operations import Operations
    from opsml_cli.local.azure_names import AzureNames
    from opsml_cli.local.workspace import LocalWorkspace

REGION = "local"


@dataclass(frozen=True, slots=True)
class Served:
    """A local workspace under its Azure names, made anew for every request: `local` holds a connection of its own thread.
    `workspace_id` is the GUID in container names and asset ids, `account` the storage account's plain name."""

    local: LocalWorkspace
    subscription: str
    resource_group: str
    name: str
    workspace_id: str
    account: str
    region: str = REGION

    @property
    def arm_id(self) -> str:
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.name}"
        )


@dataclass(frozen=True, slots=True)
class Site:
    """What every handler may ask. `base` is `https://localhost:PORT`, without a slash at the end; `root` is the first
    workspace's folder; `trust`: the user answers for the models and scoring scripts that clients register."""

    base: str
    root: Path
    operations: Operations
    identity: Identity
    clock: WallClock
    trust: bool = False

    @contextmanager
    def first(self) -> Iterator[LocalWorkspace]:
        """The first workspace, whose database also holds what is not of one workspace alone."""
        from opsml_cli.local.workspace import LocalWorkspace

        workspace = LocalWorkspace(self.root)
        try:
            yield workspace
        finally:
            workspace.store.close()

    def workspaces(self) -> list[AzureNames]:
        """Every workspace that is served, the first one first."""
        from opsml_cli.local.azure_names import Directory

        with self.first() as workspace:
            return Directory(workspace).list()

    @contextmanager
    def serve(self, names: AzureNames) -> Iterator[Served]:
        """The workspace of those names, with a connection of its own until the block ends."""
        from opsml_cli.local.workspace import LocalWorkspace

        local = LocalWorkspace(self.root / names.folder if names.folder else self.root)
        try:
            yield Served(local, names.subscription, names.resource_group, names.name, names.workspace_id, names.account, REGION)
        finally:
            local.store.close()
