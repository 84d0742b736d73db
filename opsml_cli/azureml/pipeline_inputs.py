"""Inputs of pipelines as people write them, as Azure takes them: literals, registered data, outputs of jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opsml_cli.domain import names
from opsml_cli.domain.errors import InvalidInputError, UsageError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.domain.pipeline import PipelineInput

if TYPE_CHECKING:
    from opsml_cli.azureml.data import AzureData

LITERALS = ("string", "integer", "number", "boolean")
_WORDS = {
    "uri_file": "UriFile",
    "uri_folder": "UriFolder",
    "mltable": "MLTable",
    "mlflow_model": "MLFlowModel",
    "custom_model": "CustomModel",
    "triton_model": "TritonModel",
}
_PLACE = "azureml:NAME:VERSION"


class PipelineInputs:
    """Of one workspace, whose `data` says what a name without version means now. InvalidInputError names the input."""

    def __init__(self, data: Callable[[], AzureData]) -> None:
        self._data = data

    def of_call(self, declared: Sequence[PipelineInput], given: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """`inputData` of a call of the batch endpoint. Registered data that an input stands for by default is filled in."""
        known = {item.name: item for item in declared}
        values = {name: self._sent(_declared(known, name), text) for name, text in given.items()}
        for item in declared:
            if item.name in values:
                continue
            if item.default is not None and item.type not in LITERALS:
                values[item.name] = self._sent(item, str(item.default))
            elif item.default is None and not item.optional:
                what = "VALUE" if item.type in LITERALS else _PLACE
                raise InvalidInputError(f"the input {item.name} is required", fix=f"give it: --set {item.name}={what}")
        return values

    def of_job(self, declared: Sequence[PipelineInput], given: Mapping[str, str]) -> dict[str, Any]:
        """What is given, as a job's YAML has it."""
        known = {item.name: item for item in declared}
        found: dict[str, Any] = {}
        for name, text in given.items():
            item = _declared(known, name)
            found[name] = literal(item, text) if item.type in LITERALS else {"type": item.type, "path": self.asset(item, text)}
        return found

    def example(self, declared: Sequence[PipelineInput]) -> dict[str, dict[str, Any]]:
        """`inputData` to fill in: defaults, and placeholders where there are none."""
        found: dict[str, dict[str, Any]] = {}
        for item in declared:
            if item.type in LITERALS:
                value = item.default if item.default is not None else f"<{item.name}>"
                found[item.name] = {"jobInputType": "Literal", "value": value}
            elif item.default is not None or not item.optional:
                found[item.name] = {"jobInputType": _WORDS.get(item.type, "UriFolder"), "uri": str(item.default or _PLACE)}
        return found

    def _sent(self, item: PipelineInput, text: str) -> dict[str, Any]:
        if item.type in LITERALS:
            return {"jobInputType": "Literal", "value": literal(item, text)}
        return {"jobInputType": _WORDS.get(item.type, "UriFolder"), "uri": self.asset(item, text)}

    def asset(self, item: PipelineInput, text: str) -> str:
        """Registered data or a job's output, the version fixed now; never a path or URL."""
        if text.startswith("azureml://jobs/"):
            return text
        try:
            ref = names.parse_ref(text.removeprefix("azureml:"))
        except UsageError as error:
            raise InvalidInputError(
                f"the input {item.name} is {text[:200]!r}: no registered asset and no output of a job",
                fix=f"register it first: opsml data register NAME SOURCE, then --set {item.name}={_PLACE}",
            ) from error
        asset = self._data().get(ref)
        return f"azureml:{asset.name}:{asset.version}"


def _declared(declared: Mapping[str, PipelineInput], name: str) -> PipelineInput:
    item = declared.get(name)
    if item is None:
        raise InvalidInputError(
            f"the pipeline has no input {name!r}",
            cause=did_you_mean(name, tuple(declared)) or "it has no inputs at all",
        )
    return item


def literal(item: PipelineInput, text: str) -> object:
    """The text as a value of the input's type."""
    try:
        if item.type == "integer":
            return int(text)
        if item.type == "number":
            return float(text)
        if item.type == "boolean":
            return {"true": True, "false": False}[text.strip().lower()]
    except (ValueError, KeyError):
        raise InvalidInputError(f"the input {item.name}: {text!r} is no {item.type}") from None
    return text
