"""What runs on this machine beside the commands: the local service and the emulator, started and ended together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from opsml_cli.domain.emulator import EmulatorOperations, EmulatorState, Variable
from opsml_cli.domain.service import ServiceEnded, ServiceOperations, ServiceProcess, ServiceStatus


@dataclass(frozen=True, slots=True)
class Environment:
    """The variables that lead an unmodified script to the emulator, and the shell they are written for."""

    variables: tuple[Variable, ...]
    shell: str


def up(
    service: ServiceOperations,
    emulator: EmulatorOperations,
    *,
    pace: str | None = None,
    inject: Sequence[str] = (),
    port: int | None = None,
    trust: bool = False,
) -> ServiceStatus:
    """Start both. A wrong pace or fault is refused before anything starts."""
    state = emulator.up(pace=pace, inject=inject, port=port, trust=trust)
    found = _with(service.up(), state)
    return replace(found, unchanged=found.unchanged and state.unchanged)


def status(service: ServiceOperations, emulator: EmulatorOperations) -> ServiceStatus:
    return _with(service.status(), emulator.state())


def down(service: ServiceOperations, emulator: EmulatorOperations, *, jobs: bool, dry_run: bool) -> ServiceEnded:
    """The emulator ends first: what stands behind it is still there for its last requests."""
    running = _process(emulator.state())
    if running and not dry_run:
        emulator.down()
    ended = service.down(jobs=jobs, dry_run=dry_run)
    return replace(ended, ended=(*running, *ended.ended))


def environment(emulator: EmulatorOperations, shell: str) -> Environment:
    """Starts the emulator where it is down: its port is part of the answer."""
    emulator.up()
    return Environment(tuple(emulator.environment()), shell)


def _with(found: ServiceStatus, state: EmulatorState) -> ServiceStatus:
    first = sum(process.kind == "service" for process in found.processes)
    processes = (*found.processes[:first], *_process(state), *found.processes[first:])
    return replace(found, processes=processes, emulator=state)


def _process(state: EmulatorState) -> tuple[ServiceProcess, ...]:
    return (ServiceProcess("emulator", "emulator", state.pid, "Running", state.url),) if state.running else ()
