"""When a trigger is due: the next times, and the newest one that has passed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.schedule import CronTrigger, Frequency, RecurrenceTrigger, Trigger
from opsml_cli.timing import zones
from opsml_cli.timing.recurrence import occurrences

_MOST = 1000
_LOOK_BACK = (timedelta(hours=1), timedelta(days=1), timedelta(days=40), timedelta(days=400), timedelta(days=3700))


def check(trigger: Trigger) -> None:
    """UsageError that says what is wrong with the trigger."""
    zone = zones.zone(trigger.time_zone)
    start = None if trigger.start_time is None else wall(trigger.start_time, zone, "start time")
    end = None if trigger.end_time is None else wall(trigger.end_time, zone, "end time")
    if start is not None and end is not None and end <= start:
        raise UsageError(f"the end time {trigger.end_time} is not after the start time {trigger.start_time}")
    if isinstance(trigger, CronTrigger):
        _cron(trigger.expression, datetime.now(UTC))
    else:
        _check_recurrence(trigger)


def due_after(trigger: Trigger, after: datetime, made: datetime) -> Iterator[datetime]:
    """The due times later than `after` (aware), soonest first, in UTC. `made`: when the schedule was made, from which a
    recurrence without start time counts. Ends at the end time, or when nothing comes any more."""
    zone = zones.zone(trigger.time_zone)
    start = None if trigger.start_time is None else wall(trigger.start_time, zone, "start time")
    end = None if trigger.end_time is None else wall(trigger.end_time, zone, "end time")
    if isinstance(trigger, CronTrigger):
        since = after if start is None else max(after, start - timedelta(seconds=1))
        moments = _cron(trigger.expression, since.astimezone(zone))
    else:
        anchor = start or made.replace(microsecond=0)
        moments = occurrences(trigger, anchor, zone, after)
    for moment in moments:
        utc = moment.astimezone(UTC)
        if end is not None and utc > end:
            return
        yield utc


def next_due(trigger: Trigger, after: datetime, made: datetime) -> datetime | None:
    """The first due time later than `after`; None when none comes any more."""
    return next(due_after(trigger, after, made), None)


def next_times(trigger: Trigger, after: datetime, made: datetime, count: int) -> tuple[datetime, ...]:
    return tuple(islice(due_after(trigger, after, made), count))


def newest_due(trigger: Trigger, first: datetime, now: datetime, made: datetime) -> datetime:
    """The newest due time from `first` (due, and not after `now`) up to `now`."""
    for back in _LOOK_BACK:
        start = max(first, now - back)
        newest = None
        for moment in due_after(trigger, start, made):
            if moment > now:
                break
            newest = moment
        if newest is not None:
            return newest
        if start == first:
            break
    return first


def wall(text: str, zone: ZoneInfo, what: str) -> datetime:
    """The instant of a wall time in `zone`; one with an offset of its own keeps it. UsageError for what is no time."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise UsageError(f"{text!r} is no valid {what}", cause="expected for example 2026-12-01T06:00:00") from error
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).astimezone(UTC)


def _cron(expression: str, since: datetime) -> Iterator[datetime]:
    from cronsim import CronSim, CronSimError

    cause = "it has five fields: minute, hour, day of the month, month, day of the week"
    if len(expression.split()) == 5:
        try:
            times: Iterator[datetime] = CronSim(expression, since)
        except CronSimError as error:
            cause = str(error)
        else:
            return times
    raise UsageError(f"{expression!r} is no cron expression", cause=cause, fix="for example '0 6 * * 1': Mondays at 6")


def _check_recurrence(trigger: RecurrenceTrigger) -> None:
    def wrong(message: str, cause: str | None = None) -> UsageError:
        return UsageError(f"the recurrence is wrong: {message}", cause=cause)

    if not 1 <= trigger.interval <= _MOST:
        raise wrong(f"the interval {trigger.interval} is not between 1 and {_MOST}")
    for values, name, low, high in (
        (trigger.hours, "hour", 0, 23),
        (trigger.minutes, "minute", 0, 59),
        (trigger.month_days, "day of the month", 1, 31),
    ):
        for value in values:
            if not low <= value <= high:
                raise wrong(f"{value} is no {name}", f"expected {low} to {high}")
    short = trigger.frequency in (Frequency.MINUTE, Frequency.HOUR)
    if short and (trigger.hours or trigger.minutes):
        raise wrong(f"every {trigger.frequency} has no times of day", "they belong to days, weeks and months")
    if trigger.week_days and trigger.frequency is not Frequency.WEEK:
        raise wrong("days of the week belong to weeks", f"the frequency is {trigger.frequency}")
    if trigger.month_days and trigger.frequency is not Frequency.MONTH:
        raise wrong("days of the month belong to months", f"the frequency is {trigger.frequency}")
