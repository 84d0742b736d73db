"""From a call of a batch endpoint to the run that it starts: the body read, the inputs checked, the pipeline put together."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from opsml_cli.documents import parse_document
from opsml_cli.domain import names
from opsml_cli.domain.errors import ConflictError, NotAllowedError, OpsmlError, UsageError
from opsml_cli.domain.job import Job, JobKind, JobState
from opsml_cli.emulator import inference, uris
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.jobs import common, inputs, pipeline, resource
from opsml_cli.emulator.jobs.assembly import Assembly
from opsml_cli.emulator.resources import who
from opsml_cli.emulator.wire import Call, WireError
from opsml_cli.local import endpoint_scripts
from opsml_cli.local.batch import scoring_run
from opsml_cli.local.batch.records import MODEL, BatchDeployment, BatchEndpoint
from opsml_cli.local.clock import now
from opsml_cli.local.pipelines.definition import DATA_TYPES
from opsml_cli.local.pipelines.runs import Labels
from opsml_cli.local.pipelines.snapshot import Snapshot, tree_of

# The scoring host's spelling of a type, and the control plane's.
TYPES = {
    "Literal": "literal",
    "UriFile": "uri_file",
    "UriFolder": "uri_folder",
    "MLTable": "mltable",
    "MLFlowModel": "mlflow_model",
    "CustomModel": "custom_model",
    "TritonModel": "triton_model",
}
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_JOB_OUTPUT = re.compile(r"azureml://jobs/[^/]+/outputs/[^/]+/?\Z")


@dataclass(frozen=True, slots=True)
class Invocation:
    """What a call asks for. `given`: inputs by name in the control plane's words, `sent` in the scoring host's."""

    name: str
    display_name: str
    experiment: str
    given: Mapping[str, dict[str, Any]]
    sent: Mapping[str, dict[str, Any]]


def read(body: Body, endpoint: BatchEndpoint, deployment: BatchDeployment) -> Invocation:
    """The body of a call; 400 for what is neither a registered asset, a workspace's object, a job's output nor a literal."""
    properties = body.section("properties", required=True)
    extra = properties.section("properties")
    experiment = (extra.text("experimentName") if extra is not None else None) or endpoint.name
    prefix = "batchjob-" if deployment.kind == MODEL else ""
    name = properties.text("name") or f"{prefix}{uuid.uuid4()}"
    for text, kind in ((name, "job name"), (experiment, "experiment name")):
        try:
            names.asset_name(text, kind)
        except UsageError as error:
            raise WireError(400, f"{error.message}: {error.cause}.", inner=("BadArgument", "ArgumentInvalid")) from error
    given, sent = {}, {}
    # Samples of Azure's documentation write it in either way.
    key = next((each for each in properties.value if each.lower() == "inputdata"), "inputData")
    for each, item in properties.sections(key):
        kind = item.choice("jobInputType", (*TYPES, *TYPES.values()), required=True)
        kind = next((word for word, wire in TYPES.items() if kind in (word, wire)))
        sent[each] = _sent(item, kind)
        given[each] = common.job_input(Body({**item.value, "jobInputType": TYPES[kind]}, item.place))
    display = f"{deployment.name}_{''.join(secrets.choice(_LETTERS) for _ in range(8))}"
    return Invocation(name, display, experiment, given, sent)


def _sent(item: Body, kind: str) -> dict[str, Any]:
    if kind == "Literal":
        return {"description": None, "jobInputType": kind, "value": item.value.get("value")}
    found = {"description": None, "uri": item.text("uri", required=True), "jobInputType": kind}
    return {**found, "mode": "ReadOnlyMount"}


def published(call: Call, component: str, said: Mapping[str, Any]) -> Snapshot | None:
    """What a new deployment of the component runs, for the calls that come by the pipeline's name. None when this machine
    cannot run it: the deployment is made all the same, and its calls say why."""
    assembly = Assembly(call)
    try:
        settings = _settings(said.get("componentSettings", {}))
        document = pipeline.published(assembly, lambda identity: inputs.component(call, identity), component, settings)
        snapshot = assembly.snapshot(document)
        snapshot.definition()
    except (WireError, OpsmlError):
        return None
    return snapshot


def start(call: Call, endpoint: BatchEndpoint, deployment: BatchDeployment, asked: Invocation) -> None:
    """Begin the run. What cannot begin for want of its inputs is recorded as a job that failed, as on Azure.
    WireError for inputs that no call may name, or that do not fit the deployment."""
    for name, item in asked.given.items():
        if "uri" in item:
            _check_uri(call, name, item["uri"])
    labels = Labels(asked.name, display_name=asked.display_name, tags=tags(deployment))
    local = call.served.local
    version = None if deployment.version is None else (endpoint.name, deployment.version)
    if version is not None and not deployment.asset:
        assembly, document = _of_file(call, version, asked)
    else:
        assembly = Assembly(call)
        document = _document(call, assembly, deployment, asked)
    assembly.check(document)
    try:
        _check_script(call, deployment)
        local.pipelines.begin_snapshot(assembly.snapshot(document), labels, asked.experiment, version)
    except ConflictError as error:
        raise WireError(409, f"{error.message}.", inner=("Conflict",)) from error
    except OpsmlError as error:
        local.jobs.record_failed(_stillborn(call, asked, labels), error.message + (f": {error.cause}" if error.cause else ""))
    resource.save_notes(call, asked.name, {"properties": properties(deployment), "createdBy": who(call)})


def _check_script(call: Call, deployment: BatchDeployment) -> None:
    """NotAllowedError for a scoring script that nobody answers for."""
    code = deployment.settings.get("codeConfiguration")
    if code is not None and not (call.site.trust or deployment.trusted):
        raise NotAllowedError(f"the scoring script {code['scoringScript']} {endpoint_scripts.UNTRUSTED}")


def _document(call: Call, assembly: Assembly, deployment: BatchDeployment, asked: Invocation) -> dict[str, Any]:
    if deployment.kind != MODEL:
        members = {
            "inputs": asked.given,
            "outputs": {},
            "jobs": {},
            "componentId": deployment.asset,
            "settings": _settings(deployment.settings.get("componentSettings", {})),
        }
        return pipeline.assemble(assembly, lambda identity: inputs.component(call, identity), members)
    data = [(name, item) for name, item in asked.given.items() if "uri" in item]
    if len(data) != 1 or len(asked.given) != 1:
        message = f"A model deployment takes one data input; the request has {len(asked.given)}."
        raise WireError(400, message, inner=("BadArgument",))
    name, item = data[0]
    kind = item["jobInputType"]
    if kind not in DATA_TYPES:
        raise WireError(400, f"The input {name} of type {kind} is no data.", inner=("BadArgument", "ArgumentInvalid"))
    label = _file_name(call, item["uri"]) if kind == "uri_file" else None
    path = assembly.path(scoring_run.INPUT, kind, item["uri"])
    said, model = deployment.settings, deployment.asset
    settings = scoring_run.settings_of(said, label, inference.mount_of(call, model))
    code = said.get("codeConfiguration")
    wanted = scoring_run.Call(model, kind, path, settings)
    if code is not None:
        environment = said.get("environmentVariables", {})
        stored = None if deployment.code is None else tree_of(deployment.code)
        place = assembly.code(code["codeId"]) if stored is None else assembly.tree(stored)
        wanted = replace(wanted, code=place, environment=environment)
    return scoring_run.document(call.served.local.root, wanted)


def _file_name(call: Call, uri: str) -> str | None:
    """The name of a file in a datastore or an output; None of registered data, which reaches the step under its own."""
    try:
        registered = inputs.asset_of(call, uri, "data") is not None
    except OpsmlError:
        registered = True
    return None if registered else uri.rstrip("/").rpartition("/")[2]


def _of_file(call: Call, version: tuple[str, str], asked: Invocation) -> tuple[Assembly, dict[str, Any]]:
    """The document of a version that was published from a file, with the call's inputs in it. 400 for an input that it does
    not have."""
    snapshot, definition = call.served.local.pipelines.content(*version)
    assembly = Assembly(call, snapshot)
    document: dict[str, Any] = parse_document(snapshot.text, source=snapshot.source, folder=Path()).value  # type: ignore[assignment]
    ports = dict(document.get("inputs") or {})
    for name, item in asked.given.items():
        if name not in definition.inputs:
            raise WireError(400, f"The pipeline has no input '{name}'.", inner=("BadArgument", "ArgumentInvalid"))
        kind = definition.inputs[name].type
        if "uri" in item:
            ports[name] = {"type": kind, "path": assembly.path(f"call/{name}", kind, item["uri"])}
        else:
            said = ports[name] if isinstance(ports[name], dict) else {}
            ports[name] = {
                **{key: each for key, each in said.items() if key != "value"},
                "type": kind,
                "default": item["value"],
            }
    return assembly, {**document, "inputs": ports}


def _settings(found: Mapping[str, Any]) -> dict[str, Any]:
    """The pipeline's settings as a deployment has them: in either of Azure's two spellings, and as text."""
    word = "continue_on_step_failure"
    value = found.get(word, found.get(f"ComponentDeployment.Settings.{word}"))
    forced = found.get("force_rerun", found.get("ComponentDeployment.Settings.force_rerun"))
    settings = {word: value, "force_rerun": forced}
    return {key: str(value).lower() == "true" for key, value in settings.items() if value is not None}


def _check_uri(call: Call, name: str, uri: str) -> None:
    """No file path and no URL, whoever calls: an asset, an object of this workspace, or a job's output."""
    try:
        known = inputs.asset_of(call, uri, "data") or inputs.asset_of(call, uri, "models")
    except OpsmlError:
        return  # an asset that is not there: the job says so
    if known is None and not _JOB_OUTPUT.match(uri) and uris.located(call, uri) is None:
        raise WireError(
            400,
            f"The input {name} is {uri[:200]!r}: no registered asset, no output of a job, no literal. Register the data first.",
            inner=("BadArgument", "ArgumentInvalid"),
        )


def tags(deployment: BatchDeployment) -> dict[str, str]:
    return scoring_run.tags(deployment.name)


def properties(deployment: BatchDeployment) -> dict[str, str]:
    """What the run's own properties say of where it comes from."""
    found = {"azureml.deploymentname": deployment.name}
    lineage = {"azureml.runLineageType": "batchDeployment", "runSource": "BatchDeployment"}
    return found if deployment.kind == MODEL else {**found, **lineage}


def _stillborn(call: Call, asked: Invocation, labels: Labels) -> Job:
    return Job(
        name=asked.name,
        kind=JobKind.PIPELINE,
        status=JobState.FAILED,
        experiment=asked.experiment,
        workspace=call.served.local.name,
        created_at=now(),
        display_name=labels.display_name,
        tags=labels.tags,
    )
