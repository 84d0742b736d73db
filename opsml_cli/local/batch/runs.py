"""Runs of local batch endpoints: begun, and read as they are. A run is a job of one step, or of the pipeline."""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING

from opsml_cli.domain import names
from opsml_cli.domain.batch import BatchRun, InvokeBatch
from opsml_cli.domain.data import DataType
from opsml_cli.domain.errors import ConflictError, NotAllowedError, NotFoundError, UnsupportedError, UsageError
from opsml_cli.domain.job import JobKind, JobState
from opsml_cli.domain.names import AssetRef, parse_ref
from opsml_cli.local.batch import records, scoring_run
from opsml_cli.local.clock import now

if TYPE_CHECKING:
    from opsml_cli.domain.pipeline import PipelineRun
    from opsml_cli.local.workspace import LocalWorkspace

ENDPOINT_TAG = "opsml.batchendpoint"
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_LITERALS = ("string", "integer", "number", "boolean")


class BatchRuns:
    """The runs of one workspace."""

    def __init__(self, workspace: LocalWorkspace) -> None:
        self._workspace = workspace

    def begin(self, spec: InvokeBatch) -> BatchRun:
        catalog = self._workspace.batch_catalog
        endpoint = catalog.get(spec.endpoint)
        wanted = spec.deployment or endpoint.default
        if wanted is None:
            known = ", ".join(each.name for each in endpoint.deployments.values()) or "none"
            raise ConflictError(
                f"batch endpoint {endpoint.name} has no default deployment",
                cause=f"its deployments: {known}",
                fix="name one: --deployment NAME, or make one the default: opsml batch deploy … --default",
            )
        deployment = catalog.deployment_of(endpoint, wanted)
        if deployment.kind == records.PIPELINE:
            return self._pipeline_run(endpoint, deployment, spec)
        if spec.data is None or spec.inputs:
            raise UsageError(
                f"deployment {deployment.name} of {endpoint.name} scores one data input",
                fix=f"opsml batch run {endpoint.name} NAME[:VERSION], or a file or folder",
            )
        return self._model_run(endpoint, deployment, spec, spec.data)

    def _model_run(
        self, endpoint: records.BatchEndpoint, deployment: records.BatchDeployment, spec: InvokeBatch, data: AssetRef
    ) -> BatchRun:
        from opsml_cli.local.pipelines.runs import Labels
        from opsml_cli.local.pipelines.snapshot import Snapshot, tree_of

        asset = self._workspace.data.get(data)
        if deployment.asset:
            self._check_model(endpoint, deployment)
        if deployment.settings.get("codeConfiguration") is not None and deployment.code is None:
            raise UnsupportedError(
                f"the scoring script of {deployment.name} was registered over the emulator",
                fix="call it there, or deploy it here",
            )
        if deployment.code is not None and not deployment.trusted:
            raise NotAllowedError("the scoring script is foreign code, and nobody trusts it", fix="deploy it with --trust")
        label = asset.name if asset.type is DataType.MLTABLE else None  # a file has a name of its own
        settings = scoring_run.settings_of(deployment.settings, label, self._mount(deployment.asset))
        code = {} if deployment.code is None else {"code": tree_of(deployment.code)}
        document = scoring_run.document(
            self._workspace.root,
            scoring_run.Call(
                deployment.asset,
                str(asset.type),
                f"azureml:{asset.name}:{asset.version}",
                settings,
                "code" if code else None,
                deployment.settings.get("environmentVariables") or {},
            ),
        )
        experiment = names.asset_name(spec.experiment or endpoint.name, "experiment name")
        name = f"batchjob-{uuid.uuid4()}"
        tags = {**scoring_run.tags(deployment.name), ENDPOINT_TAG: endpoint.name}
        if spec.dry_run:
            given = {scoring_run.INPUT: f"azureml:{asset.name}:{asset.version}"}
            return self._planned(endpoint, deployment, experiment, given)
        self._settle()
        display = f"{deployment.name}_{''.join(secrets.choice(_LETTERS) for _ in range(8))}"
        labels = Labels(name, display_name=display, tags=tags)
        self._workspace.pipelines.begin_snapshot(Snapshot("job", json.dumps(document), {}, code), labels, experiment)
        return self.read(name)

    def _mount(self, model: str) -> str:
        """Under which name a script finds the model."""
        from opsml_cli.local import custom_models

        name, _, version = model.partition(":")
        return custom_models.mount_of(self._workspace.layout, self._workspace.store, name, version)

    def _check_model(self, endpoint: records.BatchEndpoint, deployment: records.BatchDeployment) -> None:
        try:
            self._workspace.models.get(parse_ref(deployment.asset))
        except NotFoundError as error:
            raise NotFoundError(
                f"model {deployment.asset} of deployment {deployment.name} is gone",
                fix=f"deploy another: opsml batch deploy MODEL --endpoint {endpoint.name} --deployment {deployment.name}",
            ) from error

    def _pipeline_run(
        self, endpoint: records.BatchEndpoint, deployment: records.BatchDeployment, spec: InvokeBatch
    ) -> BatchRun:
        if deployment.version is None:
            raise UnsupportedError(f"the pipeline of deployment {deployment.name} cannot run on this machine")
        pipelines = self._workspace.pipelines
        inputs = dict(spec.inputs)
        published = pipelines.get(endpoint.name, deployment.version)
        if spec.data is not None:
            wanted = [each.name for each in published.inputs if each.name not in inputs and each.type not in _LITERALS]
            if len(wanted) != 1:
                raise UsageError(
                    f"the pipeline of {endpoint.name} has {len(wanted)} data inputs",
                    fix="name them: --set INPUT=NAME[:VERSION]",
                )
            inputs[wanted[0]] = f"azureml:{self._fixed(spec.data)}"
        given = pipelines.check_inputs(published, inputs)
        if spec.dry_run:
            return self._planned(endpoint, deployment, spec.experiment or endpoint.name, dict(given))
        name, _ = pipelines.start_published(endpoint.name, deployment.version, given, spec.experiment or endpoint.name)
        return self.read(name)

    def _fixed(self, ref: AssetRef) -> str:
        asset = self._workspace.data.get(ref)
        return f"{asset.name}:{asset.version}"

    def _planned(
        self,
        endpoint: records.BatchEndpoint,
        deployment: records.BatchDeployment,
        experiment: str,
        inputs: Mapping[str, object],
    ) -> BatchRun:
        return BatchRun(
            run="",
            endpoint=endpoint.name,
            deployment=deployment.name,
            status=JobState.NOT_STARTED,
            experiment=experiment,
            workspace=self._workspace.name,
            created_at=now(),
            inputs=inputs,
        )

    def _settle(self) -> None:
        """What is left of runs that were killed is ended, so that the new one may go on with their work."""
        for job in self._workspace.jobs.list(kind=JobKind.PIPELINE, limit=50):
            if job.tags.get("azureml.batchrun") == "true" and job.status is JobState.FAILED:
                self._workspace.pipelines.run(job.name)

    def read(self, name: str) -> BatchRun:
        found = self._workspace.pipelines.run(name)
        job = self._workspace.jobs.get(name)
        deployment = job.tags.get("azureml.deploymentname")
        endpoint = job.tags.get(ENDPOINT_TAG) or found.pipeline or job.experiment
        if deployment is None and found.version is not None:
            deployment = self._deployment_of(endpoint, found.version)
        if deployment is None:
            raise NotFoundError(f"{name} is no run of a batch endpoint", fix=f"opsml jobs show {name}")
        return _run(found, endpoint, deployment, self._progress(name))

    def _deployment_of(self, endpoint: str, version: str) -> str | None:
        catalog = self._workspace.batch_catalog
        if not catalog.exists(endpoint):
            return None
        found = [each.name for each in catalog.get(endpoint).deployments.values() if each.version == version]
        return found[0] if found else None

    def _progress(self, name: str) -> Mapping[str, int]:
        try:
            found: Mapping[str, int] = json.loads((self._workspace.layout.job(name) / scoring_run.PROGRESS).read_bytes())
        except (OSError, ValueError):
            return {}
        return found


def _run(found: PipelineRun, endpoint: str, deployment: str, progress: Mapping[str, int]) -> BatchRun:
    return BatchRun(
        run=found.run,
        endpoint=endpoint,
        deployment=deployment,
        status=found.status,
        experiment=found.experiment,
        workspace=found.workspace,
        created_at=found.created_at,
        inputs=found.inputs,
        outputs=found.outputs,
        results=progress.get("results"),
        failed_files=progress.get("failed_files"),
        mini_batches=progress.get("mini_batches"),
        steps=found.steps,
        started_at=found.started_at,
        ended_at=found.ended_at,
        duration_seconds=found.duration_seconds,
        error=found.error,
    )
