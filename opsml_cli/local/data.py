"""Data assets of a local workspace: content in `blobs/`, names and profiles in the database.

Content is immutable: other content is a new version. The description, tags and target column are labels, and may be set
anew on a version by registering the same content with others."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.content.folders import hash_folder, hash_parts, read_parts
from opsml_cli.domain import names
from opsml_cli.domain.data import ColumnType, DataAsset, DataProfile, DataType, RegisterData, Registered
from opsml_cli.domain.errors import ConflictError, InvalidInputError, NotFoundError, UsageError
from opsml_cli.domain.names import AssetRef
from opsml_cli.local import annotations as notes
from opsml_cli.local import clock, data_records
from opsml_cli.local.artifacts import Blobs, Received
from opsml_cli.local.layout import Layout
from opsml_cli.local.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from opsml_cli.domain.endpoint import Row
    from opsml_cli.domain.progress import Progress
    from opsml_cli.tables.sources import Source

_TABLE = "MLTable"


class LocalData:
    """The DataOperations port on this machine, and `frame` and `locate` for the rooms that read the tables."""

    def __init__(self, layout: Layout, store: Store) -> None:
        self._store = store
        self._blobs = Blobs(layout.blobs)

    def register(self, spec: RegisterData, progress: Progress) -> Registered:
        """As the port says. Registering the content of the latest version again with another description, tags or target
        column sets these on that version; it is `unchanged` all the same. `dry_run` reads and checks everything."""
        from opsml_cli.tables.sources import data_type, parse_source

        names.asset_name(spec.name, "data name")
        if spec.version is not None:
            names.version(spec.version)
        source = parse_source(spec.source)
        kind = data_type(source, spec.type)
        with self._received(source, spec.dry_run, progress) as received:
            known = self._same(spec, kind, received.sha256)
            profile = known.profile if known is not None else self._profiled(received, kind, spec, source, progress)
            target = spec.target_column
            if target is not None and profile is None:
                raise InvalidInputError(
                    f"{source.shown} is a folder, no table, so it has no column {target!r}",
                    fix=f"add an {_TABLE} file to it, or register the table's file",
                )
            if known is not None and profile is not None and target is not None and not _has_target(profile, target):
                profile = self._with_target(received.path, profile, target, source.shown)
            asset = DataAsset(
                name=spec.name,
                version=spec.version or "",
                type=kind,
                uri="",
                rows=profile.rows if profile is not None else None,
                columns=len(profile.columns) if profile is not None else None,
                sha256=received.sha256,
                size_bytes=received.size,
                created_at=clock.now(),
                description=spec.description,
                tags=dict(spec.tags),
                target_column=target,
                source=source.origin,
                profile=profile,
            )
            if spec.dry_run:
                with self._store.read() as connection:
                    recorded, unchanged = _resolved(connection, asset, spec)
                return Registered(self._placed(recorded), unchanged)
            if self._blobs.keep(received):
                progress.note(f"the content of {spec.name} that lay here was damaged, and was replaced by this sound one")
            with self._store.write() as connection:
                recorded, unchanged = _resolved(connection, asset, spec)
                data_records.save(connection, recorded)
        return Registered(self._placed(recorded), unchanged)

    def adopt(self, spec: RegisterData, content: Path | None, said: Mapping[str, object]) -> DataAsset:
        """Record `spec.version` of data that a client keeps at `spec.source`, an address: its `content` is copied, and
        profiled where it is a table; None: it lies elsewhere, and is known by its address alone. `said` is what else the
        client said of it. ConflictError when the version exists."""
        names.asset_name(spec.name, "data name")
        assert spec.version is not None
        assert spec.type is not None
        with self._content(content, spec.name) as (path, digest, size, received):
            profile = None if path is None else _profile_or_none(path, spec.type, spec.name)
            asset = DataAsset(
                name=spec.name,
                version=names.version(spec.version),
                type=spec.type,
                uri="",
                rows=profile.rows if profile is not None else None,
                columns=len(profile.columns) if profile is not None else None,
                sha256=digest,
                size_bytes=size,
                created_at=clock.now(),
                description=spec.description,
                tags=dict(spec.tags),
                source=spec.source,
                profile=profile,
            )
            if received is not None:
                self._blobs.keep(received)
            with self._store.write() as connection:
                if data_records.find(connection, AssetRef(asset.name, asset.version)) is not None:
                    raise ConflictError(f"{asset.name}:{asset.version} exists")
                first = data_records.find(connection, AssetRef(asset.name))
                asset = replace(asset, name=first.name if first is not None else asset.name)
                data_records.save(connection, asset)
                notes.save(connection, "data", asset.name, said, asset.version)
        return self._placed(asset)

    def relabel(self, ref: AssetRef, description: str | None, tags: Mapping[str, str], said: Mapping[str, object]) -> DataAsset:
        """Replace the version's description and tags, and what else a client said of it. NotFoundError."""
        with self._store.write() as connection:
            known = data_records.find(connection, ref)
            if known is None:
                raise _missing(connection, ref)
            known = replace(known, description=description, tags=dict(tags))
            data_records.save(connection, known)
            notes.save(connection, "data", known.name, said, known.version)
        return self._placed(known)

    def versions(self, name: str | None = None) -> Sequence[DataAsset]:
        """Every version of every asset, or of `name`; newest first, without profiles; empty when there is none."""
        with self._store.read() as connection:
            found = data_records.every(connection) if name is None else data_records.versions(connection, name)
            return [self._placed(asset) for asset in found]

    def find(self, ref: AssetRef) -> DataAsset | None:
        """As `get`; None when there is no such version."""
        with self._store.read() as connection:
            found = data_records.find(connection, ref)
        return None if found is None else self._placed(found)

    def get(self, ref: AssetRef) -> DataAsset:
        """The version, or the latest."""
        with self._store.read() as connection:
            found = data_records.find(connection, ref)
            if found is None:
                raise _missing(connection, ref)
        return self._placed(found)

    def list(self, name: str | None = None) -> Sequence[DataAsset]:
        """As the port says; NotFoundError for a `name` that has no version."""
        with self._store.read() as connection:
            found = data_records.latest(connection) if name is None else data_records.versions(connection, name)
            if name is not None and not found:
                raise _missing(connection, AssetRef(name))
        return [self._placed(asset) for asset in found]

    def profile(self, ref: AssetRef, target_column: str | None = None) -> DataProfile:
        """As the port says. Another target than the stored one costs a reading of that column; nothing is stored."""
        asset = self._table(ref)
        assert asset.profile is not None
        if target_column is None or _has_target(asset.profile, target_column):
            return asset.profile
        name = f"{asset.name}:{asset.version}"
        return self._with_target(self._checked(asset), asset.profile, target_column, name)

    def sample(self, ref: AssetRef, rows: int, seed: int = 0) -> Sequence[Row]:
        """As the port says, in the table's order; all rows when there are no more."""
        from opsml_cli.tables import sample_rows

        if rows < 1:
            raise UsageError(f"a sample of {rows} rows is none", cause="expected at least 1")
        asset = self._table(ref)
        assert asset.profile is not None
        path = self._checked(asset)
        return sample_rows(path, asset.profile, rows, seed, f"{asset.name}:{asset.version}")

    def frame(
        self,
        ref: AssetRef,
        *,
        columns: Sequence[str] | None = None,
        max_rows: int | None = None,
        types: Mapping[str, ColumnType] | None = None,
    ) -> pd.DataFrame:
        """The asset's table as a frame; see `tables.read_frame`."""
        from opsml_cli.tables import read_frame

        asset = self._table(ref)
        path = self._checked(asset, whole=True)
        name = f"{asset.name}:{asset.version}"
        return read_frame(path, asset.profile, columns=columns, max_rows=max_rows, name=name, types=types)

    def locate(self, ref: AssetRef) -> tuple[Path, DataAsset]:
        """Where the content lies (a file without suffix, or a folder), and the asset with its profile."""
        asset = self.get(ref)
        if not asset.sha256:
            raise InvalidInputError(
                f"the content of {asset.name}:{asset.version} is not in this workspace",
                cause=f"it was registered by its address {asset.source}",
                fix=f"register the content itself: opsml data register {asset.name} FILE",
            )
        return self._checked(asset), asset

    def check(self, ref: AssetRef) -> DataAsset:
        """As the port says."""
        _, asset = self.locate(ref)
        self._checked(asset, whole=True)
        return asset

    def _checked(self, asset: DataAsset, *, whole: bool = False) -> Path:
        return self._blobs.checked(asset.sha256, asset.size_bytes, f"{asset.name}:{asset.version}", whole=whole)

    def _table(self, ref: AssetRef) -> DataAsset:
        asset = self.get(ref)
        if not asset.sha256:
            self.locate(ref)
        if asset.profile is None:
            what = "a folder, no table" if asset.type is not DataType.URI_FILE else "no table that can be read"
            raise InvalidInputError(
                f"{asset.name}:{asset.version} is {what}",
                fix=f"register a table's file, or a folder with an {_TABLE} file",
            )
        return asset

    def _placed(self, asset: DataAsset) -> DataAsset:
        if asset.sha256:
            return replace(asset, uri=self._blobs.path(asset.sha256).as_uri())
        unknown = dict.fromkeys(("rows", "columns", "sha256", "size_bytes"), "its content is not in this workspace")
        return replace(asset, uri=asset.source or "", unknown=unknown)

    @contextmanager
    def _content(self, content: Path | None, name: str) -> Iterator[tuple[Path | None, str, int, Received | None]]:
        """Content to be recorded: where it can be read, its hash and size, and what is to be kept of it (None: nothing,
        it is a blob already or lies elsewhere)."""
        if content is None:
            yield None, "", 0, None
        elif content.parent == self._blobs.folder and content.is_file():
            yield content, content.name, content.stat().st_size, None
        elif content.is_file():
            with self._blobs.receive_file(read_parts(content), name) as received:
                yield received.path, received.sha256, received.size, received
        else:
            with self._blobs.receive_folder(content, name) as received:
                yield received.path, received.sha256, received.size, received

    @contextmanager
    def _received(self, source: Source, dry_run: bool, progress: Progress) -> Iterator[Received]:
        """The content, whole: copied into the workspace, or for a dry run as it is where that is possible."""
        from opsml_cli.tables.sources import chunks, counted

        if dry_run and source.path is not None:
            progress.phase(f"Reading {source.shown}")
            folder = source.kind == "folder"
            digest, size = hash_folder(source.path, source.shown) if folder else hash_parts(chunks(source))
            yield Received(source.path, digest, size)
        elif dry_run:
            progress.phase(f"Reading {source.shown}")
            parts = counted(chunks(source), None, progress)
            with (
                tempfile.TemporaryDirectory(prefix="opsml-") as scratch,
                Blobs(Path(scratch)).receive_file(parts, source.shown) as received,
            ):
                yield received
        else:
            progress.phase(f"Copying {source.shown}")
            if source.kind == "folder":
                assert source.path is not None
                with self._blobs.receive_folder(source.path, source.shown) as received:
                    yield received
            else:
                total = source.path.stat().st_size if source.path is not None else None
                with self._blobs.receive_file(counted(chunks(source), total, progress), source.shown) as received:
                    yield received

    def _same(self, spec: RegisterData, kind: DataType, sha256: str) -> DataAsset | None:
        """The version that holds this content already, whose profile need not be made again."""
        with self._store.read() as connection:
            found = data_records.find(connection, AssetRef(spec.name, spec.version))
        return found if found is not None and found.sha256 == sha256 and found.type is kind else None

    @staticmethod
    def _profiled(
        received: Received, kind: DataType, spec: RegisterData, source: Source, progress: Progress
    ) -> DataProfile | None:
        from opsml_cli.tables import profile_table

        if kind is DataType.URI_FOLDER:
            return None
        progress.phase(f"Profiling {source.shown}")
        return profile_table(received.path, target_column=spec.target_column, name=source.shown, progress=progress)

    @staticmethod
    def _with_target(path: Path, profile: DataProfile, target: str, shown: str) -> DataProfile:
        from opsml_cli.tables.profile import target_of

        return replace(profile, target=target_of(path, profile, target, shown))


