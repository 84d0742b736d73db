"""Pipelines of an Azure ML workspace: a batch endpoint of the pipeline's name, with a deployment for every version.

A version's content is a pipeline component, named by its digest: publishing the same files again finds what is there, and
one that was cut short is finished by running it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsml_cli.azureml import pipeline_files
from opsml_cli.azureml import pipeline_records as records
from opsml_cli.azureml.finishing import finished
from opsml_cli.azureml.pipeline_files import PipelineFile
from opsml_cli.azureml.pipeline_inputs import PipelineInputs
from opsml_cli.azureml.pipeline_runs import VERSION, PipelineRuns, run_name
from opsml_cli.azureml.wire import created_at
from opsml_cli.domain import names, pipeline_deployment
from opsml_cli.domain.errors import ConflictError, InvalidInputError, NotFoundError, OpsmlError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.domain.job import JobState
from opsml_cli.domain.pipeline import (
    PipelineEndpoint,
    PipelineInput,
    PipelineRun,
    Published,
    PublishPipeline,
    Step,
    TriggerPipeline,
)

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from opsml_cli.azureml.context import Context
    from opsml_cli.azureml.data import AzureData

_ENDPOINT_VERSION = "2023-10-01"


@dataclass(frozen=True, slots=True)
class Target:
    """What a schedule of a published version runs: the component's id, and the settings of its deployment."""

    pipeline: PipelineEndpoint
    component: str
    settings: Mapping[str, Any]


