"""What makes schedules run: a thread of the local service that begins every run at its time.

Times that passed while the service was down are made up for by one run, for the newest of them; the older ones are left
out. A run that cannot begin (its pipeline is gone, an input does not fit) is noted at its schedule, which goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from opsml_cli.domain.errors import ConflictError, OpsmlError
from opsml_cli.local import schedule_records as records
from opsml_cli.local.clock import stamp
from opsml_cli.local.scheduled_runs import ScheduledRuns, due_of

if TYPE_CHECKING:
    import sqlite3

    from opsml_cli.local.schedule_records import ScheduleRecord
    from opsml_cli.local.store import Store

# A schedule that was just made is seen this soon, and a clock that was set back is noticed.
_LONGEST_REST = 1.0
_SET_BACK_SECONDS = 5.0  # less is a correction of a clock that is a little off


def system_time() -> datetime:
    return datetime.now(UTC)


class Scheduler:
    """The schedules of one workspace, begun in time. One process runs it: the service that holds the workspace's lock."""

    def __init__(self, store: Store, runs: ScheduledRuns, now: Callable[[], datetime] = system_time) -> None:
        self._store = store
        self._runs = runs
        self._now = now
        self._last: tuple[datetime, float] | None = None  # of the clock, and of one that nobody sets

    def tick(self) -> float:
        """Begin what is due; the seconds after which to look again."""
        if not self._store.exists():
            return _LONGEST_REST
        if self._set_back():
            self._count_anew()
        while True:
            now = self._now()
            with self._store.read() as connection:
                record = records.soonest(connection)
            if record is None:
                return _LONGEST_REST
            rest = (due_of(record) - now).total_seconds()
            if rest > 0:
                return min(rest, _LONGEST_REST)
            self._begin(record, now)

    def _set_back(self) -> bool:
        """Whether the clock may have been set back since the last look; before the first one, nobody knows."""
        now, steady = self._now(), time.monotonic()
        before, self._last = self._last, (now, steady)
        return before is None or (now - before[0]).total_seconds() < steady - before[1] - _SET_BACK_SECONDS

    def _count_anew(self) -> None:
        """The next time of every schedule, from the clock as it is now: counted by one that was ahead, it would be silent until
        then. A time that had its run already does not get another: runs are known by their time."""
        from opsml_cli.timing import due_times

        now = self._now()
        with self._store.read() as connection:
            known = [record for record in records.load_all(connection) if record.enabled and record.next_at is not None]
        for record in known:
            made = min(datetime.fromisoformat(record.counted_from), now)
            due = due_times.next_due(record.trigger, now, made)
            if due is None or due >= due_of(record):
                continue
            with self._store.write() as connection:
                current = records.load(connection, record.name)
                if current is not None and (current.id, current.next_at) == (record.id, record.next_at):
                    records.save(connection, current.with_(next_at=stamp(due), counted_from=stamp(made)))

    def _begin(self, record: ScheduleRecord, now: datetime) -> None:
        from opsml_cli.timing import due_times

        made = datetime.fromisoformat(record.counted_from)
        due = due_times.newest_due(record.trigger, due_of(record), now, made)
        following = due_times.next_due(record.trigger, max(due, now), made)
        next_at = None if following is None else stamp(following)

        def advance(error: str | None) -> Callable[[sqlite3.Connection], None]:
            def write(connection: sqlite3.Connection) -> None:
                current = records.load(connection, record.name)
                if current is None or (current.id, current.enabled, current.next_at) != (record.id, True, record.next_at):
                    raise _ChangedError("the schedule was changed")
                records.save(connection, current.with_(next_at=next_at, error=error))

            return write

        try:
            try:
                self._runs.begin(record, due, advance(None))
            except OpsmlError as problem:
                if isinstance(problem, _ChangedError) or problem.retryable:
                    raise
                told = f"{stamp(due)}: {problem.message}"
                print(f"schedule {record.name}: {told}", file=sys.stderr, flush=True)  # noqa: T201 - the service's log
                with self._store.write() as connection:
                    advance(told)(connection)
        except _ChangedError:
            return  # somebody changed the schedule meanwhile: look at it anew


class _ChangedError(ConflictError):
    """The schedule is no longer as it was read."""
