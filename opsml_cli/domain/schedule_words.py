"""When a schedule runs, as people write it on the command line, and as it is told to them.

--cron '0 6 * * 1'                                     Mondays at 6
--every 15m  --every day --at 06:30  --every '2 weeks' --on mon,fri --at 06:00  --every month --on 1,15
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.domain.schedule import CronTrigger, Frequency, RecurrenceTrigger, Trigger, WeekDay

_UNITS = {"m": Frequency.MINUTE, "min": Frequency.MINUTE, "h": Frequency.HOUR, "d": Frequency.DAY, "w": Frequency.WEEK}
_EVERY = re.compile(r"(?:([0-9]{1,4})\s*)?([a-z]+)\Z", re.ASCII)
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class When:
    """The words of the command line, as they were given."""

    cron: str | None = None
    every: str | None = None
    at: tuple[str, ...] = ()
    on: str | None = None
    time_zone: str | None = None
    start: str | None = None
    end: str | None = None

    @property
    def said(self) -> bool:
        return any((self.cron, self.every, self.at, self.on, self.time_zone, self.start, self.end))


def read_trigger(when: When) -> Trigger:
    """The trigger that the words mean; UsageError naming the one that is wrong."""
    zone = when.time_zone or "UTC"
    if (when.cron is None) == (when.every is None):
        raise UsageError(
            "say when it runs: either --cron or --every", fix="for example --cron '0 6 * * 1', or --every day --at 06:00"
        )
    if when.cron is not None:
        if when.at or when.on:
            raise UsageError("--at and --on belong to --every", cause="a cron expression says its times itself")
        return CronTrigger(" ".join(when.cron.split()), zone, when.start, when.end)
    assert when.every is not None
    frequency, interval = _every(when.every)
    hours, minutes = _times(when.at)
    days, month_days = _days(when.on, frequency)
    if (hours or minutes) and frequency in (Frequency.MINUTE, Frequency.HOUR):
        raise UsageError(f"--at does not go with --every {when.every}", cause="a time of day belongs to days, weeks and months")
    return RecurrenceTrigger(frequency, interval, hours, minutes, days, month_days, zone, when.start, when.end)


def _every(text: str) -> tuple[Frequency, int]:
    match = _EVERY.match(text.strip().lower())
    word = "" if match is None else match[2]
    frequency = _UNITS.get(word)
    for each in Frequency:
        if word in (each.value, each.value + "s"):
            frequency = each
    if match is None or frequency is None or match[1] == "0":
        raise UsageError(f"--every {text!r} is no interval", cause="expected for example 15m, 2h, day, '2 weeks', month")
    return frequency, int(match[1] or 1)


def _times(texts: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Hours and minutes; every hour goes with every minute, as in Azure's pattern."""
    pairs: set[tuple[int, int]] = set()
    for text in (part for each in texts for part in each.split(",")):
        match = _TIME.match(text.strip())
        if match is None or int(match[1]) > 23 or int(match[2]) > 59:
            raise UsageError(f"--at {text!r} is no time of day", cause="expected for example 06:30")
        pairs.add((int(match[1]), int(match[2])))
    hours = tuple(sorted({hour for hour, _ in pairs}))
    minutes = tuple(sorted({minute for _, minute in pairs}))
    if len(pairs) != len(hours) * len(minutes):
        raise UsageError(
            f"--at {','.join(texts)} is no pattern of hours and minutes",
            cause="every hour goes with every minute: 06:00 and 18:30 would run at 06:30 and 18:00 too",
            fix="make two schedules, or one with --cron",
        )
    return hours, minutes


def _days(text: str | None, frequency: Frequency) -> tuple[tuple[WeekDay, ...], tuple[int, ...]]:
    if text is None:
        return (), ()
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    if frequency is Frequency.WEEK and words:
        return tuple(sorted({_week_day(word) for word in words}, key=list(WeekDay).index)), ()
    if frequency is Frequency.MONTH and words and all(word.isdecimal() and 1 <= int(word) <= 31 for word in words):
        return (), tuple(sorted({int(word) for word in words}))
    raise UsageError(
        f"--on {text!r} does not go with --every {frequency}",
        cause="weeks have days such as mon,fri; months days from 1 to 31; other intervals none",
    )


def _week_day(word: str) -> WeekDay:
    found = [day for day in WeekDay if len(word) >= 2 and day.value.startswith(word)]
    if len(found) != 1:
        raise UsageError(f"--on {word!r} is no day of the week", cause=did_you_mean(word, [day.value for day in WeekDay]))
    return found[0]


def describe(trigger: Trigger) -> str:
    """The trigger in a line: `cron 0 6 * * 1`, `every 2 weeks on monday, friday at 06:00`; with the zone unless it is UTC."""
    if isinstance(trigger, CronTrigger):
        text = f"cron {trigger.expression}"
    else:
        unit = trigger.frequency.value
        text = f"every {unit}" if trigger.interval == 1 else f"every {trigger.interval} {unit}s"
        days = [day.value for day in trigger.week_days] or [str(day) for day in trigger.month_days]
        if days:
            text += f" on {', '.join(days)}"
        times = [f"{hour:02}:{minute:02}" for hour in trigger.hours for minute in trigger.minutes or (0,)]
        if times:
            text += f" at {', '.join(times)}"
        elif trigger.minutes:
            text += f" at minute {', '.join(map(str, trigger.minutes))}"
    return text if trigger.time_zone.upper() == "UTC" else f"{text} ({trigger.time_zone})"
