"""Azure's online endpoints and deployments as opsml's values. Nothing here asks anybody anything.

What a deployment was asked is kept on Azure itself, in tags, so that whoever looks later can finish the work:

    endpoint    opsml.deploy.DEPLOYMENT   the wish, while the endpoint is made and the deployment cannot be yet
    deployment  opsml.revision            which wish made it what it is
                opsml.share               the percent of traffic that it gets once it has answered
    endpoint    opsml.done.DEPLOYMENT     the revision that was tried with a real request, and `!` with the reason if it failed
                opsml.moved               the deployment whose traffic was moved last
                opsml.previous            the traffic before its last change
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opsml_cli.azureml.job_mapping import stamp_of
from opsml_cli.domain import names
from opsml_cli.domain.compute import DEFAULT_SIZE
from opsml_cli.domain.endpoint import Deployment, DeploymentState, OnlineEndpoint
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.pointer import ModelPointer

TAG_LENGTH = 256  # characters that Azure keeps of a tag's value
CONTAINERS = "Azure says nothing of the processes in a deployment's containers"
NEVER_STOPPED = "an endpoint of Azure answers for as long as it exists: it cannot be stopped"
_PREFIX = "opsml."
_PACKED = "packed:"
_WISH, _DONE = "opsml.deploy.", "opsml.done."
REVISION, SHARE = "opsml.revision", "opsml.share"
_CODE, _VARIABLES = "codeConfiguration", "environmentVariables"
_MOST_PARTS = 20  # tags that one wish may take
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_MOVED, _PREVIOUS = "opsml.moved", "opsml.previous"
_STATES = {
    "creating": DeploymentState.CREATING,
    "updating": DeploymentState.UPDATING,
    "scaling": DeploymentState.UPDATING,
    "succeeded": DeploymentState.SUCCEEDED,
    "failed": DeploymentState.FAILED,
    "canceled": DeploymentState.FAILED,
    "deleting": DeploymentState.DELETING,
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a deployment shall be. `share` None: all of the traffic when nobody else has any, else none. `revision` tells two
    wishes for the same apart."""

    revision: str
    deployment: str
    model: str
    version: str
    instance_type: str
    instance_count: int
    insights: bool
    share: int | None
    properties: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def same_target(self, other: Wish) -> bool:
        """Whether both want the same deployment, whatever its traffic."""
        return self.properties == other.properties and self.tags == other.tags and self._same_machine(other)

    def made(self, deployment: Mapping[str, Any]) -> bool:
        """Whether the deployment is what is wished: what the wish leaves out is the service's to say, but for a script and its
        variables."""
        properties = deployment.get("properties") or {}
        wanted = {name: value for name, value in self.properties.items() if name not in (_CODE, _VARIABLES)}
        tags = user_tags(deployment.get("tags"))
        return (
            self._same_machine(target_of(deployment))
            and _holds(properties.get(_CODE) or {}, self.properties.get(_CODE) or {})
            and bool(properties.get(_CODE)) == bool(self.properties.get(_CODE))
            and _own_variables(properties) == _own_variables(self.properties)
            and _holds(properties, wanted)
            and all(tags.get(name) == value for name, value in self.tags.items())
        )

    def _same_machine(self, other: Wish) -> bool:
        return (
            names.key(self.model) == names.key(other.model)
            and self.version == other.version
            and self.instance_type.casefold() == other.instance_type.casefold()
            and (self.instance_count, self.insights) == (other.instance_count, other.insights)
        )


def _own_variables(properties: Mapping[str, Any]) -> dict[str, str]:
    """The variables that somebody gave: Azure adds its own."""
    given = properties.get(_VARIABLES) or {}
    return {name: str(value) for name, value in given.items() if not name.startswith(("AZUREML_", "AML_"))}


