"""Who may use this workspace over Azure's wire: service principals and their roles."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """A service principal. `roles` are those it holds on the workspace, by Azure's names."""

    object_id: str
    client_id: str
    name: str
    roles: tuple[str, ...] = ()
