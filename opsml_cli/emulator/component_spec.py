"""How the service rewrites a component's specification: scalars become text, defaults are filled in, references resolved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opsml_cli.emulator.bodies import Body

TYPES = ("command", "pipeline", "parallel", "automl", "sweep", "spark", "import", "data_transfer", "flow_parallel")
_LITERALS = ("string", "integer", "number", "boolean")
_ASSETS = ("uri_file", "uri_folder", "mltable", "mlflow_model", "custom_model", "triton_model", "path", "model", "any", "asset")
# What a version's name and number promise; everything else may be changed on an existing version.
_IMMUTABLE = ("code", "command", "environment", "type", "inputs", "outputs", "jobs", "distribution", "task")
# What the client alone needs.
_DROPPED = ("_source",)
# Nodes of a pipeline component stay as the client wrote them.
_VERBATIM = ("jobs",)


def check(spec: Body) -> None:
    """Refuse a specification without its required members, or with types that there are not. 400."""
    kind = spec.choice("type", TYPES, required=True)
    spec.text("name", required=True)
    if kind == "command":
        spec.text("command", required=True)
        if "environment" not in spec:
            raise spec.wrong("environment", "a value is required.", "ArgumentNullOrEmpty")
    if kind == "pipeline":
        spec.section("jobs")
    for section in ("inputs", "outputs"):
        allowed = (*_LITERALS, *_ASSETS) if section == "inputs" else (*_ASSETS, *_LITERALS)
        for _, port in spec.sections(section):
            port.choice("type", allowed, required=True)


def rewritten(spec: Mapping[str, Any], version: str | None, environment: Any) -> dict[str, Any]:
    """The specification as the service keeps it; `version` None: under the version that it says itself. Rewriting what was
    rewritten changes nothing."""
    found: dict[str, Any] = {}
    for key, value in spec.items():
        if key in _DROPPED or value is None:
            continue
        found[key] = value if key in _VERBATIM else _text(value)
    if version is not None:
        found["version"] = version
    if "environment" in found:
        found["environment"] = environment
    for port in found.get("inputs", {}).values():
        if isinstance(port, dict):
            port.setdefault("optional", "False")
            if isinstance(default := port.get("default"), str):
                port["default"] = default.removeprefix("azureml:")
    if found.get("type") == "command":
        found["resources"] = {"instance_count": "1", **found.get("resources", {})}
    if found.get("type") == "pipeline":
        found.setdefault("is_deterministic", "False")
    return found


def changed_field(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """The member that `new` changes and may not; None when there is none. Both are rewritten."""
    return next((key for key in _IMMUTABLE if old.get(key) != new.get(key)), None)


def identity(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What makes two anonymous components one: everything, their name too, but the version that the client made up."""
    return {key: value for key, value in spec.items() if key != "version"}


def _text(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _text(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_text(inner) for inner in value]
    return value if isinstance(value, str) else str(value)
