"""Who may use a workspace."""

from __future__ import annotations

from dataclasses import dataclass, field

DEFAULT_ROLE = "AzureML Data Scientist"


@dataclass(frozen=True, slots=True)
class ShareWorkspace:
    """Give `principal` (an object id, an application's id or name, or a user's address) the role on the workspace."""

    principal: str
    role: str = DEFAULT_ROLE
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Shared:
    """`object_id` is the principal's; `unchanged`: it had the role already."""

    principal: str
    object_id: str
    role: str
    scope: str
    unchanged: bool


@dataclass(frozen=True, slots=True)
class NewPrincipal:
    """A service principal with a secret of its own. `existing`: the application was there, and only the secret is new."""

    name: str
    object_id: str
    client_id: str
    tenant_id: str
    existing: bool
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `fix` says what to do when it is not `ok`."""

    check: str
    ok: bool
    detail: str
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class CreateWorkspace:
    """Make the workspace that the settings name, in `location` (an Azure region; None: where its resource group lies)."""

    location: str | None = None
    description: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class WorkspaceState:
    """`state`: Creating, Succeeded or Failed; `detail` says what is being made, or why it failed; `unchanged`: it was there."""

    name: str
    location: str
    state: str
    detail: str | None = None
    unchanged: bool = False

    @property
    def finished(self) -> bool:
        return self.state in ("Succeeded", "Failed")