class AzurePipelines:
    """The `pipelines` group of an Azure ML workspace."""

    def __init__(self, context: Context, data: Callable[[], AzureData]) -> None:
        self._context = context
        self.inputs = PipelineInputs(data)
        self._runs = PipelineRuns(context)

    # Published pipelines

    def validate(self, path: str) -> PipelineEndpoint:
        """As the port says, with what Azure's SDK finds in the file."""
        file = pipeline_files.read(Path(path).expanduser())
        self._check(file)
        return _planned(Path(path).stem, "", file, None)

    def publish(self, spec: PublishPipeline) -> Published:
        name = names.endpoint_name(spec.name, "pipeline name on Azure")
        if spec.version is not None:
            names.version(spec.version)
        file = pipeline_files.read(Path(spec.path).expanduser())
        endpoint = self._context.rest.find(self._endpoint_path(name), _ENDPOINT_VERSION)
        deployments = [] if endpoint is None else list(self._deployments(name))
        version, existing = _version_for(spec, file, deployments)
        ready = existing is not None and records.state_of(existing) == "Succeeded"
        if spec.dry_run:
            self._check(file)
            return Published(_planned(name, version, file, spec.description), ready)
        if not ready:
            self._check(file)
            if endpoint is None:
                endpoint = self._put_endpoint(name, spec.description or file.description, None, {})
            component = self._component(name, file)
            self._put_deployment(name, version, file, component, spec.description)
        assert endpoint is not None
        default = records.default_of(endpoint)
        # Also where an earlier call was cut off between the deployment and this.
        if default is None or (spec.default and default != pipeline_deployment.name_of(version)):
            properties = endpoint["properties"]
            self._put_endpoint(
                name, properties.get("description"), pipeline_deployment.name_of(version), endpoint.get("tags") or {}
            )
        return Published(self.get(name, version), ready)

    def get(self, name: str, version: str | None = None) -> PipelineEndpoint:
        endpoint = self._context.rest.find(self._endpoint_path(name), _ENDPOINT_VERSION)
        if endpoint is None:
            known = [str(each["name"]) for each in self._endpoints()]
            raise NotFoundError(
                f"no pipeline {name!r}", cause=did_you_mean(name, known), fix="opsml pipeline list shows what is published"
            )
        return self._pipeline(endpoint, version)

    def list(self) -> Sequence[PipelineEndpoint]:
        found = [self._pipeline(endpoint, None) for endpoint in self._endpoints() if records.default_of(endpoint) is not None]
        return sorted(found, key=lambda item: item.created_at, reverse=True)

    def delete(self, name: str, version: str | None = None) -> None:
        """Its runs stay. ConflictError for the default version while there are others."""
        found = self.get(name, version)
        path = self._endpoint_path(found.name)
        if version is not None and len(found.versions) > 1:
            if names.key(found.version) == names.key(found.default_version):
                raise ConflictError(
                    f"version {found.version} is the default of pipeline {found.name}",
                    fix="publish another version as the default first, or delete the pipeline",
                )
            path += f"/deployments/{self._deployment(found.name, found.version)['name']}"
        finished(self._context, self._context.rest.send("DELETE", path, _ENDPOINT_VERSION), f"deleting {found.name}")

    # Runs

    def begin_trigger(self, spec: TriggerPipeline) -> PipelineRun:
        """As the port says. The run's name is chosen here: when the answer is lost, the run is found by it."""
        found = self.get(spec.name, spec.version)
        inputs = self.inputs.of_call(found.inputs, spec.inputs)
        run = run_name(found.name)
        begun = PipelineRun(
            run="" if spec.dry_run else run,
            pipeline=found.name,
            version=found.version,
            status=JobState.NOT_STARTED,
            steps=tuple(Step(name, JobState.NOT_STARTED) for name in found.steps),
            outputs={},
            experiment=spec.experiment or found.name,
            created_at="",
            workspace=self._context.place.name,
            inputs={name: item.get("value", item.get("uri")) for name, item in inputs.items()},
        )
        if spec.dry_run:
            return begun
        properties: dict[str, Any] = {"inputData": inputs, "name": run}
        if spec.experiment is not None:
            properties["properties"] = {"experimentName": names.asset_name(spec.experiment, "experiment name")}
        name = self._called(found, run, {"properties": properties})
        try:
            return self._runs.read(name)
        except NotFoundError:
            # Azure takes a moment until the resource manager knows it.
            return PipelineRun(**{field: getattr(begun, field) for field in begun.__slots__} | {"run": name})

    def _called(self, found: PipelineEndpoint, run: str, body: Mapping[str, Any]) -> str:
        headers = {"azureml-model-deployment": self._deployment(found.name, found.version)["name"]}
        assert found.url is not None
        try:
            answer = self._context.rest.send("POST", found.url, "", body, audience="ml", headers=headers)
        except OpsmlError:
            if self._runs.exists(run):
                return run
            raise
        return str((answer.value or {}).get("name") or run)

    def begin_run(self, path: str, inputs: Mapping[str, str], experiment: str | None) -> PipelineRun:
        """As the port says; submitted by Azure's SDK, which uploads code and registers components."""
        import io

        import yaml

        from opsml_cli.azureml import sdk

        file = pipeline_files.read(Path(path).expanduser())
        document = {**file.job, "name": run_name("pipeline")}
        document["inputs"] = {**document["inputs"], **self.inputs.of_job(file.inputs, inputs)}
        document = pipeline_files.runnable(document)
        document["settings"] = {**(file.job.get("settings") or {}), "default_compute": file.settings["default_compute"]}
        document.pop("compute", None)
        if experiment is not None:
            document["experiment_name"] = names.asset_name(experiment, "experiment name")

        def create(client: MLClient) -> None:
            from azure.ai.ml import load_job

            text = io.StringIO(yaml.safe_dump(document, sort_keys=False))
            client.jobs.create_or_update(load_job(text, relative_origin=str(file.path.absolute())))

        try:
            sdk.signed_in(self._context, f"pipeline {file.path.name}", create)
        except OpsmlError:
            if not self._runs.exists(document["name"]):
                raise
        return self._runs.read(document["name"])

    def run(self, name: str) -> PipelineRun:
        return self._runs.read(name)

    def trigger_command(self, name: str) -> str:
        found = self.get(name)
        body = {"properties": {"inputData": self.inputs.example(found.inputs)}}
        resource = shlex.quote(self._context.cloud.scope("ml").removesuffix("/.default"))
        token = f"az account get-access-token --resource {resource} --query accessToken -o tsv"
        return (
            f"curl --fail-with-body --silent --show-error -X POST {shlex.quote(str(found.url))} "
            f'-H "Authorization: Bearer $({token})" '
            f"-H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}"
        )

    def target(self, name: str, version: str | None) -> Target:
        found = self.get(name, version)
        configuration = self._deployment(found.name, found.version)["properties"]["deploymentConfiguration"]
        return Target(found, str(configuration["componentId"]["assetId"]), configuration.get("settings") or {})

    # What Azure has

    def _endpoint_path(self, name: str) -> str:
        return f"{{ws}}/batchEndpoints/{name}"

    def _endpoints(self) -> Iterator[Mapping[str, Any]]:
        """The batch endpoints that run pipeline components."""
        for endpoint in self._context.rest.pages("{ws}/batchEndpoints", _ENDPOINT_VERSION):
            said = (endpoint.get("properties") or {}).get("properties") or {}
            if pipeline_deployment.VERSION in said or str(said.get("ComponentDeployment.Enabled")).casefold() == "true":
                yield endpoint

    def _deployments(self, name: str) -> Iterator[Mapping[str, Any]]:
        """Those that run pipeline components, oldest first."""
        found = list(self._context.rest.pages(f"{self._endpoint_path(name)}/deployments", VERSION))
        yield from (each for each in sorted(found, key=created_at) if records.component_id(each) is not None)

    def _deployment(self, name: str, version: str) -> Mapping[str, Any]:
        return next(each for each in self._deployments(name) if names.key(records.version_of(each)) == names.key(version))

    def _pipeline(self, endpoint: Mapping[str, Any], version: str | None) -> PipelineEndpoint:
        name = str(endpoint["name"])
        found = list(self._deployments(name))
        default = records.default_of(endpoint)
        versions = {str(each["name"]): records.version_of(each) for each in found}
        wanted = version or versions.get(default or "")
        for each in found:
            if wanted is not None and names.key(records.version_of(each)) == names.key(wanted):
                inputs, steps = self._shown(each)
                return PipelineEndpoint(
                    name=name,
                    version=records.version_of(each),
                    default_version=versions.get(default or "", ""),
                    url=endpoint["properties"].get("scoringUri"),
                    inputs=inputs,
                    steps=steps,
                    created_at=created_at(each),
                    description=each["properties"].get("description"),
                    versions=tuple(versions.values()),
                )
        raise NotFoundError(
            f"pipeline {name} has no version {wanted!r}" if wanted else f"the batch endpoint {name} has no default version",
            cause=f"it has {', '.join(versions.values())}" if versions else "it has none",
            fix=f"opsml pipeline show {name}",
        )

    def declared(self, deployment: Mapping[str, Any]) -> tuple[PipelineInput, ...]:
        """The inputs of the component that a deployment runs."""
        return self._shown(deployment)[0]

    def _shown(self, deployment: Mapping[str, Any]) -> tuple[tuple[PipelineInput, ...], tuple[str, ...]]:
        """Inputs and steps: as opsml wrote them down, or, of a deployment that somebody else made, those of its component."""
        text = records.said(deployment).get(pipeline_deployment.SHOWN)
        if text:
            return pipeline_deployment.read_shown(text)
        component = self._context.rest.find(str(records.component_id(deployment)), VERSION) or {}
        return pipeline_files.declared((component.get("properties") or {}).get("componentSpec") or {})

    def _put_endpoint(
        self, name: str, description: str | None, default: str | None, tags: Mapping[str, str]
    ) -> Mapping[str, Any]:
        properties: dict[str, Any] = {
            "authMode": "AADToken",
            "description": description,
            "properties": {pipeline_deployment.VERSION: "1"},
        }
        if default is not None:
            properties["defaults"] = {"deploymentName": default}
        body = {"location": self._context.region, "tags": dict(tags), "properties": properties}
        path = self._endpoint_path(name)
        finished(self._context, self._context.rest.send("PUT", path, _ENDPOINT_VERSION, body), f"batch endpoint {name}")
        found: Mapping[str, Any] = self._context.rest.get(path, _ENDPOINT_VERSION)
        return found

    def registered(self, name: str, file: PipelineFile) -> str:
        """The id of the component that the file is, checked and registered."""
        self._check(file)
        return self._component(name, file)

    def deployment_body(self, version: str, file: PipelineFile, component: str, description: str | None) -> dict[str, Any]:
        """The deployment that runs the component of the file."""
        said = {
            pipeline_deployment.VERSION: version,
            pipeline_deployment.DIGEST: file.digest,
            pipeline_deployment.SHOWN: pipeline_deployment.shown(file.inputs, file.steps),
        }
        return {
            "location": self._context.region,
            "tags": {},
            "properties": {
                "description": description or file.description,
                "properties": said,
                "deploymentConfiguration": {
                    "deploymentConfigurationType": "PipelineComponent",
                    "componentId": {"referenceType": "Id", "assetId": component},
                    "settings": {key: _setting(each) for key, each in file.settings.items()},
                },
            },
        }

    def _put_deployment(self, name: str, version: str, file: PipelineFile, component: str, description: str | None) -> None:
        body = self.deployment_body(version, file, component, description)
        path = f"{self._endpoint_path(name)}/deployments/{pipeline_deployment.name_of(version)}"
        answer = self._context.rest.send("PUT", path, VERSION, body)
        finished(self._context, answer, f"version {version} of pipeline {name}")

    def _loaded(self, name: str, file: PipelineFile) -> Any:
        """The component as the SDK understands it."""
        import io

        import yaml

        from opsml_cli.azureml import sdk

        with sdk.quiet(f"pipeline {file.path.name}"):
            from azure.ai.ml import load_component

            text = io.StringIO(yaml.safe_dump({"name": name, **file.component}, sort_keys=False))
            return load_component(text, relative_origin=str(file.path.absolute()))

    def _check(self, file: PipelineFile) -> None:
        """What the SDK finds wrong, before anything is uploaded."""
        from opsml_cli.azureml import sdk

        component = self._loaded("checked", file)
        result = sdk.signed_in(
            self._context, f"pipeline {file.path.name}", lambda client: client.components.validate(component)
        )
        if not result.passed:
            message = "; ".join(f"{place}: {text}" for place, text in result.error_messages.items())
            raise InvalidInputError(f"{file.path.name}: {message}", fix=f"correct {file.path.name} and run the command again")

    def _component(self, name: str, file: PipelineFile) -> str:
        """The id of the registered component with this content; made by the first publish of it."""
        from opsml_cli.azureml import sdk

        version, own = file.digest[:16], pipeline_files.component_name(name)
        held = self._context.rest.find(f"{{ws}}/components/{own}/versions/{version}", VERSION)
        if held is not None:
            return str(held["id"])

        def create(client: MLClient) -> str:
            component = self._loaded(own, file)
            component.version = version
            return str(client.components.create_or_update(component).id)

        return sdk.signed_in(self._context, f"pipeline {file.path.name}", create)


