"""Time as the emulator reads it, handed in so that tests move it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class WallClock(Protocol):
    def now(self) -> datetime:
        """This instant, with its zone (UTC)."""
        ...


class SystemWallClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """`moment` as most of Azure ML writes it: up to seven digits of a second, trailing zeros trimmed, `+00:00`."""
    whole = moment.astimezone(UTC)
    fraction = f"{whole.microsecond:06d}".rstrip("0")
    return whole.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "") + "+00:00"


def stamp_z(moment: datetime) -> str:
    """`moment` as workspaces write it: all seven digits, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"
