"""Batch deployments with code or a pipeline component: Azure's SDK uploads their files and registers what they name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.batch import DeployBatch

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from opsml_cli.azureml.context import Context


def upload(context: Context, spec: DeployBatch, properties: Mapping[str, str]) -> None:
    """Make the deployment, and return when Azure has."""
    import io

    import yaml

    from opsml_cli.azureml import sdk

    document = _pipeline(spec) if spec.component is not None else _script(spec)
    document |= {
        "name": spec.deployment,
        "endpoint_name": spec.endpoint,
        "description": spec.description,
        "tags": dict(spec.tags),
        "properties": dict(properties),
    }
    text = yaml.safe_dump({key: value for key, value in document.items() if value is not None}, sort_keys=False)

    def create(client: MLClient) -> None:
        from azure.ai.ml import load_batch_deployment

        # Paths in the text are absolute; the origin names no file.
        deployment = load_batch_deployment(io.StringIO(text), relative_origin=str(Path("deployment.yml").absolute()))
        client.batch_deployments.begin_create_or_update(deployment).result()

    sdk.signed_in(context, f"batch deployment {spec.endpoint}/{spec.deployment}", create)


def _script(spec: DeployBatch) -> dict[str, Any]:
    assert spec.code is not None
    settings = spec.settings
    retries = settings.retry_settings
    found: dict[str, Any] = {
        "type": "model",
        "code_configuration": {
            "code": str(Path(spec.code.code).expanduser().absolute()),
            "scoring_script": spec.code.scoring_script,
        },
        "environment": _environment(spec.environment),
        "compute": f"azureml:{spec.compute}",
        "resources": {"instance_count": settings.instance_count},
        "settings": {
            "mini_batch_size": settings.mini_batch_size,
            "max_concurrency_per_instance": settings.max_concurrency_per_instance,
            "error_threshold": settings.error_threshold,
            "retry_settings": {"max_retries": retries.max_retries, "timeout": round(retries.timeout)},
            "output_action": str(settings.output_action),
            "output_file_name": settings.output_file_name,
            "logging_level": settings.logging_level,
            "environment_variables": dict(settings.environment_variables),
        },
    }
    if spec.model is not None:
        found["model"] = f"azureml:{spec.model.name}" + (f":{spec.model.version}" if spec.model.version else "@latest")
    return found


def _environment(said: object) -> object:
    """A registered environment by its name, an environment's YAML by its path, or one written out."""
    if not isinstance(said, str):
        return said
    path = Path(said).expanduser()
    if path.is_file():
        return f"file:{path.absolute()}"
    return said if said.startswith("azureml:") else f"azureml:{said}"


def _pipeline(spec: DeployBatch) -> dict[str, Any]:
    assert spec.component is not None
    component = spec.component
    if not component.startswith("azureml:"):
        component = f"file:{Path(component).expanduser().absolute()}"
    settings = {"default_compute": f"azureml:{spec.compute}"} if spec.compute else {}
    return {"type": "pipeline", "component": component, "settings": settings}