def _profile_or_none(path: Path, kind: DataType, name: str) -> DataProfile | None:
    """The content's profile; None when it is no table."""
    from opsml_cli.tables import profile_table

    if kind is DataType.URI_FOLDER or path.is_dir() is not (kind is DataType.MLTABLE):
        return None
    try:
        return profile_table(path, name=name)
    except (InvalidInputError, NotFoundError, UsageError):
        return None


def _has_target(profile: DataProfile, target: str) -> bool:
    return profile.target is not None and profile.target.column == target


def _resolved(connection: sqlite3.Connection, asset: DataAsset, spec: RegisterData) -> tuple[DataAsset, bool]:
    """The record to write, with its version, and whether its content was there already. Decided inside the transaction,
    so that parallel registrations each find the others' versions."""
    known = data_records.find(connection, AssetRef(asset.name, spec.version))
    if known is not None and known.sha256 == asset.sha256 and known.type is asset.type:
        return replace(
            known,
            description=asset.description if asset.description is not None else known.description,
            tags={**known.tags, **asset.tags},
            target_column=asset.target_column or known.target_column,
            profile=asset.profile if asset.target_column else known.profile,
        ), True
    if known is not None and spec.version is not None:
        raise ConflictError(
            f"{known.name}:{known.version} exists with other content, and versions are immutable",
            fix="leave --version out to register the next one",
        )
    version = spec.version or str(data_records.next_number(connection, asset.name))
    # The name keeps the spelling of its first version.
    first = data_records.find(connection, AssetRef(asset.name))
    return replace(asset, name=first.name if first is not None else asset.name, version=version), False


def _missing(connection: sqlite3.Connection, ref: AssetRef) -> NotFoundError:
    from opsml_cli.domain.fields import did_you_mean

    versions = data_records.versions(connection, ref.name)
    if versions:
        newest = versions[0]
        return NotFoundError(
            f"{newest.name} has no version {ref.version!r}",
            cause=f"its latest is {newest.version}",
            fix=f"opsml data list {newest.name}",
        )
    known = [asset.name for asset in data_records.latest(connection)]
    return NotFoundError(
        f"no data named {ref.name!r}",
        cause=did_you_mean(ref.name, known) if known else "this workspace has no data yet",
        fix="opsml data list" if known else f"opsml data register {ref.name} FILE",
    )
