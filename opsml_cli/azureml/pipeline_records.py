"""What the documents of a batch endpoint and its deployments say of the pipeline that they publish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opsml_cli.domain import pipeline_deployment


def said(deployment: Mapping[str, Any]) -> Mapping[str, str]:
    """What opsml wrote to the deployment; empty for one of somebody else."""
    found = (deployment.get("properties") or {}).get("properties") or {}
    return found if pipeline_deployment.VERSION in found else {}


def component_id(deployment: Mapping[str, Any]) -> str | None:
    """The pipeline component that the deployment runs; None for one that scores by a model."""
    configuration = (deployment.get("properties") or {}).get("deploymentConfiguration") or {}
    found = (configuration.get("componentId") or {}).get("assetId")
    return None if found is None else str(found)


def version_of(deployment: Mapping[str, Any]) -> str:
    """The published version that it holds."""
    return pipeline_deployment.version_of(str(deployment["name"]), said(deployment))


def state_of(deployment: Mapping[str, Any]) -> str:
    """How its provisioning stands, in Azure's word."""
    return str((deployment.get("properties") or {}).get("provisioningState") or "")


def default_of(endpoint: Mapping[str, Any]) -> str | None:
    """The name of the deployment that answers calls without a wish."""
    found = ((endpoint.get("properties") or {}).get("defaults") or {}).get("deploymentName")
    return None if found is None else str(found)
