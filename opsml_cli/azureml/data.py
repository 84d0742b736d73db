"""Data assets of an Azure ML workspace: content in the default datastore under its hash, versions in the registry.

A version becomes visible by its last request, when everything it needs has arrived and was verified."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.azureml.data_records import Profiles, asset_of, body_of
from opsml_cli.azureml.storage import DEFAULT, Location, parse_location
from opsml_cli.azureml.versions import Versions
from opsml_cli.domain import names
from opsml_cli.domain.data import DataAsset, DataProfile, DataType, RegisterData, Registered
from opsml_cli.domain.errors import ConflictError, InvalidInputError, NotFoundError, OpsmlError, UsageError
from opsml_cli.domain.names import AssetRef

if TYPE_CHECKING:
    from opsml_cli.azureml.context import Context
    from opsml_cli.domain.endpoint import Row
    from opsml_cli.domain.progress import Progress
    from opsml_cli.tables.sources import Source


@dataclass(frozen=True, slots=True)
class _Content:
    """What was given, whole and on this machine. `path` is a file or a folder; `name` what it is called in the datastore."""

    path: Path
    name: str
    sha256: str
    size: int


class AzureData:
    """The DataOperations port on Azure, and `training_table` for the jobs that read the tables."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @cached_property
    def _versions(self) -> Versions:
        return Versions(self._context.rest, "data")

    # --- the port

    def register(self, spec: RegisterData, progress: Progress) -> Registered:
        """As the port says. A datastore path (`azureml://…`) is registered where it lies."""
        from opsml_cli.tables.sources import data_type, parse_source

        names.asset_name(spec.name, "data name")
        if spec.version is not None:
            names.version(spec.version)
        if spec.source.startswith("azureml:"):
            return self._register_in_place(spec)
        source = parse_source(spec.source)
        kind = data_type(source, spec.type)
        with _staged(source, progress) as content:
            held = self._find(AssetRef(spec.name, spec.version))
            same = held is not None and held.sha256 == content.sha256 and held.type is kind
            profile = self._profile_of(content, kind, spec, held if same else None, progress)
            if spec.target_column is not None and profile is None:
                raise InvalidInputError(
                    f"{source.shown} is a folder, no table, so it has no column {spec.target_column!r}",
                    fix="add an MLTable file to it, or register the table's file",
                )
            if same:
                assert held is not None
                return self._relabel(spec, replace(held, profile=profile))
            if held is not None and spec.version is not None:
                raise _taken(held)
            asset = DataAsset(
                name=spec.name,
                version="",
                type=kind,
                uri=self._place(content, kind),
                rows=profile.rows if profile is not None else None,
                columns=len(profile.columns) if profile is not None else None,
                sha256=content.sha256,
                size_bytes=content.size,
                created_at="",
                description=spec.description,
                tags=dict(spec.tags),
                target_column=spec.target_column,
                source=source.origin,
                profile=profile,
            )
            if spec.dry_run:
                return Registered(replace(asset, version=spec.version or self._versions.next_version(spec.name)), False)
            self._upload(content, kind, progress)
            if profile is not None:
                self._profiles.keep(content.sha256, profile)
        return Registered(self._create(asset, spec.version), False)

    def get(self, ref: AssetRef) -> DataAsset:
        """The version, or the latest."""
        found = self._find(ref)
        if found is None:
            raise self._missing(ref)
        return replace(found, profile=self._profiles.find(found.sha256, found.target_column))

    def list(self, name: str | None = None) -> Sequence[DataAsset]:
        """As the port says; NotFoundError for a `name` that has no version."""
        documents = self._versions.latest() if name is None else self._versions.of(name)
        if name is not None and not documents:
            raise self._missing(AssetRef(name))
        return sorted((asset_of(one) for one in documents), key=lambda asset: asset.created_at, reverse=True)

    def profile(self, ref: AssetRef, target_column: str | None = None) -> DataProfile:
        """As the port says. What opsml did not profile yet is downloaded and profiled; nothing is stored."""
        from opsml_cli.tables import profile_table

        asset = self.get(ref)
        if asset.type is DataType.URI_FOLDER:
            raise _no_table(asset)
        target = target_column or asset.target_column
        if asset.profile is not None and (target is None or _has_target(asset.profile, target)):
            return asset.profile
        with self._downloaded(asset) as path:
            return profile_table(path, target_column=target, name=f"{asset.name}:{asset.version}")

    def check(self, ref: AssetRef) -> DataAsset:
        """As the port says; the content is downloaded for it."""
        from opsml_cli.content.folders import hash_folder, hash_parts, read_parts

        asset = self.get(ref)
        name = f"{asset.name}:{asset.version}"
        if not asset.sha256:
            raise InvalidInputError(f"{name} has no hash to check", cause=f"it was registered by its address {asset.uri}")
        with self._downloaded(asset) as path:
            found = hash_folder(path, name)[0] if path.is_dir() else hash_parts(read_parts(path))[0]
        if found != asset.sha256:
            raise ConflictError(
                f"the content of {name} is not what was registered: its SHA-256 is another one",
                fix=f"register the content as a new version: opsml data register {asset.name} FILE",
            )
        return asset

    def sample(self, ref: AssetRef, rows: int, seed: int = 0) -> Sequence[Row]:
        """As the port says, in the table's order; the content is downloaded for it."""
        from opsml_cli.tables import profile_table, sample_rows

        if rows < 1:
            raise UsageError(f"a sample of {rows} rows is none", cause="expected at least 1")
        asset = self.get(ref)
        if asset.type is DataType.URI_FOLDER:
            raise _no_table(asset)
        shown = f"{asset.name}:{asset.version}"
        with self._downloaded(asset) as path:
            return sample_rows(path, asset.profile or profile_table(path, name=shown), rows, seed, shown)

    def training_table(self, ref: AssetRef) -> str:
        """The URI of an MLTable folder with the asset's table, which AutoML wants; for a plain file it is written beside it."""
        from opsml_cli.azureml.mltable import written

        asset = self.get(ref)
        if asset.type is DataType.MLTABLE:
            return asset.uri
        if asset.type is DataType.URI_FOLDER:
            raise _no_table(asset)
        location = written(self._context.storage, asset, asset.profile or self.profile(ref))
        return self._context.storage.long_uri(location)

    # --- registering

    def _register_in_place(self, spec: RegisterData) -> Registered:
        """A version of what lies in a datastore already. Its content is not read: it is known by its address alone."""
        location = parse_location(spec.source)
        if spec.target_column is not None:
            raise UsageError("--target-column is for content that is uploaded", fix="leave it out, and give it to train automl")
        found = next(iter(self._context.storage.container(location.datastore).below(location.path)), None)
        if found is None:
            raise NotFoundError(f"nothing lies at {spec.source}", fix="check the datastore's path")
        folder = location.path.endswith("/") or found.path != location.path
        kind = spec.type or (DataType.URI_FOLDER if folder else DataType.URI_FILE)
        if folder is (kind is DataType.URI_FILE):
            raise UsageError(f"{spec.source} is a {'folder' if folder else 'file'}, not {kind}", fix="leave --type out")
        path = location.path.rstrip("/") + "/" if folder else location.path
        uri = self._context.storage.long_uri(replace(location, path=path))
        held = self._find(AssetRef(spec.name, spec.version))
        if held is not None and (held.uri.casefold(), held.type) == (uri.casefold(), kind):
            return self._relabel(spec, held)
        if held is not None and spec.version is not None:
            raise _taken(held)
        asset = DataAsset(
            spec.name, "", kind, uri, None, None, "", 0, "", spec.description, dict(spec.tags), source=spec.source
        )
        if spec.dry_run:
            return Registered(replace(asset, version=spec.version or self._versions.next_version(spec.name)), False)
        return Registered(self._create(asset, spec.version), False)

    def _profile_of(
        self, content: _Content, kind: DataType, spec: RegisterData, same: DataAsset | None, progress: Progress
    ) -> DataProfile | None:
        from opsml_cli.tables import profile_table

        if kind is DataType.URI_FOLDER:
            return None
        target = spec.target_column or (same.target_column if same is not None else None)
        known = self._profiles.find(content.sha256, target) if same is not None else None
        if known is not None:
            return known
        shown = spec.source if spec.source != "-" else "standard input"
        progress.phase(f"Profiling {shown}")
        return profile_table(content.path, target_column=target, name=shown, progress=progress)

    def _relabel(self, spec: RegisterData, held: DataAsset) -> Registered:
        """The version that holds the content already, with the labels that were given."""
        wanted = replace(
            held,
            description=spec.description if spec.description is not None else held.description,
            tags={**held.tags, **spec.tags},
            target_column=spec.target_column or held.target_column,
        )
        if wanted == held or spec.dry_run:
            return Registered(wanted, True)
        if wanted.profile is not None and wanted.target_column != held.target_column:
            self._profiles.keep(wanted.sha256, wanted.profile)
        written = asset_of(self._versions.put(wanted.name, wanted.version, body_of(wanted)))
        return Registered(replace(written, profile=wanted.profile), True)

    def _place(self, content: _Content, kind: DataType) -> str:
        end = "/" if kind is not DataType.URI_FILE else ""
        return self._context.storage.long_uri(Location(DEFAULT, f"LocalUpload/{content.sha256}/{content.name}{end}"))

    def _upload(self, content: _Content, kind: DataType, progress: Progress) -> None:
        from opsml_cli.azureml.transfer import upload
        from opsml_cli.content.folders import folder_files

        progress.phase(f"Uploading {content.name}")
        container = self._context.storage.container()
        base = f"LocalUpload/{content.sha256}/{content.name}"
        done = 0

        def moved(more: int) -> None:
            nonlocal done
            done += more
            progress.amount(done, content.size, "bytes")

        if kind is DataType.URI_FILE:
            upload(container, base, content.path, moved)
            return
        for name, path in folder_files(content.path, content.name):
            upload(container, f"{base}/{name}", path, moved)

    def _create(self, asset: DataAsset, version: str | None) -> DataAsset:
        return replace(asset_of(self._versions.create(asset.name, version, body_of(asset))), profile=asset.profile)

    # --- finding

    @property
    def _profiles(self) -> Profiles:
        return Profiles(self._context.storage.container())

    def _find(self, ref: AssetRef) -> DataAsset | None:
        """The version, or the latest, without its profile."""
        document = self._versions.find(ref)
        return None if document is None else asset_of(document)

    def _missing(self, ref: AssetRef) -> OpsmlError:
        from opsml_cli.domain.fields import did_you_mean

        container = self._versions.container(ref.name)
        if container is not None:
            latest = container["properties"].get("latestVersion")
            return NotFoundError(
                f"{container['name']} has no version {ref.version!r}",
                cause=f"its latest is {latest}" if latest else "all its versions are archived",
                fix=f"opsml data list {container['name']}",
            )
        known = self._versions.names()
        return NotFoundError(
            f"no data named {ref.name!r}",
            cause=did_you_mean(ref.name, known) if known else "this workspace has no data yet",
            fix="opsml data list" if known else f"opsml data register {ref.name} FILE",
        )

    @contextmanager
    def _downloaded(self, asset: DataAsset) -> Iterator[Path]:
        """The content on this machine, for as long as the block lasts."""
        from opsml_cli.azureml.transfer import download_folder

        with tempfile.TemporaryDirectory(prefix="opsml-") as scratch:
            folder = Path(scratch) / "content"
            if asset.uri.startswith("azureml://"):
                location = parse_location(asset.uri)
                written = download_folder(self._context.storage.container(location.datastore), location.path, folder)
                yield folder if asset.type is not DataType.URI_FILE else written[0]
            else:
                yield _fetched(asset, folder)