def _version_for(
    spec: PublishPipeline, file: PipelineFile, deployments: Sequence[Mapping[str, Any]]
) -> tuple[str, Mapping[str, Any] | None]:
    """The version that this content has or gets, and its deployment. ConflictError when `spec.version` has other content."""
    by_version = {names.key(records.version_of(each)): each for each in deployments}
    if spec.version is not None:
        held = by_version.get(names.key(spec.version))
        if held is not None and records.said(held).get(pipeline_deployment.DIGEST) != file.digest:
            raise ConflictError(
                f"version {records.version_of(held)} of pipeline {spec.name} exists with other content",
                cause="a published version never changes",
                fix="leave --version out for the next one",
            )
        return spec.version, held
    if deployments and records.said(deployments[-1]).get(pipeline_deployment.DIGEST) == file.digest:
        return records.version_of(deployments[-1]), deployments[-1]
    number = len(deployments) + 1
    while str(number) in by_version:
        number += 1
    return str(number), None


def _planned(name: str, version: str, file: PipelineFile, description: str | None) -> PipelineEndpoint:
    return PipelineEndpoint(
        name=name,
        version=version,
        default_version=version,
        url=None,
        inputs=file.inputs,
        steps=file.steps,
        created_at="",
        description=description or file.description,
    )


def _setting(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).removeprefix("azureml:")
