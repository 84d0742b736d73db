"""Azure ML's pipeline YAML (`type: pipeline`) as a PipelineDefinition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from opsml_cli.documents import Document
from opsml_cli.domain import names
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.fields import FieldError, Fields
from opsml_cli.local.pipelines.automl_step import check_automl
from opsml_cli.local.pipelines.definition import AutoMLWork, Output, PipelineDefinition, StepDefinition
from opsml_cli.local.pipelines.graph import Graph
from opsml_cli.local.pipelines.ports import identifier, read_output, read_ports
from opsml_cli.local.pipelines.sources import Sources
from opsml_cli.local.pipelines.step_reading import StepReader

MAX_STEPS = 200
_LABELS = ("$schema", "name", "version", "tags", "properties", "id", "comment")
_WITHOUT_EFFECT = ("compute", "identity", "services")
_SETTINGS_WITHOUT_EFFECT = ("default_compute", "default_datastore", "on_init", "on_finalize")


def read_pipeline(document: Document, sources: Sources) -> PipelineDefinition:
    """Read and check the whole pipeline. InvalidInputError names file, line and field."""
    return document.read(lambda value: _read(Fields(value), sources))


def _read(fields: Fields, sources: Sources) -> PipelineDefinition:
    kind = fields.text("type")
    if kind != "pipeline":
        if kind is None:
            raise FieldError((), "`type: pipeline` is missing", "a pipeline YAML starts with it")
        raise fields.problem("type", "pipeline")
    notes: list[str] = []
    for key in _LABELS:
        fields.raw(key)
    notes += [f"{key} has no effect on this machine" for key in _WITHOUT_EFFECT if fields.raw(key) is not None]
    experiment = fields.text("experiment_name")
    if experiment is not None:
        try:
            names.asset_name(experiment, "experiment name")
        except UsageError as error:
            raise FieldError(("experiment_name",), error.message, error.cause) from error
    inputs = read_ports(fields.section("inputs"), sources, "", literals=True)
    outputs = _outputs(fields.section("outputs"))
    reader = StepReader(sources, outputs)
    steps = _steps(fields, reader)
    continue_on_failure, force_rerun = _settings(fields.section("settings"), notes)
    display_name, description = fields.text("display_name"), fields.text("description")
    if fields.raw("component") is not None:
        raise FieldError(("component",), "a pipeline component is not supported here", "write its steps under `jobs:`")
    fields.done()
    resolved = Graph(steps, inputs, outputs, ("jobs",)).resolved()
    definition = PipelineDefinition(
        resolved,
        inputs,
        outputs,
        display_name,
        description,
        experiment,
        continue_on_failure,
        force_rerun,
    )
    notes += reader.notes
    written = {output.bound for step in resolved for output in step.outputs.values()}
    notes += [f"outputs.{name} stays empty: no step writes it" for name in outputs if name not in written]
    for step in resolved:
        if isinstance(step.work, AutoMLWork):
            notes += check_automl(definition, step)
    return replace(definition, notes=tuple(notes))


def _outputs(section: Fields | None) -> dict[str, Output]:
    if section is None:
        return {}
    return {
        identifier(name, section, "an output"): read_output(name, section.section(name), None)
        for name in section.keys()  # noqa: SIM118
    }


def _steps(fields: Fields, reader: StepReader) -> Mapping[str, StepDefinition]:
    section = fields.section("jobs")
    if section is None or not section.keys():
        raise FieldError((), "the pipeline has no steps", "write them under `jobs:`")
    if len(section.keys()) > MAX_STEPS:
        raise FieldError(section.where, f"the pipeline has more than {MAX_STEPS} steps")
    steps: dict[str, StepDefinition] = {}
    seen: dict[str, str] = {}
    for name in section.keys():  # noqa: SIM118
        identifier(name, section, "a step")
        key = names.key(name)
        if key in seen:
            raise FieldError((*section.where, name), f"the steps {seen[key]} and {name} differ in case only")
        seen[key] = name
        steps[name] = reader.read(name, Fields(section.raw(name), (*section.where, name)))
    return steps


def _settings(section: Fields | None, notes: list[str]) -> tuple[bool, bool]:
    if section is None:
        return False, False
    continue_on_failure, force = section.flag("continue_on_step_failure"), section.flag("force_rerun")
    without = [key for key in _SETTINGS_WITHOUT_EFFECT if section.raw(key) is not None]
    notes.extend(f"settings.{key} has no effect on this machine" for key in without)
    section.done()
    return bool(continue_on_failure), bool(force)
