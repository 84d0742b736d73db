"""Batch endpoints of a local workspace: deployed, called, read. A run is a job of one step, or of the pipeline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsml_cli.domain import batch_wire, names, pipeline_deployment
from opsml_cli.domain.batch import (
    BatchDeployed,
    BatchDeployment,
    BatchEndpoint,
    BatchRun,
    BatchState,
    DeployBatch,
    InvokeBatch,
    PutBatchEndpoint,
)
from opsml_cli.domain.errors import (
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    UnsupportedError,
    UsageError,
)
from opsml_cli.domain.pointer import ModelPointer
from opsml_cli.local.batch import records
from opsml_cli.local.batch.runs import BatchRuns
from opsml_cli.local.clock import now

if TYPE_CHECKING:
    from opsml_cli.local.pipelines.snapshot import Snapshot, Tree
    from opsml_cli.local.workspace import LocalWorkspace


class LocalBatchEndpoints:
    """The BatchEndpointOperations port. Nothing of an endpoint runs between calls."""

    def __init__(self, workspace: LocalWorkspace) -> None:
        self._workspace = workspace

    # Endpoints

    def get(self, name: str) -> BatchEndpoint:
        return _endpoint(self._workspace.batch_catalog.get(name))

    def list(self) -> Sequence[BatchEndpoint]:
        return [_endpoint(each) for each in self._workspace.batch_catalog.list()]

    def delete(self, name: str, deployment: str | None = None) -> None:
        catalog = self._workspace.batch_catalog
        if deployment is None:
            catalog.delete(name)
        else:
            catalog.delete_deployment(name, deployment)

    def put(self, spec: PutBatchEndpoint) -> BatchEndpoint:
        names.endpoint_name(spec.name)
        self._check_name(spec.name)
        catalog = self._workspace.batch_catalog
        exists = catalog.exists(spec.name)
        found = catalog.get(spec.name) if exists else records.BatchEndpoint("", spec.name, now(), now())
        if spec.default is not None:
            found.default = catalog.deployment_of(found, spec.default).name
        found.description = found.description if spec.description is None else spec.description
        found.tags = found.tags if spec.tags is None else dict(spec.tags)
        if not spec.dry_run:
            found, _ = catalog.put(
                found.name, default=found.default, description=found.description, tags=found.tags, settings={}
            )
        return _endpoint(found)

    # Deployments

    def begin_deploy(self, spec: DeployBatch) -> BatchDeployed:
        """As the port says; the deployment is ready at once."""
        names.endpoint_name(spec.endpoint)
        names.endpoint_name(spec.deployment, "deployment name")
        spec.settings.check()
        self._check_name(spec.endpoint)
        kind, asset = records.MODEL, ""
        snapshot: Snapshot | None = None
        code: Tree | None = None
        said = self._said(spec)
        if spec.component is not None:
            kind, snapshot = records.PIPELINE, self._component(spec)
        else:
            asset = self._model(spec)
            code = self._code(spec)
        catalog = self._workspace.batch_catalog
        before = catalog.get(spec.endpoint) if catalog.exists(spec.endpoint) else None
        held = None if before is None else before.deployment(spec.deployment)
        wanted = records.BatchDeployment(
            spec.deployment,
            now(),
            now(),
            kind,
            asset,
            said,
            snapshot=None if snapshot is None else snapshot.sha256,
            code=None if code is None else json.loads(json.dumps(asdict(code))),
        )
        same = held is not None and _same(held, wanted)
        default = before.default if before is not None else None
        if spec.default or (spec.default is None and default is None):
            default = spec.deployment
        elif spec.default is False and default is not None and names.key(default) == names.key(spec.deployment):
            default = None
        unchanged = same and before is not None and before.default == default
        if spec.dry_run or unchanged:
            shown = before or records.BatchEndpoint("", spec.endpoint, now(), now())
            planned = held if held is not None and same else wanted
            return BatchDeployed(_endpoint(shown), _deployment(shown.name, planned), unchanged)
        if before is None:
            catalog.put(spec.endpoint, default=None, description=None, tags={}, settings={})
        if not same:
            catalog.put_deployment(
                spec.endpoint, spec.deployment, kind, asset, settings=said, snapshot=snapshot, code=code, trusted=spec.trust
            )
        found = catalog.get(spec.endpoint)
        if found.default != default:
            found, _ = catalog.put(found.name, default=default, description=found.description, tags=found.tags, settings={})
        made = catalog.deployment_of(found, spec.deployment)
        return BatchDeployed(_endpoint(found), _deployment(found.name, made), unchanged=False)

    def _check_name(self, name: str) -> None:
        if self._workspace.online_endpoints.record(name) is not None:
            raise ConflictError(
                f"an online endpoint is called {name!r}",
                cause="endpoints have names of their own, online and batch, as on Azure",
                fix="give another name: --endpoint NAME",
            )

    def _model(self, spec: DeployBatch) -> str:
        if spec.model is None:
            if spec.code is None:
                raise UsageError("a deployment needs a model, a scoring script or a pipeline component")
            return ""
        found = self._workspace.models.get(spec.model)
        if spec.code is None and not (Path(found.path) / "MLmodel").is_file():
            raise InvalidInputError(
                f"model {found.name}:{found.version} is no MLflow model, and nobody knows how it scores",
                fix="give the script that reads it: --code DIR --scoring-script FILE",
            )
        if not (found.own or found.trusted):
            if not spec.trust:
                raise NotAllowedError(
                    f"model {found.name}:{found.version} was not trained by opsml, and nobody trusts it",
                    fix=f"if you trust where it comes from: opsml models register {found.name} {found.path} "
                    f"--version {found.version} --trust",
                )
            if not spec.dry_run:
                self._workspace.models.trust(found)
        return f"{found.name}:{found.version}"

    def _code(self, spec: DeployBatch) -> Tree | None:
        from opsml_cli.local.pipelines.snapshot import store_tree

        if spec.code is None:
            return None
        folder = Path(spec.code.code).expanduser()
        if not folder.is_dir():
            raise NotFoundError(f"no code folder {spec.code.code}", fix="check the path of --code or code_configuration.code")
        entry = _entry(spec)
        tree = store_tree(None if spec.dry_run else self._workspace.layout, folder, code=True)
        if all(each.path != entry for each in tree.files):
            known = ", ".join(each.path for each in tree.files[:5]) or "nothing"
            raise NotFoundError(f"the code folder holds no file {entry!r}", cause=f"it holds {known}")
        if not spec.trust:
            raise NotAllowedError(
                f"the scoring script {entry} is foreign code, and runs on this machine",
                fix="if you trust where it comes from, run the same command with --trust",
            )
        return tree

    def _component(self, spec: DeployBatch) -> Snapshot:
        from opsml_cli.local.pipelines import snapshot

        assert spec.component is not None
        if spec.component.startswith("azureml:"):
            raise UnsupportedError(
                "a local workspace registers no components by name", fix="give the path of the pipeline component's YAML"
            )
        definition, base, folder = snapshot.read_file(Path(spec.component).expanduser())
        return snapshot.take(None if spec.dry_run else self._workspace.layout, definition, base, folder)

    def _said(self, spec: DeployBatch) -> dict[str, Any]:
        """The deployment in Azure's words, which the emulator shows."""
        shared = {"tags": dict(spec.tags), "description": spec.description, "properties": {}, "environmentId": None}
        if spec.component is not None:
            properties = {pipeline_deployment.VERSION: spec.deployment}
            return {**shared, "properties": properties, "environmentVariables": {}, "component": spec.component}
        code = None
        if spec.code is not None:
            code = {"codeId": None, "scoringScript": _entry(spec)}
        return {**shared, **batch_wire.written(spec.settings), "compute": spec.compute, "codeConfiguration": code}

    # Runs

    def begin_invoke(self, spec: InvokeBatch) -> BatchRun:
        return BatchRuns(self._workspace).begin(spec)

    def run(self, name: str) -> BatchRun:
        return BatchRuns(self._workspace).read(name)


