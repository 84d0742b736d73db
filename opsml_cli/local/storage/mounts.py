"""Live views: folders of the workspace that appear below a prefix of a container, without a copy.

What others write there is seen at once, and nothing can be written through a view. Only names that a folder itself lists are
followed; links are not."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from opsml_cli.content.files import TEMPORARY
from opsml_cli.local.clock import stamp
from opsml_cli.local.storage.objects import Labels, StoredObject

_TEXT = (".txt", ".log", ".md", ".yaml", ".yml", ".csv")


@dataclass(frozen=True, slots=True)
class Mount:
    """`prefix` ends with `/` when `source` is a folder; otherwise it is the whole name of one file."""

    prefix: str
    source: Path


class Mounts(Protocol):
    def below(self, container: str, prefix: str) -> Iterable[Mount]:
        """The mounts that hold, or may hold, names that begin with `prefix`."""
        ...


def find(mounts: Iterable[Mount], path: str) -> StoredObject | None:
    """The object at `path` in the first mount that has it."""
    for mount in mounts:
        if path == mount.prefix:
            found = _file(mount.source, path)
        elif mount.prefix.endswith("/") and path.startswith(mount.prefix):
            place = _descend(mount.source, path.removeprefix(mount.prefix).split("/"))
            found = None if place is None else _file(place, path)
        else:
            continue
        if found is not None:
            return found
    return None


def covered(mounts: Iterable[Mount], path: str) -> bool:
    """Whether `path` lies in one of the mounts, be there something or not."""
    return any(path == mount.prefix or (mount.prefix.endswith("/") and path.startswith(mount.prefix)) for mount in mounts)


def objects(mounts: Iterable[Mount], prefix: str, start: str) -> Iterator[StoredObject]:
    """Every object of the mounts below `prefix`, from `start` on, in the order of their paths."""
    found: dict[str, Path] = {}
    for mount in mounts:
        if mount.prefix.endswith("/"):
            names = [(mount.prefix + name, path) for name, path in _walk(mount.source)]
        else:
            names = [(mount.prefix, mount.source)]
        for name, path in names:
            if name.startswith(prefix) and name >= start:
                found.setdefault(name, path)
    for name in sorted(found):
        item = _file(found[name], name)
        if item is not None:
            yield item


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _hidden(name)]
        base = Path(root)
        for name in names:
            if not _hidden(name):
                path = base / name
                yield path.relative_to(folder).as_posix(), path


def _hidden(name: str) -> bool:
    return name.startswith(TEMPORARY) or name == "__pycache__"


def _descend(folder: Path, parts: list[str]) -> Path | None:
    place = folder
    for part in parts:
        try:
            if _hidden(part) or place.is_symlink() or part not in os.listdir(place):  # noqa: PTH208 - spellings, not paths
                return None
        except OSError:
            return None
        place /= part
    return place


def _file(path: Path, name: str) -> StoredObject | None:
    try:
        held = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(held.st_mode):
        return None
    changed = stamp(datetime.fromtimestamp(held.st_mtime, UTC))
    kind = "text/plain" if path.suffix in _TEXT else "application/octet-stream"
    etag = f"0x{held.st_mtime_ns // 100:X}{held.st_size & 0xFFFF:04X}"
    return StoredObject(name, held.st_size, changed, changed, etag, path, labels=Labels(kind))
