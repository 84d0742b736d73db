"""Azure's schedules as opsml's values, and triggers as Azure takes them. Nothing here asks anybody anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from opsml_cli.domain.errors import ContractError, UnsupportedError
from opsml_cli.domain.schedule import CronTrigger, Frequency, RecurrenceTrigger, Trigger, WeekDay
from opsml_cli.timing import due_times, zones


def check(trigger: Trigger) -> None:
    """UsageError for a wrong trigger; UnsupportedError for one that Azure would take and read otherwise."""
    due_times.check(trigger)
    if isinstance(trigger, CronTrigger) and trigger.expression.split()[2:4] != ["*", "*"]:
        raise UnsupportedError(
            f"Azure ignores days of the month and months in a cron expression: {trigger.expression!r} would run more often",
            fix="use a recurrence: --every month --on 1 --at 06:00",
        )


def to_azure(trigger: Trigger, start: datetime) -> dict[str, Any]:
    """The trigger's JSON. It always has a start time (`start` where the trigger has none): without one Azure runs at once."""
    zone = zones.zone(trigger.time_zone)

    def wall(text: str | None) -> str | None:
        return None if text is None else due_times.wall(text, zone, "time").astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S")

    found: dict[str, Any] = {
        "timeZone": zones.windows(trigger.time_zone),
        "startTime": wall(trigger.start_time) or start.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S"),
    }
    if trigger.end_time is not None:
        found["endTime"] = wall(trigger.end_time)
    if isinstance(trigger, CronTrigger):
        return {"triggerType": "Cron", "expression": trigger.expression, **found}
    pattern: dict[str, Any] = {"hours": list(trigger.hours), "minutes": list(trigger.minutes)}
    if trigger.hours and not trigger.minutes:
        pattern["minutes"] = [0]
    if trigger.week_days:
        pattern["weekDays"] = [day.value.capitalize() for day in trigger.week_days]
    if trigger.month_days:
        pattern["monthDays"] = list(trigger.month_days)
    frequency = trigger.frequency.value.capitalize()
    return {"triggerType": "Recurrence", "frequency": frequency, "interval": trigger.interval, "schedule": pattern, **found}


def from_azure(value: Mapping[str, Any]) -> Trigger:
    """A trigger as Azure keeps it; ContractError for a kind that is not known."""
    kind = str(value.get("triggerType") or "").casefold()
    common: dict[str, Any] = {
        "time_zone": str(value.get("timeZone") or "UTC"),
        "start_time": value.get("startTime"),
        "end_time": value.get("endTime"),
    }
    try:
        if kind == "cron":
            return CronTrigger(str(value["expression"]), **common)
        if kind == "recurrence":
            pattern = value.get("schedule") or {}
            return RecurrenceTrigger(
                Frequency(str(value["frequency"]).lower()),
                int(value["interval"]),
                tuple(pattern.get("hours") or ()),
                tuple(pattern.get("minutes") or ()),
                tuple(WeekDay(str(day).lower()) for day in pattern.get("weekDays") or ()),
                tuple(pattern.get("monthDays") or ()),
                **common,
            )
    except (KeyError, ValueError, TypeError) as error:
        raise ContractError(f"Azure gave a trigger that cannot be read: {error}") from error
    raise ContractError(f"Azure gave a trigger of the kind {value.get('triggerType')!r}")


def as_acted_on(trigger: Trigger) -> Trigger:
    """The trigger as Azure acts on it: the parts that it ignores left out."""
    if isinstance(trigger, CronTrigger):
        fields = trigger.expression.split()
        return replace(trigger, expression=" ".join((*fields[:2], "*", "*", *fields[4:])))
    daily = trigger.frequency not in (Frequency.MINUTE, Frequency.HOUR)
    return replace(
        trigger,
        hours=trigger.hours if daily else (),
        minutes=trigger.minutes if daily else (),
        week_days=trigger.week_days if trigger.frequency is Frequency.WEEK else (),
        month_days=trigger.month_days if trigger.frequency is Frequency.MONTH else (),
    )
