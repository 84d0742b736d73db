"""Models in a format of their own: any file or folder, which only a scoring script reads.

A script finds one below AZUREML_MODEL_DIR as Azure has it there: a file under its own name, a folder below its own name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.content import model_folder
from opsml_cli.domain import names
from opsml_cli.domain.deployment import ModelFormat
from opsml_cli.domain.errors import ConflictError, NotAllowedError, NotFoundError
from opsml_cli.domain.model import Model, RegisteredModel, RegisterModel
from opsml_cli.domain.names import AssetRef
from opsml_cli.local import annotations as notes
from opsml_cli.local.clock import now
from opsml_cli.local.layout import Layout
from opsml_cli.local.model_adoption import KIND, AdoptModel, ModelAdoption
from opsml_cli.local.store import Store

if TYPE_CHECKING:
    from opsml_cli.local.models import LocalModels

_TRIES = 5


def register(layout: Layout, store: Store, models: LocalModels, spec: RegisterModel) -> RegisteredModel:
    """As the port's `register`, for `spec.format` CUSTOM."""
    name = names.asset_name(spec.name, "model name")
    source = Path(spec.path).expanduser().absolute()
    if not source.exists():
        raise NotFoundError(f"no file or folder {source}", fix="check the path of the model")
    found = model_folder.content_hash(source)
    mount = "" if source.is_file() else source.name
    with store.read() as connection:
        known = models.find(connection, AssetRef(name, spec.version))
        held = None if known is None else notes.find(connection, KIND, known.name, known.version) or {}
    same = known is not None and known.sha256 == found.sha256 and held is not None and held.get("mount") == mount
    if known is not None and same and known.trusted:
        return RegisteredModel(known, unchanged=True)
    if known is not None and spec.version is not None and not same:
        raise ConflictError(
            f"model {known.name}:{known.version} exists with other content", fix="leave the version out, or give a new one"
        )
    if not spec.trust:
        raise NotAllowedError(
            f"{os.path.normpath(spec.path)} was not made by opsml, and loading a model may run what it holds",
            fix="if you trust where it comes from, run the same command with --trust",
        )
    if spec.dry_run:
        return RegisteredModel(_planned(layout, models, spec, name, found), unchanged=False)
    adoption = ModelAdoption(layout, store, models)
    for attempt in range(1, _TRIES + 1):
        adopt = AdoptModel(
            name=name,
            version=spec.version or models.next_version(name),
            description=spec.description,
            tags=spec.tags,
            trusted=True,
            file_name=source.name,
            said={"mount": mount, "modelType": ModelFormat.CUSTOM.value, "flavors": {}},
        )
        try:
            return RegisteredModel(adoption.adopt(adopt, source), unchanged=False)
        except ConflictError:  # somebody was quicker: the next version, then
            if spec.version is not None or attempt == _TRIES:
                raise
    raise AssertionError("the last attempt returns or raises")


def mount_of(layout: Layout, store: Store, name: str, version: str) -> str:
    """The name that a script finds the registered model under, below AZUREML_MODEL_DIR; "" for a single file, which lies
    there itself. An empty `name` is no model."""
    if not name:
        return "model"
    with store.read() as connection:
        said = notes.find(connection, KIND, name, version) or {}
    if "mount" in said:
        return str(said["mount"])
    found = str(said.get("modelUri") or "").rstrip("/").rpartition("/")[2]
    if found in ("", ".", ".."):
        return "model"
    return "" if (layout.model(name, version) / found).is_file() else found


def _planned(layout: Layout, models: LocalModels, spec: RegisterModel, name: str, found: model_folder.FolderHash) -> Model:
    version = spec.version or models.next_version(name)
    return Model(
        name=name,
        version=version,
        path=str(layout.model(name, version)),
        sha256=found.sha256,
        created_at=now(),
        own=False,
        trusted=True,
        size_bytes=found.size_bytes,
        description=spec.description,
        tags=dict(spec.tags),
    )
