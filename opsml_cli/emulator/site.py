"""Where the emulator stands: its address, its clock and pace, and the workspaces that it serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsml_cli.emulator.operations import Operations
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
    """What every handler may ask. `base` is `https://localhost:PORT`, without a slash at the end."""

    base: str
    operations: Operations
