"""A published pipeline and the batch endpoint of its name are one thing: what changes the one changes the other with it.

Both functions work inside their caller's transaction, after its own change."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from opsml_cli.domain import names, pipeline_deployment
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.pipeline import PipelineInput
from opsml_cli.local.batch import records as batch
from opsml_cli.local.batch.records import PIPELINE, BatchDeployment, BatchEndpoint
from opsml_cli.local.clock import now
from opsml_cli.local.pipelines import records
from opsml_cli.local.pipelines.records import Version

if TYPE_CHECKING:
    from opsml_cli.local.pipelines.definition import PipelineDefinition
    from opsml_cli.local.pipelines.snapshot import Snapshot

_LONGEST = 28  # of the 32 letters of a deployment's name: the rest tells like ones apart


def inputs_of(definition: PipelineDefinition) -> tuple[PipelineInput, ...]:
    """The inputs that a pipeline declares, as they are shown."""
    from opsml_cli.domain.names import AssetRef
    from opsml_cli.local.pipelines.definition import Local

    found = []
    for port in definition.inputs.values():
        default: object = port.default
        if isinstance(default, AssetRef):
            default = f"azureml:{default}" if default.version is not None else f"azureml:{default.name}@latest"
        elif isinstance(default, Local):
            default = default.key
        found.append(PipelineInput(port.name, port.type, default, port.optional))
    return tuple(found)


def of_pipeline(connection: sqlite3.Connection, name: str) -> None:
    """After a change of the pipeline `name`: its batch endpoint has a deployment for every version, and the same default.

    A pipeline whose name no endpoint may have is none."""
    known = records.default_version(connection, name)
    endpoint = batch.read(connection, name)
    if endpoint is None:
        if known is None or not _possible(known[0]):
            return
        moment = now()
        endpoint = BatchEndpoint(os.urandom(8).hex(), known[0], moment, moment)
    versions = {names.key(each.version): each for each in records.versions(connection, name)}
    for key, deployment in list(endpoint.deployments.items()):
        if deployment.version is not None and versions.pop(names.key(deployment.version), None) is None:
            del endpoint.deployments[key]
    for version in versions.values():
        name = _free_name(endpoint, version.version)
        endpoint.deployments[names.key(name)] = _deployment(name, version)
    if not endpoint.deployments:
        batch.remove(connection, endpoint.name)
        return
    default = [
        each.name
        for each in endpoint.deployments.values()
        if known is not None and each.version is not None and names.key(each.version) == names.key(known[1])
    ]
    if default:
        endpoint.default = default[0]
    elif endpoint.default is not None and endpoint.deployment(endpoint.default) is None:
        endpoint.default = None
    endpoint.modified_at = now()
    batch.save(connection, endpoint)


def of_endpoint(connection: sqlite3.Connection, name: str, snapshot: Snapshot | None = None) -> None:
    """After a change of the batch endpoint `name`: the pipeline has a version for every deployment that runs one, and the same
    default; until the endpoint has a default, the oldest. `snapshot`: the content of the deployment that the change made."""
    endpoint = batch.read(connection, name)
    deployments = [] if endpoint is None else list(endpoint.deployments.values())
    wanted = {names.key(each.version): each for each in deployments if each.version is not None}
    held = {names.key(each.version): each for each in records.versions(connection, name)}
    if endpoint is None or not wanted:
        if held:
            records.delete(connection, name, None)
        return
    default = endpoint.deployment(endpoint.default) if endpoint.default is not None else None
    if default is None or default.version is None:
        default = min(wanted.values(), key=lambda each: each.created_at)
    records.set_default(connection, endpoint.name, str(default.version))
    for key in held.keys() - wanted.keys():
        records.delete(connection, name, held[key].version)
    if snapshot is None:
        return
    for key, deployment in wanted.items():
        if deployment.snapshot != snapshot.sha256 or (key in held and held[key].sha256 == snapshot.sha256):
            continue
        if key in held:  # a deployment may be given another component, as on Azure
            records.delete(connection, name, held[key].version)
        definition = snapshot.definition()
        version = Version(
            endpoint.name,
            str(deployment.version),
            snapshot.sha256,
            deployment.modified_at,
            inputs_of(definition),
            tuple(step.name for step in definition.steps),
            deployment.settings.get("description") or endpoint.description,
        )
        records.insert_version(connection, version, records.next_number(connection, name), snapshot.document())


def _possible(name: str) -> bool:
    try:
        names.endpoint_name(name)
    except UsageError:
        return False
    return True


def _free_name(endpoint: BatchEndpoint, version: str) -> str:
    """Deployments have shorter names than versions, and fewer letters for them."""
    name = wanted = pipeline_deployment.name_of(version)[:_LONGEST].rstrip("-")
    number = 1
    while endpoint.deployment(name) is not None:
        number += 1
        name = f"{wanted}-{number}"
    return name


def _deployment(name: str, version: Version) -> BatchDeployment:
    said = {
        pipeline_deployment.VERSION: version.version,
        pipeline_deployment.SHOWN: pipeline_deployment.shown(version.inputs, version.steps),
    }
    return BatchDeployment(
        name,
        version.created_at,
        version.created_at,
        PIPELINE,
        asset="",
        settings={"properties": said, "description": version.description},
        version=version.version,
        snapshot=version.sha256,
    )
