"""What every kind of job has in common on the wire."""

from __future__ import annotations

from typing import Any

from opsml_cli.domain import names
from opsml_cli.domain.compute import SERVERLESS
from opsml_cli.domain.errors import UsageError
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.site import Served
from opsml_cli.emulator.wire import WireError

INPUT_TYPES = ("literal", "uri_file", "uri_folder", "mltable", "custom_model", "mlflow_model", "triton_model")
OUTPUT_TYPES = INPUT_TYPES[1:]
_INPUT_MODES = ("ReadOnlyMount", "ReadWriteMount", "Download", "Direct", "EvalMount", "EvalDownload")
_OUTPUT_MODES = ("ReadWriteMount", "Upload", "Direct")
_IDENTITIES = ("Managed", "AMLToken", "UserIdentity")
_TIERS = ("Null", "Spot", "Basic", "Standard", "Premium")


def read(properties: Body) -> dict[str, Any]:
    """The members that every kind has, as Azure answers them."""
    experiment = properties.text("experimentName") or "Default"
    try:
        names.asset_name(experiment, "experiment name")
    except UsageError as error:
        raise properties.wrong("experimentName", f"{error.message}: {error.cause}") from error
    return {
        "description": properties.text("description"),
        "tags": properties.texts("tags"),
        "properties": properties.texts("properties"),
        "displayName": properties.text("displayName"),
        "experimentName": experiment,
        "computeId": properties.text("computeId"),
        "isArchived": properties.flag("isArchived") or False,
        "identity": _identity(properties),
        "componentId": properties.text("componentId"),
        "notificationSetting": None if (found := properties.section("notificationSetting")) is None else dict(found.value),
    }


def check_compute(served: Served, compute: str | None, place: str = "computeId") -> str | None:
    """`compute` as its ARM id. Serverless, none at all, and computes of the workspace are accepted; 400 otherwise."""
    if compute is None or "${{" in compute:
        return compute
    name = compute.rstrip("/").rpartition("/")[2].removeprefix("azureml:")
    if name.casefold() == SERVERLESS:
        return compute
    found = served.local.compute_records.find(name)
    if found is None:
        raise WireError(
            400,
            f"The specified compute target {name} in {place} does not exist in the workspace {served.name}.",
            inner=("BadArgument", "ArgumentInvalid", "ComputeNotFound"),
        )
    return f"{served.arm_id}/computes/{found.name}"


def resources(properties: Body) -> dict[str, Any]:
    found = properties.section("resources") or Body({}, "properties.resources")
    instances = found.integer("instanceCount", least=1) or 1
    if instances > 1:
        raise not_here(f"resources.instanceCount is {instances}: this machine is one instance")
    settings = found.section("properties")
    return {
        "instanceCount": instances,
        "maxInstanceCount": None,
        "instanceType": found.text("instanceType"),
        "locations": None,
        "properties": dict(settings.value) if settings is not None and settings.value else None,
        "shmSize": found.text("shmSize") or "2g",
        "dockerArgs": found.text("dockerArgs"),
    }


def queue_settings(properties: Body) -> dict[str, Any]:
    found = properties.section("queueSettings") or Body({}, "properties.queueSettings")
    return {"jobTier": found.choice("jobTier", _TIERS) or "Null", "priority": found.integer("priority")}


def job_input(body: Body) -> dict[str, Any]:
    """One input of a job: a literal, or a uri. An input without uri is one that was not given."""
    kind = body.choice("jobInputType", INPUT_TYPES, required=True)
    if kind == "literal":
        value = body.value.get("value")
        if not isinstance(value, str | int | float):
            raise body.wrong("value", "a value is required.", "ArgumentNullOrEmpty")
        return {"description": body.text("description"), "jobInputType": kind, "value": _literal(value)}
    shown: dict[str, Any] = {"description": body.text("description")}
    uri = body.text("uri")
    if uri is not None:
        shown["uri"] = uri
    shown["mode"] = body.choice("mode", _INPUT_MODES) or "ReadOnlyMount"
    return {**shown, "pathOnCompute": body.text("pathOnCompute"), "jobInputType": kind}


def job_output(body: Body) -> dict[str, Any]:
    return {
        "description": body.text("description"),
        "uri": body.text("uri"),
        "assetName": body.text("assetName"),
        "assetVersion": body.text("assetVersion"),
        "mode": body.choice("mode", _OUTPUT_MODES) or "ReadWriteMount",
        "pathOnCompute": body.text("pathOnCompute"),
        "autoDeleteSetting": None,
        "jobOutputType": body.choice("jobOutputType", OUTPUT_TYPES, required=True),
    }


def not_here(what: str) -> WireError:
    """Azure takes it, and nothing of this machine can do it: said at once, and not after hours."""
    return WireError(501, f"The local emulator cannot run this job: {what}.", inner=("NotImplemented",))


def _literal(value: str | float) -> str:
    return value if isinstance(value, str) else str(value)


def _identity(properties: Body) -> dict[str, Any] | None:
    found = properties.section("identity")
    if found is None:
        return None
    kind = found.choice("identityType", _IDENTITIES, required=True)
    if kind != "Managed":
        return {"identityType": kind}
    return {"identityType": kind, **{key: found.text(key) for key in ("clientId", "objectId", "resourceId")}}
