"""Schedules: a pipeline that runs by itself, at times that a cron expression or a recurrence says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsml_cli.domain.job import JobState


class Frequency(StrEnum):
    """Azure's words."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class WeekDay(StrEnum):
    """Azure's words, Monday first."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


@dataclass(frozen=True, slots=True)
class CronTrigger:
    """Five fields of cron, read in `time_zone` (an IANA or a Windows name). `start_time` and `end_time` are wall time there,
    ISO 8601 without offset; nothing runs before the one or after the other."""

    expression: str
    time_zone: str = "UTC"
    start_time: str | None = None
    end_time: str | None = None


@dataclass(frozen=True, slots=True)
class RecurrenceTrigger:
    """Every `interval` units of `frequency`, counted from `start_time` (None: from when the schedule was made). Days, weeks
    and months run at each of `hours` x `minutes`; a week on `week_days`, a month on `month_days` (1 to 31; a month without
    that day is left out). What is not said is as at the start."""

    frequency: Frequency
    interval: int = 1
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    week_days: tuple[WeekDay, ...] = ()
    month_days: tuple[int, ...] = ()
    time_zone: str = "UTC"
    start_time: str | None = None
    end_time: str | None = None


Trigger = CronTrigger | RecurrenceTrigger


@dataclass(frozen=True, slots=True)
class InlinePipeline:
    """A pipeline's YAML that stands inside another file: its text, and the path of that file, from which it reads its own."""

    text: str
    beside: str


@dataclass(frozen=True, slots=True)
class CreateSchedule:
    """Run a pipeline at the times of `trigger`. Exactly one of `pipeline` (published; `version` None: the default one at each
    time), `path` (a pipeline YAML, taken as it is now) and `inline` is set.

    `inputs` by name: literals or `azureml:name:version`; in a text `${{name}}` stands for the run's name and
    `${{creation_context.trigger_time}}` for the time that was due."""

    name: str
    trigger: Trigger
    pipeline: str | None = None
    version: str | None = None
    path: str | None = None
    inline: InlinePipeline | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    experiment: str | None = None
    description: str | None = None
    display_name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    enabled: bool = True
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """A run that a schedule began. `due` is the time it stands for, ISO 8601 UTC; of one that was triggered by hand, then."""

    run: str
    due: str
    status: JobState | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as it is. `pipeline` None: it holds a pipeline file of its own. `next_runs` are ISO 8601 UTC, soonest first,
    none while it is disabled; `last_runs` the newest first; `error` why the last due time began no run."""

    name: str
    enabled: bool
    trigger: Trigger
    pipeline: str | None
    version: str | None
    inputs: Mapping[str, str]
    experiment: str | None
    created_at: str
    description: str | None = None
    display_name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    next_runs: tuple[str, ...] = ()
    last_runs: tuple[ScheduledRun, ...] = ()
    error: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScheduleSaved:
    schedule: Schedule
    unchanged: bool
