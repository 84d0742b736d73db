"""Command jobs on the wire: the body read and filled as Azure fills it, and the run of one step that it becomes here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opsml_cli.emulator.bodies import Body, duration_seconds, duration_text
from opsml_cli.emulator.jobs import common
from opsml_cli.emulator.jobs.assembly import Assembly
from opsml_cli.emulator.wire import WireError
from opsml_cli.local.pipelines.bindings import BindingError, Scope, Template, parse
from opsml_cli.local.pipelines.definition import COMMAND_STEP

_DISTRIBUTIONS = ("PyTorch", "TensorFlow", "Mpi", "Ray")
# What a launcher of one process tells it.
_ALONE = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
DEFAULT_OUTPUT = "default"
# Azure would hand such a job back, packed for Docker.
FOR_CLIENT = "compute `local` means Docker on the client's machine, which is not emulated. Name another compute, or serverless"


def read(properties: Body, name: str | None) -> dict[str, Any]:
    """The members of a command job besides those that every job has, as Azure answers them. `name` None: of a job that is yet
    to run, whose artifacts have no place."""
    command = properties.text("command", required=True)
    template(command, "properties.command")
    outputs = {output: common.job_output(body) for output, body in properties.sections("outputs")}
    if name is not None:
        place = {**common.job_output(Body({"jobOutputType": "uri_folder"})), "uri": artifact_root(name)}
        outputs.setdefault(DEFAULT_OUTPUT, place)
    return {
        "resources": common.resources(properties),
        "codeId": properties.text("codeId"),
        "command": command,
        "environmentId": properties.text("environmentId", required=True),
        "inputs": {given: common.job_input(body) for given, body in properties.sections("inputs")},
        "outputs": outputs,
        "distribution": distribution(properties.section("distribution")),
        "autologgerSettings": None,
        "limits": _limits(properties.section("limits")),
        "environmentVariables": properties.texts("environmentVariables"),
        "parameters": {},
        "queueSettings": common.queue_settings(properties),
    }


def for_client(properties: Mapping[str, Any]) -> bool:
    """Whether the job is for Docker on the client's own machine (`compute: local`)."""
    settings = properties["resources"]["properties"] or {}
    return bool(settings.get("IsLocal"))


def unknown(name: str) -> dict[str, Any]:
    """The members of a command job of which nothing but its name is known."""
    return read(Body({"command": "unknown", "environmentId": "unknown"}), name)


def artifact_root(run: str) -> str:
    """The uri of a run's artifacts."""
    return f"azureml://datastores/workspaceartifactstore/ExperimentRun/dcid.{run}"


def assemble(assembly: Assembly, properties: Mapping[str, Any]) -> dict[str, Any]:
    """The pipeline of one step. `properties` are those that `read` made; their files go to `assembly`."""
    limits = properties["limits"]
    component: dict[str, Any] = {
        "command": properties["command"],
        "inputs": {},
        "outputs": {},
        "is_deterministic": False,  # a command job always runs
    }
    given: dict[str, Any] = {}
    for name, item in properties["inputs"].items():
        kind = "string" if item["jobInputType"] == "literal" else item["jobInputType"]
        if "uri" in item or kind == "string":
            component["inputs"][name] = {"type": kind}
            given[name] = item["value"] if kind == "string" else {"type": kind, "path": assembly.path(name, kind, item["uri"])}
    for name in _lacking(properties["command"], given):
        component["inputs"][name] = {"type": "string", "optional": True}
    named = {name: item for name, item in properties["outputs"].items() if name != DEFAULT_OUTPUT}
    for name, item in named.items():
        component["outputs"][name] = {"type": item["jobOutputType"]}
    if properties["codeId"] is not None:
        component["code"] = assembly.code(properties["codeId"])
    step = {
        "type": "command",
        "component": component,
        "inputs": given,
        "outputs": {name: f"${{{{parent.outputs.{name}}}}}" for name in named},
        "environment_variables": {**alone(properties["distribution"]), **properties["environmentVariables"]},
    }
    if limits is not None and limits["timeout"] is not None:
        step["limits"] = {"timeout": duration_seconds(limits["timeout"])}
    return {
        "type": "pipeline",
        "outputs": {name: assembly.output(item["jobOutputType"], item) for name, item in named.items()},
        "jobs": {COMMAND_STEP: step},
    }


def template(text: str, place: str) -> Template:
    """A command's text with its expressions; 400 for one that cannot be read."""
    try:
        return parse(text)
    except BindingError as error:
        message = f"{place}: {error.message}" + (f": {error.cause}" if error.cause else "")
        raise WireError(400, message, inner=("BadArgument", "ArgumentInvalid")) from error


def distribution(found: Body | None) -> dict[str, Any] | None:
    """A distribution as Azure answers it; 501 for one of several processes."""
    if found is None:
        return None
    kind = found.choice("distributionType", _DISTRIBUTIONS, required=True)
    shown: dict[str, Any] = {"distributionType": kind}
    if kind in ("PyTorch", "Mpi"):
        shown["processCountPerInstance"] = found.integer("processCountPerInstance", least=1)
        if (shown["processCountPerInstance"] or 1) > 1:
            raise common.not_here("a distribution of several processes has no place on one machine")
    elif kind == "TensorFlow":
        shown["parameterServerCount"] = found.integer("parameterServerCount", least=0) or 0
        shown["workerCount"] = found.integer("workerCount", least=1)
        if shown["parameterServerCount"] or (shown["workerCount"] or 1) > 1:
            raise common.not_here("a distribution of several workers has no place on one machine")
    else:
        raise common.not_here("distributionType is Ray, and there is no cluster on this machine")
    return shown


def alone(found: Mapping[str, Any] | None) -> dict[str, str]:
    """The variables of a distributed launch with one process."""
    return dict(_ALONE) if found is not None else {}


def _limits(found: Body | None) -> dict[str, Any] | None:
    if found is None:
        return None
    found.choice("jobLimitsType", ("Command",))
    seconds = found.seconds("timeout")
    if seconds is not None and seconds <= 0:
        raise found.wrong("timeout", "the value must be more than zero.", "ArgumentOutOfRange")
    return {"timeout": None if seconds is None else duration_text(seconds), "jobLimitsType": "Command"}


def _lacking(command: str, given: Mapping[str, Any]) -> list[str]:
    """Inputs that stand in optional sections of the command and were not given."""
    found = template(command, "properties.command")
    named = {reference.name for reference, optional in found.references() if optional and reference.scope is Scope.INPUT}
    return sorted(named - set(given))
