"""What came of acting on a schedule."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ScheduleTriggered:
    """A run was begun by hand."""

    schedule: str
    run: str


@dataclass(frozen=True, slots=True)
class ScheduleDeleted:
    schedule: str
