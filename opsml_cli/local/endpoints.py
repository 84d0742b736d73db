"""Online endpoints of this machine: what is wanted goes into the database, and the endpoint's own server makes it true."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from opsml_cli.domain import names
from opsml_cli.domain.endpoint import (
    Configured,
    Deployed,
    DeploymentState,
    DeploySpec,
    EndpointAccess,
    EndpointKeys,
    OnlineEndpoint,
    RawReply,
    RawRequest,
    Row,
    ScoreRequest,
    ScoreResult,
)
from opsml_cli.domain.errors import ConflictError, NotFoundError, UsageError
from opsml_cli.local import (
    endpoint_keys,
    endpoint_plan,
    endpoint_records,
    endpoint_scripts,
    endpoint_traffic,
    endpoint_values,
    vm_sizes,
)
from opsml_cli.local.clock import now
from opsml_cli.local.endpoint_plan import Plan
from opsml_cli.local.endpoint_records import RUNNING, STOPPED, EndpointRecord, RequestSettings, Script
from opsml_cli.local.endpoint_servers import START_SECONDS, EndpointServers
from opsml_cli.local.endpoint_traffic import EndpointSettings
from opsml_cli.local.layout import Layout
from opsml_cli.local.store import Store

if TYPE_CHECKING:
    from opsml_cli.domain.deployment import EndpointSpec
    from opsml_cli.domain.load import LoadFigures, LoadPlan
    from opsml_cli.domain.progress import Progress
    from opsml_cli.domain.scoring import RowScorer, ScorePlan
    from opsml_cli.local.models import LocalModels
    from opsml_cli.scoring_client import Address, ScoringClient


class LocalEndpoints:
    """The `online_endpoints` group of a local workspace."""

    def __init__(self, layout: Layout, store: Store, models: Callable[[], LocalModels]) -> None:
        self._layout = layout
        self._store = store
        self._models = models
        self._servers = EndpointServers(layout, store)

    # What there is

    def get(self, name: str) -> OnlineEndpoint:
        return self._value(self._record(name))

    def list(self) -> Sequence[OnlineEndpoint]:
        with self._store.read() as connection:
            records = endpoint_records.read_all(connection)
        return [self._value(record) for record in records]

    def record(self, name: str) -> EndpointRecord | None:
        """What the workspace holds of an endpoint, for whoever stands before its server; None for an unknown one."""
        with self._store.read() as connection:
            return endpoint_records.read(connection, name)

    def id_of(self, name: str) -> str:
        """What tells this endpoint from an earlier one of the same name."""
        return self._record(name).id

    def keys(self, name: str) -> EndpointKeys:
        return endpoint_keys.read(self._layout, self._record(name).name)

    # Deploying

    def begin_deploy(self, spec: DeploySpec) -> Deployed:
        from opsml_cli.local.environments.choosing import packages_of

        endpoint_plan.check(spec)
        model = None if spec.model is None else self._models().get(spec.model)
        if model is not None and (refusal := endpoint_plan.distrust(model)) is not None:
            raise refusal
        if not spec.dry_run:  # before anything is kept in the endpoint's folder
            self._servers.clear_leftovers(spec.endpoint)
        script = endpoint_scripts.prepare(self._layout, self._store, spec, model)
        packages = packages_of(spec, model)
        release = endpoint_plan.release_of(model, spec, script, spec.variables, packages.python)
        if spec.dry_run:
            with self._store.read() as connection:
                plan = endpoint_plan.planned(endpoint_records.read(connection, spec.endpoint), spec, release)
            return replace(self._deployed(plan), notes=packages.notes)
        endpoint_keys.ensure(self._layout, spec.endpoint)
        with self._store.write() as connection:
            before = endpoint_records.read(connection, spec.endpoint)
            generation = before.generation if before is not None else 0
            plan = endpoint_plan.planned(before, spec, release)
            if not plan.unchanged:
                endpoint_records.save(connection, plan.record)
        return replace(self._begun(plan, generation), notes=packages.notes)

    def attach(
        self,
        spec: DeploySpec,
        failing: str | None = None,
        script: Script | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        request_settings: RequestSettings | None = None,
        python: str | None = None,
    ) -> Deployed:
        """`begin_deploy` as Azure's control plane has it: into an endpoint that is there (else NotFoundError), whose traffic
        stays as it is; `spec.insights` speaks of this deployment alone, and `spec.instance_type` counts against the quota.

        A model that nobody trusts makes an attempt that failed; so does `failing`, the reason why nothing can be started.
        `script`, which somebody answers for, answers in place of the model; `environment` are the variables that it finds,
        `python` is the interpreter that runs it (None: this one). A script needs no model."""
        model = None if spec.model is None else self._models().get(spec.model)
        release = endpoint_plan.release_of(model, spec, script, environment)
        if python is not None or request_settings is not None:
            settings = request_settings or release.request_settings
            release = replace(release, python=python or release.python, request_settings=settings)
        if model is not None and failing is None and (refusal := endpoint_plan.distrust(model)) is not None:
            failing = f"{refusal.message}; {refusal.fix}"
        with self._store.write() as connection:
            record = self._found(connection, spec.endpoint)
            self._check_quota(connection, spec)
            generation = record.generation
            plan = endpoint_plan.attached(record, spec, release, failing)
            if not plan.unchanged:
                endpoint_records.save(connection, record)
        if failing is not None:
            self._servers.note(record, failing, plan.deployment.name)
            return self._deployed(plan)
        return self._begun(plan, generation)

    def instances(self) -> Sequence[tuple[str, int]]:
        """Size and number of the machines that the deployments with a size stand for."""
        with self._store.read() as connection:
            return _instances(connection)

    @staticmethod
    def _check_quota(connection: sqlite3.Connection, spec: DeploySpec) -> None:
        if spec.instance_type is None:
            return
        used = _instances(connection, beside=(names.key(spec.endpoint), names.key(spec.deployment)))
        vm_sizes.check_quota(vm_sizes.find(spec.instance_type), spec.instance_count, used)

    def _begun(self, plan: Plan, generation: int) -> Deployed:
        """Have a server follow the plan. `generation` is the record's before it."""
        self._servers.ensure(plan.record)
        if plan.deployment.state is DeploymentState.SUCCEEDED and plan.record.generation != generation:
            self._servers.await_applied(plan.record)
        return self._deployed(plan)

    def _deployed(self, plan: Plan) -> Deployed:
        return Deployed(
            self._value(plan.record), endpoint_values.deployment_value(plan.record, plan.deployment, alive=True), plan.unchanged
        )

    def configure(self, spec: EndpointSpec) -> Configured:
        names.endpoint_name(spec.name)
        with self._store.read() as connection:
            before = endpoint_records.read(connection, spec.name)
        settings = EndpointSettings(spec.auth_mode, spec.description, spec.tags, spec.traffic, spec.mirror_traffic)
        wanted = endpoint_traffic.preview(before, spec.name, settings)
        unchanged = before is not None and wanted == before
        if unchanged or spec.dry_run:
            return Configured(self._value(wanted), unchanged)
        return Configured(self.put(spec.name, settings), unchanged=False)

    def put(self, name: str, settings: EndpointSettings) -> OnlineEndpoint:
        """Create the endpoint without deployments, or give the one that is there these settings; all of them or none."""
        names.endpoint_name(name)
        self._servers.clear_leftovers(name)
        with self._store.write() as connection:
            record = endpoint_records.read(connection, name) or EndpointRecord(os.urandom(8).hex(), name, now())
            endpoint_traffic.apply(record, settings)
            endpoint_keys.ensure(self._layout, record.name)
            endpoint_records.save(connection, record)
        self._servers.await_applied(record)
        return self.get(record.name)

    # Running

    def start(self, name: str) -> OnlineEndpoint:
        with self._store.write() as connection:
            record = self._found(connection, name)
            changed = record.desired != RUNNING
            record.desired = RUNNING
            if not self._servers.running(record):
                for deployment in record.deployments.values():
                    # It served once and could not be loaded later: that is tried again.
                    if deployment.state is DeploymentState.FAILED and deployment.active == deployment.target:
                        deployment.state, changed = DeploymentState.UPDATING, True
            if changed:
                endpoint_records.save(connection, record)
        self._servers.ensure(record)
        self._servers.await_applied(record, START_SECONDS)
        return self.get(record.name)

    def stop(self, name: str) -> OnlineEndpoint:
        with self._store.write() as connection:
            record = self._found(connection, name)
            if record.desired != STOPPED:
                record.desired = STOPPED
                endpoint_records.save(connection, record)
        self._servers.await_end(record)
        return self.get(record.name)

    def delete(self, name: str, deployment: str | None = None) -> None:
        if deployment is not None:
            self._delete_deployment(name, deployment)
            return
        with self._store.write() as connection:
            record = self._found(connection, name)
            endpoint_records.remove(connection, name)
        self._servers.await_end(record)
        self._servers.clear_leftovers(record.name)
        endpoint_keys.remove(self._layout, record.name)

    def _delete_deployment(self, name: str, deployment: str) -> None:
        with self._store.write() as connection:
            record = self._found(connection, name)
            found = endpoint_traffic.deployment_of(record, deployment)
            if record.share_of(found.name):
                raise ConflictError(
                    f"deployment {found.name!r} has {record.share_of(found.name)} percent of the traffic",
                    fix=f"opsml endpoints traffic {record.name} OTHER=100, then delete it",
                )
            record.remove_deployment(found.name)
            endpoint_records.save(connection, record)
        self._servers.await_applied(record)

    # Changing

    def rotate_keys(self, name: str, key: str, value: str | None = None) -> EndpointKeys:
        """As the port says; `value`: what the key is to be, in place of a random one."""
        if key not in ("primary", "secondary"):
            raise UsageError(f"{key!r} is no key", cause="expected primary or secondary")
        record = self._record(name)
        keys = endpoint_keys.rotate(self._layout, record.name, key, value)
        # The new key is honoured at once; this makes sure that the old one no longer is.
        with self._store.write() as connection:
            record = self._found(connection, name)
            endpoint_records.save(connection, record)
        self._servers.await_applied(record)
        return keys

    def set_traffic(
        self, name: str, traffic: Mapping[str, int], *, previous: Mapping[str, int] | None = None
    ) -> OnlineEndpoint:
        with self._store.write() as connection:
            record = self._found(connection, name)
            record.set_traffic(endpoint_traffic.checked(record, traffic), previous)
            endpoint_records.save(connection, record)
        self._servers.await_applied(record)
        return self.get(record.name)

    def rollback(self, name: str) -> OnlineEndpoint:
        record = self._record(name)
        if record.previous is None:
            raise ConflictError(
                f"the traffic of endpoint {record.name!r} was never changed",
                fix=f"opsml endpoints traffic {record.name} NAME=100",
            )
        gone = [each for each in record.previous if record.deployment(each) is None and record.previous[each]]
        if gone:
            raise ConflictError(
                f"deployment {gone[0]!r}, which had traffic before, was deleted",
                fix=f"opsml endpoints traffic {record.name} NAME=100",
            )
        return self.set_traffic(name, {each: share for each, share in record.previous.items() if record.deployment(each)})

    def set_insights(self, name: str, enabled: bool) -> OnlineEndpoint:
        """Record requests from now on, or stop."""
        with self._store.write() as connection:
            record = self._found(connection, name)
            if record.record_requests(enabled):
                endpoint_records.save(connection, record)
        self._servers.await_applied(record)
        return self.get(record.name)

    # Using

    def score(self, name: str, request: ScoreRequest) -> ScoreResult:
        record = self._record(name)
        if request.deployment is not None:
            request = replace(request, deployment=endpoint_traffic.deployment_of(record, request.deployment).name)
        if not request.rows:
            return ScoreResult((), 0, request.deployment, 0.0)
        with self._client(record) as client:
            return client.score(request)

    def send(self, name: str, request: RawRequest) -> RawReply:
        record = self._record(name)
        if request.deployment is not None:
            request = replace(request, deployment=endpoint_traffic.deployment_of(record, request.deployment).name)
        with self._client(record) as client:
            return client.send(request)

    def scorer(self, name: str, plan: ScorePlan) -> RowScorer:
        from opsml_cli.domain.contract import Dialect
        from opsml_cli.scoring_client import EndpointScorer

        record = self._record(name)
        if plan.deployment is not None:
            plan = replace(plan, deployment=endpoint_traffic.deployment_of(record, plan.deployment).name)
        return EndpointScorer(self._address(record), Dialect.AUTOML_V2, plan)

    def load(self, name: str, plan: LoadPlan, rows: Sequence[Row], progress: Progress) -> LoadFigures:
        from opsml_cli.loading.generator import load

        record = self._record(name)
        if plan.deployment is not None:
            plan = replace(plan, deployment=endpoint_traffic.deployment_of(record, plan.deployment).name)
        with self._client(record) as client:
            return load(client, plan, rows, progress)

    def swagger(self, name: str) -> Mapping[str, object]:
        with self._client(self._record(name)) as client:
            return client.swagger()

    def serve_swagger_ui(self, name: str, port: int, ready: Callable[[str], None]) -> None:
        from opsml_cli.swagger_ui import Target, serve

        def address() -> str:
            record = self._record(name)
            self._require_running(record)
            return endpoint_values.address_of(record, "") or ""

        record = self._record(name)
        serve(Target(record.name, address, lambda: self.keys(name).primary, lambda: self.swagger(name)), port, ready)

    def access(self, name: str) -> EndpointAccess:
        address = self._address(self._record(name))
        return EndpointAccess(address.scoring_uri.removesuffix("/score"), address.key)

    def _client(self, record: EndpointRecord) -> ScoringClient:
        from opsml_cli.scoring_client import ScoringClient

        return ScoringClient(self._address(record))

    def _address(self, record: EndpointRecord) -> Address:
        from opsml_cli.scoring_client import Address

        self._require_running(record)
        uri, key = endpoint_values.address_of(record, "/score") or "", self.keys(record.name).primary
        return Address(record.name, uri, key, unreachable=f"opsml endpoints start {record.name}")

    def _require_running(self, record: EndpointRecord) -> None:
        if record.port is None or not self._servers.running(record):
            raise ConflictError(
                f"endpoint {record.name!r} is not running",
                cause="it was stopped" if record.desired == STOPPED else endpoint_values.why_down(record),
                fix=f"opsml endpoints start {record.name}" if record.deployments else f"opsml deploy --endpoint {record.name}",
            )

    # The record and its server

    def _value(self, record: EndpointRecord) -> OnlineEndpoint:
        return endpoint_values.endpoint_value(record, self._servers)

    def _record(self, name: str) -> EndpointRecord:
        with self._store.read() as connection:
            return self._found(connection, name)

    @staticmethod
    def _found(connection: sqlite3.Connection, name: str) -> EndpointRecord:
        names.endpoint_name(name)
        record = endpoint_records.read(connection, name)
        if record is None:
            known = [each.name for each in endpoint_records.read_all(connection)]
            raise NotFoundError(
                f"no endpoint {name!r}",
                cause=f"there is {', '.join(known[:10])}" if known else "this workspace has no endpoint",
                fix="opsml endpoints list" if known else "opsml deploy",
            )
        return record


def _instances(connection: sqlite3.Connection, beside: tuple[str, str] | None = None) -> list[tuple[str, int]]:
    """Size and number of the instances of every deployment that says a size, but `beside` (endpoint's and its own key)."""
    return [
        (each.target.instance_type, each.target.instance_count)
        for record in endpoint_records.read_all(connection)
        for key, each in record.deployments.items()
        if each.target.instance_type and (names.key(record.name), key) != beside
    ]
