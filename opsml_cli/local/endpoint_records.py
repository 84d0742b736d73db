"""Endpoints and deployments in the database. The command line writes what is wanted, the server what became of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from opsml_cli.domain import names
from opsml_cli.domain.endpoint import DeploymentState
from opsml_cli.domain.pointer import ModelPointer
from opsml_cli.domain.traffic import shared_out

RUNNING = "running"
STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Script:
    """A scoring script: `entry` is its path in the code folder, whose content has the hash `sha256`; `mount` is the name under
    which it finds the model ("": the model's folder itself)."""

    entry: str
    sha256: str
    mount: str = "model"

    def folder(self, endpoint: Path) -> Path:
        """The code below an endpoint's folder."""
        return endpoint / "code" / self.sha256


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """Of a deployment's requests: seconds that answering one may take, and how many an instance may have at once (twice as many
    are taken, as on Azure). None: as the server has it."""

    timeout_seconds: float | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """A model version as one deployment serves it. `revision` is unguessable and names this attempt for ever. With `script`,
    that answers in place of the model, which may be missing (every word of it empty). `environment` are the variables that
    foreign code finds, `python` the interpreter that runs it (None: this one)."""

    revision: str
    model: str
    version: str
    path: str
    sha256: str
    own: bool
    instance_count: int = 1
    instance_type: str | None = None
    script: Script | None = None
    environment: dict[str, str] = field(default_factory=dict)
    python: str | None = None
    request_settings: RequestSettings = field(default_factory=RequestSettings)

    def same_as(self, other: Release) -> bool:
        """Whether both serve the same thing, whichever attempt it was."""
        return self._served == other._served

    @property
    def _served(self) -> tuple[object, ...]:
        own = (names.key(self.model), self.version, self.sha256, self.instance_count, self.instance_type)
        return (*own, self.script, self.environment, self.python, self.request_settings)

    @property
    def title(self) -> str:
        """What it is called in logs."""
        return f"model {self.model}:{self.version}" if self.script is None else f"script {self.script.entry}"

    @property
    def pointer(self) -> ModelPointer:
        return ModelPointer(self.model, self.version, self.path)


@dataclass(slots=True)
class DeploymentRecord:
    """`target` is what was asked for last, `active` what answered a real request and serves. `share` is the percent that
    the target gets once it is ready (None: traffic stays); `settled` the endpoint's generation that ended the attempt;
    `recorded` whether its requests are recorded while the endpoint's are."""

    name: str
    created_at: str
    state: DeploymentState
    target: Release
    active: Release | None = None
    share: int | None = None
    settled: int = 0
    detail: str | None = None
    recorded: bool = True

    @property
    def shown(self) -> Release:
        """The release to speak of: what serves, or what should."""
        return self.active if self.active is not None and self.state is not DeploymentState.UPDATING else self.target


@dataclass(slots=True)
class EndpointRecord:
    """One endpoint. `id` tells it from an earlier one of the same name; `generation` grows with every change that the
    server must take up; `traffic` is percent by deployment name, `previous` the traffic before its last change; `mirror` is
    the percent of requests that a deployment gets a copy of; `auth_mode` is how clients of Azure's wire sign in."""

    id: str
    name: str
    created_at: str
    desired: str = RUNNING
    port: int | None = None
    insights: bool = False
    generation: int = 0
    traffic: dict[str, int] = field(default_factory=dict)
    previous: dict[str, int] | None = None
    mirror: dict[str, int] = field(default_factory=dict)
    auth_mode: str = "Key"
    description: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    deployments: dict[str, DeploymentRecord] = field(default_factory=dict)

    def deployment(self, name: str) -> DeploymentRecord | None:
        return self.deployments.get(names.key(name))

    def share_of(self, name: str) -> int:
        """The percent of traffic that `name` has."""
        return next((percent for each, percent in self.traffic.items() if names.key(each) == names.key(name)), 0)

    def records_requests_of(self, name: str) -> bool:
        deployment = self.deployment(name)
        return self.insights and deployment is not None and deployment.recorded

    def record_requests_of(self, name: str, enabled: bool) -> bool:
        """Record the requests of one deployment, or stop, and leave the others as they are; whether that changed anything."""
        if self.records_requests_of(name) == enabled:
            return False
        wanted = {key for key, each in self.deployments.items() if self.insights and each.recorded} ^ {names.key(name)}
        self.insights = bool(wanted)
        for key, each in self.deployments.items():
            each.recorded = key in wanted or not wanted
        return True

    def record_requests(self, enabled: bool) -> bool:
        """Record the requests of every deployment, or of none; whether that changed anything."""
        if self.insights == enabled and all(each.recorded for each in self.deployments.values()):
            return False
        self.insights = enabled
        for each in self.deployments.values():
            each.recorded = True
        return True

    def remove_deployment(self, name: str) -> None:
        key = names.key(name)
        del self.deployments[key]
        self.traffic = {each: percent for each, percent in self.traffic.items() if names.key(each) != key}
        self.mirror = {each: percent for each, percent in self.mirror.items() if names.key(each) != key}

    def set_traffic(self, traffic: dict[str, int], previous: Mapping[str, int] | None = None) -> None:
        """Replace the traffic and remember what it was, or `previous` in its place (empty: nothing)."""
        before = {name: percent for name, percent in self.traffic.items() if percent}
        if previous is not None:
            self.previous = dict(previous) or None
        elif before and before != {name: percent for name, percent in traffic.items() if percent}:
            self.previous = dict(self.traffic)
        self.traffic = {record.name: 0 for record in self.deployments.values()} | traffic

    def give(self, name: str, share: int) -> None:
        """`name` gets `share` percent of the traffic, the others the rest in their proportions."""
        self.set_traffic(shared_out(self.traffic, name, share))


def read(connection: sqlite3.Connection, name: str) -> EndpointRecord | None:
    row = connection.execute("SELECT document FROM endpoints WHERE name_key = ?", (names.key(name),)).fetchone()
    return None if row is None else _endpoint(connection, names.key(name), row[0])


def read_all(connection: sqlite3.Connection) -> list[EndpointRecord]:
    """Newest first."""
    rows = connection.execute("SELECT name_key, document FROM endpoints ORDER BY created_at DESC, name_key").fetchall()
    return [_endpoint(connection, row[0], row[1]) for row in rows]


def save(connection: sqlite3.Connection, record: EndpointRecord) -> None:
    """Write the endpoint and exactly its deployments, as a new generation."""
    record.generation += 1
    key = names.key(record.name)
    document = {slot: getattr(record, slot) for slot in record.__slots__ if slot != "deployments"}
    connection.execute(
        "INSERT INTO endpoints(name_key, created_at, document) VALUES(?, ?, ?) "
        "ON CONFLICT(name_key) DO UPDATE SET created_at = excluded.created_at, document = excluded.document",
        (key, record.created_at, json.dumps(document)),
    )
    connection.execute("DELETE FROM deployments WHERE endpoint_key = ?", (key,))
    connection.executemany(
        "INSERT INTO deployments(endpoint_key, name_key, created_at, document) VALUES(?, ?, ?, ?)",
        [(key, each, one.created_at, json.dumps(asdict(one))) for each, one in record.deployments.items()],
    )


def remove(connection: sqlite3.Connection, name: str) -> None:
    connection.execute("DELETE FROM endpoints WHERE name_key = ?", (names.key(name),))


def _endpoint(connection: sqlite3.Connection, key: str, document: str) -> EndpointRecord:
    rows = connection.execute(
        "SELECT name_key, document FROM deployments WHERE endpoint_key = ? ORDER BY created_at, name_key", (key,)
    ).fetchall()
    return EndpointRecord(**json.loads(document), deployments={row[0]: _deployment(row[1]) for row in rows})


def _deployment(document: str) -> DeploymentRecord:
    fields = json.loads(document)
    active = fields.pop("active")
    return DeploymentRecord(
        state=DeploymentState(fields.pop("state")),
        target=_release(fields.pop("target")),
        active=_release(active) if active else None,
        **fields,
    )


def _release(fields: dict[str, Any]) -> Release:
    script = fields.pop("script", None)
    settings = RequestSettings(**fields.pop("request_settings", {}))
    return Release(**fields, script=Script(**script) if script else None, request_settings=settings)
