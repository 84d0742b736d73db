"""Deployments of online endpoints: put, scaled, read, deleted; their logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opsml_cli.domain import names
from opsml_cli.domain.compute import DEFAULT_SIZE
from opsml_cli.domain.endpoint import Deployment, DeploymentState, DeploySpec, OnlineEndpoint
from opsml_cli.domain.errors import ConflictError, InvalidInputError, NotFoundError, UsageError
from opsml_cli.emulator import inference, resources
from opsml_cli.emulator.bodies import Body, duration_seconds
from opsml_cli.emulator.jobs import inputs
from opsml_cli.emulator.operations import Outcome
from opsml_cli.emulator.routes.online_endpoints import find, operation_url, required
from opsml_cli.emulator.wire import Call, Reply, Route, WireError
from opsml_cli.local import annotations as notes
from opsml_cli.local import endpoint_scripts, vm_sizes
from opsml_cli.local.endpoint_records import RequestSettings, Script

if TYPE_CHECKING:
    from opsml_cli.emulator.site import Served

KIND = "onlineEndpoints/deployments"
PUT_WATCH = "online deployment"
DELETE_WATCH = "online deployment gone"
_GUIDE = "Please see troubleshooting guide, available here: https://aka.ms/oe-tsg#error-"
_FETCHING = ("loading model ", "loaded model ")  # lines of the server that are another container's on Azure
REQUEST_SECONDS = 5.0  # Azure's own limit for a deployment that has set none
_LONGER = 1.0  # seconds that a host has beyond the limit: who waits for it answers first, and no work outlives its request
# What a deployment says of requests when nobody said anything, as Azure's own answers have it.
_REQUESTS = {"maxQueueWait": "PT0S", "requestTimeout": "PT0S", "maxConcurrentRequestsPerInstance": 1}
_PROBE = {"initialDelay": "PT10S", "period": "PT10S", "timeout": "PT2S", "failureThreshold": 30, "successThreshold": 1}


def put(call: Call) -> Reply:
    """201 for a new deployment, 200 for one that is there; `Updating` either way, until a real request was answered."""
    body = inference.resource_body(call)
    endpoint = required(call)
    name = inference.checked_name(call.parameters["deployment"], "deployment")
    said = _read(body)
    before = deployment_of(endpoint, name)
    spec = DeploySpec(
        _model(call, said),
        endpoint.name,
        name,
        instance_type=said["instanceType"],
        instance_count=said["capacity"],
        insights=said["appInsightsEnabled"],
    )
    return _attach(call, spec, said, 201 if before is None else 200)


def patch(call: Call) -> Reply:
    """Tags and scale of a deployment that is there."""
    endpoint = required(call)
    deployment = _required(call, endpoint)
    said = _said(call.served, endpoint, deployment)
    body = Body.of(call)
    if "tags" in body:
        said["tags"] = body.texts("tags")
    said["capacity"] = _capacity(body, deployment.instance_count)
    spec = DeploySpec(
        names.AssetRef(deployment.model.name, deployment.model.version or None) if deployment.model.name else None,
        endpoint.name,
        deployment.name,
        instance_type=said["instanceType"],
        instance_count=said["capacity"],
        insights=deployment.insights,
    )
    return _attach(call, spec, said, 202)


def _attach(call: Call, spec: DeploySpec, said: dict[str, Any], status: int) -> Reply:
    served = call.served
    script, failing = _script(call, spec, said["codeConfiguration"])
    if call.site.operations.crashes(call):
        failing = failing or "the server ended before it answered its probes"
    environment = said.get("environmentVariables")
    asked = duration_seconds((said.get("requestSettings") or {}).get("requestTimeout") or "PT0S") or REQUEST_SECONDS
    settings = RequestSettings(timeout_seconds=asked + _LONGER)
    try:
        done = served.local.online_endpoints.attach(spec, failing, script, environment, request_settings=settings)
    except vm_sizes.CoresError as error:
        text = (
            f"Not enough quota available for {error.size} in SubscriptionId {served.subscription}. Current usage/limit: "
            f"{error.usage}/{error.limit}. Additional needed: {error.needed} {_GUIDE}outofquota"
        )
        raise inference.invalid("VmSize", text) from error
    except UsageError as error:
        raise inference.invalid("InstanceCount", inference.told(error)) from error
    subject = [done.endpoint.name, done.deployment.name]
    headers = call.site.operations.begin(call, "od", PUT_WATCH, subject, location="resource")
    said |= {"operation": operation_url(headers)}
    _say(call, done.endpoint, done.deployment, said)
    return Reply(status, document(call, done.endpoint, done.deployment, "Updating"), headers)


def get(call: Call) -> Reply:
    endpoint = required(call)
    return Reply(value=document(call, endpoint, _required(call, endpoint)))


def list_(call: Call) -> Reply:
    endpoint = required(call)
    return Reply(
        value=resources.page(call, endpoint.deployments, lambda each: each.name, lambda each: document(call, endpoint, each))
    )


def delete(call: Call) -> Reply:
    """202 at once; 400 while the deployment has traffic; 204 when there is nothing of that name."""
    endpoint = find(call.served, call.parameters["endpoint"])
    deployment = None if endpoint is None else deployment_of(endpoint, call.parameters["deployment"])
    if endpoint is None or deployment is None:
        return Reply(204, content=b"")
    if endpoint.mirror_traffic.get(deployment.name):
        raise inference.invalid("", f"Deployment {deployment.name} has mirror traffic; set it to 0 first.", action="Call")
    try:
        call.served.local.online_endpoints.delete(endpoint.name, deployment.name)
    except ConflictError as error:
        raise inference.invalid("", f"{inference.told(error)}; set it to 0 first.", action="Call") from error
    subject = [endpoint.name, deployment.name]
    headers = call.site.operations.begin(call, "od", DELETE_WATCH, subject, location="results")
    with call.served.local.store.write() as connection:
        notes.remove(connection, KIND, endpoint.name, deployment.name)
    return Reply(202, headers=headers)


def get_logs(call: Call) -> Reply:
    """The last lines of a container: what fetched the model, or the server with its requests."""
    from opsml_cli.domain.insights import LogQuery

    endpoint = required(call)
    deployment = _required(call, endpoint)
    body = Body.of(call) if call.body else Body({})
    container = body.choice("containerType", ("InferenceServer", "StorageInitializer")) or "InferenceServer"
    tail = body.integer("tail", 1)
    fetching = container == "StorageInitializer"
    lines = [
        line
        for line in call.served.local.insights.logs(endpoint.name, LogQuery())
        if line.deployment in (None, deployment.name) and line.message.startswith(_FETCHING) == fetching
    ]
    shown = [f"{line.timestamp} {line.level.upper()} {line.message}" for line in (lines[-tail:] if tail else lines)]
    return Reply(value={"content": "\n".join([f"Instance status:\n{container}: {_instance(deployment)}\n", *shown, ""])})


def _instance(deployment: Deployment) -> str:
    return {DeploymentState.SUCCEEDED: "Succeeded", DeploymentState.FAILED: "Failed"}.get(deployment.state, "Running")


def list_skus(call: Call) -> Reply:
    endpoint = required(call)
    _required(call, endpoint)
    sku = {
        "resourceType": f"{resources.PROVIDER}/workspaces/{KIND}",
        "sku": {"name": "Default", "tier": "Standard"},
        "capacity": {"minimum": 1, "maximum": 16, "default": 1, "scaleType": "Manual"},
    }
    return Reply(value={"value": [sku]})


# Reading a body


def _read(body: Body) -> dict[str, Any]:
    """What a body asks for, checked and with its defaults: the deployment's own words, kept beside its record."""
    properties = body.section("properties", required=True)
    kind = properties.choice("endpointComputeType", ("Managed", "Kubernetes", "AzureMLCompute"), required=True)
    if kind != "Managed":
        raise WireError(501, f"{kind} deployments are not emulated: use Managed.", code="NotImplemented", form="plain")
    scale = properties.section("scaleSettings")
    if scale is not None and scale.choice("scaleType", ("Default", "TargetUtilization"), required=True) != "Default":
        raise inference.invalid("ScaleSettings", "Managed deployments take scale settings of the type Default only.")
    code = properties.section("codeConfiguration")
    size = properties.text("instanceType") or DEFAULT_SIZE
    try:
        vm_sizes.find(size)
    except UsageError as error:
        raise inference.invalid("VmSize", inference.told(error)) from error
    requests = properties.section("requestSettings")
    return {
        "tags": body.texts("tags"),
        "capacity": _capacity(body, 1),
        "instanceType": size,
        "model": properties.text("model"),
        "environmentId": properties.text("environmentId"),
        "environmentVariables": properties.texts("environmentVariables"),
        "codeConfiguration": None
        if code is None
        else {"codeId": code.text("codeId"), "scoringScript": code.text("scoringScript", required=True)},
        "appInsightsEnabled": properties.flag("appInsightsEnabled") or False,
        "description": properties.text("description"),
        "properties": properties.texts("properties"),
        "modelMountPath": properties.text("modelMountPath"),
        "egress": properties.choice("egressPublicNetworkAccess", ("Enabled", "Disabled")) or "Enabled",
        "requestSettings": _durations(requests, _REQUESTS) if requests is not None else None,
        "livenessProbe": _probe(properties, "livenessProbe"),
        "readinessProbe": _probe(properties, "readinessProbe"),
        "dataCollector": properties.value.get("dataCollector"),
    }


