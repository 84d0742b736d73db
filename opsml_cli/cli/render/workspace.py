"""How workspaces are shown, and whom they are shared with."""

from __future__ import annotations

from opsml_cli.cli.render.base import Rendering
from opsml_cli.domain.access import WorkspaceState
from opsml_cli.services.share import SharedWorkspace
from opsml_cli.workspaces import Choice

COLUMNS = ("name", "kind", "location", "origin")
_STATE = ("name", "location", "state", "detail", "unchanged")
_SHARED = ("principal", "object_id", "role", "scope", "unchanged", "client_id", "tenant_id", "secret_file")


def _shared_view(shared: SharedWorkspace, _width: int) -> str:
    lines = [f"{shared.principal} ({shared.object_id}) {'had' if shared.unchanged else 'has'} the role {shared.role}"]
    if shared.secret_file is not None:
        lines.append(f"client id {shared.client_id}, tenant {shared.tenant_id}; its secret is in {shared.secret_file}")
    return "\n".join(lines)


RENDERINGS: dict[type, Rendering] = {
    Choice: Rendering(document=lambda choice: {name: getattr(choice, name) for name in COLUMNS}, columns=COLUMNS),
    WorkspaceState: Rendering(document=lambda state: {name: getattr(state, name) for name in _STATE}, columns=_STATE),
    SharedWorkspace: Rendering(
        document=lambda shared: {name: getattr(shared, name) for name in _SHARED}, columns=_SHARED, view=_shared_view
    ),
}
