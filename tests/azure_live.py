"""A workspace of each kind for the promises that hold on both: this machine's, and Azure's over an emulator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from emulator_support import Emulated, emulated

from opsml_cli.azureml.workspace import AzureWorkspace
from opsml_cli.local.workspace import LocalWorkspace
from opsml_cli.settings import AzureSettings

KINDS = ("local", "azure")


@contextmanager
def azure_workspace(folder: Path, **options: Any) -> Iterator[tuple[AzureWorkspace, Emulated]]:
    """Azure's workspace over an emulator, found and signed in by the environment, and the emulator."""
    with emulated(folder, **options) as emulator, pytest.MonkeyPatch.context() as patch:
        for name, value in emulator.environment.items():
            patch.setenv(name, value)
        settings = AzureSettings(
            subscription_id=emulator.subscription,
            resource_group=emulator.resource_group,
            workspace_name=emulator.workspace_name,
        )
        found = AzureWorkspace(settings)
        yield found, emulator
        found.context.close()


@contextmanager
def workspace_of(kind: str, folder: Path, **options: Any) -> Iterator[tuple[LocalWorkspace | AzureWorkspace, LocalWorkspace]]:
    """The workspace, and the local one that holds its state."""
    if kind == "local":
        local = LocalWorkspace(folder / ".opsml")
        yield local, local
        local.store.close()
        return
    with azure_workspace(folder, **options) as (workspace, emulator):
        yield workspace, emulator.workspace
