"""Deployments of batch endpoints: a model that scores rows, or a pipeline component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.errors import NotFoundError
from opsml_cli.emulator import batch_invoke, inference, resources
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.operations import Outcome
from opsml_cli.emulator.routes.batch_endpoints import required
from opsml_cli.emulator.wire import Call, Reply, Route
from opsml_cli.local.batch.records import MODEL, PIPELINE, BatchDeployment, BatchEndpoint

if TYPE_CHECKING:
    from opsml_cli.emulator.site import Served

KIND = "batchEndpoints/deployments"
PUT_WATCH = "batch deployment"
DELETE_WATCH = "batch deployment gone"
_COMPONENT = "PipelineComponent"
_CONTINUE = "ComponentDeployment.Settings.continue_on_step_failure"
_RETRIES = {"maxRetries": 3, "timeout": "PT30S"}


def put(call: Call) -> Reply:
    """201 for a new deployment, 200 for one that is there; `Updating` either way."""
    body = inference.resource_body(call)
    endpoint = required(call.served, call.parameters["endpoint"])
    name = inference.checked_name(call.parameters["deployment"], "deployment")
    properties = body.section("properties", required=True)
    configuration = properties.section("deploymentConfiguration")
    said = _common(body, properties)
    if configuration is not None:
        kind, asset = PIPELINE, _component(call, configuration, said)
    else:
        kind, asset = MODEL, _model(call, properties, said)
    before = endpoint.deployment(name)
    said["by"] = before.settings.get("by") if before is not None else resources.who(call)
    snapshot = batch_invoke.published(call, asset, said) if kind == PIPELINE else None
    group = call.served.local.batch_catalog
    endpoint, made, new = group.put_deployment(endpoint.name, name, kind, asset, settings=said, snapshot=snapshot)
    headers = call.site.operations.begin(call, "bdbes", PUT_WATCH, [endpoint.name, made.name], location="resource")
    return Reply(201 if new else 200, document(call, endpoint, made, "Updating"), headers)


def patch(call: Call) -> Reply:
    """Description, tags and properties of a deployment that is there."""
    endpoint = required(call.served, call.parameters["endpoint"])
    found = _required(call, endpoint)
    body = Body.of(call)
    said = dict(found.settings)
    if "tags" in body:
        said["tags"] = body.texts("tags")
    properties = body.section("properties")
    if properties is not None and "description" in properties:
        said["description"] = properties.text("description")
    if properties is not None and "properties" in properties:
        said["properties"] = properties.texts("properties")
    endpoint, made = call.served.local.batch_catalog.describe_deployment(endpoint.name, found.name, said)
    headers = call.site.operations.begin(call, "bdbes", PUT_WATCH, [endpoint.name, made.name], location="results")
    return Reply(202, document(call, endpoint, made, "Updating"), headers)


def get(call: Call) -> Reply:
    endpoint = required(call.served, call.parameters["endpoint"])
    return Reply(value=document(call, endpoint, _required(call, endpoint)))


def list_(call: Call) -> Reply:
    endpoint = required(call.served, call.parameters["endpoint"])
    found = sorted(endpoint.deployments.values(), key=lambda each: each.created_at, reverse=True)
    return Reply(value=resources.page(call, found, lambda each: each.name, lambda each: document(call, endpoint, each)))


def delete(call: Call) -> Reply:
    """202, and the work is done; 204 when there is nothing of that name. The endpoint's default goes with it."""
    try:
        endpoint = call.served.local.batch_catalog.get(call.parameters["endpoint"])
    except NotFoundError:
        return Reply(204, content=b"")
    found = endpoint.deployment(call.parameters["deployment"])
    if found is None:
        return Reply(204, content=b"")
    headers = call.site.operations.begin(call, "bdbes", DELETE_WATCH, [endpoint.name, found.name], location="results")
    call.served.local.batch_catalog.delete_deployment(endpoint.name, found.name)
    return Reply(202, headers=headers)


# Reading a body


def _common(body: Body, properties: Body) -> dict[str, Any]:
    return {
        "tags": body.texts("tags"),
        "description": properties.text("description"),
        "properties": properties.texts("properties"),
        "environmentId": properties.text("environmentId"),
        "environmentVariables": properties.texts("environmentVariables"),
    }


def _model(call: Call, properties: Body, said: dict[str, Any]) -> str:
    """The registered model, as name:version ("" where a script needs none); the rest of the deployment goes to `said`."""
    resource = properties.section("resources")
    instances = (resource.integer("instanceCount", 1) if resource is not None else None) or 1
    retries = properties.section("retrySettings")
    code = properties.section("codeConfiguration")
    threshold = properties.integer("errorThreshold", -1)
    said |= {
        "compute": properties.text("compute"),
        "codeConfiguration": None
        if code is None
        else {"codeId": code.text("codeId", required=True), "scoringScript": code.text("scoringScript", required=True)},
        "errorThreshold": -1 if threshold is None else threshold,
        "loggingLevel": properties.choice("loggingLevel", ("Info", "Warning", "Debug")) or "Info",
        "maxConcurrencyPerInstance": properties.integer("maxConcurrencyPerInstance", 1) or 1,
        "miniBatchSize": properties.integer("miniBatchSize", 1) or 10,
        "outputAction": properties.choice("outputAction", ("AppendRow", "SummaryOnly")) or "AppendRow",
        "outputFileName": inference.plain_file_name(properties, "outputFileName") or "predictions.csv",
        "resources": {
            "instanceCount": instances,
            "instanceType": resource.text("instanceType") if resource is not None else None,
            "properties": (resource.value.get("properties") if resource is not None else None) or None,
        },
        "retrySettings": _RETRIES if retries is None else {name: retries.value.get(name, _RETRIES[name]) for name in _RETRIES},
    }
    model = properties.section("model")
    reference = None if model is None else model.text("assetId")
    if reference is None and code is not None:
        return ""
    if reference is None:
        raise properties.wrong("model", "a registered model is required.", "ArgumentNullOrEmpty")
    found = inference.asset(reference, "models", call.served)
    if found is None:
        raise properties.wrong("model", f"{reference} is no registered model of this workspace.")
    return inference.model_of(call, found)


