"""The database's schema, as numbered steps. Append only: a step that was released is never edited."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

Migration = Callable[[sqlite3.Connection], None]


def _first(connection: sqlite3.Connection) -> None:
    # Each table: the columns that are asked for or must be unique, and the rest as one JSON document.
    for statement in (
        """CREATE TABLE data_versions(
             name_key TEXT NOT NULL, version TEXT NOT NULL, sequence INTEGER NOT NULL, sha256 TEXT NOT NULL,
             created_at TEXT NOT NULL, document TEXT NOT NULL, profile TEXT, PRIMARY KEY(name_key, version)) WITHOUT ROWID""",
        "CREATE UNIQUE INDEX data_sequence ON data_versions(name_key, sequence)",
        """CREATE TABLE jobs(
             name_key TEXT PRIMARY KEY, kind TEXT NOT NULL, status TEXT NOT NULL, experiment TEXT NOT NULL, parent TEXT,
             created_at TEXT NOT NULL, document TEXT NOT NULL) WITHOUT ROWID""",
        "CREATE INDEX jobs_created ON jobs(created_at)",
        "CREATE INDEX jobs_parent ON jobs(parent)",
        """CREATE TABLE trials(
             job_key TEXT NOT NULL, trial TEXT NOT NULL, sequence INTEGER NOT NULL, document TEXT NOT NULL,
             PRIMARY KEY(job_key, trial)) WITHOUT ROWID""",
        """CREATE TABLE model_versions(
             name_key TEXT NOT NULL, version TEXT NOT NULL, sequence INTEGER NOT NULL, sha256 TEXT NOT NULL,
             created_at TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY(name_key, version)) WITHOUT ROWID""",
        "CREATE UNIQUE INDEX model_sequence ON model_versions(name_key, sequence)",
        "CREATE TABLE endpoints(name_key TEXT PRIMARY KEY, created_at TEXT NOT NULL, document TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE deployments(
             endpoint_key TEXT NOT NULL REFERENCES endpoints(name_key) ON DELETE CASCADE, name_key TEXT NOT NULL,
             created_at TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY(endpoint_key, name_key)) WITHOUT ROWID""",
        """CREATE TABLE pipelines(
             name_key TEXT PRIMARY KEY, default_version TEXT NOT NULL, document TEXT NOT NULL) WITHOUT ROWID""",
        """CREATE TABLE pipeline_versions(
             name_key TEXT NOT NULL REFERENCES pipelines(name_key) ON DELETE CASCADE, version TEXT NOT NULL,
             sequence INTEGER NOT NULL, sha256 TEXT NOT NULL, created_at TEXT NOT NULL, document TEXT NOT NULL,
             PRIMARY KEY(name_key, version)) WITHOUT ROWID""",
        """CREATE TABLE steps(
             run_key TEXT NOT NULL, name TEXT NOT NULL, sequence INTEGER NOT NULL, status TEXT NOT NULL, reuse_key TEXT,
             document TEXT NOT NULL, PRIMARY KEY(run_key, name)) WITHOUT ROWID""",
        "CREATE INDEX steps_reuse ON steps(reuse_key) WHERE reuse_key IS NOT NULL",
        "CREATE TABLE pipeline_snapshots(sha256 TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID",
        # request_key: what a client calls its request, so that repeating it finds the run instead of starting another.
        """CREATE TABLE pipeline_runs(
             run_key TEXT PRIMARY KEY, snapshot TEXT NOT NULL, request_key TEXT UNIQUE,
             document TEXT NOT NULL) WITHOUT ROWID""",
    ):
        connection.execute(statement)


def _second(connection: sqlite3.Connection) -> None:
    # What Azure's clients keep in a workspace besides data, jobs, models and endpoints.
    for statement in (
        # Objects of the datastores: what a path of a container holds. `content` is the hash of a blob.
        """CREATE TABLE objects(
             container TEXT NOT NULL, path TEXT NOT NULL, content TEXT NOT NULL, size INTEGER NOT NULL,
             created_at TEXT NOT NULL, modified_at TEXT NOT NULL, document TEXT NOT NULL,
             PRIMARY KEY(container, path)) WITHOUT ROWID""",
        # Parts of an object that was not committed yet; `file` is a name below staging/.
        """CREATE TABLE blocks(
             container TEXT NOT NULL, path TEXT NOT NULL, id TEXT NOT NULL, file TEXT NOT NULL, size INTEGER NOT NULL,
             created_at TEXT NOT NULL, PRIMARY KEY(container, path, id)) WITHOUT ROWID""",
        # Containers that were made besides the workspace's own.
        "CREATE TABLE containers(name TEXT PRIMARY KEY, created_at TEXT NOT NULL, document TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE datastores(name_key TEXT PRIMARY KEY, created_at TEXT NOT NULL, document TEXT NOT NULL) WITHOUT ROWID",
        # Versioned assets whose content is a document: codes, environments, components.
        """CREATE TABLE assets(
             kind TEXT NOT NULL, name_key TEXT NOT NULL, version TEXT NOT NULL, sequence INTEGER NOT NULL,
             created_at TEXT NOT NULL, modified_at TEXT NOT NULL, document TEXT NOT NULL,
             PRIMARY KEY(kind, name_key, version)) WITHOUT ROWID""",
        "CREATE UNIQUE INDEX asset_sequence ON assets(kind, name_key, sequence)",
        "CREATE TABLE computes(name_key TEXT PRIMARY KEY, created_at TEXT NOT NULL, document TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE schedules(
             name_key TEXT PRIMARY KEY, enabled INTEGER NOT NULL, next_at TEXT, created_at TEXT NOT NULL,
             document TEXT NOT NULL) WITHOUT ROWID""",
        """CREATE TABLE alerts(
             endpoint_key TEXT NOT NULL REFERENCES endpoints(name_key) ON DELETE CASCADE, name_key TEXT NOT NULL,
             created_at TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY(endpoint_key, name_key)) WITHOUT ROWID""",
        "CREATE TABLE principals(id TEXT PRIMARY KEY, created_at TEXT NOT NULL, document TEXT NOT NULL) WITHOUT ROWID",
        # A batch endpoint with its deployments, one document.
        """CREATE TABLE batch_endpoints(
             name_key TEXT PRIMARY KEY, created_at TEXT NOT NULL, document TEXT NOT NULL) WITHOUT ROWID""",
        # What a client polls until the work behind it is done.
        """CREATE TABLE operations(
             id TEXT PRIMARY KEY, watch TEXT NOT NULL, subject TEXT NOT NULL, sequence INTEGER NOT NULL,
             created_at TEXT NOT NULL, document TEXT NOT NULL) WITHOUT ROWID""",
        "CREATE INDEX operations_subject ON operations(watch, subject, sequence)",
        # What a client said of a record and the record itself has no place for, such as a job's properties.
        """CREATE TABLE annotations(
             kind TEXT NOT NULL, name_key TEXT NOT NULL, version TEXT NOT NULL, document TEXT NOT NULL,
             PRIMARY KEY(kind, name_key, version)) WITHOUT ROWID""",
    ):
        connection.execute(statement)


MIGRATIONS: tuple[Migration, ...] = (_first, _second)
