"""A command that tries a new deployment out, and works from where the user stands."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.endpoint import Deployed
from opsml_cli.domain.errors import OpsmlError
from opsml_cli.domain.names import AssetRef

if TYPE_CHECKING:
    from opsml_cli.domain.workspace import Workspace

_LONGEST = 400  # a row of many columns is nothing to copy from a terminal


def trial_of(workspace: Workspace, done: Deployed, rows: str | None = None) -> str | None:
    """Rows of the data that it was trained on; else the file `rows`, which showed what the model takes; else the example of the
    endpoint's own document. None where nothing is known, as for a script."""
    pointer, endpoint = done.deployment.model, done.endpoint
    if done.deployment.script is not None or not pointer.name:
        return None
    command = f"opsml score {endpoint.name}"
    share = endpoint.traffic.get(done.deployment.name, 0)
    if share < 100:
        command += f" --deployment {done.deployment.name}"
    try:
        if workspace.models.get(AssetRef(pointer.name, pointer.version)).data is not None:
            return f"{command} --sample 3"
        if rows is not None:
            return f"{command} {shlex.quote(rows)}"
        if share < 100:  # the document may be another deployment's
            return None
        row = _example(workspace.online_endpoints.swagger(endpoint.name))
    except OpsmlError:
        return None
    text = shlex.quote(json.dumps([row], ensure_ascii=False))
    return f"echo {text} | {command} -" if row and len(text) <= _LONGEST and "\\" not in text else None


def _example(document: Mapping[str, Any]) -> dict[str, object]:
    """The first row of the document's example of a request; empty where it has none with columns."""
    try:
        examples = document["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"]["examples"]
        table = next(each["value"]["input_data"] for each in examples.values() if "input_data" in each["value"])
        return dict(zip(table["columns"], table["data"][0], strict=True))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, StopIteration):
        return {}
