"""Bringing a deployment up, step by step: each step is one request that changes nothing when it is repeated, and which step is
due is read from Azure alone. So whoever looks at the endpoint moves the work on, whatever became of who began it.

    the endpoint is being made -> PUT deployment -> its containers start -> a real request -> PUT traffic -> done
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from opsml_cli.azureml import endpoint_bodies, endpoint_logs
from opsml_cli.azureml import endpoint_mapping as mapping
from opsml_cli.domain import names
from opsml_cli.domain.endpoint import Deployment, DeploymentState, OnlineEndpoint
from opsml_cli.domain.errors import BusyError, ConflictError, NotAllowedError, NotFoundError, NotSignedInError, OpsmlError
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.traffic import shared_out

if TYPE_CHECKING:
    from opsml_cli.azureml.context import Context
    from opsml_cli.azureml.endpoint_smoke import Examples
    from opsml_cli.scoring_client import ScoringClient

VERSION = endpoint_logs.VERSION
_STEPS = 3  # in one look, where Azure is as quick as that
_LOOK_SECONDS = 10.0  # between two looks at the logs of a deployment that comes up
_LONGEST_WAITS = 10  # how often the longest wait, before Azure's being busy is told
_PATIENCE_SECONDS = 600.0  # for a deployment that is up and answers nothing but "later"

Resource = Mapping[str, Any]


class Rollout:
    """The deployments of one workspace on their way. `client` connects to an endpoint's resource."""

    def __init__(self, context: Context, examples: Examples, client: Callable[[Resource], ScoringClient]) -> None:
        self._context = context
        self._examples = examples
        self._client = client
        self._looked: dict[tuple[str, str], tuple[float, str | None]] = {}
        self._refused: dict[str, float] = {}
        self._busy: dict[str, float] = {}

    # Reading

    def endpoint(self, name: str) -> Resource | None:
        found: Resource | None = self._context.rest.find(f"{{ws}}/onlineEndpoints/{name}", VERSION)
        return found

    def deployments(self, endpoint: str) -> list[Resource]:
        return list(self._context.rest.pages(f"{{ws}}/onlineEndpoints/{endpoint}/deployments", VERSION))

    def look(self, name: str) -> OnlineEndpoint | None:
        """The endpoint, after the steps that are due were taken. Someone who may only read sees it as it is."""
        resource = self.endpoint(name)
        if resource is None:
            return None
        name = str(resource["name"])
        deployments = self.deployments_of(resource)
        try:
            for _ in range(_STEPS):
                if not self._step(resource, deployments):
                    break
                resource = self.endpoint(name) or resource
                deployments = self.deployments_of(resource)
            self._busy.pop(name, None)
        except NotSignedInError:
            raise
        except BusyError:
            # Each step was tried several times already; whoever waits has more patience, but not for ever.
            now = self._context.clock.monotonic()
            if now - self._busy.setdefault(name, now) > _LONGEST_WAITS * self._context.settings.longest_wait:
                raise
        except (NotAllowedError, ConflictError):
            # Somebody else may do it, or it will be possible in a while: the state tells.
            pass
        shown = mapping.endpoint_of(resource, deployments)
        return replace(shown, deployments=tuple(self._told(each) for each in shown.deployments))

    def deployments_of(self, resource: Resource) -> Sequence[Resource]:
        """The deployments of an endpoint that was read; one that is being made has none."""
        if mapping.state_of(resource) is DeploymentState.CREATING:
            return []
        try:
            return self.deployments(str(resource["name"]))
        except NotFoundError:  # it was deleted meanwhile
            return []

    # Steps

    def put_endpoint(self, name: str, body: Resource) -> Resource:
        answer = self._context.rest.send("PUT", f"{{ws}}/onlineEndpoints/{name}", VERSION, body)
        found: Resource = answer.value
        return found

    def put_deployment(self, endpoint: str, wish: mapping.Wish) -> Resource:
        """Create the deployment, or change it to what is wished."""
        model = f"{self._context.place.arm_id}/models/{wish.model}/versions/{wish.version}" if wish.model else None
        body = endpoint_bodies.new_deployment(self._context.region, wish, model)
        found: Resource = self._context.rest.send(
            "PUT", f"{{ws}}/onlineEndpoints/{endpoint}/deployments/{wish.deployment}", VERSION, body
        ).value
        return found

    def _step(self, endpoint: Resource, deployments: Sequence[Resource]) -> bool:
        """Take one step that is due; whether something changed."""
        if not _changeable(endpoint, deployments):
            return False
        there = {names.key(str(each["name"])): each for each in deployments}
        for wish in mapping.wishes_of(endpoint):
            if names.key(wish.deployment) not in there and mapping.refusal_of(endpoint, wish) is None:
                self._make(endpoint, wish)
                return True
        for deployment in deployments:
            if mapping.outcome_of(endpoint, deployment)[0]:
                continue
            state = mapping.state_of(deployment)
            if state is DeploymentState.FAILED:
                self._settle(endpoint, deployments, deployment, self._why_failed(endpoint, deployment))
                return True
            if state is DeploymentState.SUCCEEDED:
                reason = self._try_out(endpoint, deployment)
                if reason is not _NOT_YET:
                    self._settle(endpoint, deployments, deployment, reason)
                    return True
        return False

    def _make(self, endpoint: Resource, wish: mapping.Wish) -> None:
        """The wish's first deployment. What Azure refuses for good is noted, so that it is told once and not tried for ever."""
        try:
            self.put_deployment(str(endpoint["name"]), wish)
        except (NotAllowedError, BusyError, ConflictError):
            raise
        except OpsmlError as error:
            tags = mapping.refused_tags(endpoint, wish, error.message)
            self.put_endpoint(str(endpoint["name"]), endpoint_bodies.changed_endpoint(endpoint, tags=tags))
            raise

    def _try_out(self, endpoint: Resource, deployment: Resource) -> str | None:
        """None when it answered; else why not."""
        from opsml_cli.azureml import endpoint_smoke

        target = mapping.target_of(deployment)
        if mapping.script_of(target.properties) is not None:
            return None  # nobody knows what a script takes: it is ready when its container is
        try:
            row = self._examples.row(AssetRef(target.model, target.version))
            with self._client(endpoint) as client:
                endpoint_smoke.try_out(client, target.deployment, row)
        except BusyError as error:
            # A container that has just started may say "later" for a while.
            first = self._refused.setdefault(f"{endpoint['name']}/{target.deployment}", self._context.clock.monotonic())
            if self._context.clock.monotonic() - first < _PATIENCE_SECONDS:
                return _NOT_YET
            return error.message
        except OpsmlError as error:
            told = endpoint_logs.cause(self._context, str(endpoint["name"]), target.deployment)
            return f"it came up, and did not answer a real request: {error.message}" + (f" ({told})" if told else "")
        return None

    def _why_failed(self, endpoint: Resource, deployment: Resource) -> str:
        """What Azure says of the failed operation, and what the containers said last."""
        from opsml_cli.azureml.context import Answer

        said = None
        url = ((deployment.get("properties") or {}).get("properties") or {}).get("AzureAsyncOperationUri")
        if url:
            try:
                state = self._context.rest.operation(Answer(201, {"azure-asyncoperation": str(url)}, None))
                error = state.error
                said = (error.cause or error.message) if isinstance(error, OpsmlError) else None
            except OpsmlError:
                pass
        told = endpoint_logs.cause(self._context, str(endpoint["name"]), str(deployment["name"]))
        return "; ".join(dict.fromkeys(part for part in (told, said) if part)) or "Azure gives no reason"

    def _settle(self, endpoint: Resource, deployments: Sequence[Resource], deployment: Resource, failure: str | None) -> None:
        """Note what came out, and with success give the deployment its traffic, in one request."""
        name = str(deployment["name"])
        tags = mapping.settled_tags(endpoint, name, mapping.revision_of(deployment) or "", failure)
        before = mapping.traffic_of(endpoint)
        traffic = before
        if failure is None:
            others = sum(percent for each, percent in before.items() if names.key(each) != names.key(name))
            share = mapping.share_of(deployment)
            if share is None and not others:
                share = 100
            if share is not None and before.get(name, 0) != share:
                traffic = {each: percent for each, percent in shared_out(before, name, share).items() if percent}
        known = {names.key(str(each["name"])) for each in deployments}
        traffic = {each: percent for each, percent in traffic.items() if names.key(each) in known}
        if traffic != before:
            tags = mapping.traffic_tags(endpoint, tags, name)
        self.put_endpoint(str(endpoint["name"]), endpoint_bodies.changed_endpoint(endpoint, tags=tags, traffic=traffic))

    # Telling

    def _told(self, deployment: Deployment) -> Deployment:
        """With the last log line while it comes up."""
        if deployment.state.finished or deployment.detail is not None or deployment.state is DeploymentState.DELETING:
            return deployment
        key = (deployment.endpoint, deployment.name)
        now = self._context.clock.monotonic()
        moment, line = self._looked.get(key, (now - _LOOK_SECONDS, None))
        if now - moment >= _LOOK_SECONDS:
            line = endpoint_logs.last_line(self._context, *key)
            self._looked[key] = (now, line)
        return replace(deployment, detail=line)


def _changeable(endpoint: Resource, deployments: Sequence[Resource]) -> bool:
    """Whether the endpoint takes changes now: one whose last change failed does, one that could not be made does not."""
    state = mapping.state_of(endpoint)
    return state is DeploymentState.SUCCEEDED or (state is DeploymentState.FAILED and bool(deployments))


# Neither answered nor refused.
_NOT_YET = "not yet"


def new_revision() -> str:
    """A name for a wish, the same for nobody else."""
    import os

    return f"{int(time.time()):x}{os.urandom(4).hex()}"


def same_name(one: str, other: str) -> bool:
    return names.key(one) == names.key(other)
