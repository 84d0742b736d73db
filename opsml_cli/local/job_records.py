"""Jobs and trials as rows of the workspace database. Every function works inside a transaction that its caller opened.

Kind, status, experiment, parent and creation are columns; the rest of a Job, and what belongs to its process, is one
JSON document. Pipeline runs and their children are rows of the same table."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from opsml_cli.domain import names
from opsml_cli.domain.job import (
    AutoMLOutcome,
    BestTrial,
    Guardrail,
    Job,
    JobKind,
    JobState,
    Task,
    Trial,
)
from opsml_cli.domain.pointer import ModelPointer
from opsml_cli.local.clock import now


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """A process for ever: its id, when it began (as `processes.start_time`; None when it was gone already), and the identity
    of the workspace's folder that it belongs to: in a copy of the workspace it is none of its own."""

    pid: int
    started: float | None
    home: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A job with what only this machine needs: who launched it, its own process, how often it was started, whether its
    last process died (then the same spec continues it), and the fingerprint of what was asked."""

    job: Job
    launcher: ProcessMark | None = None
    process: ProcessMark | None = None
    attempt: int = 1
    died: bool = False
    fingerprint: str | None = None

    def with_job(self, **changes: Any) -> Record:
        return replace(self, job=replace(self.job, **changes))


def insert(connection: sqlite3.Connection, record: Record) -> bool:
    """Add the row; False when the name is taken."""
    job = record.job
    changed = connection.execute(
        "INSERT OR IGNORE INTO jobs(name_key, kind, status, experiment, parent, created_at, document) VALUES(?,?,?,?,?,?,?)",
        (
            names.key(job.name),
            job.kind.value,
            job.status.value,
            job.experiment,
            None if job.parent is None else names.key(job.parent),
            job.created_at,
            _document(record),
        ),
    ).rowcount
    return changed == 1


def save(connection: sqlite3.Connection, record: Record) -> None:
    """Replace status and document."""
    connection.execute(
        "UPDATE jobs SET status=?, document=? WHERE name_key=?",
        (record.job.status.value, _document(record), names.key(record.job.name)),
    )


def load(connection: sqlite3.Connection, name: str) -> Record | None:
    row = connection.execute("SELECT * FROM jobs WHERE name_key=?", (names.key(name),)).fetchone()
    return None if row is None else _record(row)


def select(
    connection: sqlite3.Connection,
    *,
    kind: JobKind | None = None,
    statuses: Sequence[JobState] = (),
    experiment: str | None = None,
    parent: str | None = None,
    limit: int | None = None,
) -> list[Record]:
    """Newest first; children only when `parent` is given."""
    where, values = ["parent IS NULL"], []
    if parent is not None:
        where, values = ["parent=?"], [names.key(parent)]
    if kind is not None:
        where.append("kind=?")
        values.append(kind.value)
    if statuses:
        where.append(f"status IN ({','.join('?' * len(statuses))})")
        values += [status.value for status in statuses]
    if experiment is not None:
        where.append("experiment=? COLLATE NOCASE")
        values.append(experiment)
    statement = f"SELECT * FROM jobs WHERE {' AND '.join(where)} ORDER BY created_at DESC, name_key DESC LIMIT ?"
    return [_record(row) for row in connection.execute(statement, (*values, -1 if limit is None else limit))]


def with_fingerprint(connection: sqlite3.Connection, fingerprint: str) -> Record | None:
    """The newest job of exactly this specification."""
    row = connection.execute(
        "SELECT * FROM jobs WHERE json_extract(document, '$.fingerprint')=? ORDER BY created_at DESC, name_key DESC LIMIT 1",
        (fingerprint,),
    ).fetchone()
    return None if row is None else _record(row)


def add_trial(connection: sqlite3.Connection, job: str, trial: Trial) -> None:
    """Record a trial that finished now; the same trial again replaces itself."""
    key = names.key(job)
    document = json.dumps({**asdict(trial), "ended_at": now()})
    connection.execute(
        """INSERT OR REPLACE INTO trials(job_key, trial, sequence, document) VALUES(?, ?, COALESCE(
             (SELECT sequence FROM trials WHERE job_key=? AND trial=?),
             (SELECT COALESCE(MAX(sequence), 0) + 1 FROM trials WHERE job_key=?)), ?)""",
        (key, trial.trial, key, trial.trial, key, document),
    )


def trials(connection: sqlite3.Connection, job: str) -> tuple[Trial, ...]:
    """In the order they finished."""
    rows = connection.execute("SELECT document FROM trials WHERE job_key=? ORDER BY sequence", (names.key(job),))
    return tuple(_trial(json.loads(row["document"])) for row in rows)


def trial_ends(connection: sqlite3.Connection, job: str) -> tuple[str | None, ...]:
    """When each of `trials` finished; None for one that was recorded without it."""
    rows = connection.execute("SELECT document FROM trials WHERE job_key=? ORDER BY sequence", (names.key(job),))
    return tuple(json.loads(row["document"]).get("ended_at") for row in rows)


def _document(record: Record) -> str:
    document = asdict(record)
    for column in ("kind", "status", "experiment", "parent", "created_at"):
        del document["job"][column]
    return json.dumps({"display_parent": record.job.parent, **document})


def _record(row: sqlite3.Row) -> Record:
    document = json.loads(row["document"])
    parent = document.pop("display_parent")
    job = document.pop("job")
    job["notes"] = tuple(job.get("notes", ()))
    automl = job.pop("automl")
    return Record(
        job=Job(
            kind=JobKind(row["kind"]),
            status=JobState(row["status"]),
            experiment=row["experiment"],
            parent=parent,
            created_at=row["created_at"],
            automl=None if automl is None else outcome(automl),
            **job,
        ),
        launcher=_mark(document.pop("launcher")),
        process=_mark(document.pop("process")),
        **document,
    )


def _mark(value: Mapping[str, Any] | None) -> ProcessMark | None:
    return None if value is None else ProcessMark(**value)


def _trial(value: Mapping[str, Any]) -> Trial:
    known = {key: item for key, item in value.items() if key != "ended_at"}
    return Trial(**{**known, "state": JobState(value["state"])})


def outcome(value: Mapping[str, Any]) -> AutoMLOutcome:
    """An AutoMLOutcome from its JSON form (`dataclasses.asdict`)."""
    intervals = value["intervals"]
    return AutoMLOutcome(
        **{
            **value,
            "task": None if value["task"] is None else Task(value["task"]),
            "best": None if value["best"] is None else BestTrial(**value["best"]),
            "leaderboard": tuple(_trial(trial) for trial in value["leaderboard"]),
            "guardrails": tuple(Guardrail(**guardrail) for guardrail in value["guardrails"]),
            "intervals": None if intervals is None else {name: (low, high) for name, (low, high) in intervals.items()},
            "model": None if value["model"] is None else ModelPointer(**value["model"]),
        }
    )
