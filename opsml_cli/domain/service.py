"""The local service and the other processes of a local workspace."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from opsml_cli.domain.emulator import EmulatorState


@dataclass(frozen=True, slots=True)
class ServiceProcess:
    """A process that survives the terminal. `kind` is `service`, `emulator`, `endpoint` or `job`."""

    kind: str
    name: str
    pid: int | None
    status: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """Whether the service runs, and every process of the workspace. `pid` and `url` None: it is down; `emulator` None: nobody
    asked it."""

    running: bool
    pid: int | None
    url: str | None
    processes: tuple[ServiceProcess, ...]
    unchanged: bool = True
    emulator: EmulatorState | None = None


@dataclass(frozen=True, slots=True)
class ServiceEnded:
    """What `local down` ended, or would end; and what it left running."""

    ended: tuple[ServiceProcess, ...]
    left: tuple[ServiceProcess, ...]
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ServiceToken:
    """The bearer token in clear, shown on purpose only; `repr` hides it."""

    token: str = field(repr=False)


class ServiceOperations(Protocol):
    """What a local workspace can do beside the operations of every workspace."""

    def up(self) -> ServiceStatus:
        """Start the service unless it runs; return when it answered. `unchanged`: it ran already."""
        ...

    def status(self) -> ServiceStatus: ...

    def down(self, *, jobs: bool, dry_run: bool) -> ServiceEnded:
        """End the service and every endpoint's server; with `jobs`, ask running jobs to end too."""
        ...

    def token(self) -> ServiceToken:
        """The service's bearer token, made on first use."""
        ...
