"""What is told of endpoints besides their values: keys, and that something was deleted."""

from __future__ import annotations

from dataclasses import dataclass, field

from opsml_cli.domain.endpoint import DeploymentState, EndpointKeys, OnlineEndpoint
from opsml_cli.domain.errors import UsageError, WorkFailedError

_SHOWN = 4  # characters of a masked key, enough to tell two apart


@dataclass(frozen=True, slots=True)
class ShownKeys:
    """Keys as they may be shown: masked, unless they were asked for in the clear."""

    endpoint: str
    primary: str = field(repr=False)
    secondary: str = field(repr=False)
    revealed: bool = False


@dataclass(frozen=True, slots=True)
class DeletedEndpoint:
    """An endpoint, or with `deployment` that one deployment, is gone."""

    endpoint: str
    deployment: str | None = None


def shown(endpoint: str, keys: EndpointKeys, *, reveal: bool) -> ShownKeys:
    if reveal:
        return ShownKeys(endpoint, keys.primary, keys.secondary, revealed=True)
    return ShownKeys(endpoint, _masked(keys.primary), _masked(keys.secondary))


def start_failure(before: OnlineEndpoint, after: OnlineEndpoint) -> WorkFailedError | None:
    """Why a started endpoint does not serve what it should: a deployment that has traffic or served before has failed, or none
    is left that serves. None: it does."""
    states = {each.name: each.state for each in before.deployments}
    failed = [each for each in after.deployments if each.state is DeploymentState.FAILED]
    missed = [
        each
        for each in failed
        if after.traffic.get(each.name) or states.get(each.name) is not DeploymentState.FAILED or len(failed) == len(states)
    ]
    if not missed:
        return None
    named = ", ".join(each.name for each in missed)
    return WorkFailedError(
        f"endpoint {after.name} was started, and deployment {named} failed",
        cause="; ".join(dict.fromkeys(each.detail for each in missed if each.detail)) or None,
        fix=f"opsml logs {after.name} --deployment {missed[0].name}",
    )


def parse_traffic(texts: list[str]) -> dict[str, int]:
    """`name=percent` texts; UsageError for anything else."""
    traffic: dict[str, int] = {}
    for text in texts:
        name, equals, share = text.partition("=")
        if not equals or not name or not share.isdecimal() or len(share) > 3:
            raise UsageError(f"{text!r} is no share of traffic", cause="expected NAME=PERCENT, for example blue=90 green=10")
        if name in traffic:
            raise UsageError(f"deployment {name!r} is named twice")
        traffic[name] = int(share)
    return traffic


def _masked(key: str) -> str:
    return "*" * 12 + key[-_SHOWN:]