def _entry(spec: DeployBatch) -> str:
    assert spec.code is not None
    return spec.code.scoring_script.removeprefix("./")


def _same(held: records.BatchDeployment, wanted: records.BatchDeployment) -> bool:
    """Whether what is there runs the same, in the same way."""
    said = {key: held.settings.get(key) for key in wanted.settings}
    there = (held.kind, names.key(held.asset), said, held.snapshot, held.code)
    return there == (wanted.kind, names.key(wanted.asset), wanted.settings, wanted.snapshot, wanted.code)


def _endpoint(found: records.BatchEndpoint) -> BatchEndpoint:
    deployments = sorted(found.deployments.values(), key=lambda each: each.created_at)
    return BatchEndpoint(
        name=found.name,
        state=BatchState.SUCCEEDED,
        default=found.default,
        deployments=tuple(_deployment(found.name, each) for each in deployments),
        created_at=found.created_at,
        description=found.description,
        tags=found.tags,
    )


def _deployment(endpoint: str, found: records.BatchDeployment) -> BatchDeployment:
    model = found.kind == records.MODEL
    said = found.settings
    name, _, version = found.asset.partition(":") if model else ("", "", "")
    code = said.get("codeConfiguration")
    return BatchDeployment(
        name=found.name,
        endpoint=endpoint,
        type="model" if model else "pipeline",
        state=BatchState.SUCCEEDED,
        created_at=found.created_at,
        model=ModelPointer(name, version) if name else None,
        scoring_script=code["scoringScript"] if code else None,
        component=None if model else (found.asset or said.get("component") or f"{endpoint}:{found.version}"),
        compute=said.get("compute"),
        settings=batch_wire.read(said) if model else None,
        description=said.get("description"),
        tags=said.get("tags") or {},
    )
