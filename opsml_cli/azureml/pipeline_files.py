"""A pipeline job's YAML as the pipeline component that a batch endpoint runs, and a digest of all that it consists of."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opsml_cli.documents import Document, parse_document, read_document
from opsml_cli.domain.compute import SERVERLESS
from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.domain.pipeline import PipelineInput

_LITERALS = {bool: "boolean", int: "integer", float: "number", str: "string"}
# What a component may say of an input of its own.
_PORT_KEYS = ("type", "default", "optional", "description", "min", "max", "enum")
_SKIPPED = {".git", "__pycache__", ".venv", ".ipynb_checkpoints"}
_PARENT_INPUT = re.compile(r"\s*\$\{\{\s*parent\.inputs\.([A-Za-z0-9_]+)\s*\}\}\s*\Z")
_STEP_OUTPUT = re.compile(r"\s*\$\{\{\s*parent\.jobs\.([A-Za-z0-9_]+)\.outputs\.([A-Za-z0-9_]+)\s*\}\}\s*\Z")
_STEP_INPUT = re.compile(r"\$\{\{\s*inputs\.([A-Za-z0-9_]+)\s*\}\}")
_OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)
_SETTINGS = ("default_compute", "continue_on_step_failure", "force_rerun", "default_datastore")


@dataclass(frozen=True, slots=True)
class PipelineFile:
    """What a pipeline YAML holds. `component` is the component's YAML as a mapping, `job` the job's; `defaults` are values
    that a component cannot keep itself: registered data that an input stands for when nobody gives another."""

    path: Path
    component: Mapping[str, Any]
    job: Mapping[str, Any]
    inputs: tuple[PipelineInput, ...]
    steps: tuple[str, ...]
    settings: Mapping[str, Any]
    defaults: Mapping[str, str]
    description: str | None
    digest: str


def read(path: Path) -> PipelineFile:
    """Read `path`. InvalidInputError names file, line and what is wrong; what only Azure's SDK can tell is found later."""
    return _read(path, read_document(path, source=path.name))


def read_text(text: str, beside: Path) -> PipelineFile:
    """As `read`, for a pipeline's YAML that is a part of the file `beside`, and reads its own files from there."""
    return _read(beside, parse_document(text, source=beside.name, folder=beside.absolute().parent))


def _read(path: Path, document: Document) -> PipelineFile:
    value = document.value
    if not isinstance(value, Mapping) or not isinstance(value.get("jobs"), Mapping) or not value["jobs"]:
        raise document.error(("jobs",), "the pipeline has no jobs", "expected type: pipeline with steps below jobs")
    if value.get("type", "pipeline") != "pipeline":
        raise document.error(("type",), f"type is {value['type']!r}, not pipeline")
    inputs: dict[str, Any] = {}
    found: list[PipelineInput] = []
    defaults: dict[str, str] = {}
    for name, given in (value.get("inputs") or {}).items():
        port, default = _port(given)
        if port is None:
            raise document.error(("inputs", str(name)), f"the input {name} has no type that a pipeline component knows")
        inputs[str(name)] = port
        if default is not None:
            if not default.startswith("azureml:"):
                raise document.error(
                    ("inputs", str(name), "path"),
                    f"the input {name} is the local path {default!r}",
                    "a published pipeline takes registered data: opsml data register, then path: azureml:NAME:VERSION",
                )
            defaults[str(name)] = default
        value_of = defaults.get(str(name), port.get("default"))
        found.append(PipelineInput(str(name), str(port["type"]), value_of, bool(port.get("optional"))))
    settings = {key: each for key, each in (value.get("settings") or {}).items() if key in _SETTINGS}
    if "compute" in value:
        settings.setdefault("default_compute", value["compute"])
    # As a training without one: Azure runs no step that nobody gave a compute.
    settings.setdefault("default_compute", SERVERLESS)
    component = {
        "type": "pipeline",
        "display_name": value.get("display_name"),
        "description": value.get("description"),
        "inputs": inputs,
        "outputs": {str(name): _output(each) for name, each in (value.get("outputs") or {}).items()},
        "jobs": {name: _with_optional(step, inputs, value["jobs"]) for name, step in value["jobs"].items()},
    }
    component = {key: each for key, each in component.items() if each is not None}
    steps = tuple(str(name) for name in value["jobs"])
    digest = _digest([component, settings, defaults], document.folder)
    job = {**value, "inputs": {name: _value(each) for name, each in (value.get("inputs") or {}).items()}}
    return PipelineFile(path, component, job, tuple(found), steps, settings, defaults, value.get("description"), digest)


def runnable(job: Mapping[str, Any]) -> dict[str, Any]:
    """A job as Azure's SDK takes it. It knows no optional inputs of a job, and drops empty texts: steps that read an input
    without a value do not get it, and those that read an empty text get it themselves."""
    inputs = dict(job["inputs"])
    missing = {
        name
        for name, given in inputs.items()
        if isinstance(given, Mapping) and given.get("optional") and given.get("path") is None and given.get("value") is None
    }
    for name, given in inputs.items():
        if isinstance(given, Mapping):
            inputs[name] = {key: each for key, each in given.items() if key != "optional"}
    empty = {name for name, given in inputs.items() if given == ""}
    steps = {name: _bound(step, missing, empty) for name, step in job["jobs"].items()}
    kept = {name: given for name, given in inputs.items() if name not in missing | empty}
    return {**job, "inputs": kept, "jobs": steps}


