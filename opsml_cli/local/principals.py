"""Who may use this workspace over Azure's wire: service principals, their secrets and their roles.

A secret is shown once, when it is made; the table keeps its hash. The one exception is the workspace's own principal: its
secret lies in a file with rights 0600, for `opsml local env`."""

from __future__ import annotations

import hashlib
import json
import secrets
import uuid
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from opsml_cli.content.files import write_atomic
from opsml_cli.domain.errors import ConflictError, InvalidInputError, NotFoundError
from opsml_cli.guard import same_secret
from opsml_cli.local import roles
from opsml_cli.local.clock import now, parse, stamp

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from opsml_cli.local.layout import Layout
    from opsml_cli.local.store import Store

DEFAULT_NAME = "opsml-local"
_SECRET_DAYS = 180


@dataclass(frozen=True, slots=True)
class Principal:
    """A service principal. `roles` are those it holds on the workspace, by Azure's names."""

    object_id: str
    client_id: str
    name: str
    roles: tuple[str, ...] = ()

    def may(self, action: str) -> bool:
        """Whether a role of it allows `action`."""
        return roles.allowed(self.roles, action)


@dataclass(frozen=True, slots=True)
class Secret:
    """A password of an application. `text` is known when it was just made, and never again."""

    key_id: str
    hash: str
    hint: str
    name: str
    starts_at: str
    ends_at: str
    text: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Assignment:
    """`role` on `scope` (an ARM id, and all below it). `id` is a GUID that the client chose; `role` a role's id."""

    id: str
    role: str
    scope: str
    created_at: str


@dataclass(frozen=True, slots=True)
class Application:
    """An application and, when `object_id` is set, its service principal. `id` is the application's own object id."""

    id: str
    client_id: str
    name: str
    created_at: str
    object_id: str = ""
    secrets: tuple[Secret, ...] = ()
    assignments: tuple[Assignment, ...] = ()

    def seen_from(self, scope: str) -> Principal:
        """The principal with its roles on `scope`."""
        held = [roles.find(each.role) for each in self.assignments if covers(each.scope, scope)]
        return Principal(
            self.object_id, self.client_id, self.name, tuple(sorted({role.name for role in held if role is not None}))
        )