def _capacity(body: Body, default: int) -> int:
    sku = body.section("sku")
    if sku is None:
        return default
    sku.text("name")
    found = sku.integer("capacity")
    if found is not None and found < 1:
        raise inference.invalid("InstanceCount", f"The capacity {found} is out of range: at least one instance is needed.")
    return default if found is None else found


def _probe(properties: Body, name: str) -> dict[str, Any] | None:
    found = properties.section(name)
    return None if found is None else _durations(found, _PROBE)


def _durations(body: Body, defaults: dict[str, Any]) -> dict[str, Any]:
    """The members of `defaults` as `body` has them, each checked."""
    found = dict(defaults)
    for name, default in defaults.items():
        if name in body:
            body.seconds(name) if isinstance(default, str) else body.integer(name, 1)
            found[name] = body.value[name]
    return found


def _model(call: Call, said: dict[str, Any]) -> names.AssetRef | None:
    reference = said["model"]
    if reference is None:
        if said["codeConfiguration"] is not None:
            return None
        raise inference.invalid("Model", "A deployment needs a model or a scoring script; the request names none.")
    found = inference.asset(reference, "models", call.served)
    if found is None:
        raise inference.invalid("Model", f"The model {reference} is no registered model of this workspace.")
    return names.parse_ref(inference.model_of(call, found))


