"""What the local service does beside answering: begin scheduled runs, look at alert rules, sweep content that nothing names.
A thread for each."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsml_cli.local.layout import Layout
    from opsml_cli.local.workspace import LocalWorkspace

# One look at the work: the seconds after which to look again.
Look = Callable[[], float]
_AFTER_TROUBLE = 1.0  # seconds
_BETWEEN_SWEEPS = 24 * 3600.0  # seconds
_PATIENCE = 3.0  # seconds for what is just being done when the service ends


class Chores:
    """The threads work between `with` and its end."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(name, make), name=name, daemon=True)
            for name, make in (("scheduler", _scheduler), ("alerts", _alerts), ("sweep", _sweep))
        ]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(_PATIENCE)

    def _run(self, name: str, make: Callable[[LocalWorkspace], Look]) -> None:
        from opsml_cli.local.workspace import LocalWorkspace

        workspace = LocalWorkspace(self._layout.root)
        look: Look | None = None
        while not self._stop.is_set():
            try:
                look = look or make(workspace)
                rest = look()
            except Exception as problem:
                print(f"{name}: {type(problem).__name__}: {problem}", file=sys.stderr, flush=True)  # noqa: T201
                rest = _AFTER_TROUBLE
            self._stop.wait(rest)
        workspace.store.close()


def _scheduler(workspace: LocalWorkspace) -> Look:
    from opsml_cli.local.scheduler import Scheduler

    if workspace.store.exists():
        workspace.schedules.runs.start_recorded()
    return Scheduler(workspace.store, workspace.schedules.runs).tick


def _alerts(workspace: LocalWorkspace) -> Look:
    return workspace.alerts.look


def _sweep(workspace: LocalWorkspace) -> Look:
    from opsml_cli.local import leftovers, unreferenced

    def look() -> float:
        leftovers.sweep_all(workspace.layout)
        unreferenced.sweep(workspace.layout, workspace.store)
        return _BETWEEN_SWEEPS

    return look
