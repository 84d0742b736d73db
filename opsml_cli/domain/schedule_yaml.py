"""Azure ML's schedule YAML as a CreateSchedule: a `trigger`, and `create_job` with a pipeline.

document = documents.read_document(Path("schedule.yml"))
reading = document.read(lambda value: read_schedule(value, document.folder))
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from opsml_cli.domain.fields import FieldError, Fields, did_you_mean
from opsml_cli.domain.schedule import CronTrigger, Frequency, RecurrenceTrigger, Trigger, WeekDay

_ASSET = re.compile(r"azureml:[A-Za-z0-9]", re.ASCII)


@dataclass(frozen=True, slots=True)
class ScheduleReading:
    """What the YAML says. The pipeline is at `path`, or stands in the YAML itself (`pipeline`)."""

    name: str
    trigger: Trigger
    path: str | None
    pipeline: Mapping[str, object] | None
    inputs: Mapping[str, str]
    experiment: str | None
    description: str | None
    display_name: str | None
    tags: Mapping[str, str]
    enabled: bool


def read_schedule(value: object, folder: Path) -> ScheduleReading:
    """Read the mapping `value`; relative paths start from `folder`. FieldError names the field."""
    fields = Fields(value)
    for unused in ("$schema", "type", "properties"):
        fields.raw(unused)
    name = fields.text("name")
    trigger = fields.section("trigger")
    if name is None or trigger is None:
        missing = "name" if name is None else "trigger"
        raise FieldError((missing,), f"{missing} is missing")
    path, pipeline, inputs, experiment = _job(fields, folder)
    enabled = fields.flag("is_enabled")
    reading = ScheduleReading(
        name,
        _trigger(trigger),
        path,
        pipeline,
        inputs,
        experiment,
        fields.text("description"),
        fields.text("display_name"),
        fields.texts("tags"),
        enabled is not False,
    )
    fields.done()
    return reading


def _trigger(fields: Fields) -> Trigger:
    kind = (fields.text("type") or "").lower()
    zone = fields.text("time_zone") or "UTC"
    start, end = fields.text("start_time"), fields.text("end_time")
    trigger: Trigger
    if kind == "cron":
        expression = fields.text("expression")
        if expression is None:
            raise FieldError((*fields.where, "expression"), "trigger.expression is missing")
        trigger = CronTrigger(" ".join(expression.split()), zone, start, end)
    elif kind == "recurrence":
        frequency = _one_of(fields, "frequency", Frequency)
        interval = fields.integer("interval", least=1)
        if frequency is None or interval is None:
            missing = "frequency" if frequency is None else "interval"
            raise FieldError((*fields.where, missing), f"trigger.{missing} is missing")
        pattern = fields.section("schedule")
        hours: tuple[int, ...] = ()
        minutes: tuple[int, ...] = ()
        month_days: tuple[int, ...] = ()
        week_days: tuple[WeekDay, ...] = ()
        if pattern is not None:
            hours, minutes = _numbers(pattern, "hours"), _numbers(pattern, "minutes")
            month_days = _numbers(pattern, "month_days")
            days = pattern.words("week_days")
            week_days = tuple(_week_day(pattern, day) for day in days)
            pattern.done()
        trigger = RecurrenceTrigger(Frequency(frequency), interval, hours, minutes, week_days, month_days, zone, start, end)
    else:
        raise fields.problem("type", "cron or recurrence")
    fields.done()
    return trigger


def _one_of(fields: Fields, key: str, kind: type[Frequency]) -> Frequency | None:
    text = fields.text(key)
    if text is None:
        return None
    try:
        return kind(text.lower())
    except ValueError:
        raise fields.problem(key, " or ".join(kind)) from None


def _week_day(fields: Fields, text: str) -> WeekDay:
    try:
        return WeekDay(text.lower())
    except ValueError:
        known = [day.value for day in WeekDay]
        raise FieldError((*fields.where, "week_days"), f"{text!r} is no day of the week", did_you_mean(text, known)) from None


def _numbers(fields: Fields, key: str) -> tuple[int, ...]:
    value = fields.raw(key)
    values = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(each, int) and not isinstance(each, bool) for each in values):
        raise fields.problem(key, "a whole number, or a list of them")
    return tuple(values)


def _job(fields: Fields, folder: Path) -> tuple[str | None, Mapping[str, object] | None, dict[str, str], str | None]:
    """Path, the definition in place, inputs and experiment of `create_job`."""
    value = fields.raw("create_job")
    if value is None:
        raise FieldError(("create_job",), "create_job is missing", "expected the path of a pipeline YAML, or a pipeline")
    if isinstance(value, str):
        return _path(value, ("create_job",), folder), None, {}, None
    job = fields.section("create_job")
    assert job is not None
    if (kind := job.text("type")) not in (None, "pipeline"):
        raise job.problem("type", f"pipeline, not {kind}")
    if "job" not in job:
        assert isinstance(value, Mapping)
        return None, value, {}, None
    reference = job.text("job") or ""
    inputs = _inputs(job.section("inputs"))
    experiment = job.text("experiment_name")
    for unused in ("settings", "outputs", "tags", "display_name", "description", "properties", "identity"):
        job.raw(unused)
    job.done()
    return _path(reference, (*job.where, "job"), folder), None, inputs, experiment


def _path(text: str, where: tuple[str | int, ...], folder: Path) -> str:
    if _ASSET.match(text):
        raise FieldError(where, f"{text!r} names a job that ran", "expected the path of a pipeline YAML")
    return str(folder / text.removeprefix("file:"))


def _inputs(fields: Fields | None) -> dict[str, str]:
    """Literals as texts; assets as they are named."""
    found: dict[str, str] = {}
    for name in () if fields is None else fields.keys():
        assert fields is not None
        value = fields.raw(name)
        if isinstance(value, Mapping):
            section = fields.section(name)
            assert section is not None
            value = section.text("path")
            if value is None:
                raise FieldError((*section.where, "path"), f"inputs.{name}.path is missing")
        if isinstance(value, bool):
            value = "true" if value else "false"
        found[name] = str(value)
    return found
