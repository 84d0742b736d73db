"""Copies of a local workspace in one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was written, or restored into `workspace`. `files` and `bytes` are of the workspace; `created_at` is when
    it was made; `set_aside` is where the workspace that lay there before was moved."""

    path: str
    workspace: str
    files: int
    bytes: int
    created_at: str
    set_aside: str | None = None


class BackupOperations(Protocol):
    """Backups of one local workspace."""

    def write(self, target: Path, *, force: bool) -> Backup:
        """Write everything that is kept into `target`, while the workspace is in use. ConflictError when the file exists,
        unless `force`, or when content is not what was registered; QuotaError when the disk is full."""
        ...

    def restore(self, source: Path, *, force: bool, dry_run: bool = False) -> Backup:
        """Make the workspace what the backup holds; `dry_run` checks all of it and changes nothing. ConflictError when one lies
        there, unless `force`, which sets it aside; BusyError while processes of it run; InvalidInputError for a file that is no
        sound backup."""
        ...
