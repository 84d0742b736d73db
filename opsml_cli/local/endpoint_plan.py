"""What a deployment that is asked for means for an endpoint's record: which release, which attempt, which traffic."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opsml_cli.domain import names
from opsml_cli.domain.endpoint import DeploymentState, DeploySpec
from opsml_cli.domain.errors import NotAllowedError, UnsupportedError, UsageError
from opsml_cli.local.clock import now
from opsml_cli.local.endpoint_records import RUNNING, DeploymentRecord, EndpointRecord, Release, RequestSettings, Script

if TYPE_CHECKING:
    from opsml_cli.domain.model import Model

MAX_INSTANCES = 16

UNFINISHED = (DeploymentState.CREATING, DeploymentState.UPDATING)


@dataclass(frozen=True, slots=True)
class Plan:
    """The record as it is wanted, the deployment in it, and whether nothing had to change."""

    record: EndpointRecord
    deployment: DeploymentRecord
    unchanged: bool


def release_of(
    model: Model | None,
    spec: DeploySpec,
    script: Script | None = None,
    environment: Mapping[str, str] | None = None,
    python: str | None = None,
) -> Release:
    """The release of `model` that `spec` asks for; `model` None: of a script alone. `python` is the interpreter of foreign code
    (None: this one). UsageError for a wrong word."""
    check(spec)
    return Release(
        revision=os.urandom(16).hex(),
        model=model.name if model else "",
        version=model.version if model else "",
        path=model.path if model else "",
        sha256=model.sha256 if model else "",
        own=model is not None and model.own,
        instance_count=spec.instance_count,
        instance_type=spec.instance_type,
        script=script,
        environment=dict(environment or {}),
        request_settings=_requests(spec),
        python=python,
    )


def _requests(spec: DeploySpec) -> RequestSettings:
    asked = spec.settings.requests
    if asked is None:
        return RequestSettings()
    return RequestSettings(None if asked.timeout_ms is None else asked.timeout_ms / 1000, asked.concurrency)


def check(spec: DeploySpec) -> None:
    """Refuse what no endpoint of this machine can be asked: UsageError."""
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


def distrust(model: Model) -> NotAllowedError | None:
    """Why the model is not to be served; None when somebody answers for it."""
    if model.own or model.trusted:
        return None
    return NotAllowedError(
        f"model {model.name}:{model.version} was not trained by opsml, and nobody trusts it",
        cause="a model is code: serving it runs what its folder holds",
        fix=f"opsml models register {model.name} {model.path} --version {model.version} --trust",
    )


def planned(record: EndpointRecord | None, spec: DeploySpec, release: Release) -> Plan:
    """The endpoint as `spec` wants it, made where it is missing. A deployment that nobody shares traffic with gets all."""
    fresh = record is None
    if record is None:
        record = EndpointRecord(os.urandom(8).hex(), spec.endpoint, now())
    others = sum(percent for name, percent in record.traffic.items() if names.key(name) != names.key(spec.deployment))
    if spec.traffic is not None and 0 < spec.traffic < 100 and not others:
        raise UsageError(
            f"traffic {spec.traffic} leaves {100 - spec.traffic} percent for nobody",
            fix="leave --traffic out, or give 100",
        )
    changed = fresh
    if spec.insights is not None and record.record_requests(spec.insights):
        changed = True
    share = spec.traffic if spec.traffic is not None else (None if others else 100)
    deployment, attempted = _attempt(record, spec, release)
    if attempted:
        deployment.share = share
        return Plan(record, deployment, unchanged=False)
    changed = _revive(record) or changed
    if deployment.state in UNFINISHED:
        if share is not None and deployment.share != share:
            deployment.share, changed = share, True
    elif share is not None and record.share_of(deployment.name) != share and (spec.traffic is not None or not others):
        record.give(deployment.name, share)
        changed = True
    return Plan(record, deployment, unchanged=not changed)


def attached(record: EndpointRecord, spec: DeploySpec, release: Release, failing: str | None) -> Plan:
    """The deployment in an endpoint that is there, as Azure's control plane has it: traffic stays as it is, and
    `spec.insights` speaks of this deployment alone. `failing`: why the attempt has failed already."""
    deployment, attempted = _attempt(record, spec, release)
    changed = _revive(record) or attempted
    if attempted:
        deployment.share = None
        if failing is not None:
            deployment.state, deployment.detail = DeploymentState.FAILED, failing
    if spec.insights is not None:
        changed = record.record_requests_of(deployment.name, spec.insights) or changed
    return Plan(record, deployment, unchanged=not changed)


def _attempt(record: EndpointRecord, spec: DeploySpec, release: Release) -> tuple[DeploymentRecord, bool]:
    """The deployment with `release` as its target, and whether that is a new attempt."""
    deployment = record.deployment(spec.deployment)
    if deployment is None:
        # While the requests of some deployments alone are recorded, those of a new one are not.
        recorded = all(each.recorded for each in record.deployments.values())
        deployment = DeploymentRecord(spec.deployment, now(), DeploymentState.CREATING, release, recorded=recorded)
        record.deployments[names.key(spec.deployment)] = deployment
        record.traffic.setdefault(spec.deployment, 0)
    elif deployment.target.same_as(release) and deployment.state is not DeploymentState.FAILED:
        return deployment, False
    else:
        deployment.target = release
        deployment.state = DeploymentState.UPDATING if deployment.active is not None else DeploymentState.CREATING
    deployment.detail = None
    record.desired = RUNNING
    return deployment, True


def _revive(record: EndpointRecord) -> bool:
    """Have a stopped endpoint run again; whether it was stopped."""
    stopped = record.desired != RUNNING
    record.desired = RUNNING
    return stopped
