"""The run of a model deployment: a pipeline of one step that scores its input."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from opsml_cli.local.batch import scoring

INPUT = "data"
OUTPUT = "score"  # the names of Azure's own step and output
STEP = "batchscoring"
MODULE = "opsml_cli.local.batch.scoring"


def settings_of(said: Mapping[str, Any], label: str | None) -> scoring.Settings:
    """The step's settings as a deployment has them. `label`: how the one file of the input is told of."""
    return scoring.Settings(
        file_name=said.get("outputFileName") or "predictions.csv",
        error_threshold=int(said.get("errorThreshold", -1)),
        append=said.get("outputAction", "AppendRow") == "AppendRow",
        label=label,
    )


def document(root: Path, model: str, kind: str, path: str, settings: scoring.Settings) -> dict[str, Any]:
    """The pipeline's document. `kind` is the input's type and `path` how a pipeline names its content."""
    command = (
        f"python -P -m {MODULE} --root {shlex.quote(str(root))} --model {shlex.quote(model)} "
        f"--input ${{{{inputs.{INPUT}}}}} --output ${{{{outputs.{OUTPUT}}}}}"
    )
    return {
        "type": "pipeline",
        "inputs": {INPUT: {"type": kind, "path": path}},
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
                },
                "inputs": {INPUT: f"${{{{parent.inputs.{INPUT}}}}}"},
                "outputs": {OUTPUT: f"${{{{parent.outputs.{OUTPUT}}}}}"},
                "environment_variables": {scoring.SETTINGS: json.dumps(asdict(settings))},
            }
        },
    }
