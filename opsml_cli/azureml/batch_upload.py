"""Batch deployments with a scoring script: Azure's SDK uploads its files and registers its environment."""

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
    from opsml_cli.azureml import sdk

    def create(client: MLClient) -> None:
        client.batch_deployments.begin_create_or_update(_deployment(spec, properties)).result()

    sdk.signed_in(context, f"batch deployment {spec.endpoint}/{spec.deployment}", create)


def _deployment(spec: DeployBatch, properties: Mapping[str, str]) -> Any:
    from azure.ai.ml.entities import (
        BatchRetrySettings,
        CodeConfiguration,
        ModelBatchDeployment,
        ModelBatchDeploymentSettings,
    )

    assert spec.code is not None
    settings, retries = spec.settings, spec.settings.retry_settings
    model = None
    if spec.model is not None:
        model = f"azureml:{spec.model.name}" + (f":{spec.model.version}" if spec.model.version else "@latest")
    return ModelBatchDeployment(
        name=spec.deployment,
        endpoint_name=spec.endpoint,
        description=spec.description,
        tags=dict(spec.tags),
        properties=dict(properties),
        model=model,
        code_configuration=CodeConfiguration(
            code=str(Path(spec.code.code).expanduser().absolute()), scoring_script=spec.code.scoring_script
        ),
        environment=_environment(spec.environment),
        compute=spec.compute,
        settings=ModelBatchDeploymentSettings(
            mini_batch_size=settings.mini_batch_size,
            instance_count=settings.instance_count,
            max_concurrency_per_instance=settings.max_concurrency_per_instance,
            error_threshold=settings.error_threshold,
            retry_settings=BatchRetrySettings(max_retries=retries.max_retries, timeout=round(retries.timeout)),
            output_action=str(settings.output_action),
            output_file_name=settings.output_file_name,
            logging_level=settings.logging_level,
            environment_variables=dict(settings.environment_variables),
        ),
    )


def _environment(said: object) -> Any:
    """A registered environment by its name, one in Azure's YAML, or one written out."""
    import io

    import yaml
    from azure.ai.ml import load_environment

    if isinstance(said, Mapping):
        return load_environment(
            io.StringIO(yaml.safe_dump(dict(said))), relative_origin=str(Path("environment.yml").absolute())
        )
    path = Path(str(said)).expanduser()
    if path.is_file():
        return load_environment(path)
    return str(said) if str(said).startswith("azureml:") else f"azureml:{said}"
