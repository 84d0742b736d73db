"""Pipeline jobs on the wire: the body read and filled as Azure fills it, and the local pipeline that it becomes.

Nodes arrive in the YAML dialect, their components as ids, their bindings unresolved. A node that is itself a pipeline
component is opened: its steps become steps of this pipeline, called `node_step`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from opsml_cli.emulator.bodies import Body, duration_seconds
from opsml_cli.emulator.jobs import command, common
from opsml_cli.emulator.jobs.assembly import Assembly
from opsml_cli.emulator.jobs.automl_node import automl_step
from opsml_cli.emulator.wire import WireError

# From a component's id to its specification, as the workspace keeps it.
Components = Callable[[str], Mapping[str, Any]]
# Inputs of a group have names with dots.
_WHOLE = re.compile(
    r"\s*\$\{\{\s*parent\.(?:inputs\.(?P<input>[\w.]+?)|jobs\.(?P<step>\w+)\.outputs\.(?P<output>\w+))(?:\.path)?\s*\}\}\s*\Z",
    re.ASCII,
)
_INPUT = re.compile(r"\$\{\{\s*parent\.inputs\.(?P<input>[\w.]+)\s*\}\}", re.ASCII)
_OUTPUT = re.compile(r"\s*\$\{\{\s*parent\.outputs\.(\w+)\s*\}\}\s*\Z", re.ASCII)
# What the text of an input may say of the run itself, such as its name.
CREATION = re.compile(r"\$\{\{\s*(?:name|creation_context\.trigger_time)\s*\}\}", re.ASCII)
_DEEPEST = 8


def read(properties: Body) -> dict[str, Any]:
    """The members of a pipeline job besides those that every job has, as Azure answers them: nodes verbatim."""
    jobs = properties.section("jobs")
    settings = properties.section("settings")
    if (jobs is None or not jobs.value) and properties.text("componentId") is None:
        raise properties.wrong("jobs", "a pipeline needs at least one node.", "ArgumentNullOrEmpty")
    for _, node in properties.sections("jobs"):
        node.text("type", required=True)
    return {
        "settings": {} if settings is None else dict(settings.value),
        "jobs": {} if jobs is None else dict(jobs.value),
        "inputs": {name: common.job_input(body) for name, body in properties.sections("inputs")},
        "outputs": {name: common.job_output(body) for name, body in properties.sections("outputs")},
        "sourceJobId": properties.text("sourceJobId"),
    }


def node_computes(properties: Mapping[str, Any]) -> dict[str, str]:
    """The computes that the pipeline names, by where it names them."""
    found = {"settings.default_compute": properties["settings"].get("default_compute")}
    found |= {f"jobs.{name}.computeId": node.get("computeId") for name, node in properties["jobs"].items()}
    return {place: str(compute) for place, compute in found.items() if compute}


def assemble(assembly: Assembly, components: Components, properties: Mapping[str, Any]) -> dict[str, Any]:
    """The local pipeline's document. `properties` are those that `read` made; their files go to `assembly`."""
    builder = _Builder(assembly, components)
    values = {name: _given(item) for name, item in properties["inputs"].items()}
    jobs, outputs = properties["jobs"], dict(properties["outputs"])
    if properties["componentId"] is not None:
        # The SDK sends the component's nodes beside it, and none of its outputs.
        jobs, values, outputs = _opened(components(properties["componentId"]), values, outputs)
    inputs: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            kind = value["type"]
            inputs[_plain(name)] = {"type": kind, "path": assembly.path(_plain(name), kind, value["uri"])}
        elif isinstance(value, str) and CREATION.search(value):
            inputs[_plain(name)] = {"type": "string", "default": value}  # known when the run is made
    bound = {name: f"${{{{parent.inputs.{_plain(name)}}}}}" for name in values if _plain(name) in inputs}
    builder.add(jobs, _Scope(values={**values, **bound}))
    settings = properties["settings"]
    return {
        "type": "pipeline",
        "settings": {key: settings[key] for key in ("continue_on_step_failure", "force_rerun") if key in settings},
        "inputs": inputs,
        "outputs": {name: assembly.output(item["jobOutputType"], item) for name, item in outputs.items()},
        "jobs": builder.steps,
    }


