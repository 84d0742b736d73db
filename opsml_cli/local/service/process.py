"""The process of the local service: started detached, found again, ended."""

from __future__ import annotations

import time
from pathlib import Path

from opsml_cli.domain.errors import BusyError, OpsmlError
from opsml_cli.local import leftovers, processes
from opsml_cli.local.layout import Layout
from opsml_cli.local.service.client import ServiceClient
from opsml_cli.local.service.place import Address, ServicePlace

MODULE = "opsml_cli.local.service.server"
_READY_SECONDS = 30.0
_END_SECONDS = 10.0
_TICK_SECONDS = 0.03


class LocalService:
    """The service of one workspace. Any number of processes may ask for it at once: one service runs."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.place = ServicePlace(layout)

    def running(self) -> Address | None:
        """Where it listens; None when it is down, whatever its files say."""
        if not processes.held(self.place.lock):
            return None
        address = self.place.address()
        # One that is just starting has the lock, and says with the id 0 that it does not listen yet.
        return address if address is not None and address.pid and processes.pid_alive(address.pid) else None

    def up(self) -> tuple[Address, bool]:
        """Start it unless it runs; return when it answered a request. The flag: this call started it."""
        found = self.running()
        if found is not None and self._answers(found):
            return found, False
        self._layout.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._layout.service.mkdir(mode=0o700, parents=True, exist_ok=True)
        leftovers.sweep(self._layout.service)
        self.place.make_token()
        pid = processes.spawn_detached(MODULE, [str(self._layout.root)], output=self.place.log, folder=self._layout.service)
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            address = self.running()
            if address is not None and self._answers(address):
                return address, address.pid == pid
            if address is None and not processes.pid_alive(pid) and not processes.held(self.place.lock):
                break
            time.sleep(_TICK_SECONDS)
        raise OpsmlError("the local service did not start", cause=_last_line(self.place.log), fix=f"look at {self.place.log}")

    def down(self) -> bool:
        """End it and return when it is gone; False when it was down."""
        address = self.running()
        if address is None:
            return False
        for force in (False, True):
            processes.end_group(address.pid, address.started, force=force)
            deadline = time.monotonic() + _END_SECONDS
            while time.monotonic() < deadline:
                left = self.running()
                if left is None or left.pid != address.pid:
                    return True
                time.sleep(_TICK_SECONDS)
        raise BusyError(f"the local service (pid {address.pid}) does not end", fix="try again, or end that process")

    def _answers(self, address: Address) -> bool:
        """Whether it is the process of `address` that answers there."""
        try:
            status, body = ServiceClient(self._layout, timeout=5.0).request("GET", "/")
        except (OSError, OpsmlError):
            return False
        return status == 200 and isinstance(body, dict) and body.get("pid") == address.pid


def _last_line(path: Path) -> str | None:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    return next((line.strip()[:500] for line in reversed(lines) if line.strip()), None)