def _holds(there: object, wanted: object) -> bool:
    """Whether everything that is wanted is there: ids without case, durations by their length."""
    if isinstance(wanted, Mapping):
        return isinstance(there, Mapping) and all(_holds(there.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(there, list) and len(there) == len(wanted) and all(map(_holds, there, wanted))
    if isinstance(wanted, str) and isinstance(there, str):
        return there == wanted or there.casefold() == wanted.casefold() or _seconds(there) == _seconds(wanted) is not None
    return there == wanted


def _seconds(text: str) -> float | None:
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds


def wishes_of(endpoint: Mapping[str, Any]) -> tuple[Wish, ...]:
    """What is still to be deployed behind the endpoint; a tag that cannot be read is none of ours."""
    found = []
    tags = endpoint.get("tags") or {}
    for tag, text in tags.items():
        if not tag.startswith(_WISH) or "." in tag.removeprefix(_WISH):
            continue
        try:
            values = json.loads(_whole(tags, tag, text))
            found.append(Wish(values[0], tag.removeprefix(_WISH), *values[1:]))
        except (ValueError, TypeError, IndexError, zlib.error):
            continue
    return tuple(found)


def _whole(tags: Mapping[str, str], tag: str, text: str) -> str:
    """The wish's text, put together again when it took several tags."""
    if not text.startswith(_PACKED):
        return text
    parts = int(text.removeprefix(_PACKED))
    packed = "".join(tags.get(f"{tag}.{number}", "") for number in range(parts))
    return zlib.decompress(base64.b64decode(packed)).decode()


def wish_tags(wish: Wish) -> dict[str, str]:
    """The endpoint's tags that keep a wish: one, or several for a long one. UsageError when Azure could not keep it."""
    values = [
        wish.revision, wish.model, wish.version, wish.instance_type, wish.instance_count, wish.insights, wish.share,
    ]  # fmt: skip
    if wish.properties or wish.tags:
        values += [wish.properties, wish.tags]
    text = json.dumps(values, separators=(",", ":"))
    tag = _WISH + wish.deployment
    if len(text) <= TAG_LENGTH:
        return {tag: text}
    packed = base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    parts = [packed[first : first + TAG_LENGTH] for first in range(0, len(packed), TAG_LENGTH)]
    if len(parts) > _MOST_PARTS:
        raise UsageError(
            f"what deployment {wish.deployment!r} is asked is too long to be kept while its endpoint is made",
            fix="make the endpoint first: opsml deploy -f endpoint.yml",
        )
    return {tag: f"{_PACKED}{len(parts)}", **{f"{tag}.{number}": part for number, part in enumerate(parts)}}


def refused_tags(endpoint: Mapping[str, Any], wish: Wish, reason: str) -> dict[str, str]:
    """The endpoint's tags when Azure would not make the wish's deployment: it is not tried again by whoever looks."""
    done = f"{wish.revision}!{' '.join(reason.split())}"[:TAG_LENGTH]
    return {**(endpoint.get("tags") or {}), _DONE + wish.deployment: done}


def refusal_of(endpoint: Mapping[str, Any], wish: Wish) -> str | None:
    """Why Azure would not make the wish's deployment; None when it was not asked yet."""
    revision, mark, reason = str((endpoint.get("tags") or {}).get(_DONE + wish.deployment) or "").partition("!")
    return reason if mark and revision == wish.revision else None


def settled_tags(endpoint: Mapping[str, Any], deployment: str, revision: str, failure: str | None) -> dict[str, str]:
    """The endpoint's tags once the deployment was tried: its wish is gone, and what came out is noted."""
    kept = {tag: text for tag, text in (endpoint.get("tags") or {}).items() if not _keeps_wish(tag, deployment)}
    done = revision if failure is None else f"{revision}!{' '.join(failure.split())}"[:TAG_LENGTH]
    return {**kept, _DONE + deployment: done}


def _keeps_wish(tag: str, deployment: str) -> bool:
    return tag == _WISH + deployment or tag.startswith(f"{_WISH}{deployment}.")


def traffic_tags(
    endpoint: Mapping[str, Any], tags: Mapping[str, str], moved: str | None, previous: Mapping[str, int] | None = None
) -> dict[str, str]:
    """`tags` with the traffic of now as the previous one, or with `previous` in its place (empty: nothing)."""
    before = served(traffic_of(endpoint) if previous is None else previous)
    text = ",".join(f"{name}={percent}" for name, percent in before.items())
    found = dict(tags)
    if not before:
        # Nothing served, so there is nothing to go back to.
        if previous is not None:
            found.pop(_PREVIOUS, None)
    elif len(text) <= TAG_LENGTH:
        found[_PREVIOUS] = text
    return found | ({_MOVED: moved} if moved is not None else {})


def served(traffic: Mapping[str, int]) -> dict[str, int]:
    """The shares that are not zero."""
    return {name: percent for name, percent in traffic.items() if percent}


def previous_of(endpoint: Mapping[str, Any]) -> dict[str, int] | None:
    """The traffic before its last change; None when it was never changed by opsml."""
    text = (endpoint.get("tags") or {}).get(_PREVIOUS)
    if not text:
        return None
    pairs = [part.partition("=") for part in text.split(",") if "=" in part]
    return {name: int(percent) for name, _, percent in pairs if percent.isdecimal()}


def traffic_of(endpoint: Mapping[str, Any]) -> dict[str, int]:
    return {str(name): int(percent) for name, percent in ((endpoint.get("properties") or {}).get("traffic") or {}).items()}


def revision_of(deployment: Mapping[str, Any]) -> str | None:
    """The wish that made the deployment; None for one that opsml did not deploy."""
    found = (deployment.get("tags") or {}).get(REVISION)
    return None if found is None else str(found)


def share_of(deployment: Mapping[str, Any]) -> int | None:
    text = str((deployment.get("tags") or {}).get(SHARE) or "")
    return int(text) if text.isdecimal() else None


def outcome_of(endpoint: Mapping[str, Any], deployment: Mapping[str, Any]) -> tuple[bool, str | None]:
    """Whether the deployment's wish was tried, and why that failed."""
    revision = revision_of(deployment)
    done = str((endpoint.get("tags") or {}).get(_DONE + str(deployment["name"])) or "")
    if revision is None or done.partition("!")[0] != revision:
        return revision is None, None
    return True, done.partition("!")[2] or None


def state_of(resource: Mapping[str, Any]) -> DeploymentState:
    """The provisioning state; one that is not known counts as going on."""
    text = str((resource.get("properties") or {}).get("provisioningState") or "").casefold()
    return _STATES.get(text, DeploymentState.UPDATING)


def target_of(deployment: Mapping[str, Any]) -> Wish:
    """What the deployment is now, in the form of a wish."""
    properties = deployment.get("properties") or {}
    model = model_of(properties.get("model"))
    return Wish(
        revision_of(deployment) or "",
        str(deployment["name"]),
        model.name,
        model.version,
        str(properties.get("instanceType") or DEFAULT_SIZE),
        int((deployment.get("sku") or {}).get("capacity") or 1),
        bool(properties.get("appInsightsEnabled")),
        share_of(deployment),
        _asked(properties),
        user_tags(deployment.get("tags")),
    )


def _asked(properties: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a scoring script, as the resource has it."""
    code = properties.get(_CODE)
    return {_CODE: code} if code else {}


def model_of(reference: object) -> ModelPointer:
    """The model that a deployment names, by ARM id, asset id or path."""
    text = str(reference or "")
    parts = text.rstrip("/").split("/")
    if len(parts) >= 4 and parts[-2].casefold() == "versions" and parts[-4].casefold() == "models":
        return ModelPointer(parts[-3], parts[-1], text)
    name, _, version = text.removeprefix("azureml:").partition(":")
    return ModelPointer(name, version, text)


def endpoint_of(resource: Mapping[str, Any], deployments: Sequence[Mapping[str, Any]]) -> OnlineEndpoint:
    """The endpoint with its deployments, oldest first. One that is still to come is shown as Creating."""
    properties = resource.get("properties") or {}
    known = {names.key(str(each["name"])) for each in deployments}
    shown = [_deployment(resource, each) for each in deployments]
    if state_of(resource) is not DeploymentState.DELETING:
        shown += [_to_come(resource, wish) for wish in wishes_of(resource) if names.key(wish.deployment) not in known]
    shown.sort(key=lambda each: (each.created_at, each.name))
    traffic = traffic_of(resource)
    insights = [each.insights for each in shown]
    return OnlineEndpoint(
        name=str(resource["name"]),
        state=state_of(resource),
        scoring_uri=properties.get("scoringUri"),
        swagger_uri=properties.get("swaggerUri"),
        traffic={**{each.name: 0 for each in shown}, **traffic},
        deployments=tuple(shown),
        insights=bool(insights) and all(insights),
        created_at=_created(resource),
        running=None,
        auth_mode=str(properties.get("authMode") or "Key"),
        description=properties.get("description"),
        tags=user_tags(resource.get("tags")),
        unknown={"running": NEVER_STOPPED, "serving": CONTAINERS},
        previous_traffic=previous_of(resource),
        mirror_traffic={str(name): int(share) for name, share in (properties.get("mirrorTraffic") or {}).items()},
    )


def configured(resource: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Whether the endpoint is as the body wants it, so that nothing needs to be PUT."""
    held, wanted = resource.get("properties") or {}, body["properties"]
    given = {name: value for name, value in wanted.items() if name not in ("traffic", "mirrorTraffic")}
    traffic = all(
        {name: share for name, share in (held.get(key) or {}).items() if share}
        == {name: share for name, share in wanted[key].items() if share}
        for key in ("traffic", "mirrorTraffic")
    )
    described = (held.get("description") or None) == wanted.get("description")
    return traffic and described and _holds(held, given) and dict(resource.get("tags") or {}) == body["tags"]


def user_tags(tags: Mapping[str, Any] | None) -> dict[str, str]:
    return {tag: str(text) for tag, text in (tags or {}).items() if not tag.startswith(_PREFIX)}


def _deployment(endpoint: Mapping[str, Any], resource: Mapping[str, Any]) -> Deployment:
    target = target_of(resource)
    state = state_of(resource)
    tried, failure = outcome_of(endpoint, resource)
    if state is DeploymentState.SUCCEEDED:
        if failure is not None:
            state = DeploymentState.FAILED
        elif not tried:
            state = DeploymentState.UPDATING
        elif state_of(endpoint) is DeploymentState.UPDATING and (endpoint.get("tags") or {}).get(_MOVED) == resource["name"]:
            state = DeploymentState.UPDATING  # its traffic is on the way
    return Deployment(
        name=target.deployment,
        endpoint=str(endpoint["name"]),
        state=state,
        model=model_of((resource.get("properties") or {}).get("model")),
        created_at=_created(resource),
        instance_count=target.instance_count,
        instance_type=target.instance_type,
        insights=target.insights,
        detail=failure if state is DeploymentState.FAILED else None,
        script=script_of(target.properties),
    )


def script_of(properties: Mapping[str, Any]) -> str | None:
    """The scoring script that a deployment's properties name."""
    code = properties.get(_CODE)
    return str(code.get("scoringScript")) if isinstance(code, Mapping) and code.get("scoringScript") else None


def _to_come(endpoint: Mapping[str, Any], wish: Wish) -> Deployment:
    refusal = refusal_of(endpoint, wish)
    if refusal is None and state_of(endpoint) is DeploymentState.FAILED:
        refusal = "the endpoint could not be made"
    return Deployment(
        name=wish.deployment,
        endpoint=str(endpoint["name"]),
        state=DeploymentState.CREATING if refusal is None else DeploymentState.FAILED,
        model=ModelPointer(wish.model, wish.version),
        created_at=_created(endpoint),
        instance_count=wish.instance_count,
        instance_type=wish.instance_type,
        insights=wish.insights,
        detail=refusal or "the endpoint is being made",
        script=script_of(wish.properties),
    )


def _created(resource: Mapping[str, Any]) -> str:
    return stamp_of((resource.get("systemData") or {}).get("createdAt")) or ""
