"""How the local service and the workspace's processes are shown."""

from __future__ import annotations

from collections.abc import Sequence

from opsml_cli.cli import formats
from opsml_cli.cli.render.base import Rendering
from opsml_cli.domain.service import ServiceEnded, ServiceProcess, ServiceStatus, ServiceToken


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
    }


def _table(processes: Sequence[ServiceProcess], width: int) -> str:
    rows = [[item.kind, item.name, formats.cell(item.pid), item.status, item.url or ""] for item in processes]
    return formats.to_table(("kind", "name", "pid", "status", "url"), rows, width)


def _status_view(status: ServiceStatus, width: int) -> str:
    head = f"the local service runs: {status.url} (pid {status.pid})" if status.running else "the local service is down"
    return f"{head}\n{_table(status.processes, width)}" if status.processes else head


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
    ServiceToken: Rendering(
        document=lambda found: {"token": found.token},
        view=lambda found, _width: found.token,
        secrets=lambda found: [found.token],
    ),
}
