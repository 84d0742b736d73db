"""An endpoint as the port shows it: its record, and what its server says of itself."""

from __future__ import annotations

from collections.abc import Mapping

from opsml_cli.domain.endpoint import Deployment, DeploymentState, OnlineEndpoint, Serving
from opsml_cli.local.endpoint_plan import UNFINISHED
from opsml_cli.local.endpoint_records import STOPPED, DeploymentRecord, EndpointRecord
from opsml_cli.local.endpoint_servers import EndpointServers

_NOBODY: Mapping[str, Serving] = {}


def endpoint_value(record: EndpointRecord, servers: EndpointServers) -> OnlineEndpoint:
    running = servers.running(record)
    unfinished = any(each.state in UNFINISHED for each in record.deployments.values())
    alive = running or (unfinished and servers.starting(record))
    applied = record.generation
    if running and not unfinished:
        applied = servers.applied(record)
    words = servers.place(record).last_words() if unfinished and not alive else None
    serving = servers.serving(record) if running else {}
    deployments = tuple(
        deployment_value(record, each, alive=alive, applied=applied, words=words, serving=serving)
        for each in record.deployments.values()
    )
    return OnlineEndpoint(
        name=record.name,
        state=DeploymentState.CREATING if record.port is None and record.deployments else DeploymentState.SUCCEEDED,
        scoring_uri=address_of(record, "/score"),
        swagger_uri=address_of(record, "/swagger.json"),
        traffic=dict(record.traffic),
        deployments=deployments,
        insights=record.insights,
        created_at=record.created_at,
        running=running,
        detail=None if running or record.desired == STOPPED else why_down(record),
        auth_mode=record.auth_mode,
        description=record.description,
        tags=dict(record.tags),
        mirror_traffic=dict(record.mirror),
        previous_traffic=None if record.previous is None else dict(record.previous),
    )


def deployment_value(
    record: EndpointRecord,
    deployment: DeploymentRecord,
    *,
    alive: bool,
    applied: int | None = None,
    words: str | None = None,
    serving: Mapping[str, Serving] = _NOBODY,
) -> Deployment:
    """`alive`: whether a process works on it; `words`: the last ones of a process that has ended. A success counts once
    the server has taken it up (`applied`)."""
    state, detail = deployment.state, deployment.detail
    if state in UNFINISHED and not alive:
        state = DeploymentState.FAILED
        reason = f" ({words})" if words else ""
        detail = f"the server process ended before the deployment was ready{reason}; deploy again to go on"
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
        insights=record.records_requests_of(deployment.name),
        detail=detail,
        script=None if shown.script is None else shown.script.entry,
        serving=serving.get(shown.revision),
    )


def address_of(record: EndpointRecord, path: str) -> str | None:
    return None if record.port is None else f"http://127.0.0.1:{record.port}{path}"


def why_down(record: EndpointRecord) -> str:
    return "its process has ended" if record.port is not None or record.deployments else "it has no deployment yet"
