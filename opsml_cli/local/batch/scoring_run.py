"""The run of a model deployment: a pipeline of one step that scores its input."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from opsml_cli.domain.durations import parse_iso
from opsml_cli.local.batch.settings import VARIABLE, Settings

INPUT = "data"
OUTPUT = "score"  # the names of Azure's own step and output
STEP = "batchscoring"
PROGRESS = "batch.json"  # in the job's folder: how far its run is
MODULE = "opsml_cli.local.batch.scoring"


def settings_of(said: Mapping[str, Any], label: str | None, mount: str) -> Settings:
    """The step's settings as a deployment has them. `label`: how the one file of the input is called; `mount`: under which
    name a script finds the model."""
    code = said.get("codeConfiguration")
    instances = int((said.get("resources") or {}).get("instanceCount") or 1)
    retries = said.get("retrySettings") or {}
    environment = json.dumps(said.get("environmentVariables") or {}, sort_keys=True)
    return Settings(
        file_name=said.get("outputFileName") or "predictions.csv",
        error_threshold=int(said.get("errorThreshold", -1)),
        append=said.get("outputAction", "AppendRow") == "AppendRow",
        label=label,
        script=code["scoringScript"].removeprefix("./") if code else None,
        batch=int(said.get("miniBatchSize") or 10),
        mount=mount,
        workers=max(1, int(said.get("maxConcurrencyPerInstance") or 1) * instances),
        retries=int(retries.get("maxRetries", 3)),
        timeout=parse_iso(str(retries.get("timeout") or "PT30S")),
        logging_level=str(said.get("loggingLevel") or "Info").lower(),
        identity=hashlib.sha256(environment.encode()).hexdigest(),
    )


def tags(deployment: str) -> dict[str, str]:
    """Of the job, as Azure has them."""
    return {"azureml.batchrun": "true", "azureml.deploymentname": deployment, "azureml.jobtype": "azureml.batchjob"}


@dataclass(frozen=True, slots=True)
class Call:
    """What is scored: `model` is name:version ("": a script needs none), `kind` the input's type, `path` how a pipeline names
    its content, `code` how it names the script's folder; `environment` are the script's own variables."""

    model: str
    kind: str
    path: str
    settings: Settings
    code: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def document(root: Path, call: Call) -> dict[str, Any]:
    """The pipeline's document."""
    kind = call.kind
    command = (
        f"python -P -m {MODULE} --root {shlex.quote(str(root))} --model {shlex.quote(call.model)} "
        f"--input ${{{{inputs.{INPUT}}}}} --output ${{{{outputs.{OUTPUT}}}}}"
    )
    return {
        "type": "pipeline",
        "inputs": {INPUT: {"type": kind, "path": call.path}},
        "outputs": {OUTPUT: {"type": "uri_folder"}},
        "jobs": {
            STEP: {
                "type": "command",
                "component": {
                    "type": "command",
                    "command": command,
                    "inputs": {INPUT: {"type": kind}},
                    "outputs": {OUTPUT: {"type": "uri_folder"}},
                    "is_deterministic": False,  # each call is a run of its own
                    **({"code": call.code} if call.code is not None else {}),
                },
                "inputs": {INPUT: f"${{{{parent.inputs.{INPUT}}}}}"},
                "outputs": {OUTPUT: f"${{{{parent.outputs.{OUTPUT}}}}}"},
                "environment_variables": {**call.environment, VARIABLE: json.dumps(asdict(call.settings))},
            }
        },
    }
