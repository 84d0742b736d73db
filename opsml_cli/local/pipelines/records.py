"""Pipelines, their versions, runs and steps as rows. Every function works inside its caller's transaction.

A run is a row of `jobs` too (kind pipeline): status and times live there, what only a pipeline has lives here."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from opsml_cli.domain import names
from opsml_cli.domain.job import JobState
from opsml_cli.domain.pipeline import PipelineInput
from opsml_cli.local.job_records import ProcessMark
from opsml_cli.local.pipelines.values import Value, value_of


@dataclass(frozen=True, slots=True)
class Version:
    """One published version, as its row has it."""

    name: str
    version: str
    sha256: str
    created_at: str
    inputs: tuple[PipelineInput, ...]
    steps: tuple[str, ...]
    description: str | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a run is to do, and what came out. `pipeline` and `version` None: it was not published."""

    run: str
    snapshot: str
    pipeline: str | None
    version: str | None
    inputs: Mapping[str, Value]
    force_rerun: bool = False
    request_key: str | None = None
    request_body: str | None = None
    outputs: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step as it is. `process` is the command's own; `origin` the run whose outputs were taken."""

    run: str
    name: str
    sequence: int
    status: JobState
    type: str
    needs: tuple[str, ...] = ()
    started_at: str | None = None
    ended_at: str | None = None
    origin: str | None = None
    job: str | None = None
    detail: str | None = None
    process: ProcessMark | None = None
    reuse_key: str | None = None
    outputs: Mapping[str, Value] = field(default_factory=dict)

    def with_(self, **changes: Any) -> StepRecord:
        return replace(self, **changes)


def default_version(connection: sqlite3.Connection, name: str) -> tuple[str, str] | None:
    """The pipeline's name as it was first written, and its default version."""
    row = connection.execute("SELECT * FROM pipelines WHERE name_key=?", (names.key(name),)).fetchone()
    return None if row is None else (json.loads(row["document"])["name"], row["default_version"])


def versions(connection: sqlite3.Connection, name: str) -> list[Version]:
    """Oldest first."""
    rows = connection.execute("SELECT * FROM pipeline_versions WHERE name_key=? ORDER BY sequence", (names.key(name),))
    return [_version(row) for row in rows]


