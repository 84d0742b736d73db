"""Computes: where jobs run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from opsml_cli.domain.errors import UsageError

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{0,30}[a-zA-Z0-9]\Z", re.ASCII)
DEFAULT_SIZE = "Standard_DS3_v2"  # of a machine, where nobody names one
THIS_MACHINE = "local"  # the name of the one compute that every local workspace has
SERVERLESS = "serverless"  # what Azure calls having no compute of one's own
_RESERVED = (THIS_MACHINE, SERVERLESS, "amlcompute")  # what stands for something that is no cluster


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


def compute_name(text: str) -> str:
    """`text` when a compute may be named so; otherwise UsageError."""
    if not _NAME.match(text):
        expected = "2 to 32 letters, digits or '-', starting with a letter, ending with a letter or digit"
        raise UsageError(f"{text!r} is no valid compute name", cause=f"expected {expected}")
    return text


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
    size: str = DEFAULT_SIZE
    min_nodes: int = 0
    max_nodes: int = 1
    idle_seconds: float = 120.0
    low_priority: bool = False
    description: str | None = None
    dry_run: bool = False

    def check(self) -> None:
        """UsageError for a name or a scale that no cluster may have."""
        if compute_name(self.name).casefold() in _RESERVED:
            raise UsageError(f"{self.name} stands for something else", fix="give the cluster another name")
        if self.min_nodes > self.max_nodes:
            raise UsageError(f"at least {self.min_nodes} nodes are more than at most {self.max_nodes}")


@dataclass(frozen=True, slots=True)
class ComputeCreated:
    """The compute, and whether it was there already as it was asked for."""

    compute: Compute
    unchanged: bool
