"""The Azure ML workspace: its groups of operations, each made on first use so that a read costs only what it reads."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from opsml_cli.azureml.context import Context, Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opsml_cli.azureml.access import AzureAccess
    from opsml_cli.azureml.alerts import AzureAlerts
    from opsml_cli.azureml.batch_endpoints import AzureBatchEndpoints
    from opsml_cli.azureml.computes import AzureComputes
    from opsml_cli.azureml.creation import AzureCreation
    from opsml_cli.azureml.data import AzureData
    from opsml_cli.azureml.endpoints import AzureEndpoints
    from opsml_cli.azureml.insights import AzureInsights
    from opsml_cli.azureml.jobs import AzureJobs
    from opsml_cli.azureml.models import AzureModels
    from opsml_cli.azureml.pipelines import AzurePipelines
    from opsml_cli.azureml.schedules import AzureSchedules
    from opsml_cli.domain.access import Check
    from opsml_cli.settings import AzureSettings


class AzureWorkspace:
    """The workspace that `settings` name. Nothing is connected before something is asked."""

    kind = "azure"

    def __init__(self, settings: AzureSettings, name: str = "azure", context: Context | None = None) -> None:
        assert settings.subscription_id is not None
        assert settings.resource_group is not None
        assert settings.workspace_name is not None
        place = Place(name, settings.subscription_id, settings.resource_group, settings.workspace_name)
        self.name = name
        self.location = f"{place.subscription_id}/{place.resource_group}/{place.workspace_name}"
        self.context = context or Context(place, settings)

    @cached_property
    def data(self) -> AzureData:
        from opsml_cli.azureml.data import AzureData

        return AzureData(self.context)

    @cached_property
    def models(self) -> AzureModels:
        from opsml_cli.azureml.models import AzureModels

        return AzureModels(self.context)

    @cached_property
    def jobs(self) -> AzureJobs:
        from opsml_cli.azureml.jobs import AzureJobs

        # Only a new job looks at data, only a completed one at models.
        return AzureJobs(self.context, lambda: self.data, lambda: self.models)

    @cached_property
    def online_endpoints(self) -> AzureEndpoints:
        from opsml_cli.azureml.endpoints import AzureEndpoints

        return AzureEndpoints(self.context, lambda: self.models, lambda: self.data)

    @cached_property
    def batch_endpoints(self) -> AzureBatchEndpoints:
        from opsml_cli.azureml.batch_endpoints import AzureBatchEndpoints

        return AzureBatchEndpoints(self.context, lambda: self.data, lambda: self.models, lambda: self.pipelines)

    @cached_property
    def insights(self) -> AzureInsights:
        from opsml_cli.azureml.insights import AzureInsights

        return AzureInsights(self.context, lambda: self.online_endpoints)

    @cached_property
    def alerts(self) -> AzureAlerts:
        from opsml_cli.azureml.alerts import AzureAlerts

        return AzureAlerts(self.context, lambda: self.online_endpoints)

    @cached_property
    def pipelines(self) -> AzurePipelines:
        from opsml_cli.azureml.pipelines import AzurePipelines

        return AzurePipelines(self.context, lambda: self.data)

    @cached_property
    def schedules(self) -> AzureSchedules:
        from opsml_cli.azureml.schedules import AzureSchedules

        return AzureSchedules(self.context, self.pipelines)

    @cached_property
    def computes(self) -> AzureComputes:
        from opsml_cli.azureml.computes import AzureComputes

        return AzureComputes(self.context)

    @cached_property
    def access(self) -> AzureAccess:
        from opsml_cli.azureml.access import AzureAccess

        return AzureAccess(self.context)

    @cached_property
    def creation(self) -> AzureCreation:
        from opsml_cli.azureml.creation import AzureCreation

        return AzureCreation(self.context)

    def checks(self, *, deep: bool = False) -> Iterator[Check]:  # noqa: ARG002
        from opsml_cli.azureml.checks import checks

        return checks(self.context)

    def signed_in(self) -> str:
        """One line: which identity is used, and why not another. Asks for a token."""
        self.context.identity.token(self.context.cloud.scope("arm"))
        return self.context.identity.told()
