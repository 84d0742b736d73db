"""Bodies that trigger a pipeline, as Azure defines them: a batch endpoint's, and a v1 published pipeline's.

What they may hold is less than there: registered assets, outputs of jobs, and literals. Paths and URLs are refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.domain.fields import FieldError, Fields, dotted
from opsml_cli.domain.pipeline import PipelineInput

JOB_INPUT_TYPES = {
    "uri_file": "UriFile",
    "uri_folder": "UriFolder",
    "mltable": "MLTable",
    "mlflow_model": "MLFlowModel",
    "custom_model": "CustomModel",
    "triton_model": "TritonModel",
}
_URI_TYPES = tuple(JOB_INPUT_TYPES.values())


@dataclass(frozen=True, slots=True)
class Trigger:
    """What a request asks for: inputs by name as literals or as `azureml:` references, the references' types as Azure writes
    them, and how the run is called."""

    inputs: Mapping[str, object]
    experiment: str | None
    kinds: Mapping[str, str] = field(default_factory=dict)
    display_name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def read_trigger(body: object) -> Trigger:
    """Read either body; InvalidInputError names the field."""
    try:
        fields = Fields(body)
        return _batch(fields) if "properties" in fields else _published(fields)
    except FieldError as error:
        raise InvalidInputError(error.message, cause=error.cause) from error


def check_kinds(trigger: Trigger, declared: Sequence[PipelineInput]) -> None:
    """InvalidInputError for an input whose type in the request is not the pipeline's."""
    for item in declared:
        given = trigger.kinds.get(item.name)
        wanted = JOB_INPUT_TYPES.get(item.type, "Literal")
        if given is not None and given != wanted:
            raise InvalidInputError(
                f"the input {item.name} is of type {item.type}, and the request says {given}",
                fix=f'send "JobInputType": "{wanted}" for {item.name}',
            )


def _batch(fields: Fields) -> Trigger:
    properties = fields.section("properties")
    assert properties is not None
    data = properties.section("InputData")
    inputs: dict[str, object] = {}
    kinds: dict[str, str] = {}
    for name in () if data is None else data.keys():
        assert data is not None
        item = data.section(name)
        if item is None:
            continue
        kind = item.text("JobInputType") or item.text("jobInputType")
        value = item.raw("Value") if "Value" in item else item.raw("value")
        uri = item.text("Uri") or item.text("uri")
        if kind in _URI_TYPES:
            inputs[name], kinds[name] = _reference(uri, (*item.where, "Uri")), str(kind)
        elif kind in ("Literal", "literal"):
            inputs[name] = _scalar(value, (*item.where, "Value"))
        else:
            raise item.problem("JobInputType", f"Literal or one of {', '.join(_URI_TYPES)}")
        for unused in ("description", "Description", "mode", "Mode"):
            item.raw(unused)
        item.done()
    if properties.raw("OutputData"):
        raise FieldError(("properties", "OutputData"), "the place of outputs cannot be chosen", "leave OutputData out")
    experiment = properties.text("ExperimentName") or properties.text("experimentName")
    display_name = properties.text("DisplayName") or properties.text("displayName")
    tags = {**properties.texts("tags"), **properties.texts("Tags")}
    for unused in ("Description", "description"):
        properties.raw(unused)
    properties.done()
    fields.done()
    return Trigger(inputs, experiment, kinds, display_name, tags)


def _published(fields: Fields) -> Trigger:
    """The body of a pipeline that was published with the v1 SDK."""
    inputs: dict[str, object] = {}
    parameters = fields.section("ParameterAssignments")
    for name in () if parameters is None else parameters.keys():
        assert parameters is not None
        inputs[name] = _scalar(parameters.raw(name), (*parameters.where, name))
    paths = fields.section("DataPathAssignments")
    for name in () if paths is None else paths.keys():
        assert paths is not None
        value, where = paths.raw(name), (*paths.where, name)
        if not isinstance(value, str):
            raise FieldError(
                where, f"{dotted(where)} is a path in a datastore", "give a registered asset: azureml:NAME:VERSION"
            )
        inputs[name] = _reference(value, where)
    experiment = fields.text("ExperimentName")
    display_name, tags = fields.text("DisplayName"), fields.texts("Tags")
    for unused in ("Description", "RunSource"):
        fields.raw(unused)
    fields.done()
    return Trigger(inputs, experiment, {}, display_name, tags)


def _reference(text: object, where: tuple[str | int, ...]) -> str:
    if not isinstance(text, str) or not text.startswith("azureml:") or text.startswith("azureml://datastores"):
        raise FieldError(
            where,
            f"{dotted(where)} is no registered asset and no output of a job",
            "expected azureml:NAME:VERSION, azureml:NAME@latest or azureml://jobs/RUN/outputs/NAME; never a path or URL",
        )
    return text


def _scalar(value: object, where: tuple[str | int, ...]) -> object:
    if not isinstance(value, str | int | float):
        raise FieldError(where, f"{dotted(where)} is no text, number or boolean")
    return value
