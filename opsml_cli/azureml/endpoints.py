"""Managed online endpoints of an Azure ML workspace, over ARM and the endpoints' own addresses; the SDK is not needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from opsml_cli.azureml import endpoint_bodies
from opsml_cli.azureml import endpoint_mapping as mapping
from opsml_cli.azureml.endpoint_rollout import VERSION, Rollout, same_name
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
from opsml_cli.domain.errors import (
    BusyError,
    ConflictError,
    ContractError,
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
    from opsml_cli.domain.deployment import EndpointSpec
    from opsml_cli.domain.load import LoadFigures, LoadPlan
    from opsml_cli.domain.progress import Progress
    from opsml_cli.domain.scoring import RowScorer, ScorePlan
    from opsml_cli.scoring_client import Address, ScoringClient

_PARALLEL = 8
_KEY_SECONDS = 120.0  # how long a new key may take


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

    def begin_deploy(self, spec: DeploySpec) -> Deployed:
        from opsml_cli.azureml.endpoint_deploy import begin

        return begin(self._context, self._rollout, self._models(), spec)

    def configure(self, spec: EndpointSpec) -> Configured:
        names.endpoint_name(spec.name)
        resource = self._rollout.endpoint(spec.name)
        deployments = [] if resource is None else self._rollout.deployments_of(resource)
        for name in (*(spec.traffic or {}), *(spec.mirror_traffic or {})):
            self._deployment(resource or {"name": spec.name}, name, deployments)
        body = endpoint_bodies.put_endpoint(self._context.region, spec, resource)
        if resource is not None and mapping.configured(resource, body):
            return Configured(mapping.endpoint_of(resource, deployments), unchanged=True)
        if spec.dry_run:
            return Configured(
                mapping.endpoint_of({"name": spec.name, **(resource or {}), **body}, deployments), unchanged=False
            )
        if resource is not None and not mapping.state_of(resource).finished:
            raise BusyError(
                f"endpoint {resource['name']!r} is {mapping.state_of(resource)}", fix="run the same command again in a minute"
            )
        if spec.traffic is not None and resource is not None:
            body["tags"] = mapping.traffic_tags(resource, body["tags"], None)
        changed = self._rollout.put_endpoint(spec.name, body)
        return Configured(mapping.endpoint_of(changed, deployments), unchanged=False)

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

    def set_traffic(
        self, name: str, traffic: Mapping[str, int], *, previous: Mapping[str, int] | None = None
    ) -> OnlineEndpoint:
        """As the port says; on Azure the endpoint is Updating until the traffic has moved."""
        resource = self._resource(name)
        deployments = self._rollout.deployments_of(resource)
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
        kept = previous is None or mapping.served(previous) == mapping.served(mapping.previous_of(resource) or {})
        if kept and served == mapping.traffic_of(resource):
            return mapping.endpoint_of(resource, deployments)
        tags = mapping.traffic_tags(resource, resource.get("tags") or {}, None, previous)
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
        known = {str(each["name"]) for each in self._rollout.deployments_of(resource)}
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
        deployments = self._rollout.deployments_of(resource)
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

    def send(self, name: str, request: RawRequest) -> RawReply:
        resource = self._resource(name)
        if request.deployment is not None:
            request = replace(request, deployment=str(self._deployment(resource, request.deployment)["name"]))
        with self._client(resource) as client:
            return client.send(request)

    def scorer(self, name: str, plan: ScorePlan) -> RowScorer:
        from opsml_cli.scoring_client import EndpointScorer

        resource = self._resource(name)
        if plan.deployment is not None:
            plan = replace(plan, deployment=str(self._deployment(resource, plan.deployment)["name"]))
        return EndpointScorer(self._address(resource), None, plan)

    def load(self, name: str, plan: LoadPlan, rows: Sequence[Row], progress: Progress) -> LoadFigures:
        from opsml_cli.loading.generator import load

        resource = self._resource(name)
        if plan.deployment is not None:
            plan = replace(plan, deployment=str(self._deployment(resource, plan.deployment)["name"]))
        with self._client(resource) as client:
            return load(client, plan, rows, progress)

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

    def access(self, name: str) -> EndpointAccess:
        address = self._address(self._resource(name))
        return EndpointAccess(address.scoring_uri.removesuffix("/score"), address.key, address.trust)

    def _client(self, resource: Mapping[str, Any]) -> ScoringClient:
        from opsml_cli.scoring_client import ScoringClient

        return ScoringClient(self._address(resource), dialect=None)

    def _address(self, resource: Mapping[str, Any]) -> Address:
        from opsml_cli.scoring_client import Address

        return Address(str(resource["name"]), self._scoring_uri(resource), self._credential(resource), trust=self._trust)

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

    def _deployment(
        self, resource: Mapping[str, Any], name: str, deployments: Sequence[Mapping[str, Any]] | None = None
    ) -> Mapping[str, Any]:
        known = self._rollout.deployments_of(resource) if deployments is None else deployments
        found = next((each for each in known if same_name(str(each["name"]), name)), None)
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
