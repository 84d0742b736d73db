"""Batch endpoints of an Azure ML workspace: read and called over the resource manager and the endpoint's own host; deployments
with code or a component go through Azure's SDK, which uploads what they need."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsml_cli.azureml import batch_mapping as mapping
from opsml_cli.azureml.batch_upload import upload
from opsml_cli.azureml.finishing import finished
from opsml_cli.azureml.pipeline_inputs import LITERALS, PipelineInputs
from opsml_cli.azureml.pipeline_runs import PipelineRuns, run_name
from opsml_cli.domain import batch_wire, names
from opsml_cli.domain.batch import (
    BatchDeployed,
    BatchEndpoint,
    BatchRun,
    DeployBatch,
    InvokeBatch,
    PutBatchEndpoint,
)
from opsml_cli.domain.compute import SERVERLESS
from opsml_cli.domain.errors import ConflictError, NotFoundError, OpsmlError, UsageError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.domain.job import JobState
from opsml_cli.domain.names import AssetRef

if TYPE_CHECKING:
    from opsml_cli.azureml.context import Context
    from opsml_cli.azureml.data import AzureData
    from opsml_cli.azureml.models import AzureModels
    from opsml_cli.azureml.pipelines import AzurePipelines
    from opsml_cli.domain.model import Model

VERSION = "2023-10-01"
COMPONENT_VERSION = "2024-01-01-preview"  # shows what a pipeline deployment runs
_DEPLOYMENT = "azureml-model-deployment"
_WORDS = {"uri_file": "UriFile", "uri_folder": "UriFolder", "mltable": "MLTable"}


class AzureBatchEndpoints:
    """The BatchEndpointOperations port on Azure."""

    def __init__(
        self,
        context: Context,
        data: Callable[[], AzureData],
        models: Callable[[], AzureModels],
        pipelines: Callable[[], AzurePipelines],
    ) -> None:
        self._context = context
        self._data, self._models, self._pipelines = data, models, pipelines
        self._runs = PipelineRuns(context)

    # Endpoints

    def get(self, name: str) -> BatchEndpoint:
        return self._shown(self._required(name))

    def list(self) -> Sequence[BatchEndpoint]:
        found = [self._shown(each) for each in self._context.rest.pages("{ws}/batchEndpoints", VERSION)]
        return sorted(found, key=lambda each: each.created_at, reverse=True)

    def put(self, spec: PutBatchEndpoint) -> BatchEndpoint:
        names.endpoint_name(spec.name)
        before = self._find(spec.name)
        deployments = [] if before is None else self._deployments(spec.name)
        default = mapping.default_of(before or {})
        if spec.default is not None:
            default = str(self._deployment(spec.name, deployments, spec.default)["name"])
        properties = (before or {}).get("properties") or {}
        description = properties.get("description") if spec.description is None else spec.description
        tags = (before or {}).get("tags") or {} if spec.tags is None else spec.tags
        if spec.dry_run:
            body = self._endpoint_body(description, default, tags, properties.get("properties"))
            return mapping.endpoint_of({"name": spec.name, **body}, deployments)
        self._put(spec.name, description, default, tags, properties.get("properties"))
        return self.get(spec.name)

    def delete(self, name: str, deployment: str | None = None) -> None:
        found = self._required(name)
        path = _path(str(found["name"]))
        what = f"batch endpoint {found['name']}"
        if deployment is not None:
            named = self._deployment(str(found["name"]), self._deployments(name), deployment)["name"]
            path, what = f"{path}/deployments/{named}", f"{what}/{named}"
        finished(self._context, self._context.rest.send("DELETE", path, VERSION), f"deleting {what}")

    # Deployments

    def begin_deploy(self, spec: DeployBatch) -> BatchDeployed:
        """As the port says. The endpoint, the deployment and the endpoint's default are made one after the other, and a call
        that was cut off between them is finished by the same one again."""
        names.endpoint_name(spec.endpoint)
        names.endpoint_name(spec.deployment, "deployment name")
        spec.settings.check()
        model = self._check(spec)
        before = self._find(spec.endpoint)
        deployments = [] if before is None else self._deployments(spec.endpoint)
        held = next((each for each in deployments if names.key(str(each["name"])) == names.key(spec.deployment)), None)
        body = self._deployment_body(spec, model)
        ready = held is not None and mapping.same(held, body) and mapping.runs_on(held, spec.compute)
        default = mapping.default_of(before or {})
        wanted = spec.deployment if spec.default or (spec.default is None and default is None) else default
        unchanged = ready and default == wanted
        if spec.dry_run or unchanged:
            shown = before or {"name": spec.endpoint, **self._endpoint_body(None, None, {}, None)}
            planned = held if held is not None and ready else {"name": spec.deployment, **body}
            endpoint = mapping.endpoint_of(shown, deployments)
            return BatchDeployed(endpoint, mapping.deployment_of(endpoint.name, planned), unchanged)
        if before is None:
            self._put(spec.endpoint, None, None, {}, None)
        if not ready:
            self._put_deployment(spec, body)
        if wanted is not None and default != wanted:
            properties = (before or {}).get("properties") or {}
            tags = (before or {}).get("tags") or {}
            self._put(spec.endpoint, properties.get("description"), wanted, tags, properties.get("properties"))
        endpoint = self.get(spec.endpoint)
        made = next(each for each in endpoint.deployments if names.key(each.name) == names.key(spec.deployment))
        return BatchDeployed(endpoint, made, unchanged=False)

    def _check(self, spec: DeployBatch) -> Model | None:
        if spec.model is None and spec.code is None and spec.component is None:
            raise UsageError("a deployment needs a model, a scoring script or a pipeline component")
        if spec.compute is None and spec.component is None:
            raise UsageError(
                "a batch deployment on Azure runs on a compute",
                fix="give --compute NAME; opsml compute list shows what there is, opsml compute create NAME makes one",
            )
        if spec.code is not None:
            folder = Path(spec.code.code).expanduser()
            if not (folder / spec.code.scoring_script).is_file():
                raise NotFoundError(f"no scoring script {spec.code.scoring_script} in {spec.code.code}", fix="check --code")
            if spec.environment is None:
                raise UsageError(
                    "a scoring script on Azure needs an environment", fix="give --environment FILE or NAME:VERSION"
                )
        return None if spec.model is None else self._models().get(spec.model)

    def _deployment_body(self, spec: DeployBatch, model: Model | None) -> dict[str, Any]:
        """What the deployment shall be; of one with code or a component, with a digest of their files."""
        place = self._context.place.arm_id
        properties: dict[str, Any] = {"description": spec.description, "properties": {}}
        if spec.component is None:
            properties |= batch_wire.written(spec.settings)
            properties["resources"] = {"instanceCount": spec.settings.instance_count}
            properties["compute"] = f"{place}/computes/{spec.compute}"
            if model is not None:
                identity = f"{place}/models/{model.name}/versions/{model.version}"
                properties["model"] = {"referenceType": "Id", "assetId": identity}
        digest = _digest(spec)
        if digest is not None:
            properties["properties"] = {mapping.DIGEST: digest}
        return {"location": self._context.region, "tags": dict(spec.tags), "properties": properties}

    def _put_deployment(self, spec: DeployBatch, body: Mapping[str, Any]) -> None:
        path = f"{_path(spec.endpoint)}/deployments/{spec.deployment}"
        if spec.code is not None:
            upload(self._context, spec, body["properties"]["properties"])
            return
        version = VERSION
        if spec.component is not None:
            body, version = self._component_body(spec, body), COMPONENT_VERSION
        answer = self._context.rest.send("PUT", path, version, body)
        finished(self._context, answer, f"deployment {spec.deployment} of batch endpoint {spec.endpoint}")

    def _component_body(self, spec: DeployBatch, body: Mapping[str, Any]) -> Mapping[str, Any]:
        from opsml_cli.azureml import pipeline_files

        assert spec.component is not None
        if spec.component.startswith("azureml:"):
            ref = names.parse_ref(spec.component, "component name")
            identity = f"{self._context.place.arm_id}/components/{ref.name}/versions/{ref.version}"
            found: dict[str, Any] = {
                "deploymentConfiguration": {
                    "deploymentConfigurationType": "PipelineComponent",
                    "componentId": {"referenceType": "Id", "assetId": identity},
                    "settings": {"default_compute": spec.compute or SERVERLESS},
                }
            }
            return {**body, "properties": {**body["properties"], **found}}
        file = pipeline_files.read(Path(spec.component).expanduser())
        component = self._pipelines().registered(spec.endpoint, file)
        made = self._pipelines().deployment_body(spec.deployment, file, component, spec.description)
        if spec.compute is not None:
            made["properties"]["deploymentConfiguration"]["settings"]["default_compute"] = spec.compute
        return {**made, "tags": dict(spec.tags)}

    def _put(
        self,
        name: str,
        description: str | None,
        default: str | None,
        tags: Mapping[str, str],
        properties: Mapping[str, Any] | None,
    ) -> None:
        body = self._endpoint_body(description, default, tags, properties)
        finished(self._context, self._context.rest.send("PUT", _path(name), VERSION, body), f"batch endpoint {name}")

    def _endpoint_body(
        self,
        description: str | None,
        default: str | None,
        tags: Mapping[str, str],
        properties: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        said: dict[str, Any] = {"authMode": "AADToken", "description": description, "properties": dict(properties or {})}
        if default is not None:
            said["defaults"] = {"deploymentName": default}
        return {"location": self._context.region, "tags": dict(tags), "properties": said}

    # Runs

    def begin_invoke(self, spec: InvokeBatch) -> BatchRun:
        """As the port says. The run's name is chosen here: when the answer is lost, the run is found by it."""
        endpoint = self._required(spec.endpoint)
        name = str(endpoint["name"])
        deployments = self._deployments(name)
        wanted = spec.deployment or mapping.default_of(endpoint)
        if wanted is None:
            known = ", ".join(str(each["name"]) for each in deployments) or "none"
            raise ConflictError(
                f"batch endpoint {name} has no default deployment",
                cause=f"its deployments: {known}",
                fix="name one: --deployment NAME, or make one the default: opsml batch deploy … --default",
            )
        deployment = self._deployment(name, deployments, wanted)
        inputs = self._inputs(name, deployment, spec)
        run = run_name(name)
        begun = BatchRun(
            run="" if spec.dry_run else run,
            endpoint=name,
            deployment=str(deployment["name"]),
            status=JobState.NOT_STARTED,
            experiment=spec.experiment or name,
            workspace=self._context.place.name,
            created_at="",
            inputs={key: item.get("value", item.get("uri")) for key, item in inputs.items()},
        )
        if spec.dry_run:
            return begun
        properties: dict[str, Any] = {"inputData": inputs, "name": run}
        if spec.experiment is not None:
            properties["properties"] = {"experimentName": names.asset_name(spec.experiment, "experiment name")}
        called = self._called(endpoint, begun, {"properties": properties})
        try:
            return self.run(called)
        except NotFoundError:
            # Azure takes a moment until the resource manager knows it.
            return BatchRun(**{field: getattr(begun, field) for field in begun.__slots__} | {"run": called})

    def _called(self, endpoint: Mapping[str, Any], begun: BatchRun, body: Mapping[str, Any]) -> str:
        url = endpoint["properties"].get("scoringUri")
        if not url:
            raise ConflictError(f"batch endpoint {begun.endpoint} is {mapping.endpoint_of(endpoint, ()).state}")
        try:
            headers = {_DEPLOYMENT: begun.deployment}
            answer = self._context.rest.send("POST", url, "", body, audience="ml", headers=headers)
        except OpsmlError:
            if self._runs.exists(begun.run):
                return begun.run
            raise
        return str((answer.value or {}).get("name") or begun.run)

    def _inputs(self, endpoint: str, deployment: Mapping[str, Any], spec: InvokeBatch) -> dict[str, dict[str, Any]]:
        if mapping.component_of(deployment) is None:
            if spec.data is None or spec.inputs:
                raise UsageError(
                    f"deployment {deployment['name']} of {endpoint} scores one data input",
                    fix=f"opsml batch run {endpoint} NAME[:VERSION], or a file or folder",
                )
            return {"data": self._sent(spec.data)}
        declared = self._pipelines().declared(deployment)
        found = PipelineInputs(self._data).of_call(declared, spec.inputs) if spec.data is None else {}
        if spec.data is not None:
            open_ones = [each for each in declared if each.type not in LITERALS and each.name not in spec.inputs]
            if len(open_ones) != 1:
                raise UsageError(
                    f"the pipeline of {endpoint} has {len(open_ones)} data inputs", fix="name them: --set INPUT=NAME[:VERSION]"
                )
            given = {**spec.inputs, open_ones[0].name: f"azureml:{spec.data}"}
            found = PipelineInputs(self._data).of_call(declared, given)
        return found

    def _sent(self, ref: AssetRef) -> dict[str, Any]:
        asset = self._data().get(ref)
        uri = f"{self._context.place.arm_id}/data/{asset.name}/versions/{asset.version}"
        return {"jobInputType": _WORDS[str(asset.type)], "uri": uri}

    def run(self, name: str) -> BatchRun:
        found = self._runs.read(name)
        resource = self._context.rest.find(f"{{ws}}/jobs/{name}", VERSION) or {}
        properties = resource.get("properties") or {}
        said = {**(properties.get("tags") or {}), **(properties.get("properties") or {})}
        deployment = said.get("azureml.deploymentname")
        if deployment is None:
            raise NotFoundError(f"{name} is no run of a batch endpoint", fix=f"opsml jobs show {name}")
        return mapping.run_of(found, str(deployment))

    # What Azure has

    def _find(self, name: str) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = self._context.rest.find(_path(names.endpoint_name(name)), VERSION)
        return found

    def _required(self, name: str) -> Mapping[str, Any]:
        found = self._find(name)
        if found is None:
            known = [str(each["name"]) for each in self._context.rest.pages("{ws}/batchEndpoints", VERSION)]
            raise NotFoundError(
                f"no batch endpoint {name!r}",
                cause=did_you_mean(name, known),
                fix=f"make one: opsml batch deploy MODEL --endpoint {name}, or see what there is: opsml batch list",
            )
        return found

    def _deployments(self, name: str) -> Sequence[Mapping[str, Any]]:
        found = self._context.rest.pages(f"{_path(name)}/deployments", COMPONENT_VERSION)
        return sorted(found, key=mapping.created_at)

    @staticmethod
    def _deployment(endpoint: str, found: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
        for each in found:
            if names.key(str(each["name"])) == names.key(name):
                return each
        known = ", ".join(str(each["name"]) for each in found) or "none"
        raise NotFoundError(
            f"batch endpoint {endpoint!r} has no deployment {name!r}",
            cause=f"it has: {known}",
            fix=f"opsml batch show {endpoint}",
        )

    def _shown(self, endpoint: Mapping[str, Any]) -> BatchEndpoint:
        return mapping.endpoint_of(endpoint, self._deployments(str(endpoint["name"])))


def _path(name: str) -> str:
    return f"{{ws}}/batchEndpoints/{name}"


def _digest(spec: DeployBatch) -> str | None:
    """Of what is uploaded: the same again changes nothing."""
    from opsml_cli.content.folders import hash_folder

    if spec.component is not None:
        from opsml_cli.azureml import pipeline_files

        if spec.component.startswith("azureml:"):
            return spec.component
        return pipeline_files.read(Path(spec.component).expanduser()).digest
    if spec.code is None:
        return None
    folder, _ = hash_folder(Path(spec.code.code).expanduser(), "the code")
    environment = spec.environment
    if isinstance(environment, str) and Path(environment).is_file():
        environment = Path(environment).read_text("utf-8", "replace")
    parts = [folder, asdict(spec.code)["scoring_script"], environment]
    return hashlib.sha256(json.dumps(parts, default=str, sort_keys=True).encode()).hexdigest()
