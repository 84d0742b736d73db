"""Beginning a deployment on Azure: what is asked is checked, compared with what is there, and written down where it lasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from opsml_cli.azureml import endpoint_bodies
from opsml_cli.azureml import endpoint_mapping as mapping
from opsml_cli.azureml.endpoint_rollout import Rollout, new_revision, same_name
from opsml_cli.domain import names
from opsml_cli.domain.compute import DEFAULT_SIZE
from opsml_cli.domain.deployment_wire import settings_on_wire
from opsml_cli.domain.endpoint import Deployed, Deployment, DeploymentState, DeploySpec, OnlineEndpoint
from opsml_cli.domain.errors import (
    BusyError,
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    UsageError,
)
from opsml_cli.domain.traffic import shared_out

if TYPE_CHECKING:
    from opsml_cli.azureml.context import Context
    from opsml_cli.azureml.models import AzureModels
    from opsml_cli.domain.model import Model

MAX_INSTANCES = 100


def begin(context: Context, rollout: Rollout, models: AzureModels, spec: DeploySpec) -> Deployed:
    """As the port's `begin_deploy`. What is asked is durable when this returns: it is in Azure's own tags."""
    model = _check(models, spec)
    resource = rollout.endpoint(spec.endpoint)
    deployments = [] if resource is None else rollout.deployments_of(resource)
    wish, there = _wish(spec, model, deployments, _properties(context, spec))
    pending = next((each for each in mapping.wishes_of(resource or {}) if same_name(each.deployment, spec.deployment)), None)
    _check_share(spec, resource)
    if spec.dry_run:
        return _planned(spec, resource, deployments, wish, there)
    if resource is None:
        resource = rollout.put_endpoint(spec.endpoint, endpoint_bodies.new_endpoint(context.region, wish))
        return _shown(mapping.endpoint_of(resource, ()), spec, unchanged=False)
    if mapping.state_of(resource) is DeploymentState.FAILED and not deployments:
        raise ConflictError(
            f"endpoint {resource['name']!r} could not be made", fix=f"opsml endpoints delete {resource['name']} --yes"
        )
    if there is None and pending is not None and pending.same_target(wish) and mapping.refusal_of(resource, pending) is None:
        return _joined(rollout, spec)
    if there is not None and wish.made(there):
        done, failure = mapping.outcome_of(resource, there)
        state = mapping.state_of(there)
        if not done and state is not DeploymentState.FAILED:
            return _joined(rollout, spec)
        if state is DeploymentState.SUCCEEDED and failure is None:
            return _shared(rollout, spec, resource, deployments, there)
    if not mapping.state_of(resource).finished:
        raise BusyError(
            f"endpoint {resource['name']!r} is {mapping.state_of(resource)}", fix="run the same command again in a minute"
        )
    rollout.put_deployment(str(resource["name"]), wish)
    return _joined(rollout, spec)


def _check(models: AzureModels, spec: DeploySpec) -> Model | None:
    names.endpoint_name(spec.endpoint)
    names.endpoint_name(spec.deployment, "deployment name")
    if spec.traffic is not None and not 0 <= spec.traffic <= 100:
        raise UsageError(f"traffic {spec.traffic} is no percentage", cause="expected 0 to 100")
    if not 1 <= spec.instance_count <= MAX_INSTANCES:
        raise UsageError(f"instance count {spec.instance_count} is out of range", cause=f"expected 1 to {MAX_INSTANCES}")
    if spec.model is None:
        if spec.code is None and (spec.environment is None or spec.environment.routes is None):
            raise UsageError("there is neither a model nor a scoring script to deploy", fix="name a model, or give --code")
        return None
    model = models.get(spec.model)
    if not (model.own or model.trusted or spec.trust):
        raise NotAllowedError(
            f"model {model.name}:{model.version} was not trained by opsml, and nobody trusts it",
            cause="a model is code: serving it runs what its folder holds",
            fix="if you trust where it comes from, run the same command with --trust",
        )
    return model


def _check_share(spec: DeploySpec, resource: Mapping[str, Any] | None) -> None:
    traffic = mapping.traffic_of(resource or {})
    others = sum(percent for name, percent in traffic.items() if not same_name(name, spec.deployment))
    if spec.traffic is not None and 0 < spec.traffic < 100 and not others:
        raise UsageError(
            f"traffic {spec.traffic} leaves {100 - spec.traffic} percent for nobody",
            fix="leave --traffic out, or give 100",
        )


def _properties(context: Context, spec: DeploySpec) -> dict[str, Any]:
    """What the deployment is asked beside model and size, as the wire has it; code and environment are made where they are
    missing."""
    found: dict[str, Any] = settings_on_wire(spec.settings)
    if spec.variables:
        found["environmentVariables"] = dict(spec.variables)
    if spec.code is None and spec.environment is None:
        return found
    from opsml_cli.azureml import endpoint_assets

    if spec.code is not None:
        if spec.environment is None:
            raise UsageError(
                "a scoring script on Azure needs an environment",
                cause="its container holds the packages that the script imports",
                fix="add --environment conda.yml, requirements.txt, or a registered NAME:VERSION",
            )
        if endpoint_assets.lacks_server(spec.environment):
            raise InvalidInputError(
                f"the environment {spec.environment.title} lacks {endpoint_assets.SERVER}, which runs scoring scripts on Azure",
                fix=f"add {endpoint_assets.SERVER} to its pip packages",
            )
        code = endpoint_assets.code_id(context, spec.code, dry_run=spec.dry_run)
        found["codeConfiguration"] = {"codeId": code, "scoringScript": spec.code.entry}
    if spec.environment is not None:
        found["environmentId"] = endpoint_assets.environment_id(context, spec.environment, dry_run=spec.dry_run)
    return found


def _wish(
    spec: DeploySpec, model: Model | None, deployments: Sequence[Mapping[str, Any]], properties: Mapping[str, Any]
) -> tuple[mapping.Wish, Mapping[str, Any] | None]:
    """What is asked, with what was left out taken from what is there; and the deployment of that name."""
    there = next((each for each in deployments if same_name(str(each["name"]), spec.deployment)), None)
    insights = spec.insights
    if insights is None:
        targets = [mapping.target_of(each) for each in deployments]
        insights = bool(targets) and all(each.insights for each in targets)
    size = spec.instance_type or (mapping.target_of(there).instance_type if there is not None else DEFAULT_SIZE)
    name = str(there["name"]) if there is not None else spec.deployment
    wish = mapping.Wish(
        new_revision(),
        name,
        model.name if model is not None else "",
        model.version if model is not None else "",
        size,
        spec.instance_count,
        insights,
        spec.traffic,
        properties,
        spec.settings.tags,
    )
    return wish, there


def _shared(
    rollout: Rollout,
    spec: DeploySpec,
    resource: Mapping[str, Any],
    deployments: Sequence[Mapping[str, Any]],
    there: Mapping[str, Any],
) -> Deployed:
    """The deployment is what was asked: only its share of the traffic may differ."""
    name, before = str(there["name"]), mapping.traffic_of(resource)
    others = sum(percent for each, percent in before.items() if not same_name(each, name))
    share = spec.traffic if spec.traffic is not None else (None if others else 100)
    if share is None or before.get(name, 0) == share:
        return _shown(mapping.endpoint_of(resource, deployments), spec, unchanged=True)
    traffic = {each: percent for each, percent in shared_out(before, name, share).items() if percent}
    tags = mapping.traffic_tags(resource, resource.get("tags") or {}, name)
    changed = rollout.put_endpoint(
        str(resource["name"]), endpoint_bodies.changed_endpoint(resource, tags=tags, traffic=traffic)
    )
    return _shown(mapping.endpoint_of(changed, deployments), spec, unchanged=False)


def _joined(rollout: Rollout, spec: DeploySpec) -> Deployed:
    return _shown(_seen(rollout, spec), spec, unchanged=False)


def _planned(
    spec: DeploySpec,
    resource: Mapping[str, Any] | None,
    deployments: Sequence[Mapping[str, Any]],
    wish: mapping.Wish,
    there: Mapping[str, Any] | None,
) -> Deployed:
    """What a dry run says."""
    same = there is not None and wish.made(there)
    if resource is None:
        resource = {"name": spec.endpoint, **endpoint_bodies.new_endpoint("", wish)}
    made = {
        "name": wish.deployment,
        **endpoint_bodies.new_deployment("", wish, f"azureml:{wish.model}:{wish.version}" if wish.model else None),
    }
    others = [each for each in deployments if not same_name(str(each["name"]), wish.deployment)]
    shown = mapping.endpoint_of(resource, [*others, there if same and there is not None else made])
    traffic = mapping.traffic_of(resource)
    unchanged = same and (spec.traffic is None or traffic.get(wish.deployment, 0) == spec.traffic)
    fresh = replace(shown, state=DeploymentState.CREATING) if not deployments else shown
    found = _shown(fresh, spec, unchanged=unchanged)
    if same:
        return found
    state = DeploymentState.CREATING if there is None else DeploymentState.UPDATING
    return replace(found, deployment=replace(found.deployment, state=state))


def _shown(endpoint: OnlineEndpoint, spec: DeploySpec, *, unchanged: bool) -> Deployed:
    found: Deployment | None = next((each for each in endpoint.deployments if same_name(each.name, spec.deployment)), None)
    if found is None:
        raise NotFoundError(
            f"deployment {spec.deployment!r} was deleted meanwhile", fix=f"opsml endpoints show {spec.endpoint}"
        )
    return Deployed(endpoint, found, unchanged)


def _seen(rollout: Rollout, spec: DeploySpec) -> OnlineEndpoint:
    found = rollout.look(spec.endpoint)
    if found is None:
        raise NotFoundError(f"endpoint {spec.endpoint!r} was deleted meanwhile", fix="opsml deploy makes it again")
    return found
