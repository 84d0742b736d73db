"""The workspace that the environment names: on Azure, or on this machine under `opsml local run --`."""

import os

from azure.ai.ml import MLClient
from azure.identity import DefaultAzureCredential


def ml_client() -> MLClient:
    return MLClient(
        DefaultAzureCredential(),
        subscription_id=os.environ["AZUREML_ARM_SUBSCRIPTION"],
        resource_group_name=os.environ["AZUREML_ARM_RESOURCEGROUP"],
        workspace_name=os.environ["AZUREML_ARM_WORKSPACE_NAME"],
    )
