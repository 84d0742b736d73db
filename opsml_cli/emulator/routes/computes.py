"""Compute clusters: recorded with their size and scale; the jobs that name them run on this machine.

Beside them what a subscription tells of sizes, usage and quota."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from opsml_cli.domain.errors import UsageError
from opsml_cli.emulator.bodies import Body, duration_text
from opsml_cli.emulator.operations import PROVIDER, Outcome
from opsml_cli.emulator.resources import location_of, page, when, who
from opsml_cli.emulator.site import REGION, Served
from opsml_cli.emulator.wire import Call, Reply, Route, WireError
from opsml_cli.local import vm_sizes
from opsml_cli.local.compute_records import ComputeRecord

WATCH = "compute"
# Names that stand for what is no compute of a workspace.
RESERVED = ("serverless", "local", "amlcompute")
_NAME = re.compile(r"[a-zA-Z](?:[a-zA-Z0-9-]{0,30}[a-zA-Z0-9])\Z", re.ASCII)
_KINDS = ("AmlCompute", "ComputeInstance", "Kubernetes", "AKS", "VirtualMachine", "SynapseSpark", "Databricks", "DataFactory",
          "HDInsight", "DataLakeAnalytics")  # fmt: skip
_PRIORITIES = ("Dedicated", "LowPriority")
_ACCESS = ("Enabled", "Disabled", "NotSpecified")
_COUNTS = ("preparingNodeCount", "runningNodeCount", "idleNodeCount", "unusableNodeCount", "leavingNodeCount",
           "preemptedNodeCount")  # fmt: skip
_DEFAULT_IDLE_SECONDS = 120.0
_SUBSCRIPTION = "/subscriptions/{subscription}/providers/" + PROVIDER + "/locations/{region}"


def list_computes(call: Call) -> Reply:
    found = call.served.local.compute_records.list()
    return Reply(value=page(call, found, lambda one: one.name, lambda one: document(call, one)))


def get_compute(call: Call) -> Reply:
    return Reply(value=document(call, _found(call)))


def put_compute(call: Call) -> Reply:
    """201 for a new cluster and for an update of one."""
    name = call.parameters["name"]
    if name.casefold() in RESERVED or not _NAME.match(name):
        raise WireError(
            400,
            f"The compute name '{name}' is not valid. Names are no reserved word, begin with a letter, end with a letter or "
            "digit, and hold 2 to 32 letters, digits and '-'.",
            inner=("BadArgument", "ArgumentInvalid"),
        )
    body = Body.of(call)
    body.text("location", required=True)
    properties = body.section("properties", required=True)
    kind = properties.choice("computeType", _KINDS, required=True)
    if kind != "AmlCompute":
        raise WireError(
            400,
            f"The compute type '{kind}' is not available in the region '{REGION}'. Available are: AmlCompute.",
            inner=("BadArgument", "UnsupportedComputeType"),
        )
    size, least, most, said = _cluster(body, properties)
    known = call.served.local.compute_records.find(name)
    if known is not None and known.size.casefold() != size.casefold():
        raise WireError(
            400,
            f"The compute {known.name} exists with the size {known.size.upper()}, which cannot be changed.",
            inner=("BadArgument", "ArgumentInvalid"),
        )
    said["createdBy"] = who(call) if known is None else known.document.get("createdBy")
    made = call.served.local.compute_records.save(name, size, least, most, said)
    headers = call.site.operations.begin(call, "compute", WATCH, [made.name], running="InProgress")
    return Reply(201, document(call, made, "Creating" if known is None else "Updating", first=known is None), headers)


def patch_compute(call: Call) -> Reply:
    """Another scale for a cluster."""
    known = _found(call)
    properties = (Body.of(call).section("properties") or Body({})).section("properties") or Body({})
    scale = _scale(properties)
    said = {**known.document, "scaleSettings": scale}
    made = call.served.local.compute_records.save(known.name, known.size, scale["minNodeCount"], scale["maxNodeCount"], said)
    headers = call.site.operations.begin(call, "compute", WATCH, [made.name], running="InProgress")
    return Reply(200, document(call, made, "Updating"), headers)


def delete_compute(call: Call) -> Reply:
    action = call.query.get("underlyingResourceAction", "")
    if action not in ("Delete", "Detach"):
        raise WireError(
            400,
            "The query parameter underlyingResourceAction must be Delete or Detach.",
            inner=("BadArgument", "ArgumentInvalid"),
        )
    if action == "Detach":
        raise WireError(400, "Detach is not supported for computes of the type AmlCompute.", inner=("BadArgument",))
    found = _found(call)
    call.served.local.compute_records.delete(found.name)
    headers = call.site.operations.begin(call, "compute", WATCH, [found.name], running="InProgress")
    return Reply(202, content=b"", headers=headers)


def list_nodes(call: Call) -> Reply:
    _found(call)
    return Reply(value={"nodes": [], "nextLink": None})


def refuse_action(call: Call) -> Reply:
    """Starting and stopping is for compute instances."""
    found = _found(call)
    action = call.path.rstrip("/").rpartition("/")[2]
    raise WireError(
        400,
        f"The operation {action} is not supported for the compute {found.name} of the type AmlCompute.",
        inner=("BadArgument",),
    )


def list_sizes(call: Call) -> Reply:
    _check_region(call)
    return Reply(
        value={
            "value": [
                {
                    "name": size.name,
                    "family": size.family,
                    "vCPUs": size.cores,
                    "gpus": size.gpus,
                    "osVhdSizeMB": 1047552,
                    "maxResourceVolumeMB": int(size.memory * 2048),
                    "memoryGB": size.memory,
                    "lowPriorityCapable": True,
                    "premiumIO": "s" in size.name.rpartition("_")[0].lower(),
                    "estimatedVMPrices": None,
                    "supportedComputeTypes": ["AmlCompute"],
                }
                for size in vm_sizes.SIZES.values()
            ]
        }
    )


def list_usages(call: Call) -> Reply:
    """Cores in use, by family: those of deployments in every workspace. Of the clusters' nodes none runs between jobs."""
    _check_region(call)
    used: list[tuple[str, int]] = []
    for each in call.site.workspaces():
        with call.site.serve(each) as served:
            used += served.local.online_endpoints.instances()
    cores = vm_sizes.cores_in_use(used)
    found = [{**_name(call, each, "usages"), "currentValue": cores.get(each.family, 0)} for each in _families()]
    return Reply(value={"value": found})