class Principals:
    """Held by the first workspace of a folder, for all that lie below it."""

    def __init__(self, layout: Layout, store: Store) -> None:
        self._layout = layout
        self._store = store

    def default(self, scope: str) -> tuple[Application, str]:
        """The workspace's own principal, Owner of `scope`, with its secret in clear; made when there is none."""
        path = self._secret_file
        text = path.read_text(encoding="ascii").strip() if path.is_file() else ""
        found = next((each for each in self.list() if each.name == DEFAULT_NAME), None)
        if found is None:
            found = self.create(DEFAULT_NAME)
            found = self.enrol(found.id)
        if not text or self._matching(found, text) is None:
            made = self.add_secret(found.id, DEFAULT_NAME, days=3650)
            text = made.text
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(path, text.encode(), mode=0o600)
        if "Owner" not in found.seen_from(scope).roles:
            owner = roles.find("Owner")
            assert owner is not None
            self.assign(found.object_id, owner.id, scope, str(uuid.uuid4()))
        return self.get(found.id), text

    def list(self) -> list[Application]:
        """Oldest first."""
        with self._store.read() as connection:
            rows = connection.execute("SELECT document FROM principals ORDER BY created_at, id").fetchall()
        return [_application(row["document"]) for row in rows]

    def get(self, wanted: str) -> Application:
        """By the application's object id, the client id or the service principal's object id. NotFoundError."""
        key = wanted.casefold()
        for found in self.list():
            if key in (found.id, found.client_id, found.object_id):
                return found
        raise NotFoundError(f"no application or principal has the id {wanted!r}")

    def create(self, name: str) -> Application:
        """A new application, without a service principal. Names need not be unique, as in Microsoft Entra."""
        if not name.strip() or len(name) > 120:
            raise InvalidInputError("an application's name has 1 to 120 characters")
        made = Application(str(uuid.uuid4()), str(uuid.uuid4()), name, now())
        with self._store.write() as connection:
            _save(connection, made)
        return made

    def enrol(self, wanted: str) -> Application:
        """Make the application's service principal. ConflictError when it has one."""

        def change(found: Application) -> Application:
            if found.object_id:
                raise ConflictError(f"the application {found.client_id} has a service principal already")
            return replace(found, object_id=str(uuid.uuid4()))

        return self._change(wanted, change)

    def add_secret(self, wanted: str, name: str, days: int = _SECRET_DAYS) -> Secret:
        """A new secret in clear, valid for `days`."""
        text = secrets.token_urlsafe(30)
        moment = datetime.now(UTC)
        made = Secret(str(uuid.uuid4()), _hash(text), text[:3], name, stamp(moment), stamp(moment + timedelta(days=days)), text)
        self._change(wanted, lambda found: replace(found, secrets=(*found.secrets, replace(made, text=""))))
        return made

    def remove(self, wanted: str) -> None:
        """The application with its principal, secrets and roles."""
        found = self.get(wanted)
        with self._store.write() as connection:
            connection.execute("DELETE FROM principals WHERE id = ?", (found.id,))

    def signed_in(self, client_id: str, secret: str, at: datetime) -> Application | None:
        """The application that `secret` opens at that instant; None for a wrong or ended one, or an unknown client."""
        try:
            found = self.get(client_id)
        except NotFoundError:
            return None
        held = self._matching(found, secret)
        if held is None or found.client_id != client_id.casefold() or not found.object_id or parse(held.ends_at) <= at:
            return None
        return found

    def assign(self, object_id: str, role: str, scope: str, assignment: str) -> tuple[Assignment, bool]:
        """Give a principal a role; the flag: it is new. ConflictError when it holds that role on that scope under another
        assignment's id; NotFoundError for an unknown principal; InvalidInputError for an unknown role."""
        known = roles.find(role)
        if known is None:
            raise InvalidInputError(f"the role definition {role!r} does not exist")
        made = Assignment(assignment, known.id, scope, now())
        fresh = True

        def change(found: Application) -> Application:
            nonlocal made, fresh
            for held in found.assignments:
                if held.id == assignment:
                    if (held.role, held.scope.casefold()) != (known.id, scope.casefold()):
                        raise ConflictError("an assignment's role, principal and scope cannot be changed")
                    made, fresh = held, False
                    return found
                if held.role == known.id and held.scope.casefold() == scope.casefold():
                    raise ConflictError("the role assignment already exists")
            return replace(found, assignments=(*found.assignments, made))

        found = self.get(object_id)
        if found.object_id != object_id.casefold():
            raise NotFoundError(f"principal {object_id} does not exist in the directory")
        self._change(found.id, change)
        return made, fresh

    def unassign(self, assignment: str) -> tuple[Application, Assignment] | None:
        """Take a role away; what it was, or None when there was no such assignment."""
        for found in self.list():
            for held in found.assignments:
                if held.id == assignment:
                    left = tuple(each for each in found.assignments if each.id != assignment)
                    self._change(found.id, lambda kept, left=left: replace(kept, assignments=left))  # type: ignore[misc]
                    return found, held
        return None

    @property
    def _secret_file(self) -> Path:
        return self._layout.secrets / "principal-secret"

    def _matching(self, found: Application, text: str) -> Secret | None:
        given = _hash(text)
        return next((held for held in found.secrets if same_secret(given, held.hash)), None)

    def _change(self, wanted: str, change: Callable[[Application], Application]) -> Application:
        found = self.get(wanted)
        with self._store.write() as connection:
            row = connection.execute("SELECT document FROM principals WHERE id = ?", (found.id,)).fetchone()
            if row is None:
                raise NotFoundError(f"no application has the id {wanted!r}")
            changed = change(_application(row["document"]))
            _save(connection, changed)
        return changed


def covers(scope: str, wanted: str) -> bool:
    """Whether what lies at `wanted` lies in `scope` (ARM ids, in any case)."""
    outer, inner = scope.rstrip("/").casefold(), wanted.rstrip("/").casefold()
    return inner == outer or inner.startswith(outer + "/")


def _hash(text: str) -> str:
    """Enough for a secret that is made here and is random: nobody guesses it, so that nobody need be slowed."""
    return hashlib.sha256(text.encode()).hexdigest()


def _save(connection: sqlite3.Connection, found: Application) -> None:
    document: dict[str, Any] = asdict(found)
    for each in document["secrets"]:
        del each["text"]
    connection.execute(
        "INSERT INTO principals(id, created_at, document) VALUES (?, ?, ?) "
        "ON CONFLICT(id) DO UPDATE SET document = excluded.document",
        (found.id, found.created_at, json.dumps(document)),
    )


def _application(text: str) -> Application:
    document = json.loads(text)
    document["secrets"] = tuple(Secret(**each) for each in document["secrets"])
    document["assignments"] = tuple(Assignment(**each) for each in document["assignments"])
    return Application(**document)
