"""`opsml init`"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.session import Session
from opsml_cli.content.files import write_atomic
from opsml_cli.settings import PROJECT_FILE


@dataclass(frozen=True, slots=True)
class WrittenSettings:
    """The project file that `init` wrote, or would write (`dry_run`). `unchanged`: it was there with this content."""

    path: str
    workspace: str
    unchanged: bool
    dry_run: bool


def init(
    session: Session,
    subscription_id: Annotated[str | None, typer.Option("--subscription-id", help="An Azure subscription.")] = None,
    resource_group: Annotated[str | None, typer.Option("--resource-group", help="Its resource group.")] = None,
    workspace_name: Annotated[str | None, typer.Option("--workspace-name", help="The Azure ML workspace in it.")] = None,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
) -> WrittenSettings:
    """Write an opsml.toml into the current folder. A file that is there is only replaced with --yes.

    The workspace is the local one unless `-w` names another.

    Example: opsml init
    """
    workspace = session.options.workspace or "local"
    azure = {"subscription_id": subscription_id, "resource_group": resource_group, "workspace_name": workspace_name}
    content = project_file(workspace, azure)
    path = Path.cwd() / PROJECT_FILE
    existing = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    unchanged = existing == content
    if not dry_run and not unchanged:
        if existing is not None:
            session.confirm(f"{path} is there already. Replace it?", yes=yes)
        write_atomic(path, content.encode(), mode=0o644)
    return WrittenSettings(str(path), workspace, unchanged, dry_run)


def project_file(workspace: str, azure: dict[str, str | None]) -> str:
    """The text of an opsml.toml that chooses `workspace`; Azure settings without value are comments."""
    lines = [
        "# Settings of this project. `opsml config show` says which ones are in force, and why.",
        "# Secrets and service addresses do not belong here: see `opsml help environment`.",
        f"workspace = {_quoted(workspace)}",
        "",
        "[azure]",
        *(f"{key} = {_quoted(value)}" if value else f'# {key} = "…"' for key, value in azure.items()),
        '# auth = "default"   # default | cli | service-principal | oidc | managed-identity',
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are among TOML's, but for DEL."""
    return json.dumps(text, ensure_ascii=True).replace("\x7f", "\\u007f")
