"""What a training on this machine was asked, checked against its data before anything is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain.automl_request import PATH_PREFIX, TABLES, check_words, slug, sound
from opsml_cli.domain.data import ColumnProfile, ColumnType, DataAsset, DataType, RegisterData
from opsml_cli.domain.errors import NotFoundError, UnsupportedError, UsageError
from opsml_cli.domain.job import AutoMLSpec, TableSource, Task
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.progress import Silent

if TYPE_CHECKING:
    from opsml_cli.local.data import LocalData

LOCAL_COMPUTE = ("local", "this-machine")


@dataclass(frozen=True, slots=True)
class Request:
    """A sound spec: tables are fixed versions, task, metric and model name are set. `contents` is the sha256 of each
    table by the spec's field."""

    spec: AutoMLSpec
    contents: Mapping[str, str]


def resolve(spec: AutoMLSpec, data: LocalData, *, dry_run: bool) -> Request:
    """Check everything that can be known without training. UsageError, UnsupportedError, NotFoundError or
    InvalidInputError; nothing of the job is written (a path given as data is registered, unless `dry_run`)."""
    from opsml_cli.local.automl import portfolio

    if spec.compute is not None and spec.compute.casefold() not in LOCAL_COMPUTE:
        raise UnsupportedError(
            f"the local workspace has no compute {spec.compute!r}: it trains on this machine",
            fix="leave --compute out, or train on Azure: opsml -w azure train automl …",
        )
    check_words(spec)
    tables = {
        field: _table(source, field, spec.target_column, data, dry_run=dry_run)
        for field in TABLES
        if (source := getattr(spec, field)) is not None
    }

    def task_of(asset: DataAsset, target: ColumnProfile) -> Task:
        return _task(target, asset, data, dry_run=dry_run)

    checked = sound(spec, tables, task_of)
    assert checked.task is not None
    portfolio.algorithms(checked.task, spec.allowed_algorithms, spec.blocked_algorithms)
    return Request(checked, {field: asset.sha256 for field, asset in tables.items()})


def _table(source: TableSource, field: str, target: str, data: LocalData, *, dry_run: bool) -> DataAsset:
    if source.asset is not None:
        _, asset = data.locate(source.asset)
        return asset
    if "://" in str(source.path):
        raise UsageError(
            f"{field} is an address, {source.path}: a training reads tables of the workspace, or files",
            fix="register it first: opsml data register NAME ADDRESS",
        )
    path = Path(str(source.path)).expanduser()
    if not path.exists():
        raise NotFoundError(
            f"no file or folder {source.path}", cause=f"given as {field}", fix="check the path; opsml data list shows assets"
        )
    stem = path.absolute().name.partition(".")[0]
    spec = RegisterData(
        name=PATH_PREFIX + slug(stem),
        source=str(path),
        type=DataType.MLTABLE if (path / "MLTable").is_file() else None,
        description=f"given as a path to train automl: {path.name}",
        target_column=target if field == "data" else None,
        dry_run=dry_run,
    )
    return data.register(spec, Silent()).asset


def _task(target: ColumnProfile, asset: DataAsset, data: LocalData, *, dry_run: bool) -> Task:
    known = asset.profile.target if asset.profile is not None else None
    if known is None or known.column != target.name:
        if dry_run and target.type not in (ColumnType.INTEGER, ColumnType.NUMBER):
            return Task.CLASSIFICATION
        known = data.profile(AssetRef(asset.name, asset.version), target.name).target
    return Task(known.task) if known is not None else Task.CLASSIFICATION
