"""The local workspace: its groups of operations, each made on first use so that a read costs only what it reads."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.local.layout import Layout
from opsml_cli.local.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opsml_cli.domain.access import Check
    from opsml_cli.local.access import LocalAccess
    from opsml_cli.local.alerts import LocalAlerts
    from opsml_cli.local.assets import LocalAssets
    from opsml_cli.local.backups import LocalBackups
    from opsml_cli.local.batch.catalog import BatchCatalog
    from opsml_cli.local.batch.endpoints import LocalBatchEndpoints
    from opsml_cli.local.compute_records import ComputeRecords
    from opsml_cli.local.computes import LocalComputes
    from opsml_cli.local.creation import LocalCreation
    from opsml_cli.local.data import LocalData
    from opsml_cli.local.datastores import LocalDatastores
    from opsml_cli.local.endpoints import LocalEndpoints
    from opsml_cli.local.insights import LocalInsights
    from opsml_cli.local.jobs import LocalJobs
    from opsml_cli.local.model_adoption import ModelAdoption
    from opsml_cli.local.models import LocalModels
    from opsml_cli.local.pipelines.operations import LocalPipelines
    from opsml_cli.local.run_files import RunFiles
    from opsml_cli.local.run_history import RunHistory
    from opsml_cli.local.schedules import LocalSchedules
    from opsml_cli.local.service.operations import LocalServiceOperations
    from opsml_cli.local.storage.engine import LocalStorage


class LocalWorkspace:
    """The workspace in `root` (a `.opsml` folder, made by the first write)."""

    kind = "local"

    def __init__(self, root: Path, name: str = "local") -> None:
        self.name = name
        self.root = root.absolute()
        self.location = str(self.root)
        self.layout = Layout(self.root)
        self.store = Store(self.root)

    @cached_property
    def data(self) -> LocalData:
        from opsml_cli.local.data import LocalData

        return LocalData(self.layout, self.store)

    @cached_property
    def models(self) -> LocalModels:
        from opsml_cli.local.models import LocalModels

        return LocalModels(self.layout, self.store)

    @cached_property
    def jobs(self) -> LocalJobs:
        from opsml_cli.local.jobs import LocalJobs

        # Only a new job looks at data, only a new deployment at models: reading loads neither room.
        return LocalJobs(self.layout, self.store, self.name, lambda: self.data)

    @cached_property
    def online_endpoints(self) -> LocalEndpoints:
        from opsml_cli.local.endpoints import LocalEndpoints

        return LocalEndpoints(self.layout, self.store, lambda: self.models)

    @cached_property
    def batch_endpoints(self) -> LocalBatchEndpoints:
        from opsml_cli.local.batch.endpoints import LocalBatchEndpoints

        return LocalBatchEndpoints(self)

    @cached_property
    def batch_catalog(self) -> BatchCatalog:
        from opsml_cli.local.batch.catalog import BatchCatalog

        return BatchCatalog(self.store)

    @cached_property
    def insights(self) -> LocalInsights:
        from opsml_cli.local.insights import LocalInsights

        return LocalInsights(self.layout, self.online_endpoints)

    @cached_property
    def alerts(self) -> LocalAlerts:
        from opsml_cli.local.alerts import LocalAlerts

        return LocalAlerts(self.layout, self.store, self.online_endpoints, self.insights)

    @cached_property
    def pipelines(self) -> LocalPipelines:
        from opsml_cli.local.pipelines.operations import LocalPipelines

        return LocalPipelines(self.layout, self.store, self.name, self.data, self.jobs)

    @cached_property
    def history(self) -> RunHistory:
        from opsml_cli.local.run_history import RunHistory

        return RunHistory(self.store, self.jobs, lambda: self.pipelines)

    @cached_property
    def run_files(self) -> RunFiles:
        from opsml_cli.local.run_files import RunFiles

        return RunFiles(self.layout, self.history)

    @cached_property
    def schedules(self) -> LocalSchedules:
        from opsml_cli.local.schedules import LocalSchedules

        return LocalSchedules(self.layout, self.store, self.pipelines)

    @cached_property
    def service(self) -> LocalServiceOperations:
        from opsml_cli.local.service.operations import LocalServiceOperations

        return LocalServiceOperations(self)

    @cached_property
    def assets(self) -> LocalAssets:
        from opsml_cli.local.assets import LocalAssets

        return LocalAssets(self.store)

    @cached_property
    def model_adoption(self) -> ModelAdoption:
        from opsml_cli.local.model_adoption import ModelAdoption

        return ModelAdoption(self.layout, self.store, self.models)

    @cached_property
    def compute_records(self) -> ComputeRecords:
        from opsml_cli.local.compute_records import ComputeRecords

        return ComputeRecords(self.store)

    @cached_property
    def computes(self) -> LocalComputes:
        from opsml_cli.local.computes import LocalComputes

        return LocalComputes(self.compute_records)

    @cached_property
    def access(self) -> LocalAccess:
        from opsml_cli.local.access import LocalAccess

        return LocalAccess(self)

    @cached_property
    def creation(self) -> LocalCreation:
        from opsml_cli.local.creation import LocalCreation

        return LocalCreation(self)

    @cached_property
    def backups(self) -> LocalBackups:
        from opsml_cli.local.backups import LocalBackups

        return LocalBackups(self.root, self.store, self.service)

    def signed_in(self) -> str | None:
        """Nobody signs in, the folder's rights are enough; but a copy says that it is one."""
        from opsml_cli.local import home

        original = home.original(self.root)
        if original is None:
            return None
        return f"this workspace is a copy of {original}: what runs there is not seen or ended from here"

    def checks(self, *, deep: bool = False) -> Iterator[Check]:
        from opsml_cli.local.checks import checks

        return checks(self.root, self.store, deep=deep)

    @cached_property
    def storage(self) -> LocalStorage:
        from opsml_cli.local.storage.engine import LocalStorage
        from opsml_cli.local.storage.views import WorkspaceViews

        return LocalStorage(self.layout, self.store, WorkspaceViews(self.layout, self.store, lambda: self.run_files))

    @cached_property
    def datastores(self) -> LocalDatastores:
        from opsml_cli.local.datastores import LocalDatastores

        return LocalDatastores(self.layout, self.store)
