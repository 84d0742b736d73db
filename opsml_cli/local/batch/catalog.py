"""Batch endpoints: named entries to runs over data. A model deployment scores rows, a pipeline deployment runs a component,
and is a published version of the pipeline that has the endpoint's name."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from opsml_cli.domain import names, pipeline_deployment
from opsml_cli.domain.errors import NotFoundError, UsageError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.local.batch import records
from opsml_cli.local.batch.records import BatchDeployment, BatchEndpoint
from opsml_cli.local.clock import now
from opsml_cli.local.pipelines import published
from opsml_cli.local.store import Store

if TYPE_CHECKING:
    from opsml_cli.local.pipelines.snapshot import Snapshot, Tree


class BatchCatalog:
    """The records of the batch endpoints of one local workspace, as the emulator and the port change them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def exists(self, name: str) -> bool:
        with self._store.read() as connection:
            return records.read(connection, name) is not None

    def get(self, name: str) -> BatchEndpoint:
        """NotFoundError for an unknown one."""
        with self._store.read() as connection:
            return self._found(connection, name)

    def list(self) -> Sequence[BatchEndpoint]:
        """Newest first."""
        with self._store.read() as connection:
            return records.read_all(connection)

    def put(
        self,
        name: str,
        *,
        default: str | None,
        description: str | None,
        tags: Mapping[str, str],
        settings: Mapping[str, Any],
    ) -> tuple[BatchEndpoint, bool]:
        """Create the endpoint, or change the one that is there; the flag: it is new. UsageError when `default` names no
        deployment."""
        names.endpoint_name(name)
        with self._store.write() as connection:
            found = records.read(connection, name)
            moment = now()
            endpoint = found or BatchEndpoint(os.urandom(8).hex(), name, moment, moment)
            if default is not None:
                deployment = endpoint.deployment(default)
                if deployment is None:
                    raise UsageError(f"batch endpoint {endpoint.name!r} has no deployment {default!r}")
                default = deployment.name
            endpoint.default, endpoint.description, endpoint.tags = default, description, dict(tags)
            endpoint.settings = {**endpoint.settings, **settings}
            endpoint.modified_at = moment
            records.save(connection, endpoint)
            published.of_endpoint(connection, endpoint.name)
        return endpoint, found is None

    def delete(self, name: str) -> None:
        with self._store.write() as connection:
            found = self._found(connection, name)
            records.remove(connection, found.name)
            published.of_endpoint(connection, found.name)

    def put_deployment(
        self,
        endpoint: str,
        name: str,
        kind: str,
        asset: str,
        *,
        settings: Mapping[str, Any],
        snapshot: Snapshot | None = None,
        code: Tree | None = None,
        trusted: bool = False,
    ) -> tuple[BatchEndpoint, BatchDeployment, bool]:
        """Add a deployment to the endpoint that is there, or replace it; the flag: it is new. `snapshot`: what a pipeline
        deployment runs, its files stored; `code`: the stored files of a scoring script, which run when they are `trusted`."""
        names.endpoint_name(name, "deployment name")
        with self._store.write() as connection:
            found = self._found(connection, endpoint)
            before = found.deployment(name)
            made = BatchDeployment(
                before.name if before is not None else name,
                before.created_at if before is not None else now(),
                now(),
                kind,
                asset,
                dict(settings),
                None if snapshot is None else pipeline_deployment.version_of(name, settings.get("properties") or {}),
                None if snapshot is None else snapshot.sha256,
                None if code is None else asdict(code),
                trusted,
            )
            found.deployments[names.key(name)] = made
            records.save(connection, found)
            published.of_endpoint(connection, found.name, snapshot)
        return found, made, before is None

    def describe_deployment(
        self, endpoint: str, name: str, settings: Mapping[str, Any]
    ) -> tuple[BatchEndpoint, BatchDeployment]:
        """Change what is said of a deployment that is there, not what it runs."""
        with self._store.write() as connection:
            found = self._found(connection, endpoint)
            deployment = self.deployment_of(found, name)
            deployment.settings, deployment.modified_at = dict(settings), now()
            records.save(connection, found)
        return found, deployment

    def delete_deployment(self, endpoint: str, name: str) -> None:
        """The endpoint's default goes with its deployment."""
        with self._store.write() as connection:
            found = self._found(connection, endpoint)
            deployment = self.deployment_of(found, name)
            del found.deployments[names.key(name)]
            if found.default == deployment.name:
                found.default = None
            records.save(connection, found)
            published.of_endpoint(connection, found.name)

    @staticmethod
    def deployment_of(endpoint: BatchEndpoint, name: str) -> BatchDeployment:
        found = endpoint.deployment(name)
        if found is None:
            known = ", ".join(each.name for each in endpoint.deployments.values()) or "none"
            raise NotFoundError(
                f"batch endpoint {endpoint.name!r} has no deployment {name!r}",
                cause=f"it has: {known}",
                fix=f"opsml batch show {endpoint.name}",
            )
        return found

    @staticmethod
    def _found(connection: sqlite3.Connection, name: str) -> BatchEndpoint:
        found = records.read(connection, name)
        if found is None:
            known = [each.name for each in records.read_all(connection)]
            raise NotFoundError(
                f"no batch endpoint {name!r}",
                cause=did_you_mean(name, known),
                fix=f"make one: opsml batch deploy MODEL --endpoint {name}, or see what there is: opsml batch list",
            )
        return found
