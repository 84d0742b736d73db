"""Who may use a local workspace over Azure's wire (`opsml local up`): service principals and their roles."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from opsml_cli.domain.access import NewPrincipal, Shared, ShareWorkspace
from opsml_cli.domain.errors import ConflictError, NotFoundError, UsageError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.local import roles
from opsml_cli.local.azure_names import Directory
from opsml_cli.local.principals import Application, Principals

if TYPE_CHECKING:
    from opsml_cli.local.workspace import LocalWorkspace

TENANT = "adfs"  # under which the emulator's clients sign in


class LocalAccess:
    """The AccessOperations port. The command line itself needs no right: the folder's owner is asked by nobody."""

    def __init__(self, workspace: LocalWorkspace) -> None:
        self._workspace = workspace

    def share(self, spec: ShareWorkspace) -> Shared:
        role = roles.find(spec.role)
        if role is None:
            known = [each.name for each in roles.ROLES]
            raise UsageError(f"no role is named {spec.role!r}", cause=did_you_mean(spec.role, known))
        found = self._found(spec.principal)
        scope = self._scope()
        held = role.name in found.seen_from(scope).roles
        if not held and not spec.dry_run:
            # The same wish is the same assignment, whoever asks and how often.
            wanted = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{scope}|{role.id}|{found.object_id}"))
            self._principals.assign(found.object_id, role.id, scope, wanted)
        return Shared(found.name, found.object_id, role.name, scope, held)

    def create_principal(self, name: str) -> NewPrincipal:
        named = [each for each in self._principals.list() if each.name == name]
        if len(named) > 1:
            raise _several(name, [each.client_id for each in named])
        made = named[0] if named else self._principals.create(name)
        if not made.object_id:
            made = self._principals.enrol(made.id)
        secret = self._principals.add_secret(made.id, "opsml")
        return NewPrincipal(name, made.object_id, made.client_id, TENANT, bool(named), secret.text)

    @property
    def _principals(self) -> Principals:
        return Principals(self._workspace.layout, self._workspace.store)

    def _found(self, wanted: str) -> Application:
        try:
            found = self._principals.get(wanted)
        except NotFoundError:
            named = [each for each in self._principals.list() if each.name.casefold() == wanted.casefold()]
            if len(named) > 1:
                raise _several(wanted, [each.object_id for each in named]) from None
            if not named:
                raise NotFoundError(
                    f"no principal {wanted!r}",
                    cause=did_you_mean(wanted, [each.name for each in self._principals.list()]),
                    fix=f"opsml workspace share --create-principal {wanted}",
                ) from None
            found = named[0]
        if not found.object_id:
            raise NotFoundError(f"the application {found.name} has no service principal")
        return found

    def _scope(self) -> str:
        names = Directory(self._workspace).first()
        return (
            f"/subscriptions/{names.subscription}/resourceGroups/{names.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{names.name}"
        )


def _several(name: str, ids: list[str]) -> ConflictError:
    return ConflictError(f"several applications are named {name!r}", cause=", ".join(ids), fix="give one of these ids")