def list_quotas(call: Call) -> Reply:
    _check_region(call)
    return Reply(value={"value": [_name(call, each, "quotas") for each in _families()]})


def document(call: Call, found: ComputeRecord, state: str | None = None, *, first: bool = False) -> dict[str, Any]:
    """A cluster as Azure shows it; `state` None: as it is now. Of a new one (`first`) nothing is known of nodes yet."""
    said = found.document
    if state is None:
        pending = call.site.operations.pending(call.served, WATCH, [found.name])
        state = "Creating" if pending else "Succeeded"
    inner: dict[str, Any] = {
        "vmSize": found.size.upper(),
        "vmPriority": said["vmPriority"],
        "scaleSettings": said["scaleSettings"],
        "subnet": said["subnet"],
        "currentNodeCount": None,
        "targetNodeCount": None,
        "nodeStateCounts": None,
        "allocationState": None,
        "errors": None,
        "remoteLoginPortPublicAccess": said["remoteLoginPortPublicAccess"],
        "osType": "Linux",
        "virtualMachineImage": None,
        "isolatedNetwork": False,
        "enableNodePublicIp": said["enableNodePublicIp"],
    }
    properties: dict[str, Any] = {
        "createdOn": when(found.created_at),
        "modifiedOn": when(found.modified_at),
        "disableLocalAuth": said["disableLocalAuth"],
        "description": said["description"],
        "resourceId": None,
        "computeType": "AmlCompute",
        "provisioningState": state,
        "provisioningErrors": None,
        "isAttachedCompute": False,
    }
    if not first:
        properties["computeLocation"] = said["location"]
        inner |= _allocation(found, said)
    whole: dict[str, Any] = {
        "id": f"{call.served.arm_id}/computes/{found.name}",
        "name": found.name,
        "type": f"{PROVIDER}/workspaces/computes",
        "location": said["location"],
        "tags": None if first else said["tags"],
        "properties": {**properties, "properties": inner},
    }
    if said["identity"] is not None:
        whole["identity"] = said["identity"]
    return whole


def _allocation(found: ComputeRecord, said: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "currentNodeCount": 0,
        "targetNodeCount": found.least,
        "nodeStateCounts": dict.fromkeys(_COUNTS, 0),
        "allocationState": "Steady",
        "allocationStateTransitionTime": when(found.modified_at),
        "propertyBag": {},
        "userAccountCredentials": said["userAccountCredentials"],
    }


def _cluster(body: Body, properties: Body) -> tuple[str, int, int, dict[str, Any]]:
    """Size, least and most nodes, and the rest of what was said."""
    inner = properties.section("properties", required=True)
    asked = inner.text("vmSize", required=True)
    try:
        size = vm_sizes.find(asked)
    except UsageError as error:
        raise inner.wrong("vmSize", f"the size {asked} is not supported in the region.") from error
    priority = inner.choice("vmPriority", _PRIORITIES) or "Dedicated"
    inner.choice("osType", ("Linux", "Windows"))
    scale = _scale(inner)
    limit = vm_sizes.CORES_OF_A_FAMILY if priority == "LowPriority" else size.limit
    if size.cores * scale["maxNodeCount"] > limit:
        raise WireError(
            400,
            f"Operation results in exceeding quota limits of {size.family} cores. Maximum allowed: {limit}, "
            f"requested: {size.cores * scale['maxNodeCount']}.",
            inner=("QuotaExceeded", "ClusterCoreQuotaReached"),
        )
    public = inner.flag("enableNodePublicIp")
    said = {
        "location": location_of(body.text("location", required=True)),
        "tags": body.texts("tags"),
        "identity": _identity(body),
        "description": properties.text("description"),
        "disableLocalAuth": properties.flag("disableLocalAuth") is True,
        "vmPriority": priority,
        "scaleSettings": scale,
        "subnet": None if (subnet := inner.section("subnet")) is None else {"id": subnet.text("id", required=True)},
        "remoteLoginPortPublicAccess": inner.choice("remoteLoginPortPublicAccess", _ACCESS) or "NotSpecified",
        "enableNodePublicIp": True if public is None else public,
        "userAccountCredentials": _user(inner),
    }
    return size.name, scale["minNodeCount"], scale["maxNodeCount"], said


