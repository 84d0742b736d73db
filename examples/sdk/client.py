"""The workspace that the environment names: on Azure, or on this machine under `opsml local run --`."""

import os

from azure.ai.ml import MLClient
from azure.identity import DefaultAzureCredential


def ml_client() -> MLClient:
    return MLClient(
        DefaultAzureCredential(),
        subscription_id=os.environ["AZURE_SUBSCRIPTION_ID"],
        resource_group_name=os.environ["AZURE_RESOURCE_GROUP"],
        workspace_name=os.environ["AZUREML_WORKSPACE_NAME"],
    )
