"""A pipeline as it was read from its YAML: inputs, outputs and steps, every name checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from opsml_cli.domain.names import AssetRef
from opsml_cli.local.pipelines.bindings import Template

LITERAL_TYPES = ("string", "integer", "number", "boolean")
DATA_TYPES = ("uri_file", "uri_folder", "mltable")
MODEL_TYPES = ("mlflow_model", "custom_model", "triton_model")
PATH_TYPES = (*DATA_TYPES, *MODEL_TYPES)
COMMAND_STEP = "command"  # the one step of a command job
FILE_TYPE = "uri_file"  # the one type whose path is a file and not a folder

# What else a port accepts, beside its own type.
_ACCEPTS: Mapping[str, frozenset[str]] = {
    "number": frozenset({"integer"}),
    "string": frozenset({"integer", "number", "boolean"}),
    "uri_folder": frozenset({"mltable", "mlflow_model", "custom_model", "triton_model"}),
    "mltable": frozenset({"uri_folder"}),
    "custom_model": frozenset({"uri_folder", "mlflow_model"}),
}


def accepts(port: str, value: str) -> bool:
    """Whether a value of type `value` may go where `port` is expected."""
    return port == value or value in _ACCEPTS.get(port, frozenset())


@dataclass(frozen=True, slots=True)
class Local:
    """A file or folder beside the YAML; `key` is its path as seen from the pipeline's folder, and its name in the snapshot."""

    key: str


@dataclass(frozen=True, slots=True)
class Port:
    """A declared input. `default` is a literal of the port's type, a registered asset, or a file or folder."""

    name: str
    type: str
    default: str | int | float | bool | AssetRef | Local | None = None
    optional: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """A declared output. `register` is the asset name under which it is registered; `bound` the pipeline output that a
    step's output fills."""

    name: str
    type: str
    register: str | None = None
    version: str | None = None
    bound: str | None = None


@dataclass(frozen=True, slots=True)
class StepInput:
    """What a step's input is given: exactly one of `literal`, `template`, `asset` and `local`."""

    name: str
    type: str
    literal: str | int | float | bool | None = None
    template: Template | None = None
    asset: AssetRef | None = None
    local: Local | None = None


@dataclass(frozen=True, slots=True)
class CommandWork:
    """Run `command` in a private copy of the folder `code`. `timeout` in seconds."""

    command: Template
    code: Local | None
    environment: Mapping[str, Template]
    deterministic: bool = True
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class AutoMLWork:
    """Train as `settings` says: Azure's AutoML YAML, bindings in it still unresolved. `locals` are the files and folders
    it names, by the text that names them."""

    settings: Mapping[str, object]
    locals: Mapping[str, Local] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepDefinition:
    """One step. `ports` are the inputs that the command may name; `inputs` what they are given; `needs` the steps whose
    outputs it reads."""

    name: str
    work: CommandWork | AutoMLWork
    inputs: Mapping[str, StepInput]
    ports: Mapping[str, Port]
    outputs: Mapping[str, Output]
    needs: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        return "command" if isinstance(self.work, CommandWork) else "automl"


@dataclass(frozen=True, slots=True)
class PipelineDefinition:
    """A whole pipeline; `steps` in an order in which every step comes after those it needs. `notes` are lines for the
    reader: settings that have no effect on this machine."""

    steps: tuple[StepDefinition, ...]
    inputs: Mapping[str, Port] = field(default_factory=dict)
    outputs: Mapping[str, Output] = field(default_factory=dict)
    display_name: str | None = None
    description: str | None = None
    experiment: str | None = None
    continue_on_failure: bool = False
    force_rerun: bool = False
    notes: tuple[str, ...] = ()

    def step(self, name: str) -> StepDefinition:
        return next(step for step in self.steps if step.name == name)

    def locals(self) -> Mapping[str, Local]:
        """Every file and folder that the pipeline needs, by the key of its snapshot."""
        found: dict[str, Local] = {}
        for port in self.inputs.values():
            if isinstance(port.default, Local):
                found[port.default.key] = port.default
        for step in self.steps:
            for given in step.inputs.values():
                if given.local is not None:
                    found[given.local.key] = given.local
            if isinstance(step.work, AutoMLWork):
                found.update((local.key, local) for local in step.work.locals.values())
            elif step.work.code is not None:
                found[step.work.code.key] = step.work.code
        return found

    def code(self) -> frozenset[str]:
        """The keys of code folders, which ignore files apply to."""
        works = [step.work for step in self.steps]
        return frozenset(work.code.key for work in works if isinstance(work, CommandWork) and work.code is not None)
