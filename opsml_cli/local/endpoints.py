"""Online endpoints of this machine: what is wanted goes into the database, and the endpoint's own server makes it true."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from opsml_cli.domain import names
from opsml_cli.domain.endpoint import (
    Deployed,
    Deployment,
    DeploymentState,
    DeploySpec,
    EndpointKeys,
    OnlineEndpoint,
    ScoreRequest,
    ScoreResult,
)
from opsml_cli.domain.errors import (
    ConflictError,
    NotAllowedError,
    NotFoundError,
    UnsupportedError,
    UsageError,
)
from opsml_cli.local import endpoint_keys, endpoint_records
from opsml_cli.local.clock import now
from opsml_cli.local.endpoint_records import RUNNING, STOPPED, DeploymentRecord, EndpointRecord, Release
from opsml_cli.local.endpoint_servers import START_SECONDS, EndpointServers
from opsml_cli.local.layout import Layout
from opsml_cli.local.store import Store

if TYPE_CHECKING:
    from opsml_cli.local.models import LocalModels
    from opsml_cli.scoring_client import ScoringClient

MAX_INSTANCES = 16

_UNFINISHED = (DeploymentState.CREATING, DeploymentState.UPDATING)


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

    def keys(self, name: str) -> EndpointKeys:
        return endpoint_keys.read(self._layout, self._record(name).name)

    # Deploying

    def begin_deploy(self, spec: DeploySpec) -> Deployed:
        release = self._release(spec)
        if spec.dry_run:
            with self._store.read() as connection:
                record, deployment, unchanged = self._planned(endpoint_records.read(connection, spec.endpoint), spec, release)
            return Deployed(self._value(record), self._deployment(record, deployment, alive=True), unchanged)
        self._servers.clear_leftovers(spec.endpoint)
        endpoint_keys.ensure(self._layout, spec.endpoint)
        with self._store.write() as connection:
            before = endpoint_records.read(connection, spec.endpoint)
            generation = before.generation if before is not None else 0
            record, deployment, unchanged = self._planned(before, spec, release)
            if not unchanged:
                endpoint_records.save(connection, record)
        self._servers.ensure(record)
        if deployment.state is DeploymentState.SUCCEEDED and record.generation != generation:
            self._servers.await_applied(record)
        return Deployed(self._value(record), self._deployment(record, deployment, alive=True), unchanged)

    def _release(self, spec: DeploySpec) -> Release:
        names.endpoint_name(spec.endpoint)
        names.endpoint_name(spec.deployment, "deployment name")
        if spec.traffic is not None and not 0 <= spec.traffic <= 100:
            raise UsageError(f"traffic {spec.traffic} is no percentage", cause="expected 0 to 100")
        if not 1 <= spec.instance_count <= MAX_INSTANCES:
            raise UsageError(f"instance count {spec.instance_count} is out of range", cause=f"expected 1 to {MAX_INSTANCES}")
        if spec.instance_count > 1 and os.name == "nt":
            raise UnsupportedError(
                "on Windows a local endpoint has one process", fix="leave --instance-count out, or deploy to Azure"
            )
        model = self._models().get(spec.model)
        if not (model.own or model.trusted):
            raise NotAllowedError(
                f"model {model.name}:{model.version} was not trained by opsml, and nobody trusts it",
                cause="a model is code: serving it runs what its folder holds",
                fix=f"opsml models register {model.name} {model.path} --trust",
            )
        return Release(
            revision=os.urandom(16).hex(),
            model=model.name,
            version=model.version,
            path=model.path,
            sha256=model.sha256,
            own=model.own,
            instance_count=spec.instance_count,
            instance_type=spec.instance_type,
        )

    @staticmethod
    def _planned(
        record: EndpointRecord | None, spec: DeploySpec, release: Release
    ) -> tuple[EndpointRecord, DeploymentRecord, bool]:
        """The record as `spec` wants it, the deployment in it, and whether nothing had to change."""
        fresh = record is None
        if record is None:
            record = EndpointRecord(os.urandom(8).hex(), spec.endpoint, now())
        deployment = record.deployment(spec.deployment)
        others = sum(percent for name, percent in record.traffic.items() if names.key(name) != names.key(spec.deployment))
        if spec.traffic is not None and 0 < spec.traffic < 100 and not others:
            raise UsageError(
                f"traffic {spec.traffic} leaves {100 - spec.traffic} percent for nobody",
                fix="leave --traffic out, or give 100",
            )
        changed = fresh
        if spec.insights is not None and record.insights != spec.insights:
            record.insights, changed = spec.insights, True
        if record.desired != RUNNING:
            record.desired, changed = RUNNING, True
        same = deployment is not None and deployment.target.same_as(release) and deployment.state is not DeploymentState.FAILED
        # A deployment that nobody shares traffic with gets all of it.
        share = spec.traffic if spec.traffic is not None else (None if others else 100)
        if deployment is not None and same:
            if deployment.state in _UNFINISHED:
                if share is not None and deployment.share != share:
                    deployment.share, changed = share, True
            elif share is not None and record.share_of(deployment.name) != share and (spec.traffic is not None or not others):
                record.give(deployment.name, share)
                changed = True
            return record, deployment, not changed
        if deployment is None:
            deployment = DeploymentRecord(spec.deployment, now(), DeploymentState.CREATING, release)
            record.deployments[names.key(spec.deployment)] = deployment
            record.traffic.setdefault(spec.deployment, 0)
        else:
            deployment.target = release
            deployment.state = DeploymentState.UPDATING if deployment.active is not None else DeploymentState.CREATING
        deployment.share, deployment.detail = share, None
        return record, deployment, False

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
            found = self._deployment_of(record, deployment)
            if record.share_of(found.name):
                raise ConflictError(
                    f"deployment {found.name!r} has {record.share_of(found.name)} percent of the traffic",
                    fix=f"opsml endpoints traffic {record.name} OTHER=100, then delete it",
                )
            del record.deployments[names.key(deployment)]
            record.traffic = {
                each: percent for each, percent in record.traffic.items() if names.key(each) != names.key(deployment)
            }
            endpoint_records.save(connection, record)
        self._servers.await_applied(record)

    # Changing

    def rotate_keys(self, name: str, key: str) -> EndpointKeys:
        if key not in ("primary", "secondary"):
            raise UsageError(f"{key!r} is no key", cause="expected primary or secondary")
        record = self._record(name)
        keys = endpoint_keys.rotate(self._layout, record.name, key)
        # The new key is honoured at once; this makes sure that the old one no longer is.
        with self._store.write() as connection:
            record = self._found(connection, name)
            endpoint_records.save(connection, record)
        self._servers.await_applied(record)
        return keys

    def set_traffic(self, name: str, traffic: Mapping[str, int]) -> OnlineEndpoint:
        with self._store.write() as connection:
            record = self._found(connection, name)
            wanted = {}
            for each, percent in traffic.items():
                found = self._deployment_of(record, each)
                if not 0 <= percent <= 100:
                    raise UsageError(f"traffic {percent} for {each!r} is no percentage", cause="expected 0 to 100")
                if percent and found.active is None:
                    raise ConflictError(
                        f"deployment {found.name!r} is {found.state} and cannot take traffic",
                        fix=f"opsml endpoints show {record.name}",
                    )
                wanted[found.name] = percent
            total = sum(wanted.values())
            if total not in (0, 100):
                raise UsageError(f"the traffic adds up to {total} percent", cause="expected 100, or 0 for none")
            record.set_traffic(wanted)
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
            if record.insights != enabled:
                record.insights = enabled
                endpoint_records.save(connection, record)
        self._servers.await_applied(record)
        return self.get(record.name)

    # Using

    def score(self, name: str, request: ScoreRequest) -> ScoreResult:
        record = self._record(name)
        if request.deployment is not None:
            request = replace(request, deployment=self._deployment_of(record, request.deployment).name)
        if not request.rows:
            return ScoreResult((), 0, request.deployment, 0.0)
        with self._client(record) as client:
            return client.score(request)

    def swagger(self, name: str) -> Mapping[str, object]:
        with self._client(self._record(name)) as client:
            return client.swagger()

    def serve_swagger_ui(self, name: str, port: int, ready: Callable[[str], None]) -> None:
        from opsml_cli.swagger_ui import Target, serve

        def address() -> str:
            record = self._record(name)
            self._require_running(record)
            return self._url(record, "") or ""

        record = self._record(name)
        serve(Target(record.name, address, lambda: self.keys(name).primary, lambda: self.swagger(name)), port, ready)

    def _client(self, record: EndpointRecord) -> ScoringClient:
        from opsml_cli.scoring_client import Address, ScoringClient

        self._require_running(record)
        uri, key = self._url(record, "/score") or "", self.keys(record.name).primary
        return ScoringClient(Address(record.name, uri, key, unreachable=f"opsml endpoints start {record.name}"))

    def _require_running(self, record: EndpointRecord) -> None:
        if record.port is None or not self._servers.running(record):
            raise ConflictError(
                f"endpoint {record.name!r} is not running",
                cause="it was stopped" if record.desired == STOPPED else "its process has ended",
                fix=f"opsml endpoints start {record.name}",
            )

    # The record and its server

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

    @staticmethod
    def _deployment_of(record: EndpointRecord, name: str) -> DeploymentRecord:
        found = record.deployment(name)
        if found is None:
            known = ", ".join(each.name for each in record.deployments.values()) or "none"
            raise NotFoundError(
                f"endpoint {record.name!r} has no deployment {name!r}",
                cause=f"it has: {known}",
                fix=f"opsml endpoints show {record.name}",
            )
        return found

    # Values

    def _value(self, record: EndpointRecord) -> OnlineEndpoint:
        running = self._servers.running(record)
        unfinished = any(each.state in _UNFINISHED for each in record.deployments.values())
        alive = running or (unfinished and self._servers.starting(record))
        applied = record.generation
        if running and not unfinished:
            applied = self._servers.applied(record)
        deployments = tuple(
            self._deployment(record, each, alive=alive, applied=applied) for each in record.deployments.values()
        )
        return OnlineEndpoint(
            name=record.name,
            state=DeploymentState.CREATING if record.port is None else DeploymentState.SUCCEEDED,
            scoring_uri=self._url(record, "/score"),
            swagger_uri=self._url(record, "/swagger.json"),
            traffic=dict(record.traffic),
            deployments=deployments,
            insights=record.insights,
            created_at=record.created_at,
            running=running,
            detail=None if running or record.desired == STOPPED else "its process has ended",
        )

    @staticmethod
    def _deployment(
        record: EndpointRecord, deployment: DeploymentRecord, *, alive: bool, applied: int | None = None
    ) -> Deployment:
        """`alive`: whether a process works on it. A success counts once the server has taken it up (`applied`)."""
        state, detail = deployment.state, deployment.detail
        if state in _UNFINISHED and not alive:
            state = DeploymentState.FAILED
            detail = "the server process ended before the deployment was ready; deploy again to go on"
        elif state is DeploymentState.SUCCEEDED and applied is not None and applied < deployment.settled:
            state = DeploymentState.UPDATING
        shown = deployment.shown
        return Deployment(
            name=deployment.name,
            endpoint=record.name,
            state=state,
            model=shown.pointer,
            created_at=deployment.created_at,
            instance_count=shown.instance_count,
            instance_type=shown.instance_type,
            insights=record.insights,
            detail=detail,
        )

    @staticmethod
    def _url(record: EndpointRecord, path: str) -> str | None:
        return None if record.port is None else f"http://127.0.0.1:{record.port}{path}"
