"""Schedules of a local workspace: made, read, switched, deleted. The local service begins their runs."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain import names
from opsml_cli.domain.errors import ConflictError, InvalidInputError, NotFoundError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.domain.schedule import CreateSchedule, Schedule, ScheduledRun, ScheduleSaved
from opsml_cli.local import schedule_records as records
from opsml_cli.local.clock import parse, stamp
from opsml_cli.local.schedule_records import ScheduleRecord
from opsml_cli.timing import due_times

if TYPE_CHECKING:
    import sqlite3

    from opsml_cli.local.layout import Layout
    from opsml_cli.local.pipelines.operations import LocalPipelines
    from opsml_cli.local.scheduled_runs import ScheduledRuns
    from opsml_cli.local.store import Store

_SHOWN = 5  # next and last runs
_DOWN = "the local service is down: nothing runs until it is up (opsml local up); one run then makes up for what it missed"


class LocalSchedules:
    """The `schedules` group of a local workspace."""

    def __init__(self, layout: Layout, store: Store, pipelines: LocalPipelines) -> None:
        self._layout = layout
        self._store = store
        self._pipelines = pipelines

    @cached_property
    def runs(self) -> ScheduledRuns:
        from opsml_cli.local.scheduled_runs import ScheduledRuns

        return ScheduledRuns(self._store, self._pipelines.runs, self._pipelines.resolver(remote=False))

    def create_or_update(self, spec: CreateSchedule) -> ScheduleSaved:
        """As the port says; starts the local service, which begins the runs, when it is down."""
        names.asset_name(spec.name, "schedule name")
        due_times.check(spec.trigger)
        now = datetime.now(UTC)
        if due_times.next_due(spec.trigger, now, now) is None:
            raise InvalidInputError(f"the schedule {spec.name} is never due", cause="its times have passed, or never come")
        record = self._asked(spec, now)
        if spec.dry_run:
            with self._store.read() as connection:
                record, unchanged = self._merged(connection, record, now)
            return ScheduleSaved(self._view(record, now), unchanged)
        record, unchanged = self.save(record, now)
        if record.enabled:
            self._pipelines.service_up()
        return ScheduleSaved(self._view(record, now), unchanged)

    def save(self, record: ScheduleRecord, now: datetime) -> tuple[ScheduleRecord, bool]:
        """Write `record`, unless the schedule of its name says the same already. The runs of a schedule that is changed
        stay its own; its next due time is counted anew from `now` when its times changed or it was disabled. The flag:
        nothing was written."""
        with self._store.write() as connection:
            record, unchanged = self._merged(connection, record, now)
            if not unchanged:
                records.save(connection, record)
        return record, unchanged

    def get(self, name: str) -> Schedule:
        return self._view(self.record(name), datetime.now(UTC))

    def record(self, name: str) -> ScheduleRecord:
        with self._store.read() as connection:
            return self._found(connection, name)

    def records(self) -> Sequence[ScheduleRecord]:
        """Newest first."""
        with self._store.read() as connection:
            return records.load_all(connection)

    def list(self, *, enabled_only: bool = False) -> Sequence[Schedule]:
        now = datetime.now(UTC)
        return [self._view(record, now) for record in self.records() if record.enabled or not enabled_only]

    def enable(self, name: str) -> Schedule:
        return self._switched(name, True)

    def disable(self, name: str) -> Schedule:
        return self._switched(name, False)

    def delete(self, name: str) -> None:
        with self._store.write() as connection:
            record = self._found(connection, name)
            if record.enabled:
                raise ConflictError(
                    f"the schedule {record.name} is enabled",
                    cause="an enabled schedule is never deleted, here as on Azure",
                    fix=f"opsml schedules disable {record.name}, then delete it",
                )
            records.delete(connection, name)

    def begin_trigger(self, name: str) -> str:
        return self.runs.begin_now(self.record(name), datetime.now(UTC).replace(microsecond=0))

    def _asked(self, spec: CreateSchedule, now: datetime) -> ScheduleRecord:
        """The record of what was asked for, its pipeline and inputs checked."""
        snapshot = pipeline = version = None
        given = dict(spec.inputs)
        if spec.pipeline is not None:
            endpoint = self._pipelines.get(spec.pipeline, spec.version)
            pipeline, version = endpoint.name, endpoint.version if spec.version is not None else None
            given = dict(self._pipelines.check_inputs(endpoint, given))
        else:
            from opsml_cli.local.pipelines import snapshot as snapshots

            if spec.inline is not None:
                read = snapshots.read_text(spec.inline.text, Path(spec.inline.beside).expanduser())
            else:
                assert spec.path is not None
                read = snapshots.read_file(Path(spec.path).expanduser())
            snapshot = self._pipelines.keep(*read, given, dry_run=spec.dry_run)
        return ScheduleRecord(
            id=uuid.uuid4().hex,
            name=spec.name,
            enabled=spec.enabled,
            next_at=None,
            created_at=stamp(now),
            counted_from=stamp(now),
            trigger=spec.trigger,
            pipeline=pipeline,
            version=version,
            snapshot=snapshot,
            inputs=given,
            experiment=spec.experiment,
            description=spec.description,
            display_name=spec.display_name,
            tags=dict(spec.tags),
        )

    def _merged(self, connection: sqlite3.Connection, record: ScheduleRecord, now: datetime) -> tuple[ScheduleRecord, bool]:
        """`record` as it is to be written, and whether that is what is there already."""
        earlier = records.load(connection, record.name)
        if earlier is None:
            return self._timed(record, now), False
        record = record.with_(id=earlier.id, name=earlier.name, created_at=earlier.created_at)
        if (earlier.what, earlier.enabled) == (record.what, record.enabled):
            return earlier, True
        if earlier.trigger == record.trigger:
            record = record.with_(counted_from=earlier.counted_from)
            if earlier.enabled and record.enabled:
                # What is due at this moment is not lost.
                return record.with_(next_at=earlier.next_at), False
        return self._timed(record, now), False

    @staticmethod
    def _timed(record: ScheduleRecord, now: datetime) -> ScheduleRecord:
        if not record.enabled:
            return record.with_(next_at=None)
        if record.next_at is not None:
            return record
        following = due_times.next_due(record.trigger, now, parse(record.counted_from))
        return record.with_(next_at=None if following is None else stamp(following))

    def _switched(self, name: str, on: bool) -> Schedule:
        now = datetime.now(UTC)
        with self._store.write() as connection:
            record = self._found(connection, name)
            if record.enabled != on:
                record = self._timed(record.with_(enabled=on, error=None), now)
                records.save(connection, record)
        if on:
            self._pipelines.service_up()
        return self._view(record, now)

    @staticmethod
    def _found(connection: sqlite3.Connection, name: str) -> ScheduleRecord:
        record = records.load(connection, name)
        if record is None:
            known = [each.name for each in records.load_all(connection)]
            raise NotFoundError(
                f"no schedule {name!r}", cause=did_you_mean(name, known), fix="opsml schedules list shows what there is"
            )
        return record

    def _view(self, record: ScheduleRecord, now: datetime) -> Schedule:
        upcoming: tuple[str, ...] = ()
        if record.enabled:
            made = parse(record.counted_from)
            upcoming = tuple(stamp(moment) for moment in due_times.next_times(record.trigger, now, made, _SHOWN))
            if record.next_at is not None and record.next_at not in upcoming and record.next_at <= stamp(now):
                upcoming = (record.next_at, *upcoming)[:_SHOWN]
        with self._store.read() as connection:
            last = records.runs(connection, record, _SHOWN)
        return Schedule(
            name=record.name,
            enabled=record.enabled,
            trigger=record.trigger,
            pipeline=record.pipeline,
            version=record.version,
            inputs={name: str(value) for name, value in record.inputs.items()},
            experiment=record.experiment,
            created_at=record.created_at,
            description=record.description,
            display_name=record.display_name,
            tags=dict(record.tags),
            next_runs=upcoming,
            last_runs=tuple(self._settled(each) for each in last),
            error=record.error,
            notes=() if self._pipelines.service_running() or not record.enabled else (_DOWN,),
        )

    def _settled(self, run: ScheduledRun) -> ScheduledRun:
        """A run whose process died is Failed, and its row does not know yet."""
        if run.status is not None and run.status.finished:
            return run
        return replace(run, status=self._pipelines.run(run.run).status)
