"""Schedules as rows. Every function works inside its caller's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from opsml_cli.domain import names
from opsml_cli.domain.job import JobKind, JobState
from opsml_cli.domain.schedule import CronTrigger, Frequency, RecurrenceTrigger, ScheduledRun, Trigger, WeekDay


@dataclass(frozen=True, slots=True)
class ScheduleRecord:
    """One schedule. `id` tells it from an earlier one of the same name. It runs the published `pipeline`, or the pipeline
    that `snapshot` names by its hash; `problem` says why it has neither, and is told when a run is due. `run_kind` and
    `run_tags` are its runs'. `next_at` is the next due time (ISO 8601 UTC); None when none comes any more, and while
    it is disabled. `counted_from` is where a recurrence without start time begins."""

    id: str
    name: str
    enabled: bool
    next_at: str | None
    created_at: str
    counted_from: str
    trigger: Trigger
    pipeline: str | None = None
    version: str | None = None
    snapshot: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    experiment: str | None = None
    description: str | None = None
    display_name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    run_kind: str = JobKind.PIPELINE.value
    run_tags: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None
    error: str | None = None

    def with_(self, **changes: Any) -> ScheduleRecord:
        return replace(self, **changes)

    @property
    def what(self) -> tuple[object, ...]:
        """All that was asked for: two records that agree here are the same schedule."""
        return (
            self.trigger,
            self.pipeline,
            self.version,
            self.snapshot,
            dict(self.inputs),
            self.experiment,
            self.description,
            self.display_name,
            dict(self.tags),
            self.run_kind,
            dict(self.run_tags),
            self.problem,
        )


def load(connection: sqlite3.Connection, name: str) -> ScheduleRecord | None:
    row = connection.execute("SELECT * FROM schedules WHERE name_key=?", (names.key(name),)).fetchone()
    return None if row is None else _record(row)


def load_all(connection: sqlite3.Connection) -> list[ScheduleRecord]:
    """Newest first."""
    return [_record(row) for row in connection.execute("SELECT * FROM schedules ORDER BY created_at DESC, name_key")]


def save(connection: sqlite3.Connection, record: ScheduleRecord) -> None:
    """Insert or replace."""
    document = asdict(record)
    for column in ("enabled", "next_at", "created_at"):
        del document[column]
    document["trigger"]["type"] = "cron" if isinstance(record.trigger, CronTrigger) else "recurrence"
    connection.execute(
        """INSERT INTO schedules(name_key, enabled, next_at, created_at, document) VALUES(?,?,?,?,?)
             ON CONFLICT(name_key) DO UPDATE SET enabled=excluded.enabled, next_at=excluded.next_at,
               created_at=excluded.created_at, document=excluded.document""",
        (names.key(record.name), int(record.enabled), record.next_at, record.created_at, json.dumps(document)),
    )


def delete(connection: sqlite3.Connection, name: str) -> None:
    connection.execute("DELETE FROM schedules WHERE name_key=?", (names.key(name),))


def soonest(connection: sqlite3.Connection) -> ScheduleRecord | None:
    """The enabled schedule that is due first."""
    row = connection.execute(
        "SELECT * FROM schedules WHERE enabled=1 AND next_at IS NOT NULL ORDER BY next_at, name_key LIMIT 1"
    ).fetchone()
    return None if row is None else _record(row)


def request_key(record: ScheduleRecord, due: str, mark: str = "") -> str:
    """What a run of `record` for the time `due` is called: there is one run of a key. `mark` tells runs by hand apart."""
    return f"{_prefix(record)}{due}{mark}"


def runs(connection: sqlite3.Connection, record: ScheduleRecord, count: int) -> list[ScheduledRun]:
    """The runs that the schedule began, newest first."""
    prefix = _prefix(record)
    rows = connection.execute(
        """SELECT pipeline_runs.request_key, jobs.status, json_extract(jobs.document, '$.job.name') AS name, jobs.name_key
             FROM pipeline_runs JOIN jobs ON jobs.name_key = pipeline_runs.run_key
             WHERE request_key >= ? AND request_key < ? ORDER BY request_key DESC LIMIT ?""",
        (prefix, prefix + "~", count),
    )
    return [
        ScheduledRun(
            row["name"] or row["name_key"], row["request_key"].removeprefix(prefix).partition("#")[0], JobState(row["status"])
        )
        for row in rows
    ]


def unlaunched(connection: sqlite3.Connection) -> list[str]:
    """Jobs that were recorded for a schedule, and whose process was never started."""
    rows = connection.execute(
        """SELECT jobs.name_key FROM pipeline_runs JOIN jobs ON jobs.name_key = pipeline_runs.run_key
             WHERE request_key >= 'schedule/' AND request_key < 'schedule0' AND status IN (?, ?)
               AND json_extract(jobs.document, '$.process') IS NULL ORDER BY jobs.created_at""",
        (JobState.NOT_STARTED.value, JobState.CANCEL_REQUESTED.value),
    )
    return [row["name_key"] for row in rows]


def _prefix(record: ScheduleRecord) -> str:
    return f"schedule/{record.id}/"


def _record(row: sqlite3.Row) -> ScheduleRecord:
    document = json.loads(row["document"])
    return ScheduleRecord(
        enabled=bool(row["enabled"]),
        next_at=row["next_at"],
        created_at=row["created_at"],
        trigger=_trigger(document.pop("trigger")),
        **document,
    )


def _trigger(values: dict[str, Any]) -> Trigger:
    if values.pop("type") == "cron":
        return CronTrigger(**values)
    return RecurrenceTrigger(
        frequency=Frequency(values.pop("frequency")),
        hours=tuple(values.pop("hours")),
        minutes=tuple(values.pop("minutes")),
        week_days=tuple(WeekDay(day) for day in values.pop("week_days")),
        month_days=tuple(values.pop("month_days")),
        **values,
    )
