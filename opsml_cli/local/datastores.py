"""Datastores of a local workspace: names for containers. Four are its own; users register others."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opsml_cli.content import files
from opsml_cli.domain import names
from opsml_cli.domain.errors import ConflictError, NotFoundError
from opsml_cli.local.clock import now
from opsml_cli.local.layout import Layout
from opsml_cli.local.storage.views import ARTIFACTS, BLOBSTORE
from opsml_cli.local.store import Store

# In the order in which a new workspace gets them: name, kind, container or share.
SYSTEM = (
    ("workspaceblobstore", "AzureBlob", BLOBSTORE),
    ("workspacefilestore", "AzureFile", None),
    ("workspaceartifactstore", "AzureBlob", ARTIFACTS),
    ("workspaceworkingdirectory", "AzureFile", None),
)
DEFAULT = "workspaceblobstore"
_CONTAINERS = {name: container for name, _, container in SYSTEM if container is not None}


@dataclass(frozen=True, slots=True)
class Datastore:
    """A datastore. `container` is where its content lies in this workspace; None: elsewhere, or nowhere. `properties` are
    a user's own words for it, without secrets; the workspace's own have none."""

    name: str
    kind: str
    container: str | None
    created_at: str
    modified_at: str
    default: bool
    system: bool
    created_by: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)


def system_container(name: str) -> str | None:
    """The container of one of the workspace's own datastores."""
    return _CONTAINERS.get(names.key(name))


class LocalDatastores:
    """The datastores of one local workspace. Its own four are recorded on first use."""

    def __init__(self, layout: Layout, store: Store) -> None:
        self._layout = layout
        self._store = store

    def list(self) -> Sequence[Datastore]:
        """Newest first."""
        self._ensure()
        with self._store.read() as connection:
            rows = connection.execute("SELECT * FROM datastores").fetchall()
        found = [_datastore(row) for row in rows]
        order = {name: place for place, (name, _, _) in enumerate(SYSTEM)}
        return sorted(found, key=lambda one: (one.created_at, order.get(one.name, len(order))), reverse=True)

    def find(self, name: str) -> Datastore | None:
        if system_container(name) is not None or names.key(name) in {each for each, _, _ in SYSTEM}:
            self._ensure()
        with self._store.read() as connection:
            row = connection.execute("SELECT * FROM datastores WHERE name_key=?", (names.key(name),)).fetchone()
        return None if row is None else _datastore(row)

    def get(self, name: str) -> Datastore:
        found = self.find(name)
        if found is None:
            raise NotFoundError(f"no datastore {name!r}")
        return found

    def container(self, name: str) -> str | None:
        """The container that holds the datastore's content here; None when it lies elsewhere or there is no such datastore."""
        own = system_container(name)
        if own is not None:
            return own
        with self._store.read() as connection:
            row = connection.execute("SELECT * FROM datastores WHERE name_key=?", (names.key(name),)).fetchone()
        return None if row is None else _datastore(row).container

    def save(
        self, name: str, kind: str, container: str | None, properties: Mapping[str, Any], secrets: Mapping[str, Any],
        *, default: bool = False, by: str | None = None,
    ) -> Datastore:  # fmt: skip
        """Register or replace a user's datastore; `secrets` go to a file of their own. ConflictError for the workspace's
        own, of which only `default` can be chosen anew."""
        self._ensure()
        with self._store.write() as connection:
            row = connection.execute("SELECT * FROM datastores WHERE name_key=?", (names.key(name),)).fetchone()
            old = None if row is None else _datastore(row)
            if old is not None and old.system and (old.kind != kind or old.container != container):
                raise ConflictError(f"the datastore {old.name} is the workspace's own and cannot be changed")
            if default:
                _clear_default(connection)
            moment = now()
            made = Datastore(
                name=name if old is None else old.name,
                kind=kind,
                container=container,
                created_at=moment if old is None else old.created_at,
                modified_at=moment,
                default=default or (old is not None and old.default),
                system=old is not None and old.system,
                created_by=by if old is None else old.created_by,
                properties=dict(properties),
            )
            if not made.system:
                place = self._secrets(name)
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                files.write_atomic(place, json.dumps(dict(secrets)).encode())
            _insert(connection, made)
        return made

    def secrets(self, name: str) -> Mapping[str, Any]:
        """What a user said to be the datastore's secrets; empty for none."""
        try:
            held = json.loads(self._secrets(name).read_bytes())
        except FileNotFoundError:
            return {}
        return dict(held)

    def delete(self, name: str) -> None:
        """Forget a user's datastore, not its content. NotFoundError; ConflictError for the workspace's own."""
        found = self.get(name)
        if found.system:
            raise ConflictError(f"the datastore {found.name} is the workspace's own and cannot be deleted")
        with self._store.write() as connection:
            connection.execute("DELETE FROM datastores WHERE name_key=?", (names.key(name),))
            if found.default:
                connection.execute(
                    "UPDATE datastores SET document=json_set(document, '$.default', json('true')) WHERE name_key=?", (DEFAULT,)
                )
        self._secrets(name).unlink(missing_ok=True)

    def _secrets(self, name: str) -> Any:
        return self._layout.secrets / "datastores" / f"{names.key(names.asset_name(name, 'datastore name'))}.json"

    def _ensure(self) -> None:
        with self._store.read() as connection:
            row = connection.execute("SELECT count(*) AS n FROM datastores WHERE name_key=?", (DEFAULT,)).fetchone()
        if row["n"]:
            return
        with self._store.write() as connection:
            moment = now()
            for name, kind, container in SYSTEM:
                _insert(connection, Datastore(name, kind, container, moment, moment, name == DEFAULT, system=True))


def _clear_default(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE datastores SET document=json_set(document, '$.default', json('false'))")


def _insert(connection: sqlite3.Connection, made: Datastore) -> None:
    document = {
        "name": made.name,
        "kind": made.kind,
        "container": made.container,
        "modified_at": made.modified_at,
        "default": made.default,
        "system": made.system,
        "created_by": made.created_by,
        "properties": dict(made.properties),
    }
    connection.execute(
        "INSERT OR REPLACE INTO datastores(name_key, created_at, document) VALUES(?, ?, ?)",
        (names.key(made.name), made.created_at, json.dumps(document, ensure_ascii=False)),
    )


def _datastore(row: sqlite3.Row) -> Datastore:
    return Datastore(created_at=row["created_at"], **json.loads(row["document"]))
