"""Schedules on the wire: the trigger read and checked, and schedules shown as Azure shows them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.schedule import CronTrigger, Frequency, RecurrenceTrigger, Trigger, WeekDay
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.resources import system_data
from opsml_cli.local.schedule_records import ScheduleRecord
from opsml_cli.timing import due_times, zones

_FREQUENCIES = tuple(each.value.capitalize() for each in Frequency)
_DAYS = tuple(each.value.capitalize() for each in WeekDay)


def read_trigger(body: Body) -> tuple[Trigger, dict[str, Any]]:
    """The trigger as this machine keeps it, and as Azure answers it. 400 for one that is wrong."""
    kind = body.choice("triggerType", ("Cron", "Recurrence"), required=True)
    zone, start, end = body.text("timeZone") or "UTC", body.text("startTime"), body.text("endTime")
    shown: dict[str, Any] = {"endTime": end, "startTime": start, "timeZone": zone, "triggerType": kind}
    trigger: Trigger
    if kind == "Cron":
        expression = body.text("expression", required=True)
        shown["expression"] = expression
        trigger = CronTrigger(effective(expression), zone, start, end)
    else:
        frequency = body.choice("frequency", _FREQUENCIES, required=True)
        interval = body.integer("interval", least=1)
        if interval is None:
            raise body.wrong("interval", "a value is required.", "ArgumentNullOrEmpty")
        trigger, pattern = _recurrence(body, Frequency(frequency.lower()), interval, (zone, start, end))
        shown |= {"frequency": frequency, "interval": interval, "schedule": pattern}
    try:
        due_times.check(trigger)
        if end is not None and due_times.wall(end, zones.zone(zone), "end time") <= datetime.now(UTC):
            raise body.wrong("endTime", f"the value {end!r} has passed.")
    except UsageError as error:
        raise body.wrong("triggerType", error.message + (f": {error.cause}." if error.cause else ".")) from error
    return trigger, shown


def effective(expression: str) -> str:
    """The expression that Azure acts on: it takes days of the month and months, and treats them as `*`."""
    fields = expression.split()
    return " ".join((*fields[:2], "*", "*", fields[4])) if len(fields) == 5 else expression


def _recurrence(
    body: Body, frequency: Frequency, interval: int, common: tuple[str, str | None, str | None]
) -> tuple[RecurrenceTrigger, dict[str, Any]]:
    """Parts of the pattern that do not belong to the frequency are kept, and have no effect."""
    section = body.section("schedule") or Body({}, f"{body.place}.schedule")
    hours, minutes = _numbers(section, "hours"), _numbers(section, "minutes")
    month_days = _numbers(section, "monthDays")
    days = section.choices("weekDays", _DAYS)
    shown = {"hours": hours, "minutes": minutes, "monthDays": month_days, "weekDays": days}
    daily = frequency not in (Frequency.MINUTE, Frequency.HOUR)
    trigger = RecurrenceTrigger(
        frequency,
        interval,
        tuple(hours or ()) if daily else (),
        tuple(minutes or ()) if daily else (),
        tuple(WeekDay(day.lower()) for day in days or ()) if frequency is Frequency.WEEK else (),
        tuple(month_days or ()) if frequency is Frequency.MONTH else (),
        *common,
    )
    return trigger, shown


def _numbers(body: Body, key: str) -> list[int] | None:
    value = body.value.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, int) and not isinstance(each, bool) for each in value):
        raise body.wrong(key, "the value must be an array of whole numbers.")
    return list(value)


def trigger_document(trigger: Trigger) -> dict[str, Any]:
    """A trigger that the command line made."""
    shown = {"endTime": trigger.end_time, "startTime": trigger.start_time, "timeZone": zones.windows(trigger.time_zone)}
    if isinstance(trigger, CronTrigger):
        return {**shown, "triggerType": "Cron", "expression": trigger.expression}
    return {
        **shown,
        "triggerType": "Recurrence",
        "frequency": trigger.frequency.value.capitalize(),
        "interval": trigger.interval,
        "schedule": {
            "hours": list(trigger.hours),
            "minutes": list(trigger.minutes),
            "monthDays": list(trigger.month_days) or None,
            "weekDays": [day.value.capitalize() for day in trigger.week_days] or None,
        },
    }


def job_definition(kind: str, members: Mapping[str, Any]) -> dict[str, Any]:
    """A job's members as a schedule shows them: a job that was not started."""
    return {**members, "jobType": kind, "status": "NotStarted", "services": None}


def document(record: ScheduleRecord, notes: Mapping[str, Any], state: str) -> dict[str, Any]:
    """`properties` of a schedule. `notes`: what its client said; empty for one of the command line."""
    definition = notes.get("definition") or job_definition("Pipeline", _unknown_job(record))
    return {
        "description": record.description,
        "tags": dict(record.tags),
        "properties": dict(notes.get("properties") or {}),
        "displayName": record.display_name,
        "provisioningState": state,
        "isEnabled": record.enabled,
        "trigger": notes.get("trigger") or trigger_document(record.trigger),
        "action": {"actionType": "CreateJob", "jobDefinition": definition},
    }


def whole(record: ScheduleRecord, notes: Mapping[str, Any], state: str) -> dict[str, Any]:
    """A schedule as reading and listing give it: with a name, and without id and type."""
    system = system_data(record.created_at, notes.get("createdBy"), notes.get("modifiedAt"), notes.get("modifiedBy"))
    return {"name": record.name, "properties": document(record, notes, state), "systemData": system}


def _unknown_job(record: ScheduleRecord) -> dict[str, Any]:
    """The job of a schedule that runs a pipeline of the command line, of which Azure's words are not known."""
    return {
        "description": record.description,
        "tags": dict(record.run_tags),
        "properties": {},
        "displayName": record.display_name,
        "experimentName": record.experiment or "Default",
        "computeId": None,
        "componentId": None,
        "identity": None,
        "isArchived": False,
        "notificationSetting": None,
        "settings": {},
        "jobs": {},
        "inputs": {
            name: {"description": None, "jobInputType": "literal", "value": str(value)} for name, value in record.inputs.items()
        },
        "outputs": {},
        "sourceJobId": None,
    }
