"""Writing a result to the file that the user named."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from opsml_cli.domain.errors import NotFoundError, UsageError


def check_target(target: Path) -> None:
    """UsageError or NotFoundError for a place where no file can be: asked before long work."""
    if target.is_dir():
        raise UsageError(f"{str(target)!r} is a folder", fix="name a file")
    if not target.parent.is_dir():
        raise NotFoundError(f"there is no folder {str(target.parent)!r}", fix=f"mkdir -p {target.parent}")


def write_whole(target: Path, content: bytes) -> None:
    """Replace `target` so that nobody ever sees half of it. A device or pipe (/dev/stdout) is written as it is."""
    check_target(target)
    if target.exists() and not target.is_file():
        target.write_bytes(content)
        return
    final = target.resolve()  # through a link, to the file that it names
    temporary = final.with_name(f".{final.name}.{secrets.token_hex(6)}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)
