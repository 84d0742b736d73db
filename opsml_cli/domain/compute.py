"""Computes: where jobs run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

THIS_MACHINE = "local"  # the name of the one compute that every local workspace has


class ComputeState(StrEnum):
    """Azure's spellings."""

    CREATING = "Creating"
    UPDATING = "Updating"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    DELETING = "Deleting"

    @property
    def finished(self) -> bool:
        return self in (ComputeState.SUCCEEDED, ComputeState.FAILED)


@dataclass(frozen=True, slots=True)
class Compute:
    """One compute. `type` is Azure's word (AmlCompute, ComputeInstance …) or `this machine`; `nodes` are those that are there
    now; `cores` and `memory_gb` are of one node, None where the workspace does not tell; `error` says why it failed."""

    name: str
    type: str
    state: ComputeState
    size: str | None = None
    min_nodes: int | None = None
    max_nodes: int | None = None
    nodes: int | None = None
    cores: int | None = None
    memory_gb: float | None = None
    low_priority: bool = False
    idle_seconds: float | None = None
    location: str | None = None
    created_at: str | None = None
    description: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class CreateCompute:
    """A cluster that grows from `min_nodes` to `max_nodes` with its jobs, and shrinks again after `idle_seconds`."""

    name: str
    size: str = "Standard_DS3_v2"
    min_nodes: int = 0
    max_nodes: int = 1
    idle_seconds: float = 120.0
    low_priority: bool = False
    description: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ComputeCreated:
    """The compute, and whether it was there already as it was asked for."""

    compute: Compute
    unchanged: bool
