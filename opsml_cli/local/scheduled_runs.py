"""Beginning the runs of schedules: of one due time there is one run, whoever is killed when.

The transaction that records the run also moves the schedule to its next due time, so that either both have happened or
neither. What was recorded and whose process was not started any more is started by `start_recorded`."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.errors import InvalidInputError, NotFoundError
from opsml_cli.domain.job import JobKind
from opsml_cli.local import schedule_records as records
from opsml_cli.local.clock import parse, stamp
from opsml_cli.local.pipelines import records as pipeline_records
from opsml_cli.local.pipelines.records import RunRecord
from opsml_cli.local.pipelines.runs import Labels
from opsml_cli.local.schedule_records import ScheduleRecord

if TYPE_CHECKING:
    import sqlite3

    from opsml_cli.local.pipelines.runs import Runs
    from opsml_cli.local.pipelines.values import Inputs
    from opsml_cli.local.store import Store

_EXPRESSION = re.compile(r"\$\{\{\s*(name|creation_context\.trigger_time)\s*\}\}")
# A run's name is the schedule's and a GUID.
_LONGEST_NAME = 218


class ScheduledRuns:
    """The runs that the schedules of one workspace begin."""

    def __init__(self, store: Store, runs: Runs, inputs: Inputs) -> None:
        self._store = store
        self._runs = runs
        self._inputs = inputs

    def begin(self, record: ScheduleRecord, due: datetime, advance: Callable[[sqlite3.Connection], None]) -> str:
        """Begin the run of `record` for the time `due`; its name. `advance` writes in the transaction that records it. When
        there is such a run already, that is the answer, and `advance` is done by itself.

        Every error of starting a run, as when it is triggered by hand: nothing was begun then."""
        name, made = self._start(record, due, records.request_key(record, stamp(due)), advance)
        if not made:
            with self._store.write() as connection:
                advance(connection)
        return name

    def begin_now(self, record: ScheduleRecord, moment: datetime) -> str:
        """Begin a run as if `moment` were a due time; every call begins another one."""
        key = records.request_key(record, stamp(moment), f"#{secrets.token_hex(8)}")
        name, _ = self._start(record, moment, key, lambda _: None)
        return name

    def start_recorded(self) -> None:
        """Start what was recorded when its service was killed before it could start it."""
        with self._store.read() as connection:
            found = records.unlaunched(connection)
        for name in found:
            self._runs.launch(name)

    def _start(
        self, record: ScheduleRecord, due: datetime, key: str, advance: Callable[[sqlite3.Connection], None]
    ) -> tuple[str, bool]:
        from opsml_cli.local.pipelines.snapshot import from_document

        version, document = self._pipeline(record)
        snapshot = from_document(document)
        definition = snapshot.definition()
        name = f"{record.name[:_LONGEST_NAME]}-{uuid.uuid4()}"
        given = filled_in(record.inputs, name, due)
        values = self._inputs.resolve(definition, given, {key: tree.sha256 for key, tree in snapshot.trees.items()})
        labels = Labels(
            name,
            JobKind(record.run_kind),
            f"{record.name}-{due.astimezone(UTC):%Y%m%dT%H%M%SZ}",
            record.run_tags,
            schedule=record.name,
        )
        run = RunRecord("", snapshot.sha256, record.pipeline, version, values, request_key=key)
        return self._runs.start(run, definition, snapshot, record.experiment, labels, with_it=advance)

    def _pipeline(self, record: ScheduleRecord) -> tuple[str | None, str]:
        """The version that runs now, and its snapshot."""
        with self._store.read() as connection:
            if record.pipeline is None:
                if record.snapshot is None:
                    raise InvalidInputError(record.problem or f"the schedule {record.name} has no pipeline")
                version, sha256 = None, record.snapshot
            else:
                default = pipeline_records.default_version(connection, record.pipeline)
                version = record.version or (None if default is None else default[1])
                found = [item for item in pipeline_records.versions(connection, record.pipeline) if item.version == version]
                if not found:
                    what = f"{record.pipeline}:{record.version}" if record.version else record.pipeline
                    raise NotFoundError(f"the pipeline {what} of the schedule {record.name} is gone")
                sha256 = found[0].sha256
            document = pipeline_records.snapshot(connection, sha256)
        assert document is not None
        return version, document


def filled_in(inputs: Mapping[str, Any], name: str, due: datetime) -> dict[str, Any]:
    """The inputs with the run's name and the due time in place of the expressions that stand for them."""
    known = {"name": name, "creation_context.trigger_time": stamp(due)}

    def fill(value: Any) -> Any:
        return _EXPRESSION.sub(lambda match: known[match[1]], value) if isinstance(value, str) else value

    return {each: fill(value) for each, value in inputs.items()}


def due_of(record: ScheduleRecord) -> datetime:
    """When an enabled schedule is due next."""
    assert record.next_at is not None
    return parse(record.next_at)