def pipeline_names(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT document FROM pipelines ORDER BY name_key")
    return [json.loads(row["document"])["name"] for row in rows]


def next_number(connection: sqlite3.Connection, name: str) -> int:
    row = connection.execute(
        "SELECT COALESCE(MAX(sequence), 0) + 1 FROM pipeline_versions WHERE name_key=?", (names.key(name),)
    ).fetchone()
    return int(row[0])


def insert_version(connection: sqlite3.Connection, version: Version, sequence: int, snapshot: str) -> None:
    document = asdict(version)
    for column in ("version", "sha256", "created_at"):
        del document[column]
    insert_snapshot(connection, version.sha256, snapshot)
    connection.execute(
        "INSERT INTO pipeline_versions(name_key, version, sequence, sha256, created_at, document) VALUES(?,?,?,?,?,?)",
        (names.key(version.name), version.version, sequence, version.sha256, version.created_at, json.dumps(document)),
    )


def set_default(connection: sqlite3.Connection, name: str, version: str) -> None:
    """Make `version` the default, and the pipeline known when it is new."""
    connection.execute(
        """INSERT INTO pipelines(name_key, default_version, document) VALUES(?,?,?)
             ON CONFLICT(name_key) DO UPDATE SET default_version=excluded.default_version""",
        (names.key(name), version, json.dumps({"name": name})),
    )


def delete(connection: sqlite3.Connection, name: str, version: str | None) -> None:
    if version is None:
        connection.execute("DELETE FROM pipelines WHERE name_key=?", (names.key(name),))
    else:
        connection.execute("DELETE FROM pipeline_versions WHERE name_key=? AND version=?", (names.key(name), version))


def insert_snapshot(connection: sqlite3.Connection, sha256: str, document: str) -> None:
    connection.execute("INSERT OR IGNORE INTO pipeline_snapshots VALUES(?, ?)", (sha256, document))


def snapshot(connection: sqlite3.Connection, sha256: str) -> str | None:
    row = connection.execute("SELECT document FROM pipeline_snapshots WHERE sha256=?", (sha256,)).fetchone()
    return None if row is None else str(row["document"])


def insert_run(connection: sqlite3.Connection, run: RunRecord, snapshot_document: str) -> None:
    insert_snapshot(connection, run.snapshot, snapshot_document)
    connection.execute(
        "INSERT INTO pipeline_runs(run_key, snapshot, request_key, document) VALUES(?,?,?,?)",
        (names.key(run.run), run.snapshot, run.request_key, _run_document(run)),
    )


def save_run(connection: sqlite3.Connection, run: RunRecord) -> None:
    connection.execute("UPDATE pipeline_runs SET document=? WHERE run_key=?", (_run_document(run), names.key(run.run)))


def load_run(connection: sqlite3.Connection, run: str) -> RunRecord | None:
    return _run(connection.execute("SELECT * FROM pipeline_runs WHERE run_key=?", (names.key(run),)).fetchone())


def run_of_request(connection: sqlite3.Connection, request_key: str) -> RunRecord | None:
    return _run(connection.execute("SELECT * FROM pipeline_runs WHERE request_key=?", (request_key,)).fetchone())


def save_step(connection: sqlite3.Connection, step: StepRecord) -> None:
    """Insert or replace."""
    document = asdict(step)
    for column in ("run", "name", "sequence", "status", "reuse_key"):
        del document[column]
    connection.execute(
        """INSERT INTO steps(run_key, name, sequence, status, reuse_key, document) VALUES(?,?,?,?,?,?)
             ON CONFLICT(run_key, name) DO UPDATE
             SET status=excluded.status, reuse_key=excluded.reuse_key, document=excluded.document""",
        (names.key(step.run), step.name, step.sequence, step.status.value, step.reuse_key, json.dumps(document)),
    )


def steps(connection: sqlite3.Connection, run: str) -> list[StepRecord]:
    rows = connection.execute("SELECT * FROM steps WHERE run_key=? ORDER BY sequence", (names.key(run),))
    return [_step(row, run) for row in rows]


def reusable(connection: sqlite3.Connection, reuse_key: str) -> list[StepRecord]:
    """Completed steps that did this very work, those that did it themselves and newest first."""
    rows = connection.execute(
        "SELECT * FROM steps WHERE reuse_key=? AND status=? ORDER BY json_extract(document, '$.ended_at') DESC LIMIT 20",
        (reuse_key, JobState.COMPLETED.value),
    )
    found = [_step(row, row["run_key"]) for row in rows]
    return sorted(found, key=lambda step: step.origin is not None)


def _version(row: sqlite3.Row) -> Version:
    document = json.loads(row["document"])
    inputs = tuple(PipelineInput(**item) for item in document.pop("inputs"))
    steps = tuple(document.pop("steps"))
    return Version(
        version=row["version"], sha256=row["sha256"], created_at=row["created_at"], inputs=inputs, steps=steps, **document
    )


def _run_document(run: RunRecord) -> str:
    document = asdict(run)
    for column in ("snapshot", "request_key"):
        del document[column]
    return json.dumps(document)


def _run(row: sqlite3.Row | None) -> RunRecord | None:
    if row is None:
        return None
    document = json.loads(row["document"])
    document["inputs"] = {name: value_of(value) for name, value in document["inputs"].items()}
    document["outputs"] = {name: value_of(value) for name, value in document["outputs"].items()}
    return RunRecord(snapshot=row["snapshot"], request_key=row["request_key"], **document)


def _step(row: sqlite3.Row, run: str) -> StepRecord:
    document = json.loads(row["document"])
    process = document.pop("process")
    outputs = {name: value_of(value) for name, value in document.pop("outputs").items()}
    needs = tuple(document.pop("needs"))
    return StepRecord(
        run=run,
        name=row["name"],
        sequence=row["sequence"],
        status=JobState(row["status"]),
        reuse_key=row["reuse_key"],
        process=None if process is None else ProcessMark(**process),
        outputs=outputs,
        needs=needs,
        **document,
    )
