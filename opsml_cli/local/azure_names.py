"""Under which Azure names a local workspace is known, and which further workspaces lie beside it.

The names are made once and kept: what a client was told stays true. Further workspaces are folders below the first
one's `workspaces/`, each a local workspace of its own; the first one's database lists them all."""

from __future__ import annotations

import json
import re
import secrets
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain import names
from opsml_cli.domain.errors import ConflictError, InvalidInputError
from opsml_cli.local import annotations as kept
from opsml_cli.local.clock import now

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from opsml_cli.local.workspace import LocalWorkspace

_KIND = "workspace"
_GROUP = "resource-group"
_GROUP_NAME = re.compile(r"[\w\-().]{0,89}[\w\-()]\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,32}\Z")


@dataclass(frozen=True, slots=True)
class AzureNames:
    """A workspace's place in Azure. `workspace_id` and `tenant` are GUIDs; `account` is a storage account's name; `folder`
    is below the first workspace's root, empty for the first one itself."""

    subscription: str
    resource_group: str
    name: str
    workspace_id: str
    account: str
    tenant: str
    created_at: str
    folder: str = ""
    friendly_name: str = ""
    description: str = ""
    tags: dict[str, str] | None = None

    @property
    def place(self) -> str:
        """The resource group with its subscription."""
        return f"{self.subscription}/{self.resource_group}"

    @property
    def key(self) -> str:
        return "/".join((self.subscription, self.resource_group, self.name)).casefold()


class Directory:
    """The workspaces that are known under Azure names, held by the first one."""

    def __init__(self, first: LocalWorkspace) -> None:
        self._first = first

    def first(self, wanted: tuple[str, str, str] | None = None) -> AzureNames:
        """The first workspace's names, made when there are none. `wanted` (subscription, resource group, workspace), where
        given, are its names from now on."""
        found = next((each for each in self.list() if not each.folder), None)
        if found is not None and (wanted is None or wanted == (found.subscription, found.resource_group, found.name)):
            return found
        with self._first.store.write() as connection:
            known = _read(connection)
            found = next((each for each in known if not each.folder), None)
            if wanted and any(each.folder and each.key == "/".join(wanted).casefold() for each in known):
                raise ConflictError(
                    f"{'/'.join(wanted)} is a further workspace of this emulator, and cannot be the name of the first too",
                    fix="use another workspace_name in the Azure settings",
                )
            if found is None:
                given = wanted or (str(uuid.uuid4()), "opsml", "local")
                found = _new(*given, tenant=str(uuid.uuid4()))
            elif wanted is not None:
                connection.execute("DELETE FROM annotations WHERE kind = ? AND name_key = ?", (_KIND, found.key))
                found = replace(found, subscription=wanted[0], resource_group=wanted[1], name=wanted[2])
            _save(connection, found)
        return found

    def list(self) -> list[AzureNames]:
        """The first one first."""
        with self._first.store.read() as connection:
            return _read(connection)

    def add(self, subscription: str, resource_group: str, name: str) -> tuple[AzureNames, bool]:
        """A further workspace; the flag: it is new. InvalidInputError for a name outside Azure's pattern."""
        if not _NAME.match(name):
            raise InvalidInputError(
                f"{name!r} is no workspace name", cause="3 to 33 letters, digits, - and _, the first a letter or digit"
            )
        first = self.first()
        made = replace(_new(subscription, resource_group, name, tenant=first.tenant), folder=f"workspaces/{uuid.uuid4().hex}")
        with self._first.store.write() as connection:
            found = next((each for each in _read(connection) if each.key == made.key), None)
            if found is not None:
                return found, False
            _save(connection, made)
        return made, True

    def groups(self) -> Sequence[str]:
        """The resource groups, `subscription/name`: those of workspaces, and those made empty."""
        with self._first.store.read() as connection:
            made = [str(document["place"]) for document in kept.of_kind(connection, _GROUP).values()]
            found = {each.place.casefold(): each.place for each in _read(connection)}
        return [*found.values(), *(each for each in made if each.casefold() not in found)]

    def add_group(self, subscription: str, name: str) -> bool:
        """Make a resource group; False when it was there. InvalidInputError for a name outside Azure's pattern."""
        if not _GROUP_NAME.match(name):
            raise InvalidInputError(f"{name!r} is no name of a resource group", cause="1 to 90 letters, digits and -_.()")
        place = f"{subscription}/{name}"
        if place.casefold() in (each.casefold() for each in self.groups()):
            return False
        with self._first.store.write() as connection:
            kept.save(connection, _GROUP, place, {"place": place})
        return True

    def describe(self, changed: AzureNames) -> None:
        """Keep the words (friendly name, description, tags) of a workspace that is there."""
        with self._first.store.write() as connection:
            _save(connection, changed)

    def remove(self, found: AzureNames) -> None:
        """Forget a further workspace and delete its folder. ConflictError for the first one."""
        if not found.folder:
            raise ConflictError(
                f"workspace {found.name} is the local workspace itself", fix="remove its folder when nothing in it is needed"
            )
        import shutil

        from opsml_cli.local.workspace import LocalWorkspace

        with self._first.store.write() as connection:
            connection.execute("DELETE FROM annotations WHERE kind = ? AND name_key = ?", (_KIND, found.key))
        ending = LocalWorkspace(self.root(found))
        try:
            ending.service.down(jobs=True, dry_run=False)
        finally:
            ending.store.close()
        shutil.rmtree(self.root(found), ignore_errors=True)

    def root(self, found: AzureNames) -> Path:
        """The folder of that workspace."""
        return self._first.root / found.folder if found.folder else self._first.root


def _new(subscription: str, resource_group: str, name: str, *, tenant: str) -> AzureNames:
    account = f"st{re.sub('[^a-z0-9]', '', names.key(name))[:12]}{secrets.token_hex(4)}"
    return AzureNames(subscription, resource_group, name, str(uuid.uuid4()), account, tenant, now(), friendly_name=name)


def _read(connection: sqlite3.Connection) -> list[AzureNames]:
    rows = connection.execute("SELECT document FROM annotations WHERE kind = ?", (_KIND,)).fetchall()
    found = [AzureNames(**json.loads(row["document"])) for row in rows]
    return sorted(found, key=lambda each: (bool(each.folder), each.created_at))


def _save(connection: sqlite3.Connection, made: AzureNames) -> None:
    connection.execute(
        "INSERT INTO annotations(kind, name_key, version, document) VALUES (?, ?, '', ?) "
        "ON CONFLICT(kind, name_key, version) DO UPDATE SET document = excluded.document",
        (_KIND, made.key, json.dumps(asdict(made))),
    )
