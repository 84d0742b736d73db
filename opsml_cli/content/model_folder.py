"""A folder in MLflow format: its hash over every file, its manifest, and copying it whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from opsml_cli.domain.errors import InvalidInputError, NotFoundError
from opsml_cli.domain.model import ModelColumn, Signature

MANIFEST = "MLmodel"
_CACHE = "__pycache__"  # Python writes it beside the code it imports; it is derived, and never counted or kept


@dataclass(frozen=True, slots=True)
class FolderHash:
    """`sha256` over names and contents of all files; `size_bytes` is their sum."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What MLmodel says. `flavors` are MLflow's names; `loader` is the pyfunc loader module."""

    flavors: tuple[str, ...]
    loader: str | None
    signature: Signature | None


def files_of(folder: Path) -> Iterator[Path]:
    """Every file below `folder`, sorted by its name there. InvalidInputError for a link or a special file: neither can
    be copied, hashed and trusted as content."""
    found: list[Path] = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != _CACHE]
        for name in [*folders, *names]:
            path = Path(root, name)
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise InvalidInputError(
                    f"{path.relative_to(folder)} in the model folder is a link or special file",
                    fix="replace it by the file it points to",
                )
        found += [Path(root, name) for name in names]
    yield from sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def folder_hash(folder: Path) -> FolderHash:
    """Hash every file of `folder`, names included."""
    digest, size = hashlib.sha256(), 0
    for path in files_of(folder):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
        size += path.stat().st_size
    return FolderHash(digest.hexdigest(), size)


def content_hash(path: Path) -> FolderHash:
    """As `folder_hash`; of a file, the hash of a folder that holds it alone."""
    if not path.is_file():
        return folder_hash(path)
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return FolderHash(hashlib.sha256(f"{path.name}\0{content}\n".encode()).hexdigest(), path.stat().st_size)


def drop_caches(folder: Path) -> None:
    """Remove compiled Python from `folder`: it is not in the hash, so it must not be what runs."""
    for root, folders, _ in os.walk(folder):
        if _CACHE in folders:
            folders.remove(_CACHE)
            shutil.rmtree(Path(root, _CACHE), ignore_errors=True)


def copy_files(source: Path, destination: Path) -> list[Path]:
    """Copy every file of `source` below `destination` (which exists); the paths written."""
    written = []
    for path in files_of(source):
        target = destination / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        written.append(target)
    return written


def read_manifest(folder: Path) -> Manifest:
    """Read MLmodel. NotFoundError when there is no such folder; InvalidInputError when it is not in MLflow format."""
    from opsml_cli.documents import read_document

    if not folder.is_dir():
        raise NotFoundError(
            f"no model folder or file {folder}", fix="give the folder that holds the file MLmodel, or a model file"
        )
    if not (folder / MANIFEST).is_file():
        raise InvalidInputError(
            f"{folder} is no model in MLflow format: it has no file {MANIFEST}",
            fix="save the model with mlflow's save_model, and give that folder",
        )
    document = read_document(folder / MANIFEST)
    value = document.value
    flavors = value.get("flavors") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(flavors, Mapping) or not flavors:
        raise InvalidInputError(f"{folder / MANIFEST} names no flavors", fix="save the model with mlflow's save_model")
    pyfunc = flavors.get("python_function")
    loader = pyfunc.get("loader_module") if isinstance(pyfunc, Mapping) else None
    return Manifest(
        tuple(str(name) for name in flavors),
        loader if isinstance(loader, str) else None,
        _signature(value.get("signature"), value.get("metadata")),
    )


def _signature(value: object, metadata: object) -> Signature | None:
    if not isinstance(value, Mapping):
        return None
    told = metadata.get("column_types") if isinstance(metadata, Mapping) else None
    types = {str(name): str(kind) for name, kind in told.items()} if isinstance(told, Mapping) else {}
    return Signature(inputs=_columns(value.get("inputs"), types), outputs=_columns(value.get("outputs"), {}))


def _columns(text: object, types: Mapping[str, str]) -> tuple[ModelColumn, ...]:
    """MLflow writes columns as JSON text; tensors have no columns and stay empty. `types` say more where MLflow says any."""
    if not isinstance(text, str):
        return ()
    try:
        columns = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(columns, list):
        return ()
    return tuple(
        ModelColumn(
            str(column.get("name", position)),
            _type(column, types),
            column.get("required", True) is not False,
        )
        for position, column in enumerate(columns)
        if isinstance(column, Mapping) and column.get("type") != "tensor"
    )


def _type(column: Mapping[str, object], types: Mapping[str, str]) -> str:
    given = str(column.get("type", "any"))
    return types.get(str(column.get("name")), given) if given == "any" else given
