"""Managed online endpoints of an Azure ML workspace, over ARM and the endpoints' own addresses; the SDK is not needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from opsml_cli.azureml import endpoint_bodies
from opsml_cli.azureml import endpoint_mapping as mapping
from opsml_cli.azureml.endpoint_rollout import VERSION, Rollout, new_revision
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
    BusyError,
    ConflictError,
    ContractError,
    NotAllowedError,
    NotFinishedError,
    NotFoundError,
    UnsupportedError,
    UsageError,
)

if TYPE_CHECKING:
    import ssl

    from opsml_cli.azureml.context import Answer, Context
    from opsml_cli.azureml.data import AzureData
    from opsml_cli.azureml.models import AzureModels
    from opsml_cli.domain.model import Model
    from opsml_cli.scoring_client import ScoringClient

MAX_INSTANCES = 100
_PARALLEL = 8
_KEY_SECONDS = 120.0  # how long a new key may take
_UNFINISHED = (DeploymentState.CREATING, DeploymentState.UPDATING)


class AzureEndpoints:
    """The `online_endpoints` group of an Azure ML workspace. `get` moves a begun deployment on (`endpoint_rollout`)."""

    def __init__(self, context: Context, models: Callable[[], AzureModels], data: Callable[[], AzureData]) -> None:
        self._context = context
        self._models = models
        self._data = data

    # What there is

    def get(self, name: str) -> OnlineEndpoint:
        names.endpoint_name(name)
        found = self._rollout.look(name)
        if found is None:
            raise self._missing(name)
        return found

    def list(self) -> Sequence[OnlineEndpoint]:
        resources = list(self._context.rest.pages("{ws}/onlineEndpoints", VERSION))

        def one(resource: Mapping[str, Any]) -> OnlineEndpoint:
            try:
                return mapping.endpoint_of(resource, self._rollout.deployments(str(resource["name"])))
            except NotFoundError:  # it is being made, or was deleted meanwhile
                return mapping.endpoint_of(resource, ())

        with ThreadPoolExecutor(_PARALLEL) as pool:
            found = list(pool.map(one, resources))
        return sorted(found, key=lambda endpoint: endpoint.created_at, reverse=True)

    def keys(self, name: str) -> EndpointKeys:
        resource = self._resource(name)
        mode = (resource.get("properties") or {}).get("authMode")
        if mode != "Key":
            raise UnsupportedError(
                f"endpoint {resource['name']!r} has no keys: its clients show a token ({mode})",
                fix=f"opsml score {resource['name']} gets one by itself",
            )
        found = self._post(resource, "listKeys").value or {}
        if not found.get("primaryKey") or not found.get("secondaryKey"):
            raise ContractError(f"Azure gave no keys of endpoint {resource['name']!r}")
        return EndpointKeys(str(found["primaryKey"]), str(found["secondaryKey"]))

    # Deploying

    def begin_deploy(self, spec: DeploySpec) -> Deployed:
        model = self._check(spec)
        resource = self._rollout.endpoint(spec.endpoint)
        deployments = [] if resource is None else self._deployments(resource)
        wish, there = self._wish(spec, model, deployments)
        pending = next((each for each in mapping.wishes_of(resource or {}) if _same(each.deployment, spec.deployment)), None)
        self._check_share(spec, resource)
        if spec.dry_run:
            return self._planned(spec, resource, deployments, wish, there)
        if resource is None:
            resource = self._rollout.put_endpoint(spec.endpoint, endpoint_bodies.new_endpoint(self._context.region, wish))
            return self._shown(mapping.endpoint_of(resource, ()), spec, unchanged=False)
        if mapping.state_of(resource) is DeploymentState.FAILED:
            raise ConflictError(
                f"endpoint {resource['name']!r} could not be made", fix=f"opsml endpoints delete {resource['name']} --yes"
            )
        if there is None and pending is not None and pending.same_target(wish):
            return self._joined(spec)
        if there is not None and mapping.target_of(there).same_target(wish):
            done, failure = mapping.outcome_of(resource, there)
            state = mapping.state_of(there)
            if not done and state is not DeploymentState.FAILED:
                return self._joined(spec)
            if state is DeploymentState.SUCCEEDED and failure is None:
                return self._shared(spec, resource, deployments, there)
        if mapping.state_of(resource) is not DeploymentState.SUCCEEDED:
            raise BusyError(
                f"endpoint {resource['name']!r} is {mapping.state_of(resource)}", fix="run the same command again in a minute"
            )
        self._rollout.put_deployment(str(resource["name"]), wish)
        return self._joined(spec)

    def _check(self, spec: DeploySpec) -> Model:
        names.endpoint_name(spec.endpoint)
        names.endpoint_name(spec.deployment, "deployment name")
        if spec.traffic is not None and not 0 <= spec.traffic <= 100:
            raise UsageError(f"traffic {spec.traffic} is no percentage", cause="expected 0 to 100")
        if not 1 <= spec.instance_count <= MAX_INSTANCES:
            raise UsageError(f"instance count {spec.instance_count} is out of range", cause=f"expected 1 to {MAX_INSTANCES}")
        model = self._models().get(spec.model)
        if not (model.own or model.trusted or spec.trust):
            raise NotAllowedError(
                f"model {model.name}:{model.version} was not trained by opsml, and nobody trusts it",
                cause="a model is code: serving it runs what its folder holds",
                fix=f"opsml models register {model.name} {model.path} --trust",
            )
        return model

    @staticmethod
    def _check_share(spec: DeploySpec, resource: Mapping[str, Any] | None) -> None:
        traffic = mapping.traffic_of(resource or {})
        others = sum(percent for name, percent in traffic.items() if not _same(name, spec.deployment))
        if spec.traffic is not None and 0 < spec.traffic < 100 and not others:
            raise UsageError(
                f"traffic {spec.traffic} leaves {100 - spec.traffic} percent for nobody",
                fix="leave --traffic out, or give 100",
            )

    @staticmethod
    def _wish(
        spec: DeploySpec, model: Model, deployments: Sequence[Mapping[str, Any]]
    ) -> tuple[mapping.Wish, Mapping[str, Any] | None]:
        """What is asked, with what was left out taken from what is there; and the deployment of that name."""
        there = next((each for each in deployments if _same(str(each["name"]), spec.deployment)), None)
        insights = spec.insights
        if insights is None:
            targets = [mapping.target_of(each) for each in deployments]
            insights = bool(targets) and all(each.insights for each in targets)
        size = spec.instance_type or (mapping.target_of(there).instance_type if there is not None else mapping.DEFAULT_SIZE)
        name = str(there["name"]) if there is not None else spec.deployment
        wish = mapping.Wish(
            new_revision(), name, model.name, model.version, size, spec.instance_count, insights, spec.traffic
        )  # fmt: skip
        return wish, there

    def _shared(
        self,
        spec: DeploySpec,
        resource: Mapping[str, Any],
        deployments: Sequence[Mapping[str, Any]],
        there: Mapping[str, Any],
    ) -> Deployed:
        """The deployment is what was asked: only its share of the traffic may differ."""
        from opsml_cli.domain.traffic import shared_out

        name, before = str(there["name"]), mapping.traffic_of(resource)
        others = sum(percent for each, percent in before.items() if not _same(each, name))
        share = spec.traffic if spec.traffic is not None else (None if others else 100)
        if share is None or before.get(name, 0) == share:
            return self._shown(mapping.endpoint_of(resource, deployments), spec, unchanged=True)
        traffic = {each: percent for each, percent in shared_out(before, name, share).items() if percent}
        tags = mapping.traffic_tags(resource, resource.get("tags") or {}, name)
        changed = self._rollout.put_endpoint(
            str(resource["name"]), endpoint_bodies.changed_endpoint(resource, tags=tags, traffic=traffic)
        )
        return self._shown(mapping.endpoint_of(changed, deployments), spec, unchanged=False)

    def _joined(self, spec: DeploySpec) -> Deployed:
        return self._shown(self.get(spec.endpoint), spec, unchanged=False)

    def _planned(
        self,
        spec: DeploySpec,
        resource: Mapping[str, Any] | None,
        deployments: Sequence[Mapping[str, Any]],
        wish: mapping.Wish,
        there: Mapping[str, Any] | None,
    ) -> Deployed:
        """What a dry run says."""
        same = there is not None and mapping.target_of(there).same_target(wish)
        if resource is None:
            resource = {"name": spec.endpoint, **endpoint_bodies.new_endpoint("", wish)}
        made = {"name": wish.deployment, **endpoint_bodies.new_deployment("", wish, f"azureml:{wish.model}:{wish.version}")}
        others = [each for each in deployments if not _same(str(each["name"]), wish.deployment)]
        shown = mapping.endpoint_of(resource, [*others, there if same and there is not None else made])
        traffic = mapping.traffic_of(resource)
        unchanged = same and (spec.traffic is None or traffic.get(wish.deployment, 0) == spec.traffic)
        fresh = replace(shown, state=DeploymentState.CREATING) if not deployments else shown
        found = self._shown(fresh, spec, unchanged=unchanged)
        if same:
            return found
        state = DeploymentState.CREATING if there is None else DeploymentState.UPDATING
        return replace(found, deployment=replace(found.deployment, state=state))

    @staticmethod
    def _shown(endpoint: OnlineEndpoint, spec: DeploySpec, *, unchanged: bool) -> Deployed:
        found: Deployment | None = next((each for each in endpoint.deployments if _same(each.name, spec.deployment)), None)
        if found is None:
            raise NotFoundError(
                f"deployment {spec.deployment!r} was deleted meanwhile", fix=f"opsml endpoints show {spec.endpoint}"
            )
        return Deployed(endpoint, found, unchanged)

    # Running

    def start(self, name: str) -> OnlineEndpoint:
        """As the port says: Azure's endpoints always run."""
        return self.get(name)

    def stop(self, name: str) -> OnlineEndpoint:
        found = self._resource(name)["name"]
        raise UnsupportedError(
            f"Azure knows no stopped endpoint: {found!r} costs as long as it has deployments",
            fix=f"opsml endpoints delete {found} --yes; its model stays, and deploy makes it again",
        )

    def delete(self, name: str, deployment: str | None = None) -> None:
        """As the port says: accepted here, and Deleting until it is gone."""
        resource = self._resource(name)
        endpoint = str(resource["name"])
        path = f"{{ws}}/onlineEndpoints/{endpoint}"
        if deployment is not None:
            found = str(self._deployment(resource, deployment)["name"])
            percent = mapping.traffic_of(resource).get(found, 0)
            if percent:
                raise ConflictError(
                    f"deployment {found!r} has {percent} percent of the traffic",
                    fix=f"opsml endpoints traffic {endpoint} OTHER=100, then delete it",
                )
            path += f"/deployments/{found}"
        answer = self._context.rest.send("DELETE", path, VERSION)
        state = self._context.rest.operation(answer)
        if state.error is not None:
            raise state.error

    # Changing

    def rotate_keys(self, name: str, key: str) -> EndpointKeys:
        """As the port says. Azure makes the new value; it is waited for, some seconds as a rule."""
        if key not in ("primary", "secondary"):
            raise UsageError(f"{key!r} is no key", cause="expected primary or secondary")
        resource = self._resource(name)
        before = self.keys(str(resource["name"]))
        answer = self._post(resource, "regenerateKeys", {"keyType": key.capitalize()}, repeatable=False)
        until = self._context.clock.monotonic() + _KEY_SECONDS
        while (state := self._context.rest.operation(answer)).done is None:
            if self._context.clock.monotonic() > until:
                raise NotFinishedError(
                    f"the {key} key of {resource['name']!r} is still being replaced",
                    fix=f"opsml endpoints keys {resource['name']}",
                )
            self._context.clock.sleep(0.5)
        if state.error is not None:
            raise state.error
        after = self.keys(str(resource["name"]))
        if getattr(after, key) == getattr(before, key):
            raise ContractError(f"Azure kept the {key} key of {resource['name']!r}", fix="run the same command again")
        return after

    def set_traffic(self, name: str, traffic: Mapping[str, int]) -> OnlineEndpoint:
        """As the port says; on Azure the endpoint is Updating until the traffic has moved."""
        resource = self._resource(name)
        deployments = self._deployments(resource)
        wanted = {}
        for each, percent in traffic.items():
            found = self._deployment(resource, each, deployments)
            if not 0 <= percent <= 100:
                raise UsageError(f"traffic {percent} for {each!r} is no percentage", cause="expected 0 to 100")
            if percent and mapping.state_of(found) in (DeploymentState.CREATING, DeploymentState.FAILED):
                raise ConflictError(
                    f"deployment {found['name']!r} is {mapping.state_of(found)} and cannot take traffic",
                    fix=f"opsml endpoints show {resource['name']}",
                )
            wanted[str(found["name"])] = percent
        total = sum(wanted.values())
        if total not in (0, 100):
            raise UsageError(f"the traffic adds up to {total} percent", cause="expected 100, or 0 for none")
        served = {each: percent for each, percent in wanted.items() if percent}
        if served == mapping.traffic_of(resource):
            return mapping.endpoint_of(resource, deployments)
        tags = mapping.traffic_tags(resource, resource.get("tags") or {}, None)
        changed = self._rollout.put_endpoint(
            str(resource["name"]), endpoint_bodies.changed_endpoint(resource, tags=tags, traffic=served)
        )
        return mapping.endpoint_of(changed, deployments)

    def rollback(self, name: str) -> OnlineEndpoint:
        resource = self._resource(name)
        previous = mapping.previous_of(resource)
        if previous is None:
            raise ConflictError(
                f"the traffic of endpoint {resource['name']!r} was never changed",
                fix=f"opsml endpoints traffic {resource['name']} NAME=100",
            )
        known = {str(each["name"]) for each in self._deployments(resource)}
        gone = [each for each in previous if each not in known]
        if gone:
            raise ConflictError(
                f"deployment {gone[0]!r}, which had traffic before, was deleted",
                fix=f"opsml endpoints traffic {resource['name']} NAME=100",
            )
        return self.set_traffic(name, previous)

    def set_insights(self, name: str, enabled: bool) -> OnlineEndpoint:
        """Application Insights on or off for every deployment that has it otherwise; each is Updating until it follows."""
        resource = self._resource(name)
        deployments = self._deployments(resource)
        if not deployments:
            raise ConflictError(
                f"endpoint {resource['name']!r} has no deployment yet",
                cause="Azure keeps this setting with each deployment",
                fix=f"opsml deploy --endpoint {resource['name']} --insights",
            )
        changed = []
        for each in deployments:
            if mapping.target_of(each).insights != enabled:
                path = f"{{ws}}/onlineEndpoints/{resource['name']}/deployments/{each['name']}"
                body = endpoint_bodies.changed_deployment(each, insights=enabled)
                changed.append(self._context.rest.send("PUT", path, VERSION, body).value)
            else:
                changed.append(each)
        return mapping.endpoint_of(resource, changed)

    # Using

    def score(self, name: str, request: ScoreRequest) -> ScoreResult:
        """As the port says. Probabilities come from deployments whose document offers them; a model that is deployed without
        code answers what its own `predict` gives, and says UnsupportedError."""
        resource = self._resource(name)
        if request.deployment is not None:
            request = replace(request, deployment=str(self._deployment(resource, request.deployment)["name"]))
        if not request.rows:
            return ScoreResult((), 0, request.deployment, 0.0)
        with self._client(resource) as client:
            return client.score(request)

    def swagger(self, name: str) -> Mapping[str, object]:
        with self._client(self._resource(name)) as client:
            return client.swagger()

    def serve_swagger_ui(self, name: str, port: int, ready: Callable[[str], None]) -> None:
        from opsml_cli.swagger_ui import Target, serve

        def address() -> str:
            return self._scoring_uri(self._resource(name)).removesuffix("/score")

        resource = self._resource(name)
        shown = str(resource["name"])
        target = Target(
            shown,
            address,
            lambda: self._credential(self._resource(name)),
            lambda: self.swagger(name),
            trust=self._trust,
            unreachable=f"opsml endpoints show {shown}",
        )
        serve(target, port, ready)

    def _client(self, resource: Mapping[str, Any]) -> ScoringClient:
        from opsml_cli.scoring_client import Address, ScoringClient

        uri = self._scoring_uri(resource)
        return ScoringClient(Address(str(resource["name"]), uri, self._credential(resource), trust=self._trust), dialect=None)

    def _scoring_uri(self, resource: Mapping[str, Any]) -> str:
        uri = (resource.get("properties") or {}).get("scoringUri")
        if not uri:
            raise ConflictError(
                f"endpoint {resource['name']!r} has no address yet: it is {mapping.state_of(resource)}",
                fix=f"opsml endpoints show {resource['name']}",
            )
        if not str(uri).startswith("https://"):
            raise ContractError(f"the address of endpoint {resource['name']!r} is not https: {uri}")
        return str(uri)

    def _credential(self, resource: Mapping[str, Any]) -> str:
        """What the endpoint's clients show: a key, or a token."""
        mode = str((resource.get("properties") or {}).get("authMode") or "Key")
        if mode == "Key":
            return self.keys(str(resource["name"])).primary
        if mode == "AADToken":
            return self._context.identity.token(self._context.cloud.scope("ml"))
        found = (self._post(resource, "token").value or {}).get("accessToken")
        if not found:
            raise ContractError(f"Azure gave no token for endpoint {resource['name']!r}")
        return str(found)

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        from opsml_cli.azureml.tls import client_context

        return client_context(self._context.settings.ca_bundle)

    # Resources

    @cached_property
    def _rollout(self) -> Rollout:
        from opsml_cli.azureml.endpoint_smoke import Examples

        return Rollout(self._context, Examples(self._context, self._models, self._data), self._client)

    def _resource(self, name: str) -> Mapping[str, Any]:
        names.endpoint_name(name)
        found = self._rollout.endpoint(name)
        if found is None:
            raise self._missing(name)
        return found

    def _deployments(self, resource: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        if mapping.state_of(resource) is DeploymentState.CREATING:
            return []
        return self._rollout.deployments(str(resource["name"]))

    def _deployment(
        self, resource: Mapping[str, Any], name: str, deployments: Sequence[Mapping[str, Any]] | None = None
    ) -> Mapping[str, Any]:
        known = self._deployments(resource) if deployments is None else deployments
        found = next((each for each in known if _same(str(each["name"]), name)), None)
        if found is None:
            raise NotFoundError(
                f"endpoint {resource['name']!r} has no deployment {name!r}",
                cause=f"it has {', '.join(str(each['name']) for each in known)}" if known else "it has none",
                fix=f"opsml endpoints show {resource['name']}",
            )
        return found

    def _missing(self, name: str) -> NotFoundError:
        known = [str(each["name"]) for each in self._context.rest.pages("{ws}/onlineEndpoints", VERSION)]
        return NotFoundError(
            f"no endpoint {name!r}",
            cause=f"there is {', '.join(known[:10])}" if known else "this workspace has no endpoint",
            fix="opsml deploy makes one",
        )

    def _post(self, resource: Mapping[str, Any], verb: str, body: Any = None, *, repeatable: bool = True) -> Answer:
        return self._context.rest.send(
            "POST", f"{{ws}}/onlineEndpoints/{resource['name']}/{verb}", VERSION, body, repeatable=repeatable
        )


def _same(one: str, other: str) -> bool:
    return names.key(one) == names.key(other)
