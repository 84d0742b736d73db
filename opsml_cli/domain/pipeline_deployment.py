"""How a published version of a pipeline is written as a deployment of the batch endpoint of the pipeline's name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from opsml_cli.domain.pipeline import PipelineInput

PREFIX = "version-"
# Properties of the deployment: the version as it was asked for, the digest of its content, its inputs and steps.
VERSION, DIGEST, SHOWN = "opsml.version", "opsml.sha256", "opsml.shown"


def name_of(version: str) -> str:
    """The deployment's name, in which Azure takes neither dots nor underscores."""
    return PREFIX + version.replace(".", "-").replace("_", "-")


def version_of(name: str, properties: Mapping[str, str]) -> str:
    """The version that a deployment holds: of one that somebody else made, its name."""
    return properties.get(VERSION) or name


def shown(inputs: Sequence[PipelineInput], steps: Sequence[str]) -> str:
    """The text of the property SHOWN."""
    return json.dumps({"inputs": [asdict(each) for each in inputs], "steps": list(steps)})


def read_shown(text: str) -> tuple[tuple[PipelineInput, ...], tuple[str, ...]]:
    """Inputs and steps of the property SHOWN."""
    found = json.loads(text)
    return tuple(PipelineInput(**item) for item in found.get("inputs", ())), tuple(found.get("steps", ()))
