"""Batch endpoints with their deployments, one row each. Every function works inside its caller's transaction."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass, field
from typing import Any

from opsml_cli.domain import names

MODEL = "model"
PIPELINE = "pipeline"


@dataclass(slots=True)
class BatchDeployment:
    """What a call of the endpoint runs. `kind` MODEL: `asset` is a registered model (name:version), and its rows are scored;
    PIPELINE: a registered pipeline component ("": the version was published from a file). `settings` is what the client said
    of it, in Azure's words; `code` the files of its scoring script where they were given here (a snapshot's Tree), `trusted`
    says that the user answers for them; `version` the published version that a PIPELINE is, and `snapshot` its content: None
    when it cannot run here."""

    name: str
    created_at: str
    modified_at: str
    kind: str
    asset: str
    settings: dict[str, Any] = field(default_factory=dict)
    version: str | None = None
    snapshot: str | None = None
    code: dict[str, Any] | None = None
    trusted: bool = False


@dataclass(slots=True)
class BatchEndpoint:
    """`default` is the deployment of a call that names none; `id` tells the endpoint from an earlier one of the same name."""

    id: str
    name: str
    created_at: str
    modified_at: str
    default: str | None = None
    description: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    deployments: dict[str, BatchDeployment] = field(default_factory=dict)

    def deployment(self, name: str) -> BatchDeployment | None:
        return self.deployments.get(names.key(name))


def read(connection: sqlite3.Connection, name: str) -> BatchEndpoint | None:
    row = connection.execute("SELECT document FROM batch_endpoints WHERE name_key = ?", (names.key(name),)).fetchone()
    return None if row is None else _endpoint(row["document"])


def read_all(connection: sqlite3.Connection) -> list[BatchEndpoint]:
    """Newest first."""
    rows = connection.execute("SELECT document FROM batch_endpoints ORDER BY created_at DESC, name_key").fetchall()
    return [_endpoint(row["document"]) for row in rows]


def save(connection: sqlite3.Connection, endpoint: BatchEndpoint) -> None:
    connection.execute(
        "INSERT INTO batch_endpoints(name_key, created_at, document) VALUES(?, ?, ?) "
        "ON CONFLICT(name_key) DO UPDATE SET document = excluded.document",
        (names.key(endpoint.name), endpoint.created_at, json.dumps(asdict(endpoint))),
    )


def remove(connection: sqlite3.Connection, name: str) -> None:
    connection.execute("DELETE FROM batch_endpoints WHERE name_key = ?", (names.key(name),))


def _endpoint(text: str) -> BatchEndpoint:
    document = json.loads(text)
    deployments = {key: BatchDeployment(**value) for key, value in document.pop("deployments").items()}
    return BatchEndpoint(**document, deployments=deployments)
