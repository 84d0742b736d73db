"""Wall-clock time as the workspace writes it."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """This instant, ISO 8601 UTC with milliseconds and `Z`."""
    return stamp(datetime.now(UTC))


def stamp(moment: datetime) -> str:
    """`moment` (aware) as the workspace writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse(text: str) -> datetime:
    """The aware datetime of a stamp."""
    return datetime.fromisoformat(text)


def seconds_between(start: str, end: str) -> float:
    return (parse(end) - parse(start)).total_seconds()
