"""The objects of one local workspace: written whole or not at all, read in parts, listed in pages."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.content import files
from opsml_cli.domain import names
from opsml_cli.domain.errors import ConflictError, InvalidInputError, NotFoundError
from opsml_cli.local import leftovers
from opsml_cli.local.artifacts import Blobs, Received
from opsml_cli.local.clock import now
from opsml_cli.local.layout import Layout
from opsml_cli.local.storage import blocks, listing, mounts, objects
from opsml_cli.local.storage.blocks import Block, Part
from opsml_cli.local.storage.listing import Page
from opsml_cli.local.storage.mounts import Mounts
from opsml_cli.local.storage.objects import Labels, StoredObject
from opsml_cli.local.storage.views import ARTIFACTS, BLOBSTORE
from opsml_cli.local.store import Store

if TYPE_CHECKING:
    import sqlite3

CHUNK = 1 << 20
MAX_NAME = 1024

# Looks at what is at a path (None: nothing), inside the transaction that changes it; raises to refuse.
Check = Callable[[StoredObject | None], None]


@dataclass(frozen=True, slots=True)
class Written:
    """What a writer says: its labels, its metadata and the condition under which it writes."""

    labels: Labels
    metadata: Mapping[str, str]
    check: Check | None = None


class LocalStorage:
    """Objects by container and path. Containers are plain names; who may read or write them is asked elsewhere."""

    def __init__(self, layout: Layout, store: Store, views: Mounts) -> None:
        self._layout = layout
        self._store = store
        self._views = views
        self._blobs = Blobs(layout.blobs)

    def has(self, container: str) -> bool:
        """Whether there is such a container: the workspace's own are always there, others once they were made."""
        if container in (BLOBSTORE, ARTIFACTS):
            return True
        with self._store.read() as connection:
            return connection.execute("SELECT 1 FROM containers WHERE name=?", (container,)).fetchone() is not None

    def make(self, container: str) -> bool:
        """Make a container; False when it is there already."""
        if container in (BLOBSTORE, ARTIFACTS):
            return False
        with self._store.write() as connection:
            statement = "INSERT OR IGNORE INTO containers(name, created_at, document) VALUES(?, ?, '{}')"
            return connection.execute(statement, (container, now())).rowcount == 1

    def find(self, container: str, path: str) -> StoredObject | None:
        with self._store.read() as connection:
            item = objects.find(connection, container, path, self._blobs.folder)
        return item if item is not None else mounts.find(self._views.below(container, path), path)

    def get(self, container: str, path: str) -> StoredObject:
        item = self.find(container, path)
        if item is None:
            raise NotFoundError(f"no object {path!r} in {container}")
        return item

    def list(self, container: str, prefix: str = "", *, delimiter: str = "", marker: str = "", limit: int = 5000) -> Page:
        """At most `limit` objects and prefixes, from `marker` (of the page before) on."""
        views = list(self._views.below(container, prefix))
        with self._store.read() as connection:
            stored = objects.below(connection, container, prefix, marker, self._blobs.folder)
            return listing.page(listing.merged(stored, mounts.objects(views, prefix, marker)), prefix, delimiter, limit)

    def put(self, container: str, path: str, parts: Iterable[bytes], written: Written) -> StoredObject:
        """Write the object whole; staged blocks of that path are dropped. `labels.md5` None: it is computed."""
        self._check_early(container, path, written)
        digest = hashlib.md5(usedforsecurity=False)
        with self._blobs.receive_file(_digested(parts, digest), path) as received:
            labels = written.labels
            if labels.md5 is None:
                labels = replace(labels, md5=base64.b64encode(digest.digest()).decode())
            return self._commit(container, path, received, replace(written, labels=labels), ())

    def stage(self, container: str, path: str, block: str, content: bytes) -> None:
        """Keep a block for a later `commit`. WrongBlocksError for an id that does not fit."""
        self._check_writable(container, path)
        with self._store.read() as connection:
            blocks.check_id(connection, container, path, block)
        file = blocks.stage(self._layout.staging, content)
        with self._store.write() as connection:
            blocks.check_id(connection, container, path, block)
            replaced = blocks.record(connection, container, path, Part(block, file, 0, len(content)))
        self._drop([replaced] if replaced else [])

    def commit(self, container: str, path: str, listed: Sequence[Block], written: Written) -> StoredObject:
        """Make the object of blocks, in the order of the list. WrongBlocksError for a block that is not there."""
        self._check_early(container, path, written)
        with self._store.read() as connection:
            existing = objects.find(connection, container, path, self._blobs.folder)
            uncommitted = blocks.staged(connection, self._layout.staging, container, path)
        parts = blocks.chosen(listed, uncommitted, blocks.committed(existing))
        with self._blobs.receive_file(blocks.content(parts), path) as received:
            if received.size != sum(part.size for part in parts):
                raise ConflictError(f"the blocks of {path!r} changed while they were committed")
            return self._commit(container, path, received, written, tuple((part.id, part.size) for part in parts))

    def blocks(self, container: str, path: str) -> tuple[Sequence[tuple[str, int]], Sequence[tuple[str, int]]]:
        """Ids and sizes of the committed and of the staged blocks."""
        with self._store.read() as connection:
            existing = objects.find(connection, container, path, self._blobs.folder)
            staged = blocks.staged(connection, self._layout.staging, container, path)
        return existing.blocks if existing else (), [(part.id, part.size) for part in staged.values()]

    def label(
        self, container: str, path: str, *, metadata: Mapping[str, str] | None = None, labels: Labels | None = None,
        check: Check | None = None,
    ) -> StoredObject:  # fmt: skip
        """Replace the object's metadata or labels. NotFoundError; ConflictError for a live view."""
        self._check_writable(container, path)
        with self._store.write() as connection:
            item = objects.find(connection, container, path, self._blobs.folder)
            if item is None:
                raise NotFoundError(f"no object {path!r} in {container}")
            if check is not None:
                check(item)
            item = replace(
                item,
                metadata=item.metadata if metadata is None else metadata,
                labels=item.labels if labels is None else labels,
                modified_at=now(),
                etag=objects.new_etag(),
            )
            objects.save(connection, container, item)
        return item

    def delete(self, container: str, path: str, check: Check | None = None) -> None:
        """Remove the object and its staged blocks. NotFoundError; ConflictError for a live view."""
        self._check_writable(container, path)
        with self._store.write() as connection:
            item = objects.find(connection, container, path, self._blobs.folder)
            if item is None:
                raise NotFoundError(f"no object {path!r} in {container}")
            if check is not None:
                check(item)
            objects.remove(connection, container, path)
            dropped = blocks.forget(connection, container, path)
        self._drop(dropped)

    @staticmethod
    def read(item: StoredObject, start: int = 0, size: int | None = None) -> Iterator[bytes]:
        """The object's bytes from `start`, as they were when `item` was found: a growing file is read no further."""
        left = item.size - start if size is None else min(size, item.size - start)
        with item.file.open("rb") as file:
            file.seek(start)
            while left > 0 and (piece := file.read(min(left, CHUNK))):
                left -= len(piece)
                yield piece

    @contextmanager
    def content(self, container: str, path: str) -> Iterator[Path]:
        """What lies at `path`, to be read: one file, or a folder of everything below `path/`. It may be gone when the block
        ends, and must not be changed. NotFoundError when there is nothing; InvalidInputError for names no folder can have."""
        item = None if path.endswith("/") or not path else self.find(container, path)
        if item is not None:
            yield item.file
            return
        prefix = path.rstrip("/") + "/" if path else ""
        for mount in self._views.below(container, prefix):
            if mount.prefix == prefix and mount.source.is_dir():
                yield mount.source
                return
        self._layout.staging.mkdir(mode=0o700, parents=True, exist_ok=True)
        leftovers.sweep(self._layout.staging)
        folder = files.temporary_name(self._layout.staging)
        folder.mkdir(mode=0o700)
        try:
            self._gather(container, prefix, folder)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _gather(self, container: str, prefix: str, folder: Path) -> None:
        seen: dict[str, str] = {}
        marker = ""
        while True:
            found = self.list(container, prefix, marker=marker)
            for item in found.entries:
                assert isinstance(item, StoredObject)
                name = item.path.removeprefix(prefix)
                if not name and item.size == 0:
                    continue  # a marker of the folder itself
                _check_file_name(name)
                if seen.setdefault(names.key(name), name) != name:
                    raise InvalidInputError(f"{name!r} and {seen[names.key(name)]!r} differ only by case")
                target = folder.joinpath(*name.split("/"))
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                try:
                    os.link(item.file, target)
                except OSError:
                    shutil.copyfile(item.file, target)
            if found.marker is None:
                break
            marker = found.marker
        if not seen:
            raise NotFoundError(f"nothing lies at {prefix!r} of {container}")

    def _commit(
        self, container: str, path: str, received: Received, written: Written, made_of: tuple[tuple[str, int], ...]
    ) -> StoredObject:
        self._check_writable(container, path)
        self._blobs.keep(received)
        file = self._blobs.path(received.sha256)
        with self._store.write() as connection:
            old = objects.find(connection, container, path, self._blobs.folder)
            if written.check is not None:
                written.check(old)
            moment = now()
            item = StoredObject(
                path=path,
                size=received.size,
                created_at=moment if old is None else old.created_at,
                modified_at=moment,
                etag=objects.new_etag(),
                file=file,
                sha256=received.sha256,
                labels=written.labels,
                metadata=written.metadata,
                blocks=made_of,
            )
            objects.save(connection, container, item)
            dropped = blocks.forget(connection, container, path)
            self._tidy(connection)
        self._drop(dropped)
        return item

    def _tidy(self, connection: sqlite3.Connection) -> None:
        if self._layout.staging.is_dir():
            blocks.forget_old(connection)
            blocks.sweep(connection, self._layout.staging)

    def _check_early(self, container: str, path: str, written: Written) -> None:
        """Refuse what would be refused at the end before content is kept for it."""
        self._check_writable(container, path)
        if written.check is not None:
            with self._store.read() as connection:
                written.check(objects.find(connection, container, path, self._blobs.folder))

    def _check_writable(self, container: str, path: str) -> None:
        if mounts.covered(self._views.below(container, path), path):
            raise ConflictError(f"{path!r} is a live view of the workspace, and cannot be written", fix="use another path")

    def _drop(self, staged: Iterable[str]) -> None:
        for name in staged:
            (self._layout.staging / name).unlink(missing_ok=True)


def _digested(parts: Iterable[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    for part in parts:
        digest.update(part)
        yield part


def _check_file_name(name: str) -> None:
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\0" in part or "\\" in part or len(part.encode()) > 255 for part in parts):
        raise InvalidInputError(f"{name!r} can be no file below a folder", fix="upload it under another name")
