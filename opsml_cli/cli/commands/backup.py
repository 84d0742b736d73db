"""`opsml local backup` and `opsml local restore`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from opsml_cli.cli import options
from opsml_cli.cli.result import Planned
from opsml_cli.cli.session import Session
from opsml_cli.domain.backup import Backup, BackupOperations
from opsml_cli.domain.errors import UnsupportedError


def backup(
    session: Session,
    target: Annotated[Path, typer.Argument(metavar="FILE", help="The tar file to write, compressed when it ends in .gz.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> Backup:
    """Write the whole workspace into one file, while it is in use: records, data, models, jobs, keys.

    All content is read and compared with its hash. The file holds the keys of endpoints: keep it as safe as the workspace.

    Example: opsml local backup workspace.tar.gz
    """
    return _backups(session).write(target.expanduser(), force=force)


def restore(
    session: Session,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A file that opsml local backup wrote.")],
    force: Annotated[bool, typer.Option("--force", help="Set a workspace that lies there aside, under another name.")] = False,
    dry_run: options.DryRun = False,
) -> Backup | Planned:
    """Make this workspace from a backup. Nothing runs afterwards; opsml endpoints start and opsml local up begin it again.

    Example: opsml local restore workspace.tar.gz
    """
    found = _backups(session).restore(source.expanduser(), force=force, dry_run=dry_run)
    if not dry_run:
        return found
    return Planned("restore", found.workspace, {"path": found.path, "files": found.files, "created_at": found.created_at})


def _backups(session: Session) -> BackupOperations:
    workspace = session.workspace
    if workspace.kind != "local":
        raise UnsupportedError(f"workspace {workspace.name} is not on this machine", fix="add -w local to the command")
    return cast(BackupOperations, getattr(workspace, "backups"))  # noqa: B009 - of local workspaces alone
