"""The host that batch endpoints are called at, and the listing of their jobs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from opsml_cli.domain.errors import NotFoundError
from opsml_cli.emulator import access, batch_invoke
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.site import Served
from opsml_cli.emulator.wire import Call, Reply, Route, WireError
from opsml_cli.local.batch.records import MODEL, BatchDeployment, BatchEndpoint
from opsml_cli.local.principals import Principal

ACTION = "Microsoft.MachineLearningServices/workspaces/batchEndpoints/score/action"
VERSION = "2020-09-01-dataplanepreview"
_DEPLOYMENT = "azureml-model-deployment"
_KIND = "Microsoft.MachineLearningServices/workspaces/batchEndpoints"


def invoke(call: Call) -> Reply:
    """201 with the job, which runs from now on."""
    for place in call.site.workspaces():
        with call.site.serve(place) as served:
            try:
                endpoint = served.local.batch_catalog.get(call.parameters["endpoint"])
            except NotFoundError:
                continue
            here = replace(call, workspace=served, principal=_caller(call, served))
            deployment = _deployment(call, endpoint)
            asked = batch_invoke.read(Body.of(call), endpoint, deployment)
            batch_invoke.start(here, endpoint, deployment, asked)
            path = f"{served.arm_id}/batchEndpoints/{endpoint.name}/deployments/{deployment.name}"
            headers = {
                "location": f"{call.site.base}/mferp/managementfrontend{path}?api-version={VERSION}",
                _DEPLOYMENT: deployment.name,
            }
            return Reply(201, _document(call, served, endpoint, deployment, asked), headers)
    raise WireError(404, f"Batch endpoint {call.parameters['endpoint']} not found.", inner=("NotFound", "EndpointNotFound"))


def _caller(call: Call, served: Served) -> Principal:
    """Who calls; WireError 401 or 403."""
    scheme, _, credential = call.headers.get("authorization", "").partition(" ")
    token = credential.strip().encode("latin-1", "replace") if scheme.lower() == "bearer" else b""
    caller = call.site.identity.caller(token or None, call.site.identity.scoring)
    with call.site.first() as first:
        principal = access.principal(first, caller.client_id, served.arm_id)
    if principal is None or not principal.may(ACTION):
        message = f"The client '{caller.client_id}' does not have authorization to perform action '{ACTION}'."
        raise WireError(403, message, inner=("Auth", "Authorization"))
    return principal


def _deployment(call: Call, endpoint: BatchEndpoint) -> BatchDeployment:
    wanted = call.headers.get(_DEPLOYMENT) or endpoint.default
    if wanted is None:
        message = f"The batch endpoint {endpoint.name} has no default deployment, and the request names none."
        raise WireError(400, message, inner=("BadArgument",))
    found = endpoint.deployment(wanted)
    if found is None:
        message = f"The batch endpoint {endpoint.name} has no deployment {wanted}."
        raise WireError(404, message, inner=("NotFound", "DeploymentNotFound"))
    return found


def _document(
    call: Call, served: Served, endpoint: BatchEndpoint, deployment: BatchDeployment, asked: batch_invoke.Invocation
) -> dict[str, Any]:
    """The job as the scoring host answers it: of a model deployment, or, with an id whose endpoint is empty, of a component."""
    model = deployment.kind == MODEL
    place = f"{endpoint.name}/deployments/{deployment.name}" if model else ""
    studio = f"https://ml.azure.com/runs/{asked.name}?wsid={served.arm_id}"
    tracking = f"azureml://{call.site.base.removeprefix('https://')}/mlflow/v1.0{served.arm_id}?"
    points = {"Tracking": tracking, "Studio": studio}
    return {
        "id": f"{served.arm_id}/batchEndpoints/{place}/jobs/{asked.name}",
        "name": asked.name,
        "type": f"{_KIND}/deployments/jobs" if model else f"{_KIND}/jobs",
        "properties": {
            "provisioningState": "Succeeded",
            "status": "Preparing",
            "inputData": dict(asked.sent),
            "compute": {"target": deployment.settings.get("compute"), "instanceCount": 1, "instanceType": None},
            "output": {"datastoreId": None, "path": None},
            "outputData": None,
            "interactionEndpoints": {
                name: {"jobEndpointType": name, "port": None, "endpoint": url, "properties": None}
                for name, url in points.items()
            },
            "tags": batch_invoke.tags(deployment),
            "properties": batch_invoke.properties(deployment),
            "name": asked.display_name,
            "miniBatchSize": deployment.settings.get("miniBatchSize"),
            "errorThreshold": deployment.settings.get("errorThreshold"),
        },
    }


def list_jobs(call: Call) -> Reply:
    """Refused, as Azure refuses it: clients list jobs by their experiment, which is called as the endpoint."""
    raise WireError(
        400,
        f"The request to list jobs of {call.parameters['endpoint']} is invalid.",
        code="UserError",
        inner=("BadArgument", "InvalidRequest"),
    )


_JOBS = "/mferp/managementfrontend{ws}/batchEndpoints/{endpoint}"

ROUTES = (
    Route("POST", "/_batch/{endpoint}/jobs", invoke, "scoring", note="one data input for a model deployment"),
    Route("GET", _JOBS + "/jobs", list_jobs, note="always refused, as by Azure: list jobs by experiment"),
    Route("GET", _JOBS + "/deployments/{deployment}/jobs", list_jobs, note="always refused, as by Azure"),
)
