"""How the local service and the workspace's processes are shown."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from opsml_cli.cli import formats
from opsml_cli.cli.render.base import Rendering
from opsml_cli.domain.emulator import EmulatorState
from opsml_cli.domain.service import ServiceEnded, ServiceProcess, ServiceStatus, ServiceToken
from opsml_cli.services.machine import Environment


def _process(process: ServiceProcess) -> dict[str, object]:
    return {
        "kind": process.kind,
        "name": process.name,
        "pid": process.pid,
        "status": process.status,
        "url": process.url,
    }


def _status(status: ServiceStatus) -> dict[str, object]:
    return {
        "running": status.running,
        "pid": status.pid,
        "url": status.url,
        "processes": [_process(process) for process in status.processes],
        "unchanged": status.unchanged,
        "emulator": None if status.emulator is None else _emulator(status.emulator),
    }


def _emulator(state: EmulatorState) -> dict[str, object]:
    return {
        "running": state.running,
        "pid": state.pid,
        "url": state.url,
        "pace": state.pace,
        "inject": list(state.inject),
        "trust": state.trust,
    }


def _table(processes: Sequence[ServiceProcess], width: int) -> str:
    rows = [[item.kind, item.name, formats.cell(item.pid), item.status, item.url or ""] for item in processes]
    return formats.to_table(("kind", "name", "pid", "status", "url"), rows, width)


def _status_view(status: ServiceStatus, width: int) -> str:
    head = f"the local service runs: {status.url} (pid {status.pid})" if status.running else "the local service is down"
    if status.emulator is not None:
        head += f"\n{_emulator_line(status.emulator)}"
    return f"{head}\n{_table(status.processes, width)}" if status.processes else head


def _emulator_line(state: EmulatorState) -> str:
    if not state.running:
        return "the emulator of Azure ML is down"
    faults = f", with faults {' '.join(state.inject)}" if state.inject else ""
    trust = ", trusting what clients register" if state.trust else ""
    return f"the emulator of Azure ML runs: {state.url} (pid {state.pid}), pace {state.pace}{faults}{trust}"


def _assignments(found: Environment, _width: int) -> str:
    """Lines that the shell evaluates."""
    return "\n".join(_ASSIGN[found.shell](each.name, each.value) for each in found.variables)


def _powershell(name: str, value: str) -> str:
    quoted = value.replace("'", "''")
    return f"$env:{name} = '{quoted}'"


def _fish(name: str, value: str) -> str:
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"set -gx {name} '{quoted}'"


_ASSIGN: dict[str, Callable[[str, str], str]] = {
    "bash": lambda name, value: f"export {name}={shlex.quote(value)}",
    "fish": _fish,
    "powershell": _powershell,
}


def _ended(ended: ServiceEnded) -> dict[str, object]:
    return {
        "ended": [_process(process) for process in ended.ended],
        "left": [_process(process) for process in ended.left],
        "dry_run": ended.dry_run,
    }


def _ended_view(ended: ServiceEnded, _width: int) -> str:
    if not ended.ended:
        lines = ["nothing to end"]
    else:
        verb = "would end" if ended.dry_run else "ended"
        lines = [f"{verb} {process.kind} {process.name} (pid {process.pid})" for process in ended.ended]
    lines += [f"job {process.name} goes on; --jobs ends it too" for process in ended.left]
    return "\n".join(lines)


RENDERINGS: dict[type, Rendering] = {
    ServiceStatus: Rendering(document=_status, columns=("running", "pid", "url", "processes"), view=_status_view),
    ServiceEnded: Rendering(document=_ended, columns=("ended", "left"), view=_ended_view),
    Environment: Rendering(
        document=lambda found: {each.name: each.value for each in found.variables},
        view=_assignments,
        secrets=lambda found: [each.value for each in found.variables if each.secret],
    ),
    ServiceToken: Rendering(
        document=lambda found: {"token": found.token},
        view=lambda found, _width: found.token,
        secrets=lambda found: [found.token],
    ),
}