def _with_optional(step: object, ports: Mapping[str, Any], jobs: Mapping[str, Any]) -> object:
    """A step of a pipeline component. An optional input of the pipeline fits only an optional input of the step, which a bare
    command cannot declare: a command that reads one becomes a component in its place."""
    if not isinstance(step, Mapping) or not isinstance(step.get("command"), str) or not isinstance(step.get("inputs"), Mapping):
        return step
    declared: dict[str, dict[str, Any]] = {}
    for name, value in step["inputs"].items():
        told = value.get("path", value.get("value")) if isinstance(value, Mapping) else value
        whole = _PARENT_INPUT.match(told) if isinstance(told, str) else None
        if whole is not None and whole[1] in ports:
            port = ports[whole[1]]
            declared[name] = {"type": port["type"], **({"optional": True} if port.get("optional") else {})}
        else:
            declared[name] = {"type": _step_type(value, told, jobs)}
    if not any(port.get("optional") for port in declared.values()):
        return step
    outputs = {name: _output(each) for name, each in (step.get("outputs") or {}).items()}
    component = {"type": "command", "inputs": declared, "outputs": outputs}
    component |= {key: step[key] for key in ("command", "code", "environment") if key in step}
    kept = {key: each for key, each in step.items() if key not in ("command", "code", "environment")}
    return {**kept, "type": "command", "component": component}


def _step_type(value: object, told: object, jobs: Mapping[str, Any]) -> str:
    """The type of a step's input that is no input of the pipeline: what it says, another step's output, or a literal."""
    if isinstance(value, Mapping) and isinstance(value.get("type"), str):
        return str(value["type"])
    output = _STEP_OUTPUT.match(told) if isinstance(told, str) else None
    if output is not None:
        step = jobs.get(output[1])
        outputs = step.get("outputs") if isinstance(step, Mapping) else None
        given = outputs.get(output[2]) if isinstance(outputs, Mapping) else None
        return str(_output(given)["type"])
    return next((word for kind, word in _LITERALS.items() if isinstance(told, kind)), "string")


def _bound(step: object, missing: set[str], empty: set[str]) -> object:
    if not isinstance(step, Mapping) or not isinstance(step.get("inputs"), Mapping):
        return step
    inputs: dict[str, Any] = {}
    dropped: set[str] = set()
    for name, value in step["inputs"].items():
        told = value.get("path", value.get("value")) if isinstance(value, Mapping) else value
        whole = _PARENT_INPUT.match(told) if isinstance(told, str) else None
        if whole is None or whole[1] not in missing | empty:
            inputs[name] = value
        elif whole[1] in empty:
            inputs[name] = ""
        else:
            dropped.add(name)
    if not dropped or not isinstance(step.get("command"), str):
        return {**step, "inputs": inputs}

    def optional(part: re.Match[str]) -> str:
        return "" if dropped & set(_STEP_INPUT.findall(part[1])) else part[0]

    return {**step, "inputs": inputs, "command": _OPTIONAL.sub(optional, step["command"])}


def component_name(pipeline: str) -> str:
    """The component's name for a pipeline's: endpoints are named with hyphens and capitals, components with neither."""
    text = pipeline.lower().replace("-", "_")
    return text if text[0].isalpha() else f"p_{text}"


def declared(specification: Mapping[str, Any]) -> tuple[tuple[PipelineInput, ...], tuple[str, ...]]:
    """Inputs and steps of a registered pipeline component, whose specification holds everything as text."""
    inputs = tuple(
        PipelineInput(str(name), str(item.get("type", "string")).lower(), item.get("default"), _true(item.get("optional")))
        for name, item in (specification.get("inputs") or {}).items()
    )
    return inputs, tuple(str(name) for name in specification.get("jobs") or {})


def _true(value: object) -> bool:
    return str(value).casefold() == "true"


def _port(given: object) -> tuple[dict[str, Any] | None, str | None]:
    """An input of a job as an input of a component, and the path that it has in the job."""
    if isinstance(given, Mapping):
        path = given.get("path")
        port = {key: given[key] for key in _PORT_KEYS if key in given}
        if "type" not in port:
            port["type"] = "uri_folder"
        return port, None if path is None else str(path)
    for kind, word in _LITERALS.items():
        if isinstance(given, kind):
            return {"type": word, "default": given}, None
    return None, None


def _value(given: object) -> object:
    """An input as Azure's job YAML has it: a literal stands for itself there, and has no default."""
    if isinstance(given, Mapping) and given.get("default") is not None:
        return given["default"]
    return given


def _output(given: object) -> dict[str, Any]:
    kind = given.get("type") if isinstance(given, Mapping) else None
    return {"type": kind or "uri_folder"}


def _digest(value: object, folder: Path) -> str:
    """SHA-256 of the value and of every file below `folder` that it names."""
    digest = hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode())
    seen: set[Path] = set()
    pending = [(value, folder)]
    while pending:
        item, base = pending.pop()
        for text in _texts(item):
            path = base / text.removeprefix("file:")
            if "${{" in text or "\n" in text or len(text) > 500 or path in seen or not path.exists():
                continue
            seen.add(path)
            for file in _files(path):
                digest.update(f"\n{file.relative_to(path.parent).as_posix()}\n".encode())
                with file.open("rb") as content:
                    digest.update(hashlib.file_digest(content, "sha256").digest())
            if path.is_file() and path.suffix in (".yml", ".yaml"):
                pending.append((_parsed(path), path.parent))
    return digest.hexdigest()


def _parsed(path: Path) -> object:
    try:
        return read_document(path).value
    except InvalidInputError:
        return None  # no YAML that names further files: its content counts


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if value.strip() and value not in (".", ".."):
            yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for root, folders, names in os.walk(path):
        folders[:] = sorted(each for each in folders if each not in _SKIPPED)
        for name in sorted(names):
            file = Path(root, name)
            if file.is_file() and not name.endswith(".pyc"):
                yield file
