"""Registered files under the names that they were registered with: content goes by its hash, and programs read suffixes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from opsml_cli.content import files
from opsml_cli.domain import names
from opsml_cli.domain.data import DataAsset

_LONGEST = 200  # bytes: file systems take 255
_UNSAFE = frozenset('<>:"|?*\\/')


def file_name(asset: DataAsset) -> str:
    """The last part of what the file was registered from; the asset's own name where that is no safe name of a file."""
    source = asset.source or ""
    # Of a path every character counts; of an address the path, without signature and escapes.
    name = PurePosixPath(unquote(urlsplit(source).path) if "://" in source else source.replace("\\", "/")).name
    safe = name.isprintable() and name not in ("", ".", "..") and not _UNSAFE & set(name) and not name.startswith("~")
    return name if safe and len(name.encode("utf-8", "surrogateescape")) <= _LONGEST else names.key(asset.name)


def under_own_name(content: Path, asset: DataAsset, folder: Path) -> Path:
    """The file `content` below `folder` (made when missing) under its own name: the same file on disk where that can be, a
    copy otherwise. A symbolic link would lose the name again for whoever resolves it."""
    target = folder / file_name(asset)
    if target.is_file():
        return target
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = files.temporary_name(folder)
    try:
        try:
            os.link(content, temporary)
        except OSError:  # another file system, or one without links
            shutil.copyfile(content, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target
