"""Making a local workspace: a folder with its database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsml_cli.domain.access import CreateWorkspace, WorkspaceState
from opsml_cli.domain.errors import UsageError

if TYPE_CHECKING:
    from opsml_cli.local.workspace import LocalWorkspace


class LocalCreation:
    """The CreationOperations port. Every first write makes the folder; this makes it before one."""

    def __init__(self, workspace: LocalWorkspace) -> None:
        self._workspace = workspace

    def begin(self, spec: CreateWorkspace) -> WorkspaceState:
        if spec.location is not None:
            raise UsageError("a local workspace lies in a folder, not in a region", fix="leave --location out")
        there = self._workspace.store.exists()
        if not there and not spec.dry_run:
            with self._workspace.store.write():
                pass
        return WorkspaceState(self._workspace.name, self._workspace.location, "Succeeded", unchanged=there)

    def state(self) -> WorkspaceState:
        there = self._workspace.store.exists()
        return WorkspaceState(
            self._workspace.name, self._workspace.location, "Succeeded", None if there else "made by the first write", there
        )
