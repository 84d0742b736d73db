"""AutoML nodes of pipelines: Azure's YAML dialect as the SDK sends it, as the local engine's own YAML has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.jobs import common
from opsml_cli.emulator.jobs.automl import ALGORITHMS

# What the node says for the wire alone.
_LABELS = ("name", "tags", "properties", "computeId", "_source", "display_name", "description", "outputs")
_TABLES = ("training_data", "validation_data", "test_data")


def automl_step(
    node: Body, text: Callable[[str], Any], table: Callable[[str, str, str], str], outputs: Mapping[str, Any]
) -> dict[str, Any]:
    """The step. `text` puts the pipeline's inputs into a text, `table` gives the name of the content of a uri by key, type
    and uri. 501 for tasks that are not about tables."""
    task = text(node.text("task", required=True))
    if str(task).lower() not in ("classification", "regression"):
        raise common.not_here(f"{node.place} trains {task}, and this machine trains classification and regression on tables")
    step: dict[str, Any] = {"outputs": dict(outputs)}
    for key, value in node.value.items():
        if key in _TABLES and isinstance(value, Mapping):
            item = Body(value, f"{node.place}.{key}")
            kind = item.text("job_input_type") or item.text("type") or "mltable"
            uri = item.text("uri") or item.text("path", required=True)
            step[key] = {"type": kind, "path": uri if "${{" in uri else table(key, kind, uri)}
        elif key not in _LABELS and value is not None:
            step[key] = _plain(value, text if key not in _TABLES else None)
    training = step.get("training")
    if isinstance(training, dict):
        known = {name.casefold(): name for names in ALGORITHMS.values() for name in names}
        for key in ("allowed_training_algorithms", "blocked_training_algorithms"):
            if isinstance(training.get(key), list):
                training[key] = [known.get(str(name).replace("_", "").casefold(), name) for name in training[key]]
    return step


def _plain(value: Any, text: Callable[[str], Any] | None) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item, text) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_plain(item, text) for item in value]
    return text(value) if isinstance(value, str) and text is not None else value
