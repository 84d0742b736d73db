"""An AutoMLSpec as the JSON document that a job keeps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from opsml_cli.domain.job import AutoMLSpec, Limits, TableSource, Task
from opsml_cli.domain.names import parse_ref

# What does not change what is trained: the same training under another of these is the same work.
_NOT_IDENTITY = ("name", "description", "tags", "gates", "compute")


def to_document(spec: AutoMLSpec) -> dict[str, Any]:
    """JSON-able; tables are `{"asset": "name:version"}` or `{"path": …}`."""
    document = asdict(spec)
    for key in ("data", "validation_data", "test_data"):
        source: TableSource | None = getattr(spec, key)
        if source is not None:
            document[key] = {"asset": str(source.asset)} if source.asset is not None else {"path": source.path}
    document["features"] = dict(spec.features)
    document["tags"] = dict(spec.tags)
    return document


def from_document(document: Mapping[str, Any]) -> AutoMLSpec:
    """The spec that `to_document` wrote."""
    values = dict(document)
    for key in ("data", "validation_data", "test_data"):
        if values[key] is not None:
            values[key] = _source(values[key])
    for key in ("drop_columns", "allowed_algorithms", "blocked_algorithms", "gates"):
        values[key] = tuple(values[key])
    values["limits"] = Limits(**values["limits"])
    values["task"] = None if values["task"] is None else Task(values["task"])
    return AutoMLSpec(**values)


def fingerprint(spec: AutoMLSpec, contents: Mapping[str, str]) -> str:
    """Names one piece of work: the spec without its labels, and the sha256 of each table (`contents`, by field)."""
    document = {key: value for key, value in to_document(spec).items() if key not in _NOT_IDENTITY and key not in contents}
    document["features"].pop("display_name", None)
    text = json.dumps([document, dict(contents)], sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _source(value: Mapping[str, Any]) -> TableSource:
    return TableSource(asset=parse_ref(value["asset"])) if "asset" in value else TableSource(path=value["path"])