def _script(call: Call, spec: DeploySpec, code: Mapping[str, Any] | None) -> tuple[Script | None, str | None]:
    """The scoring script, and why the container cannot start; None and None for a model without code."""
    if code is None:
        return None, None
    entry = code["scoringScript"]
    if not call.site.trust:
        return None, f"the scoring script {entry} {endpoint_scripts.UNTRUSTED}"
    if code["codeId"] is None:
        return None, f"the scoring script {entry} lies in an image, and on this machine there are none"
    try:
        tree = inputs.code_tree(call, code["codeId"])
        mount = inference.mount_of(call, "" if spec.model is None else str(spec.model))
        return endpoint_scripts.keep(call.served.local.layout, spec.endpoint, tree, entry, mount), None
    except (NotFoundError, InvalidInputError) as error:
        return None, inference.told(error)


# What there is


def deployment_of(endpoint: OnlineEndpoint, name: str) -> Deployment | None:
    return next((each for each in endpoint.deployments if names.key(each.name) == names.key(name)), None)


def _required(call: Call, endpoint: OnlineEndpoint) -> Deployment:
    found = deployment_of(endpoint, call.parameters["deployment"])
    if found is None:
        raise inference.not_found(f"Deployment {call.parameters['deployment']} of endpoint {endpoint.name} not found.")
    return found


def _say(call: Call, endpoint: OnlineEndpoint, deployment: Deployment, said: dict[str, Any]) -> None:
    served = call.served
    earlier = _said(served, endpoint, deployment)
    whole = {
        **said,
        "id": served.local.online_endpoints.id_of(endpoint.name),
        "created": deployment.created_at,
        "by": earlier.get("by") or resources.who(call),
        "modified": call.site.clock.now().isoformat(),
    }
    with served.local.store.write() as connection:
        notes.save(connection, KIND, endpoint.name, whole, deployment.name)