def _scale(inner: Body) -> dict[str, Any]:
    scale = inner.section("scaleSettings", required=True)
    most, least = scale.integer("maxNodeCount", 0), scale.integer("minNodeCount", 0) or 0
    if most is None:
        raise scale.wrong("maxNodeCount", "a value is required.", "ArgumentNullOrEmpty")
    if least > most:
        raise scale.wrong("minNodeCount", f"the value {least} is larger than maxNodeCount.", "ArgumentOutOfRange")
    idle = scale.seconds("nodeIdleTimeBeforeScaleDown")
    return {
        "maxNodeCount": most,
        "minNodeCount": least,
        "nodeIdleTimeBeforeScaleDown": duration_text(_DEFAULT_IDLE_SECONDS if idle is None else idle),
    }


def _user(inner: Body) -> dict[str, Any] | None:
    """Who may log in to nodes. The password is taken, and neither kept nor shown."""
    section = inner.section("userAccountCredentials")
    if section is None:
        return None
    return {
        "adminUserName": section.text("adminUserName", required=True),
        "adminUserSshPublicKey": section.text("adminUserSshPublicKey"),
        "adminUserPassword": None,
    }


def _identity(body: Body) -> dict[str, Any] | None:
    section = body.section("identity")
    if section is None:
        return None
    kinds = ("SystemAssigned", "UserAssigned", "SystemAssigned,UserAssigned", "None")
    users = section.section("userAssignedIdentities")
    return {
        "type": section.choice("type", kinds, required=True),
        **({} if users is None else {"userAssignedIdentities": dict(users.value)}),
    }


def _found(call: Call) -> ComputeRecord:
    name = call.parameters["name"]
    found = call.served.local.compute_records.find(name)
    if found is None:
        raise WireError(404, f"Compute with name {name} not found.", inner=("NotFound", "ComputeNotFound"))
    return found


def _check_region(call: Call) -> None:
    if call.parameters["region"].casefold() != REGION:
        raise WireError(
            400,
            f"The provided location '{call.parameters['region']}' is not available for the resource type. Available: {REGION}.",
            code="LocationNotAvailableForResourceType",
            form="plain",
        )


def _families() -> Sequence[vm_sizes.VmSize]:
    """One size of each family."""
    return list({size.family: size for size in vm_sizes.SIZES.values()}.values())


def _name(call: Call, size: vm_sizes.VmSize, kind: str) -> dict[str, Any]:
    place = f"/subscriptions/{call.parameters['subscription']}/providers/{PROVIDER}/locations/{REGION}/{kind}/{size.family}"
    return {
        "id": place,
        "type": f"{PROVIDER}/vmFamily/dedicatedCores/{kind}",
        "amlWorkspaceLocation": REGION,
        "limit": size.limit,
        "unit": "Count",
        "name": {"value": size.family, "localizedValue": size.family},
    }


def _watch(served: Served, subject: Sequence[str]) -> Outcome:
    """A record is all there is to a cluster here: it is done when it is written."""
    del served, subject
    return Outcome(True)


WATCHES = {WATCH: _watch}
_ONE = "{ws}/computes/{name}"
ROUTES = (
    Route("GET", "{ws}/computes", list_computes),
    Route("GET", _ONE, get_compute),
    Route("PUT", _ONE, put_compute, access="write", note="AmlCompute alone; jobs run on this machine, whatever the size"),
    Route("PATCH", _ONE, patch_compute, access="write"),
    Route("DELETE", _ONE, delete_compute, access="write"),
    Route("POST", _ONE + "/listNodes", list_nodes, note="always empty"),
    Route("POST", _ONE + "/start", refuse_action, access="write"),
    Route("POST", _ONE + "/stop", refuse_action, access="write"),
    Route("POST", _ONE + "/restart", refuse_action, access="write"),
    Route("GET", _SUBSCRIPTION + "/vmSizes", list_sizes),
    Route("GET", _SUBSCRIPTION + "/usages", list_usages),
    Route("GET", _SUBSCRIPTION + "/quotas", list_quotas),
)
