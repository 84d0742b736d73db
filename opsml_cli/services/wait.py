"""Waiting for long work: the one loop that polls, with the clock handed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from opsml_cli.domain.clock import Clock
from opsml_cli.domain.errors import NotFinishedError

if TYPE_CHECKING:
    from opsml_cli.domain.workspace import Workspace

T = TypeVar("T")


def slowest_poll(workspace: Workspace) -> float:
    """Seconds between two looks at long work: the services of Azure count every request, a database on this machine none."""
    return 1.0 if workspace.kind == "local" else 5.0


def wait_for(
    read: Callable[[], T],
    finished: Callable[[T], bool],
    *,
    timeout: float | None,
    clock: Clock,
    on_update: Callable[[T], None],
    still_running: Callable[[T], NotFinishedError],
    interval: float = 0.1,
    slowest: float = 1.0,
) -> T:
    """Read until `finished`, telling every value that differs from the one before to `on_update`; the last value.

    The first read is at once; the pause between reads grows from `interval` to `slowest` seconds and is short again
    after every change. After `timeout` seconds (None: never) raises what `still_running` makes of the last value; a
    value that is finished at that moment still counts. Ctrl-C passes through: the work continues without the waiter."""
    begun = clock.monotonic()
    pause = interval
    seen: T | None = None
    while True:
        value = read()
        if seen is None or value != seen:
            on_update(value)
            pause = interval
        seen = value
        if finished(value):
            return value
        rest = None if timeout is None else timeout - (clock.monotonic() - begun)
        if rest is not None and rest <= 0:
            raise still_running(value)
        clock.sleep(pause if rest is None else min(pause, rest))
        pause = min(pause * 1.5, max(slowest, interval))
