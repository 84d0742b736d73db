"""Model versions on the wire, and what opsml keeps of them there: facts as properties, beside the user's own tags."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opsml_cli.azureml import wire
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.model import Model, Signature
from opsml_cli.domain.names import AssetRef, parse_ref

_PREFIX = "opsml."
UNKNOWN = "opsml did not register this version, and Azure keeps no such fact of models"
FROM_ELSEWHERE = "its folder came from elsewhere, and does not tell"
NOT_READ = "it lies in the model's files, which a list does not read"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a model beside its files. `job` is the training job that it came from; `threshold` stays None for
    Azure's own training, which tunes none."""

    sha256: str = ""
    size_bytes: int = 0
    job: str | None = None
    trusted: bool = False
    algorithm: str | None = None
    task: str | None = None
    metrics: Mapping[str, float] | None = None
    threshold: float | None = None
    data: AssetRef | None = None

    def properties(self) -> dict[str, str]:
        """As Azure keeps them: texts by name."""
        found = {
            "sha256": self.sha256,
            "size_bytes": str(self.size_bytes) if self.size_bytes else "",
            "job": self.job,
            "trusted": "true" if self.trusted else "",
            "algorithm": self.algorithm,
            "task": self.task,
            "metrics": json.dumps(dict(self.metrics), separators=(",", ":")) if self.metrics else "",
            "threshold": None if self.threshold is None else repr(self.threshold),
            "data": None if self.data is None else str(self.data),
        }
        return {_PREFIX + name: value for name, value in found.items() if value}


def model_of(document: Mapping[str, Any], signature: Signature | None = None, *, read: bool = False) -> Model:
    """A version as Azure shows it. `read`: the model's files were looked into for `signature`. What has no source is empty,
    and `unknown` says why."""
    properties = document["properties"]
    facts = {
        name.removeprefix(_PREFIX): str(value)
        for name, value in (properties.get("properties") or {}).items()
        if name.startswith(_PREFIX) and value is not None
    }
    job = facts.get("job") or properties.get("jobName") or None
    unknown = {} if read else {"signature": NOT_READ}
    reason = FROM_ELSEWHERE if facts.get("trusted") == "true" and "sha256" in facts else UNKNOWN
    unknown |= {name: reason for name in ("sha256", "size_bytes", "algorithm", "task", "metrics", "data") if name not in facts}
    if "threshold" not in facts:
        unknown["threshold"] = "Azure AutoML tunes none" if job is not None else reason
    flavors = [name for name in (properties.get("flavors") or {}) if name != "python_function"]
    algorithm = facts.get("algorithm") or next(iter(flavors), None)
    if algorithm is not None:
        unknown.pop("algorithm", None)
    return Model(
        name=wire.from_id(document["id"], "models"),
        version=str(document["name"]),
        path=str(properties.get("modelUri") or ""),
        sha256=facts.get("sha256", ""),
        created_at=wire.created_at(document),
        own=job is not None,
        trusted=facts.get("trusted") == "true",
        algorithm=algorithm,
        task=facts.get("task"),
        metrics=_metrics(facts.get("metrics")),
        threshold=_number(facts.get("threshold")),
        signature=signature,
        job=job,
        size_bytes=int(facts["size_bytes"]) if facts.get("size_bytes", "").isdecimal() else 0,
        description=properties.get("description") or None,
        tags=dict(properties.get("tags") or {}),
        data=_reference(facts.get("data")),
        unknown=unknown,
    )


def body_of(
    uri: str,
    facts: Mapping[str, str],
    *,
    flavors: Mapping[str, Mapping[str, Any]],
    description: str | None,
    tags: Mapping[str, str],
    kind: str = "mlflow_model",
) -> dict[str, Any]:
    """What is PUT for a version."""
    return {
        "properties": {
            "modelUri": uri,
            "modelType": kind,
            "flavors": {name: {"data": _texts(values)} for name, values in flavors.items()},
            "description": description,
            "tags": dict(tags),
            "properties": dict(facts),
            "isAnonymous": False,
            "isArchived": False,
        }
    }


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """A flavor's plain values: Azure keeps texts alone."""
    return {str(name): str(value) for name, value in values.items() if isinstance(value, str | int | float | bool)}


def _metrics(text: str | None) -> dict[str, float]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        str(name): float(value)
        for name, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _reference(text: str | None) -> AssetRef | None:
    try:
        return None if text is None else parse_ref(text)
    except UsageError:
        return None
