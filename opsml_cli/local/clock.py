"""Wall-clock time as the workspace writes it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_held: tuple[datetime, float] | None = None  # an instant, by the wall and by a clock that nobody sets


def hold() -> None:
    """From now on this process tells the time by the monotonic clock, so that what lies between two stamps is right however the
    wall clock is set meanwhile. For a process that does one piece of work and ends."""
    global _held  # noqa: PLW0603 - one clock a process
    _held = (datetime.now(UTC), time.monotonic())


def now() -> str:
    """This instant, ISO 8601 UTC with milliseconds and `Z`."""
    if _held is None:
        return stamp(datetime.now(UTC))
    return stamp(_held[0] + timedelta(seconds=time.monotonic() - _held[1]))


def stamp(moment: datetime) -> str:
    """`moment` (aware) as the workspace writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse(text: str) -> datetime:
    """The aware datetime of a stamp."""
    return datetime.fromisoformat(text)


def seconds_between(start: str, end: str) -> float:
    return (parse(end) - parse(start)).total_seconds()