def _said(served: Served, endpoint: OnlineEndpoint, deployment: Deployment) -> dict[str, Any]:
    """What a client said of the deployment; defaults for one that the command line made."""
    with served.local.store.read() as connection:
        found = notes.find(connection, KIND, endpoint.name, deployment.name) or {}
    # What was said of an earlier deployment or endpoint of the same name is not said of this one.
    if (found.get("id"), found.get("created")) != (served.local.online_endpoints.id_of(endpoint.name), deployment.created_at):
        found = {}
    return {"tags": {}, "properties": {}, "codeConfiguration": None, **found} | {
        "instanceType": deployment.instance_type or found.get("instanceType") or DEFAULT_SIZE
    }


def document(call: Call, endpoint: OnlineEndpoint, deployment: Deployment, state: str | None = None) -> dict[str, Any]:
    """The resource; `state` None: what its newest operation and its server say."""
    served = call.served
    said = _said(served, endpoint, deployment)
    if state is None:
        pending = call.site.operations.pending(served, PUT_WATCH, [endpoint.name, deployment.name])
        state = "Updating" if pending or not deployment.state.finished else deployment.state.value
    path = ("onlineEndpoints", endpoint.name, "deployments", deployment.name)
    pointer = deployment.model
    model = f"{served.arm_id}/models/{pointer.name}/versions/{pointer.version}" if pointer.name else None
    more = {**said["properties"], "azureml.onlineendpointid": f"{served.arm_id}/onlineEndpoints/{endpoint.name}".lower()}
    if "operation" in said:
        more["AzureAsyncOperationUri"] = said["operation"]
    properties = {
        "endpointComputeType": "Managed",
        "description": said.get("description"),
        "properties": more,
        "model": model,
        "modelMountPath": said.get("modelMountPath"),
        "codeConfiguration": said["codeConfiguration"],
        "environmentId": said.get("environmentId"),
        "environmentVariables": said.get("environmentVariables", {}),
        "instanceType": said["instanceType"],
        "appInsightsEnabled": deployment.insights,
        "scaleSettings": {"scaleType": "Default"},
        "requestSettings": said.get("requestSettings") or _REQUESTS,
        "livenessProbe": said.get("livenessProbe"),
        "readinessProbe": said.get("readinessProbe"),
        "egressPublicNetworkAccess": said.get("egress", "Enabled"),
        "privateNetworkConnection": said.get("egress") == "Disabled",
        "dataCollector": said.get("dataCollector"),
        "provisioningState": state,
    }
    system = inference.system_data(deployment.created_at, said.get("by"), said.get("modified"))
    return {
        **resources.envelope(call, path, KIND, properties, system),
        "kind": "Managed",
        "location": served.region,
        "tags": said["tags"],
        "identity": None,
        "sku": {"name": "Default", "tier": "Standard", "capacity": deployment.instance_count},
    }


# How the operations stand


def _ready(served: Served, subject: Sequence[str]) -> Outcome:
    endpoint = find(served, subject[0])
    deployment = None if endpoint is None else deployment_of(endpoint, subject[1])
    if deployment is None:
        return Outcome(False, f"The deployment {subject[1]} was deleted meanwhile.")
    if not deployment.state.finished:
        return Outcome(None)
    if deployment.state is DeploymentState.SUCCEEDED:
        return Outcome(True)
    text = f"User container has crashed or terminated: {deployment.detail}. {_GUIDE}resourcenotready"
    return Outcome(False, text, "BadArgument")


def _gone(served: Served, subject: Sequence[str]) -> Outcome:  # noqa: ARG001
    # It was gone before the operation was answered.
    return Outcome(True)


_ALL = "{ws}/onlineEndpoints/{endpoint}/deployments"
_ONE = _ALL + "/{deployment}"

ROUTES = (
    Route("GET", _ALL, list_),
    Route("GET", _ONE, get),
    Route(
        "PUT",
        _ONE,
        put,
        "write",
        note="a registered MLflow model, or with `local up --trust` a scoring script, run by this Python: environments, probes "
        "and queue limits are kept without effect",
    ),
    Route("PATCH", _ONE, patch, "write"),
    Route("DELETE", _ONE, delete, "write"),
    Route("POST", _ONE + "/getLogs", get_logs, "write"),
    Route("GET", _ONE + "/skus", list_skus),
)
WATCHES = {PUT_WATCH: _ready, DELETE_WATCH: _gone}
