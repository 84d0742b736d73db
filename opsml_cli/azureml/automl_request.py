"""Beginning an AutoML training on Azure: what was asked is checked, its tables are brought there, and the SDK submits it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.azureml import automl_job
from opsml_cli.domain import automl_document, metric_names, names
from opsml_cli.domain.automl_request import PATH_PREFIX, TABLES, check_words, default_model_name, slug, sound
from opsml_cli.domain.compute import SERVERLESS
from opsml_cli.domain.data import ColumnProfile, DataAsset, DataType, RegisterData
from opsml_cli.domain.errors import NotFoundError, UsageError
from opsml_cli.domain.job import AutoMLSpec, TableSource, Task
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.progress import Silent

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from opsml_cli.azureml.context import Context
    from opsml_cli.azureml.data import AzureData

COMPUTE_VERSION = "2023-08-01-preview"


@dataclass(frozen=True, slots=True)
class Request:
    """A sound spec, what its tables are called on Azure (MLTable folders' URIs by field), and the name of this very work."""

    spec: AutoMLSpec
    tables: Mapping[str, str]
    fingerprint: str


def resolve(context: Context, spec: AutoMLSpec, data: AzureData, *, dry_run: bool) -> Request:
    """Check everything that can be known without training. UsageError, UnsupportedError, NotFoundError or InvalidInputError;
    nothing of the job is written (a path given as data is registered, unless `dry_run`)."""
    check_words(spec)
    if spec.compute is not None:
        spec = replace(spec, compute=_compute(context, spec.compute))
    assets: dict[str, DataAsset] = {}
    addresses: dict[str, str] = {}
    for field in TABLES:
        source: TableSource | None = getattr(spec, field)
        if source is None:
            continue
        if source.path is not None and "://" in source.path:
            addresses[field] = _address(source.path, field)
        else:
            assets[field] = _asset(source, field, spec.target_column, data, dry_run=dry_run)
    checked = _checked(spec, assets, data)
    automl_job.check_words(checked)
    contents = {field: asset.sha256 or asset.uri for field, asset in assets.items()} | addresses
    fingerprint = automl_document.fingerprint(replace(checked, seed=0), contents)
    if dry_run:
        return Request(checked, addresses, fingerprint)
    tables = {field: data.training_table(AssetRef(asset.name, asset.version)) for field, asset in assets.items()}
    return Request(checked, tables | addresses, fingerprint)


def submit(context: Context, request: Request, name: str) -> None:
    """Hand the job to Azure's SDK, which checks it once more. The same name again changes nothing."""
    import io

    import yaml

    from opsml_cli.azureml import sdk

    tags = automl_job.tags_of(request.spec, request.fingerprint)
    document = automl_job.to_yaml(request.spec, name, tags, request.tables)

    def create(client: MLClient) -> None:
        from azure.ai.ml import load_job

        client.jobs.create_or_update(load_job(source=io.StringIO(yaml.safe_dump(document))))

    sdk.signed_in(context, f"submitting job {name}", create)


def _checked(spec: AutoMLSpec, assets: Mapping[str, DataAsset], data: AzureData) -> AutoMLSpec:
    """The spec checked against the profiles of its tables; of tables that nobody profiled only the words can be checked."""

    def task_of(asset: DataAsset, target: ColumnProfile) -> Task:
        known = asset.profile.target if asset.profile is not None else None
        if known is None or known.column != target.name:
            known = data.profile(AssetRef(asset.name, asset.version), target.name).target
        return Task(known.task) if known is not None else Task.CLASSIFICATION

    if "data" in assets and all(asset.profile is not None for asset in assets.values()):
        return sound(spec, assets, task_of)
    if spec.task is None:
        raise UsageError(
            "the training data was not profiled, so nobody knows the task",
            cause="it was not registered by opsml",
            fix="--task classification or --task regression",
        )
    fixed = {field: TableSource(asset=AssetRef(asset.name, asset.version)) for field, asset in assets.items()}
    name = assets["data"].name if "data" in assets else slug(str(spec.data.path).rstrip("/").rpartition("/")[2])
    return replace(
        spec,
        metric=metric_names.resolve(spec.metric, spec.task),
        model_name=spec.model_name or default_model_name(name, spec.target_column),
        data=fixed.get("data", spec.data),
        validation_data=fixed.get("validation_data", spec.validation_data),
        test_data=fixed.get("test_data", spec.test_data),
    )


def _asset(source: TableSource, field: str, target: str, data: AzureData, *, dry_run: bool) -> DataAsset:
    if source.asset is not None:
        return data.get(source.asset)
    path = Path(str(source.path)).expanduser()
    if not path.exists():
        raise NotFoundError(
            f"no file or folder {source.path}", cause=f"given as {field}", fix="check the path; opsml data list shows assets"
        )
    spec = RegisterData(
        name=PATH_PREFIX + slug(path.absolute().name.partition(".")[0]),
        source=str(path),
        type=DataType.MLTABLE if (path / "MLTable").is_file() else None,
        description=f"given as a path to train automl: {path.name}",
        target_column=target if field == "data" else None,
        dry_run=dry_run,
    )
    return data.register(spec, Silent()).asset


def _address(uri: str, field: str) -> str:
    """What Azure reads by itself: a folder with an MLTable file in a datastore."""
    if not uri.startswith("azureml://"):
        raise UsageError(
            f"{field} is an address, {uri}: a training reads tables of the workspace, or files",
            fix="register it first: opsml data register NAME ADDRESS",
        )
    return uri


def _compute(context: Context, name: str) -> str | None:
    """The compute in Azure's spelling; None for serverless."""
    if name.casefold() == SERVERLESS:
        return None
    names.asset_name(name, "compute name")
    found = context.rest.find(f"{{ws}}/computes/{name}", COMPUTE_VERSION)
    if found is None:
        raise NotFoundError(
            f"the workspace has no compute {name!r}",
            fix=f"make it: opsml -w azure compute create {name}, or add --create-compute; without --compute it is serverless",
        )
    return str(found["name"])
