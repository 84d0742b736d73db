"""The service as `opsml local …` handles it, together with the workspace's other processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsml_cli.domain.job import JobState
from opsml_cli.domain.service import ServiceEnded, ServiceProcess, ServiceStatus, ServiceToken
from opsml_cli.local import job_records
from opsml_cli.local.service.place import ServicePlace
from opsml_cli.local.service.process import LocalService

if TYPE_CHECKING:
    from opsml_cli.local.workspace import LocalWorkspace


class LocalServiceOperations:
    """Bound to one workspace."""

    def __init__(self, workspace: LocalWorkspace) -> None:
        self._workspace = workspace
        self._service = LocalService(workspace.layout)

    def up(self) -> ServiceStatus:
        _, started = self._service.up()
        return self._status(unchanged=not started)

    def status(self) -> ServiceStatus:
        return self._status(unchanged=True)

    def down(self, *, jobs: bool, dry_run: bool) -> ServiceEnded:
        found = self._processes()
        ending = tuple(process for process in found if jobs or process.kind != "job")
        if not dry_run:
            for process in ending:
                if process.kind == "job":
                    self._workspace.jobs.cancel(process.name)
                elif process.kind == "endpoint":
                    self._workspace.online_endpoints.stop(process.name)
                else:
                    self._service.down()
        return ServiceEnded(ending, tuple(process for process in found if process not in ending), dry_run)

    def token(self) -> ServiceToken:
        self._workspace.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return ServiceToken(ServicePlace(self._workspace.layout).make_token())

    def _status(self, *, unchanged: bool) -> ServiceStatus:
        address = self._service.running()
        running = address is not None
        return ServiceStatus(
            running,
            address.pid if address is not None else None,
            address.url if address is not None else None,
            self._processes(),
            unchanged,
        )

    def _processes(self) -> tuple[ServiceProcess, ...]:
        """The service first, then endpoints' servers, then jobs, the newest first."""
        found: list[ServiceProcess] = []
        address = self._service.running()
        if address is not None:
            found.append(ServiceProcess("service", "service", address.pid, "Running", address.url))
        if not self._workspace.store.exists():
            return tuple(found)
        from opsml_cli.local.serving.place import Place

        for endpoint in self._workspace.online_endpoints.list():
            if endpoint.running:
                status = Place(self._workspace.layout.endpoint(endpoint.name)).status()
                pid = status.pid if status is not None else None
                found.append(ServiceProcess("endpoint", endpoint.name, pid, endpoint.state.value, endpoint.scoring_uri))
        for state in JobState:
            if state.finished:
                continue
            for job in self._workspace.jobs.list(status=state):
                with self._workspace.store.read() as connection:
                    record = job_records.load(connection, job.name)
                mark = None if record is None else record.process
                found.append(ServiceProcess("job", job.name, mark.pid if mark is not None else None, job.status.value))
        return tuple(found)
