"""Reading the steps of a pipeline: command steps (written out, or by a component) and AutoML steps."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from opsml_cli.domain.fields import FieldError, Fields, Where, did_you_mean, dotted
from opsml_cli.domain.names import AssetRef
from opsml_cli.local.pipelines import ports
from opsml_cli.local.pipelines.bindings import BindingError, Template, has_binding, parse
from opsml_cli.local.pipelines.definition import (
    LITERAL_TYPES,
    PATH_TYPES,
    AutoMLWork,
    CommandWork,
    Local,
    Output,
    Port,
    StepDefinition,
    StepInput,
)
from opsml_cli.local.pipelines.sources import Sources, local_key

# Known to Azure's schema, and of no effect on this machine.
_WITHOUT_EFFECT = ("environment", "compute", "resources", "distribution", "services", "identity", "queue_settings")
_LABELS = ("$schema", "display_name", "description", "tags", "properties", "comment", "version", "experiment_name", "id")
_OTHER_TYPES = ("sweep", "parallel", "spark", "pipeline", "import", "data_transfer", "if_else", "do_while", "parallel_for")
_TABLES = ("training_data", "validation_data", "test_data")


@dataclass(frozen=True, slots=True)
class _Component:
    """What a component file, or the step itself, says of the work."""

    command: Template
    code: Local | None
    ports: Mapping[str, Port]
    outputs: Mapping[str, Output]
    deterministic: bool
    environment: Mapping[str, Template]


class StepReader:
    """Reads the `jobs:` of one pipeline. Errors are FieldErrors of the pipeline's document,
    or finished errors of a component file."""

    def __init__(self, sources: Sources, outputs: Mapping[str, Output]) -> None:
        self._sources = sources
        self._outputs = outputs
        self.notes: list[str] = []

    def read(self, name: str, job: Fields) -> StepDefinition:
        kind = job.text("type") or ("command" if "command" in job or "component" in job else None)
        if kind == "command":
            return self._command(name, job)
        if kind == "automl":
            return self._automl(name, job)
        if kind is None:
            raise FieldError(job.where, f"the step {name} has no type", "expected `type: command` or `type: automl`")
        cause = (
            "a local workspace runs command and automl steps"
            if kind in _OTHER_TYPES
            else did_you_mean(kind, ("command", "automl"))
        )
        raise FieldError((*job.where, "type"), f"the step type {kind!r} is not supported", cause)

    def _command(self, name: str, job: Fields) -> StepDefinition:
        self._without_effect(job, name)
        component = job.raw("component")
        if component is None:
            part = self._inline(job)
        elif "command" in job or "code" in job:
            key = "command" if "command" in job else "code"
            raise FieldError((*job.where, key), f"a step with a component has no {key} of its own", "keep one of them")
        elif isinstance(component, str):
            part = self._component_file(component, (*job.where, "component"), name)
        else:
            part = self._component(Fields(component, (*job.where, "component")), "", name)
        environment = {**part.environment, **self._environment(job)}
        given = self._given(job, part.ports if component is not None else None)
        outputs = ports.read_step_outputs(job.section("outputs"), part.outputs, self._outputs)
        limits = job.section("limits")
        timeout = None
        if limits is not None:
            timeout = limits.number("timeout")
            if timeout is not None and timeout <= 0:
                raise limits.problem("timeout", "seconds, more than zero")
            limits.done()
        deterministic = part.deterministic and job.flag("is_deterministic") is not False
        job.text("name")
        job.done(("command", "code"))
        work = CommandWork(part.command, part.code, environment, deterministic, timeout)
        return StepDefinition(name, work, given, part.ports, outputs)

    def _inline(self, job: Fields) -> _Component:
        text = job.text("command")
        if text is None or not text.strip():
            raise FieldError(job.where, f"the step {job.where[-1]} has neither command nor component")
        return _Component(self._template(text, (*job.where, "command")), self._code(job, ""), {}, {}, True, {})

    def _component_file(self, text: str, where: Where, step: str) -> _Component:
        key = None if text.startswith("azureml:") else local_key(text)
        if key is None:
            raise FieldError(
                where, f"{text!r} is no component file", "expected file:PATH, a path, or the component written out"
            )
        if self._sources.kind(key) != "file":
            raise FieldError(where, f"no component file {text!r}", "relative paths start from the pipeline's folder")
        document = self._sources.component(key)
        return document.read(lambda value: self._component(Fields(value), posixpath.dirname(key), step))

    def _component(self, fields: Fields, base: str, step: str) -> _Component:
        kind = fields.text("type")
        if kind not in (None, "command"):
            raise fields.problem("type", "command")
        fields.text("name")
        self._without_effect(fields, step)
        text = fields.text("command")
        if text is None or not text.strip():
            raise FieldError(fields.where, "the component has no command")
        if fields.raw("additional_includes"):
            raise FieldError(
                (*fields.where, "additional_includes"), "additional_includes is not supported", "put the files into `code`"
            )
        outputs_section = fields.section("outputs")
        outputs = {}
        if outputs_section is not None:
            for name in outputs_section.keys():  # noqa: SIM118
                ports.identifier(name, outputs_section, "an output")
                outputs[name] = ports.read_output(name, outputs_section.section(name), None)
        part = _Component(
            self._template(text, (*fields.where, "command")),
            self._code(fields, base),
            ports.read_ports(fields.section("inputs"), self._sources, base, literals=False),
            outputs,
            fields.flag("is_deterministic") is not False,
            self._environment(fields),
        )
        fields.done()
        return part

    def _code(self, fields: Fields, base: str) -> Local | None:
        text = fields.text("code")
        if text is None:
            return None
        where = (*fields.where, "code")
        key = None if text.startswith("azureml:") else local_key(text, base)
        if key is None:
            raise FieldError(where, f"{text!r} is no local folder", "expected a path from the folder of this YAML")
        if self._sources.kind(key) is None:
            raise FieldError(where, f"no folder {text!r}", "relative paths start from the folder of the YAML that holds them")
        return Local(key)

    def _environment(self, fields: Fields) -> dict[str, Template]:
        section = fields.section("environment_variables")
        if section is None:
            return {}
        result: dict[str, Template] = {}
        for name in section.keys():  # noqa: SIM118
            value = section.raw(name)
            text = str(value).lower() if isinstance(value, bool) else section.text(name) or ""
            if not name or "=" in name or "\0" in name + text:
                raise FieldError((*section.where, name), f"{name!r} is no name of an environment variable")
            result[name] = self._template(text, (*section.where, name))
        return result

    @staticmethod
    def _template(text: str, where: Where) -> Template:
        try:
            return parse(text)
        except BindingError as error:
            raise FieldError(where, error.message, error.cause) from error

    def _given(self, job: Fields, declared: Mapping[str, Port] | None) -> dict[str, StepInput]:
        """`declared` None: the step is its own declaration."""
        given: dict[str, StepInput] = {}
        section = Fields({}, job.where) if (found := job.section("inputs")) is None else found
        for name in section.keys():  # noqa: SIM118
            ports.identifier(name, section, "an input")
            port = None if declared is None else declared.get(name)
            where = (*section.where, name)
            if declared is not None and port is None:
                raise FieldError(where, f"the component has no input {name!r}", did_you_mean(name, tuple(declared)))
            given[name] = self._step_input(name, section.raw(name), where, port)
        for port in (declared or {}).values():
            if port.name in given:
                continue
            if port.default is not None:
                given[port.name] = _fixed_input(port.name, port.type, port.default)
            elif not port.optional:
                raise FieldError(
                    section.where, f"the input {port.name} of the component is not given", "add it to the step's `inputs`"
                )
        return given

    def _step_input(self, name: str, value: object, where: Where, port: Port | None) -> StepInput:
        if isinstance(value, Mapping):
            return self._mapped_input(name, Fields(value, where), port)
        if isinstance(value, str) and has_binding(value):
            return StepInput(name, port.type if port else "", template=self._template(value, where))
        if isinstance(value, str) and port is not None and port.type not in LITERAL_TYPES:
            found = ports.path_value(value, port.type, Fields({name: value}, where[:-1]), name, self._sources)
            return _fixed_input(name, port.type, found)
        if not isinstance(value, str | int | float):
            raise FieldError(
                where, f"the input {name} is {value!r}", "expected a value, an expression, or a mapping with `path`"
            )
        kind = port.type if port else ports.type_of_literal(value)
        return StepInput(name, kind, literal=self._literal(port or Port(name, kind), value, where))

    def _mapped_input(self, name: str, fields: Fields, port: Port | None) -> StepInput:
        declared, path, value = fields.text("type"), fields.text("path"), fields.raw("value")
        for unused in ("mode", "description", "datastore"):
            fields.text(unused)
        fields.done()
        kind = declared or (port.type if port else None)
        if path is not None and has_binding(path):
            return StepInput(name, kind or "", template=self._template(path, (*fields.where, "path")))
        if path is not None:
            kind = kind or "uri_folder"
            if kind not in PATH_TYPES:
                raise FieldError((*fields.where, "type"), f"the type {kind!r} has no path", did_you_mean(kind, PATH_TYPES))
            found = ports.path_value(path, kind, fields, "path", self._sources)
            return _fixed_input(name, kind, found)
        if isinstance(value, str) and has_binding(value):
            return StepInput(name, kind or "", template=self._template(value, (*fields.where, "value")))
        if not isinstance(value, str | int | float):
            raise FieldError(fields.where, f"the input {name} has neither path nor value")
        kind = kind or ports.type_of_literal(value)
        if kind not in LITERAL_TYPES:
            raise FieldError((*fields.where, "value"), f"an input of type {kind} has a path, not a value")
        return StepInput(name, kind, literal=self._literal(port or Port(name, kind), value, (*fields.where, "value")))

    @staticmethod
    def _literal(port: Port, value: object, where: Where) -> ports.Scalar:
        if port.type not in LITERAL_TYPES:
            raise FieldError(
                where, f"the input {port.name} is {value!r}", f"expected a path or an expression of type {port.type}"
            )
        try:
            return ports.literal(port, value)
        except ValueError as error:
            raise FieldError(where, str(error)) from error

    def _automl(self, name: str, job: Fields) -> StepDefinition:
        settings = {key: job.raw(key) for key in job.keys()}  # noqa: SIM118
        inputs: dict[str, StepInput] = {}
        for where, text in _texts(settings, job.where):
            if has_binding(text):
                place = dotted(where[len(job.where) :])
                inputs[place] = StepInput(place, "", template=self._template(text, where))
        outputs = ports.read_step_outputs(job.section("outputs"), {}, self._outputs)
        for output in outputs.values():
            if output.name != "best_model" or output.type not in ("mlflow_model", "uri_folder"):
                raise FieldError(
                    (*job.where, "outputs", output.name),
                    f"an AutoML step has no output {output.name} of type {output.type}",
                    "it has best_model: {type: mlflow_model}",
                )
        best = outputs.get("best_model")
        bound = None if best is None else best.bound
        register = None if best is None else best.register
        outputs = {"best_model": Output("best_model", "mlflow_model", register, None, bound)}
        return StepDefinition(name, AutoMLWork(settings, self._tables(settings, job.where)), inputs, {}, outputs)

    def _tables(self, settings: Mapping[str, object], where: Where) -> dict[str, Local]:
        """The local files and folders that hold an AutoML step's tables."""
        found: dict[str, Local] = {}
        for key in _TABLES:
            value = settings.get(key)
            text = value.get("path") if isinstance(value, Mapping) else value
            if not isinstance(text, str) or has_binding(text) or text.startswith("azureml:"):
                continue
            local = local_key(text)
            if local is not None:
                if self._sources.kind(local) is None:
                    place = (*where, key, "path") if isinstance(value, Mapping) else (*where, key)
                    raise FieldError(place, f"no file or folder {text!r}", "relative paths start from the pipeline's folder")
                found[text] = Local(local)
        return found

    def _without_effect(self, fields: Fields, step: str) -> None:
        for key in _LABELS:
            fields.raw(key)
        for key in _WITHOUT_EFFECT:
            if fields.raw(key) is not None and key != "compute":
                note = f"step {step}: {key} has no effect on this machine: steps run in opsml's own Python environment"
                if key != "environment":
                    note = f"step {step}: {key} has no effect on this machine"
                if note not in self.notes:
                    self.notes.append(note)


def _fixed_input(name: str, kind: str, value: ports.Scalar | AssetRef | Local) -> StepInput:
    if isinstance(value, Local):
        return StepInput(name, kind, local=value)
    if isinstance(value, AssetRef):
        return StepInput(name, kind, asset=value)
    return StepInput(name, kind, literal=value)


def _texts(value: object, where: Where) -> Iterator[tuple[Where, str]]:
    """Every text below `value`, with its place; outputs aside, which are bound the other way round."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key != "outputs":
                yield from _texts(item, (*where, str(key)))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _texts(item, (*where, position))