def _fetched(asset: DataAsset, folder: Path) -> Path:
    from opsml_cli.tables.sources import chunks, parse_source

    if asset.type is not DataType.URI_FILE or not asset.uri.startswith("https://"):
        raise InvalidInputError(f"{asset.name}:{asset.version} lies at {asset.uri}, which opsml does not read")
    folder.mkdir()
    path = folder / _file_name(asset.uri)
    with path.open("wb") as file:
        for part in chunks(parse_source(asset.uri)):
            file.write(part)
    return path


@contextmanager
def _staged(source: Source, progress: Progress) -> Iterator[_Content]:
    """The content with its hash; what comes from a stream lies in a temporary file meanwhile."""
    from opsml_cli.content.folders import hash_folder, hash_parts
    from opsml_cli.tables.sources import chunks, counted

    progress.phase(f"Reading {source.shown}")
    if source.path is not None and source.kind == "folder":
        digest, size = hash_folder(source.path, source.shown)
        yield _Content(source.path, _safe(source.path.absolute().name), digest, size)
        return
    if source.path is not None:
        digest, size = hash_parts(chunks(source))
        yield _Content(source.path, _safe(source.path.name), digest, size)
        return
    with tempfile.TemporaryDirectory(prefix="opsml-") as scratch:
        path = Path(scratch) / (_file_name(source.url) if source.url is not None else "data")

        def kept() -> Iterator[bytes]:
            with path.open("wb") as file:
                for part in counted(chunks(source), None, progress):
                    file.write(part)
                    yield part

        digest, size = hash_parts(kept())
        yield _Content(path, path.name, digest, size)


def _file_name(url: str) -> str:
    from urllib.parse import unquote, urlsplit

    return _safe(unquote(urlsplit(url).path).rpartition("/")[2])


def _safe(name: str) -> str:
    """A file's name as the last part of an object's path."""
    kept = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)
    return kept if kept.strip("._") else "data"


def _has_target(profile: DataProfile, target: str) -> bool:
    return profile.target is not None and profile.target.column == target


def _taken(held: DataAsset) -> ConflictError:
    return ConflictError(
        f"{held.name}:{held.version} exists with other content, and versions are immutable",
        fix="leave --version out to register the next one",
    )


def _no_table(asset: DataAsset) -> InvalidInputError:
    return InvalidInputError(
        f"{asset.name}:{asset.version} is a folder, no table",
        fix="register a table's file, or a folder with an MLTable file",
    )
