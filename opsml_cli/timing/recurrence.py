"""The times of a recurrence, one after the other.

Minutes and hours are counted as time that passes. Days, weeks and months are counted on the wall clock of the zone: a time
that the clock jumps over comes as much later as it jumped, one that the clock shows twice comes once, the first time."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from opsml_cli.domain.schedule import Frequency, RecurrenceTrigger, WeekDay

_STEPS = {Frequency.MINUTE: timedelta(minutes=1), Frequency.HOUR: timedelta(hours=1)}
_LAST_YEAR = 9990


def occurrences(trigger: RecurrenceTrigger, anchor: datetime, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """The times later than `after` in UTC, soonest first, without end. `anchor` is where counting starts; all are aware."""
    if trigger.frequency in _STEPS:
        step = _STEPS[trigger.frequency] * trigger.interval
        passed = max(0, (after - anchor) // step + 1)
        while True:
            yield (anchor + passed * step).astimezone(UTC)
            passed += 1
    local = anchor.astimezone(zone)
    times = [
        time(hour, minute, local.second if not trigger.hours and not trigger.minutes else 0)
        for hour in sorted(set(trigger.hours)) or [local.hour]
        for minute in sorted(set(trigger.minutes)) or [local.minute]
    ]
    # One day more on the left: a time may move over midnight when the clock jumps.
    since = max(local, after.astimezone(zone)).date() - timedelta(days=1)
    for day in _days(trigger, local.date(), since):
        moments = {datetime.combine(day, each, zone).astimezone(UTC) for each in times}
        yield from (moment for moment in sorted(moments) if moment > after and moment >= anchor)


def _days(trigger: RecurrenceTrigger, first: date, since: date) -> Iterator[date]:
    """The days of a day, week or month recurrence that begins on `first`, from `since` on."""
    if trigger.frequency is Frequency.DAY:
        count = max(0, -((first - since).days // trigger.interval))
        while True:
            yield first + timedelta(days=count * trigger.interval)
            count += 1
    if trigger.frequency is Frequency.WEEK:
        wanted = sorted({list(WeekDay).index(day) for day in trigger.week_days}) or [first.weekday()]
        monday = first - timedelta(days=first.weekday())
        week = max(0, (since - monday).days // 7 // trigger.interval)
        while True:
            yield from (monday + timedelta(weeks=week * trigger.interval, days=day) for day in wanted)
            week += 1
    months = max(0, ((since.year - first.year) * 12 + since.month - first.month) // trigger.interval)
    wanted = sorted(set(trigger.month_days)) or [first.day]
    while True:
        index = first.year * 12 + first.month - 1 + months * trigger.interval
        year, month = index // 12, index % 12 + 1
        if year > _LAST_YEAR:
            return
        length = calendar.monthrange(year, month)[1]
        yield from (date(year, month, day) for day in wanted if day <= length)
        months += 1
