"""Models that a client registers by an address: the files are copied where they lie in this workspace.

They are foreign code unless this workspace trained exactly these files: what nobody trusts is recorded, shown and handed out,
and not run."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from opsml_cli.content import files, model_folder
from opsml_cli.content.model_folder import FolderHash
from opsml_cli.domain import names
from opsml_cli.domain.errors import ConflictError, InvalidInputError, NotFoundError
from opsml_cli.domain.model import Model, Signature
from opsml_cli.domain.names import AssetRef
from opsml_cli.local import annotations as notes
from opsml_cli.local import leftovers
from opsml_cli.local.layout import Layout
from opsml_cli.local.models import LocalModels, ModelFacts, Staged, algorithm_of, document
from opsml_cli.local.store import Store

KIND = "model"


@dataclass(frozen=True, slots=True)
class AdoptModel:
    """What a client says of a version: `trusted` when the user answers for what clients register, `file_name` for content
    that is one file, `said` what a model's record has no place for."""

    name: str
    version: str
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    job: str | None = None
    trusted: bool = False
    file_name: str = "model"
    said: Mapping[str, object] = field(default_factory=dict)


class ModelAdoption:
    """Adopts models into the registry of one local workspace."""

    def __init__(self, layout: Layout, store: Store, models: LocalModels) -> None:
        self._layout = layout
        self._store = store
        self._models = models

    def adopt(self, spec: AdoptModel, content: Path | None) -> Model:
        """Record the version with a copy of `content`, a file or a folder in any format; None: it lies elsewhere, and the
        version is known by its address alone. ConflictError when the version exists."""
        names.asset_name(spec.name, "model name")
        names.version(spec.version)
        with self._staged(spec, content) as staged, self._store.write() as connection:
            if self._models.find(connection, AssetRef(spec.name, spec.version)) is not None:
                raise ConflictError(f"model {spec.name}:{spec.version} exists")
            origin = self._models.own_origin(connection, staged.hash.sha256) if staged.hash.sha256 else None
            facts = ModelFacts(
                own=origin is not None,
                trusted=spec.trusted,
                algorithm=origin.algorithm if origin else _algorithm(staged.folder),
                task=origin.task if origin else None,
                metrics=origin.metrics if origin else None,
                threshold=origin.threshold if origin else None,
                job=origin.job if origin else spec.job,
                data=origin.data if origin else None,
                description=spec.description,
                tags=spec.tags,
            )
            model = self._models.adopt(connection, staged, spec.name, facts, spec.version)
            notes.save(connection, KIND, model.name, spec.said, model.version)
        return model

    def relabel(self, ref: AssetRef, description: str | None, tags: Mapping[str, str], said: Mapping[str, object]) -> Model:
        """Replace the version's description and tags, and what else a client said of it. NotFoundError."""
        with self._store.write() as connection:
            model = self._models.find(connection, ref)
            if model is None:
                raise NotFoundError(f"no model {ref}")
            model = replace(model, description=description, tags=dict(tags))
            _save(connection, model)
            notes.save(connection, KIND, model.name, said, model.version)
        return model

    @contextmanager
    def _staged(self, spec: AdoptModel, content: Path | None) -> Iterator[Staged]:
        """A durable copy that waits for its version; without content, an empty folder without a hash."""
        parent = self._layout.model(spec.name, spec.version).parent
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        leftovers.sweep(parent)
        temporary = files.temporary_name(parent)
        temporary.mkdir(mode=0o700)
        try:
            if content is None:
                yield Staged(temporary, FolderHash("", 0), None)
                return
            with files.disk_errors(f"model {spec.name}"):
                if content.is_file():
                    shutil.copyfile(content, temporary / spec.file_name)
                else:
                    model_folder.copy_files(content, temporary)
                files.sync_tree(temporary)
            signature = _signature(temporary)
            yield Staged(temporary, model_folder.folder_hash(temporary), signature)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _manifest(folder: Path) -> model_folder.Manifest | None:
    """What MLmodel says; None for a folder in another format."""
    try:
        return model_folder.read_manifest(folder)
    except InvalidInputError:
        return None


def _signature(folder: Path) -> Signature | None:
    manifest = _manifest(folder)
    return None if manifest is None else manifest.signature


def _algorithm(folder: Path) -> str | None:
    manifest = _manifest(folder)
    return None if manifest is None else algorithm_of(manifest.flavors, manifest.loader)


def _save(connection: sqlite3.Connection, model: Model) -> None:
    connection.execute(
        "UPDATE model_versions SET document=? WHERE name_key=? AND version=?",
        (document(model), names.key(model.name), names.key(model.version)),
    )