def _component(call: Call, configuration: Body, said: dict[str, Any]) -> str:
    """The registered pipeline component's id; the deployment's settings go to `said`."""
    configuration.choice("deploymentConfigurationType", (_COMPONENT,), required=True)
    component = configuration.section("componentId", required=True)
    reference = component.text("assetId", required=True)
    if inference.asset(reference, "components", call.served) is None:
        raise component.wrong("assetId", f"{reference} is no component of this workspace.")
    settings = configuration.section("settings")
    said |= {
        "componentSettings": {} if settings is None else dict(settings.value),
        "componentTags": configuration.texts("tags"),
        "componentDescription": configuration.text("description"),
    }
    return reference


# What there is


def _required(call: Call, endpoint: BatchEndpoint) -> BatchDeployment:
    found = endpoint.deployment(call.parameters["deployment"])
    if found is None:
        raise inference.not_found(f"Deployment {call.parameters['deployment']} of batch endpoint {endpoint.name} not found.")
    return found


def document(call: Call, endpoint: BatchEndpoint, deployment: BatchDeployment, state: str | None = None) -> dict[str, Any]:
    """The resource; `state` None: what its newest operation says."""
    served = call.served
    if state is None:
        pending = call.site.operations.pending(served, PUT_WATCH, [endpoint.name, deployment.name])
        failed = call.site.operations.failure(served, PUT_WATCH, [endpoint.name, deployment.name])
        state = "Updating" if pending else "Failed" if failed else "Succeeded"
    said = deployment.settings
    shown = _shown_model(served, deployment) if deployment.kind == MODEL else _shown_component(served, endpoint, deployment)
    properties = {
        "description": said.get("description"),
        "environmentId": said.get("environmentId"),
        "environmentVariables": said.get("environmentVariables", {}),
        "provisioningState": state,
        **shown,
    }
    found = resources.envelope(
        call,
        ("batchEndpoints", endpoint.name, "deployments", deployment.name),
        KIND,
        properties,
        inference.system_data(deployment.created_at, said.get("by"), deployment.modified_at),
        location=served.region,
        tags=said.get("tags", {}),
        identity=None,
        sku=None,
    )
    return {**found, "kind": None}


def _shown_model(served: Served, deployment: BatchDeployment) -> dict[str, Any]:
    said = deployment.settings
    name, _, version = deployment.asset.partition(":")
    kept = (
        "codeConfiguration",
        "compute",
        "errorThreshold",
        "loggingLevel",
        "maxConcurrencyPerInstance",
        "miniBatchSize",
        "outputAction",
        "outputFileName",
        "resources",
        "retrySettings",
    )
    model = {"referenceType": "Id", "assetId": f"{served.arm_id}/models/{name}/versions/{version}"}
    return {"properties": said.get("properties", {}), "model": model if name else None, **{key: said.get(key) for key in kept}}


def _shown_component(served: Served, endpoint: BatchEndpoint, deployment: BatchDeployment) -> dict[str, Any]:
    """The fields of a model deployment are there, at their zero values. A version that was published from a file has no
    component of its own; the id says which it would be."""
    said = deployment.settings
    asset = deployment.asset or f"{served.arm_id}/components/{endpoint.name}/versions/{deployment.version}"
    settings: Mapping[str, Any] = said.get("componentSettings", {})
    told = {
        "ComponentDeployment.ComponentId": asset,
        "ComponentDeployment.Type": "pipeline",
        _CONTINUE: str(settings.get(_CONTINUE, settings.get("continue_on_step_failure", False))),
    }
    return {
        "properties": {**said.get("properties", {}), **told},
        "deploymentConfiguration": {
            "deploymentConfigurationType": _COMPONENT,
            "componentId": {"referenceType": "Id", "assetId": asset},
            "settings": dict(settings),
            "tags": said.get("componentTags", {}),
            "description": said.get("componentDescription"),
        },
        "model": None,
        "codeConfiguration": None,
        "compute": None,
        "errorThreshold": 0,
        "loggingLevel": "Info",
        "maxConcurrencyPerInstance": 0,
        "miniBatchSize": 0,
        "outputAction": "SummaryOnly",
        "outputFileName": None,
        "resources": None,
        "retrySettings": {"maxRetries": 0, "timeout": "PT0S"},
    }


def _present(served: Served, subject: Sequence[str]) -> Outcome:
    try:
        found = served.local.batch_catalog.get(subject[0]).deployment(subject[1])
    except NotFoundError:
        found = None
    return Outcome(True) if found is not None else Outcome(False, f"The deployment {subject[1]} was deleted meanwhile.")


def _gone(served: Served, subject: Sequence[str]) -> Outcome:
    del served, subject  # the record went before the operation was answered
    return Outcome(True)


_ALL = "{ws}/batchEndpoints/{endpoint}/deployments"
_ONE = _ALL + "/{deployment}"

ROUTES = (
    Route("GET", _ALL, list_),
    Route("GET", _ONE, get),
    Route(
        "PUT",
        _ONE,
        put,
        "write",
        note="a registered MLflow model, a scoring script (with `local up --trust`), or a pipeline component",
    ),
    Route("PATCH", _ONE, patch, "write"),
    Route("DELETE", _ONE, delete, "write"),
)
WATCHES = {PUT_WATCH: _present, DELETE_WATCH: _gone}
