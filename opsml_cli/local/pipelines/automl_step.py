"""An AutoML step's settings as an AutoMLSpec, its bindings replaced by what they stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from opsml_cli.domain.automl_yaml import Reading, read_automl
from opsml_cli.domain.fields import Where
from opsml_cli.domain.job import AutoMLSpec, TableSource
from opsml_cli.local.pipelines.bindings import Reference, Scope, has_binding, parse
from opsml_cli.local.pipelines.definition import AutoMLWork, PipelineDefinition, StepDefinition

Scalar = str | int | float | bool
_STAND_IN: Mapping[str, Scalar] = {"integer": 2, "number": 0.5, "boolean": True, "string": "value"}
_TABLES = ("training_data", "validation_data", "test_data")


def check_automl(definition: PipelineDefinition, step: StepDefinition) -> list[str]:
    """Read the settings with stand-ins for what is known only when the step runs. Notes on what has no effect here.

    Raises FieldError with the place in the pipeline's document."""

    def value(reference: Reference) -> Scalar | None:
        port = definition.inputs.get(reference.name) if reference.scope is Scope.PARENT_INPUT else None
        if port is None:
            return "value"
        return port.default if isinstance(port.default, str | int | float) else _STAND_IN.get(port.type, "value")

    work = step.work
    assert isinstance(work, AutoMLWork)
    settings = dict(work.settings)
    # A task that the run decides has no stand-in.
    if isinstance(settings.get("task"), str) and has_binding(str(settings["task"])):
        del settings["task"]
    tables = {text: TableSource(path=text) for text in _table_texts(settings)}
    reading = _read(settings, value, tables, ("jobs", step.name))
    return [f"step {step.name}: {name} has no effect on this machine" for name in reading.ignored]


def automl_spec(
    step: StepDefinition, value: Callable[[Reference], Scalar | None], tables: Mapping[str, TableSource], where: Where = ()
) -> AutoMLSpec:
    """The spec to train. `tables` by the text that names them: expressions and local paths."""
    work = step.work
    assert isinstance(work, AutoMLWork)
    return _read(work.settings, value, tables, where).spec


def _read(
    settings: Mapping[str, object],
    value: Callable[[Reference], Scalar | None],
    tables: Mapping[str, TableSource],
    where: Where,
) -> Reading:
    resolved = {key: item if key in (*_TABLES, "outputs") else _resolved(item, value) for key, item in settings.items()}
    return read_automl(resolved, Path(), where, tables)


def _table_texts(settings: Mapping[str, object]) -> list[str]:
    """The texts that name the step's tables, registered assets aside."""
    found = []
    for key in _TABLES:
        table = settings.get(key)
        text = table.get("path") if isinstance(table, Mapping) else table
        if isinstance(text, str) and not text.startswith("azureml:"):
            found.append(text)
    return found


def _resolved(item: object, value: Callable[[Reference], Scalar | None]) -> object:
    if isinstance(item, Mapping):
        return {key: _resolved(inner, value) for key, inner in item.items()}
    if isinstance(item, list):
        return [_resolved(inner, value) for inner in item]
    if not isinstance(item, str) or not has_binding(item):
        return item
    template = parse(item)
    if template.only is not None:
        return value(template.only)

    def text(reference: Reference) -> str | None:
        found = value(reference)
        return None if found is None else literal_text(found)

    return template.render(text)


def literal_text(value: Scalar) -> str:
    """A literal as it stands in a command: booleans are True and False, as Azure's SDK sends them and Azure passes them on."""
    return repr(value) if isinstance(value, float) else str(value)