def published(assembly: Assembly, components: Components, component: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a pipeline component that waits for its calls: its inputs are declared, and have no values."""
    specification = components(component)
    jobs, _, outputs = _opened(specification, {}, {})
    ports = _ports(specification.get("inputs") or {})
    builder = _Builder(assembly, components)
    builder.add(jobs, _Scope(values={name: f"${{{{parent.inputs.{_plain(name)}}}}}" for name in ports}))
    return {
        "type": "pipeline",
        "settings": dict(settings),
        "inputs": {_plain(name): _port(item) for name, item in ports.items()},
        "outputs": {name: assembly.output(item["jobOutputType"], item) for name, item in outputs.items()},
        "jobs": builder.steps,
    }


@dataclass(frozen=True, slots=True)
class _Scope:
    """What `parent` means to a node: the values of the pipeline's inputs (a literal, a binding of the outermost pipeline,
    or None), the prefix of its steps' names, and where its outputs go."""

    values: Mapping[str, Any]
    prefix: str = ""
    outputs: Mapping[str, Any] | None = None  # None: the outermost pipeline's own
    depth: int = 0


class _Builder:
    """Collects the steps of the outermost pipeline. `producers`: what stands behind an opened node's outputs."""

    def __init__(self, assembly: Assembly, components: Components) -> None:
        self._assembly = assembly
        self._components = components
        self.steps: dict[str, Any] = {}
        self._producers: dict[tuple[str, str], tuple[str, str]] = {}

    def add(self, jobs: Mapping[str, Any], scope: _Scope) -> None:
        # Opened nodes first: their outputs must be known to those that read them.
        ordered = sorted(jobs.items(), key=lambda item: item[1].get("type") != "pipeline")
        for name, value in ordered:
            node = Body(value, f"properties.jobs.{scope.prefix}{name}")
            kind = node.text("type", required=True).lower()
            if kind == "command":
                self.steps[scope.prefix + name] = self._command(node, scope)
            elif kind == "automl":
                self.steps[scope.prefix + name] = self._automl(scope.prefix + name, node, scope)
            elif kind == "pipeline":
                self._open(name, node, scope)
            else:
                raise common.not_here(f"the node {name} is of type {kind}, and this machine runs command and automl nodes")

    def _command(self, node: Body, scope: _Scope) -> dict[str, Any]:
        specification = self._components(self._component_id(node))
        if specification.get("type", "command") != "command":
            raise node.wrong(
                "componentId", f"the component is of type {specification.get('type')}, and the node is of type command."
            )
        command.distribution(_distribution(node, specification, lambda value: self._setting(value, scope)))
        name = node.place.rpartition(".")[2]
        step: dict[str, Any] = {
            "type": "command",
            "component": self._specification(specification),
            "inputs": {
                given: value
                for given, body in node.sections("inputs")
                if (value := self._node_input(f"{name}/{given}", body, scope)) is not None
            },
            "outputs": {output: self._node_output(body, scope) for output, body in node.sections("outputs")},
            "environment_variables": {
                variable: self._text(text, scope) for variable, text in node.texts("environment_variables").items()
            },
        }
        limits = node.section("limits")
        if limits is not None and "timeout" in limits:
            text = str(self._setting(limits.value["timeout"], scope))
            step["limits"] = {"timeout": _seconds(text, limits)}
        return step

    def _automl(self, name: str, node: Body, scope: _Scope) -> dict[str, Any]:
        def text(value: str) -> Any:
            whole = _WHOLE.match(value)
            if whole is not None and whole["input"] is not None:
                return _typed(self._reference(value, scope))
            return self._text(value, scope)

        def table(key: str, kind: str, uri: str) -> str:
            return self._assembly.path(f"{name}/{key}", kind, uri)

        outputs = {output: self._node_output(body, scope) for output, body in node.sections("outputs")}
        return automl_step(node, text, table, outputs)

    def _component_id(self, node: Body) -> str:
        found = node.text("componentId")
        if found is None:
            raise node.wrong("componentId", "a value is required.", "ArgumentNullOrEmpty")
        return found

    def _specification(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """A component as the local dialect writes it: strings are booleans and numbers again."""
        component: dict[str, Any] = {
            "command": found.get("command"),
            "inputs": {name: _port(item) for name, item in (found.get("inputs") or {}).items()},
            "outputs": {name: {"type": item.get("type")} for name, item in (found.get("outputs") or {}).items()},
            "is_deterministic": _flag(found.get("is_deterministic", True)),
        }
        if found.get("code"):
            component["code"] = self._assembly.code(str(found["code"]))
        return component

    def _node_input(self, key: str, body: Body, scope: _Scope) -> Any:
        kind = body.text("job_input_type") or "literal"
        if kind != "literal":
            uri = body.text("uri")
            return None if uri is None else {"type": kind, "path": self._assembly.path(key, kind, uri)}
        value = body.value.get("value")
        return self._reference(value, scope) if isinstance(value, str) else value

    def _reference(self, value: str, scope: _Scope) -> Any:
        """A value with what `parent` means put in its place; None for an optional input that was not given."""
        whole = _WHOLE.match(value)
        if whole is not None and whole["input"] is not None:
            if whole["input"] not in scope.values:
                raise WireError(400, f"The pipeline has no input '{whole['input']}'.", inner=("BadArgument", "ArgumentInvalid"))
            return scope.values[whole["input"]]
        if whole is not None:
            producer = (scope.prefix + whole["step"], whole["output"])
            step, output = self._producers.get(producer, producer)
            return f"${{{{parent.jobs.{step}.outputs.{output}}}}}"
        return self._text(value, scope)

    def _setting(self, value: Any, scope: _Scope) -> Any:
        """A run setting, with the pipeline's input in place of an expression that names one."""
        return self._reference(value, scope) if isinstance(value, str) else value

    @staticmethod
    def _text(value: str, scope: _Scope) -> str:
        def replaced(match: re.Match[str]) -> str:
            found = scope.values.get(match["input"])
            return match[0] if found is None else str(found)

        return _INPUT.sub(replaced, value)

    def _node_output(self, body: Body, scope: _Scope) -> Any:
        bound = _OUTPUT.match(str(body.value.get("value") or ""))
        if bound is not None:
            if scope.outputs is None:
                return f"${{{{parent.outputs.{bound[1]}}}}}"
            return scope.outputs.get(bound[1]) or {}
        found = {"type": body.text("job_output_type"), "name": body.text("name"), "version": body.text("version")}
        return {key: value for key, value in found.items() if value is not None}

    def _open(self, name: str, node: Body, scope: _Scope) -> None:
        if scope.depth >= _DEEPEST:
            raise common.not_here(f"the node {name} lies more than {_DEEPEST} pipelines deep")
        specification = self._components(self._component_id(node))
        jobs = specification.get("jobs") or {}
        given = {}
        for key, body in node.sections("inputs"):
            value = self._node_input(f"{node.place.rpartition('.')[2]}/{key}", body, scope)
            given[key] = value
        defaults = _defaults(specification.get("inputs") or {})
        prefix = f"{scope.prefix}{name}_"
        outputs = {key: self._node_output(body, scope) for key, body in node.sections("outputs")}
        inner = _Scope({**defaults, **given}, prefix, outputs, scope.depth + 1)
        self.add(jobs, inner)
        for step, item in jobs.items():
            for output, body in Body(item).sections("outputs"):
                bound = _OUTPUT.match(str(body.value.get("value") or ""))
                if bound is not None:
                    behind = (prefix + step, output)
                    self._producers[scope.prefix + name, bound[1]] = self._producers.get(behind, behind)


def _plain(name: str) -> str:
    """An input's name as the local pipeline has it: without the dots of a group's inputs."""
    return name.replace(".", "__")


def _given(item: Mapping[str, Any]) -> Any:
    """A pipeline input's value: a literal's text, `{type, uri}`, or None."""
    if item["jobInputType"] == "literal":
        return item["value"]
    return {"type": item["jobInputType"], "uri": item["uri"]} if "uri" in item else None


def _opened(
    specification: Mapping[str, Any], values: Mapping[str, Any], outputs: Mapping[str, Any]
) -> tuple[Mapping[str, Any], dict[str, Any], dict[str, Any]]:
    """Nodes, inputs and outputs of a job that is one pipeline component."""
    if specification.get("type") != "pipeline":
        raise WireError(
            400, "The component of a pipeline job must be of type pipeline.", inner=("BadArgument", "ArgumentInvalid")
        )
    known = _ports(specification.get("inputs") or {})
    for name in values:
        if name not in known:
            message = f"The pipeline component has no input '{name}'. It has: {', '.join(known) or 'none'}."
            raise WireError(400, message, inner=("BadArgument", "ArgumentInvalid"))
    declared = _defaults(specification.get("inputs") or {})
    produced = {
        key: common.job_output(Body({"jobOutputType": item.get("type", "uri_folder")}))
        for key, item in (specification.get("outputs") or {}).items()
    }
    return specification.get("jobs") or {}, {**declared, **values}, {**produced, **outputs}


def _defaults(declared: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults of a pipeline component's inputs; those of a group under their names in it."""
    found: dict[str, Any] = {}
    for name, item in declared.items():
        if isinstance(item, Mapping) and item.get("type") == "group":
            found |= {f"{name}.{inner}": value for inner, value in _defaults(item.get("values") or {}).items()}
        else:
            found[name] = item.get("default") if isinstance(item, Mapping) else item
    return found


def _ports(declared: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The inputs of a pipeline component; those of a group under their names in it."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, item in declared.items():
        if isinstance(item, Mapping) and item.get("type") == "group":
            found |= {f"{name}.{inner}": value for inner, value in _ports(item.get("values") or {}).items()}
        else:
            found[name] = item if isinstance(item, Mapping) else {"default": item}
    return found


def _port(item: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"type": str(item.get("type", "string")).lower()}
    if "optional" in item:
        found["optional"] = _flag(item["optional"])
    for key in ("default", "enum", "description"):
        if item.get(key) is not None:
            found[key] = item[key]
    for key in ("min", "max"):
        if item.get(key) is not None:
            found[key] = float(item[key])
    return found


def _flag(value: object) -> bool:
    return value if isinstance(value, bool) else str(value).lower() == "true"


def _typed(value: Any) -> Any:
    """The text of a literal as a number or boolean where it reads like one."""
    if not isinstance(value, str):
        return value
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _seconds(text: str, limits: Body) -> float:
    try:
        return duration_seconds(text) or float(text)
    except ValueError:
        raise limits.wrong("timeout", f"the value {text!r} is no duration.") from None


def _distribution(node: Body, specification: Mapping[str, Any], setting: Callable[[Any], Any]) -> Body | None:
    """The launch that node or component asks for, with the control plane's names and the values of expressions."""
    found = node.value.get("distribution") or specification.get("distribution")
    if not isinstance(found, Mapping):
        return None
    instances = setting((node.value.get("resources") or {}).get("instance_count", 1))
    if str(instances).isdigit() and int(instances) > 1:
        raise common.not_here(f"{node.place} asks for {instances} instances: this machine is one")
    count = setting(found.get("process_count_per_instance"))
    sent: dict[str, Any] = {"distributionType": found.get("distribution_type") or found.get("type")}
    if count is not None:
        sent["processCountPerInstance"] = int(count) if str(count).isdigit() else count
    return Body(sent, f"{node.place}.distribution")
