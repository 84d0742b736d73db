"""Files to and from a container: in blocks, verified on both sides, and never half-made under their final name."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.content import files
from opsml_cli.domain.errors import ContractError, NotFoundError

if TYPE_CHECKING:
    from opsml_cli.azureml.storage import Container, Stored

BLOCK = 8 << 20
# Called with the bytes that were moved since the last call.
Moved = Callable[[int], None]


def upload(container: Container, path: str, source: Path, moved: Moved) -> None:
    """Write the file `source` to `path`. Each block and the whole are checked by the service, and the object is looked at
    afterwards; one that is there already with the same content stays as it is."""
    size = source.stat().st_size
    md5 = _file_md5(source)
    if not _is_there(container.find(path), size, md5):
        if size <= BLOCK:
            container.write(path, source.read_bytes(), md5)
            moved(size)
        else:
            _in_blocks(container, path, source, md5, moved)
        if not _is_there(container.find(path), size, md5):
            raise ContractError(f"{source.name} did not arrive whole at {path}", fix="run the same command again")
    else:
        moved(size)


def _in_blocks(container: Container, path: str, source: Path, md5: str, moved: Moved) -> None:
    blocks: list[str] = []
    whole = hashlib.md5(usedforsecurity=False)
    with source.open("rb") as file:
        while part := file.read(BLOCK):
            block = base64.b64encode(f"{len(blocks):08d}".encode()).decode()
            container.write_block(path, block, part, md5_of(part))
            whole.update(part)
            blocks.append(block)
            moved(len(part))
    if base64.b64encode(whole.digest()).decode() != md5:
        raise ContractError(f"{source} was changed while it was read", fix="run the same command again when it is complete")
    container.commit(path, blocks, md5)


def _is_there(found: Stored | None, size: int, md5: str) -> bool:
    return found is not None and found.size == size and found.md5 in (None, md5)


def download_file(container: Container, stored: Stored, target: Path, moved: Moved | None = None) -> None:
    """Copy an object to `target`, checked by size and, where the service keeps one, MD5."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = files.temporary_name(target.parent)
    digest, received = hashlib.md5(usedforsecurity=False), 0
    try:
        with files.disk_errors(target.name), temporary.open("xb") as file:
            for part in _parts(container, stored):
                file.write(part)
                digest.update(part)
                received += len(part)
                if moved is not None:
                    moved(len(part))
            file.flush()
            os.fsync(file.fileno())
        found = base64.b64encode(digest.digest()).decode()
        if received != stored.size or stored.md5 not in (None, found):
            raise ContractError(f"{stored.path} did not arrive whole", fix="run the same command again")
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    files.sync_folder(target.parent)


def _parts(container: Container, stored: Stored) -> Iterator[bytes]:
    position = 0
    while position < stored.size:
        part = container.read(stored.path, position, min(BLOCK, stored.size - position))
        if not part:
            return
        position += len(part)
        yield part


def objects_below(container: Container, path: str) -> list[tuple[str, Stored]]:
    """The objects of the folder `path`, or the one object of that name, each with its name relative to it, checked: no name
    leads out of the folder. NotFoundError when there is none."""
    folder = path.rstrip("/") + "/" if path else ""
    found = [(one.path.removeprefix(folder), one) for one in container.below(folder)]
    found = [(name, one) for name, one in found if name and not name.endswith("/")]
    if not found and path and not path.endswith("/"):
        single = container.find(path)
        found = [(path.rpartition("/")[2], single)] if single is not None else []
    if not found:
        raise NotFoundError(f"nothing lies at {path} in the datastore {container.datastore}")
    for name, _ in found:
        if not _harmless(name):
            raise ContractError(f"the datastore {container.datastore} holds an object whose name leaves its folder: {name!r}")
    return found


def download_folder(container: Container, path: str, target: Path, moved: Moved | None = None) -> Sequence[Path]:
    """Copy what lies below `path` into the folder `target`, which is made; the files written."""
    written = []
    for name, stored in objects_below(container, path):
        place = target.joinpath(*name.split("/"))
        download_file(container, stored, place, moved)
        written.append(place)
    return written


def _harmless(name: str) -> bool:
    parts = name.split("/")
    return not any(part in ("", ".", "..") or "\0" in part or "\\" in part or part[1:2] == ":" for part in parts)


def md5_of(content: bytes) -> str:
    """The MD5 in base64, as the service compares it."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def _file_md5(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return base64.b64encode(digest.digest()).decode()
