"""Whether a JSON value is what the SDK's own model of it says: no required member missing, none of a wrong type, none unknown.

The SDK's clients hand every answer to one function with the model that they expect. It is watched while a flow runs."""

from __future__ import annotations

import datetime as dt
import importlib
import inspect
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

RESTCLIENT = "azure.ai.ml._restclient"
CLIENTS = ("arm_ml_service", "runhistory", "workspace_dataplane", "dataset_dataplane", "model_dataplane")

# Members of Azure's recorded answers that the SDK's models do not know, by whose they are.
AZURE_SENDS_MORE = """
etag EnableSoftwareBillOfMaterials creationTime ipAllowlist linkedModelInventoryArmId changeableIsolationModes sasGetterUri
sdkTelemetryAppInsightsKey softDeleteEnabled

autoDeleteSetting intellectualProperty stage

maxNodes sweepConcurrentTrials sweepTrials fixedParameters searchSpace sweepSettings trainingMode pathOnCompute priority
locations maxInstanceCount secretsConfiguration

systemSettings currentAttemptId dataContainerId

privateNetworkConnection
"""
AZURE_DIFFERS = (
    rf"\.({'|'.join(AZURE_SENDS_MORE.split())}) is unknown to ",
    r"credentials\.secrets is missing",  # secrets come from listSecrets alone
)


@dataclass
class Spoken:
    """The answers that the SDK's clients read, with the model for each; and what did not fit."""

    answers: list[tuple[str, Any, Any]] = field(default_factory=list)

    def faults(self) -> list[str]:
        found = []
        for where, model, value in self.answers:
            found += [f"{where}: {fault}" for fault in compare(model, value)]
        return sorted({fault for fault in found if not any(re.search(each, fault) for each in AZURE_DIFFERS)})

    def models(self) -> set[str]:
        return {getattr(model, "__name__", str(model)) for _, model, _ in self.answers}


@contextmanager
def listening() -> Iterator[Spoken]:
    """Note every answer that the SDK's clients deserialise while the block runs."""
    spoken = Spoken()
    patches = []
    for client in CLIENTS:
        module = importlib.import_module(f"{RESTCLIENT}.{client}.operations._operations")
        original = module._deserialize

        def note(model: Any, value: Any, *rest: Any, _original: Any = original, _client: str = client, **options: Any) -> Any:
            spoken.answers.append((f"{_client}.{_shown(model)}", model, value))
            return _original(model, value, *rest, **options)

        patches.append(mock.patch.object(module, "_deserialize", note))
    for patch in patches:
        patch.start()
    try:
        yield spoken
    finally:
        for patch in patches:
            patch.stop()


def compare(model: Any, value: Any, path: str = "") -> Iterator[str]:
    """What of `value` does not fit `model` (a type annotation, resolved)."""
    origin, arguments = typing.get_origin(model), typing.get_args(model)
    if model in (Any, None) or isinstance(model, str):
        return
    if origin in (typing.Union, types.UnionType):
        options = [each for each in arguments if each is not type(None)]
        if value is None:
            if len(options) == len(arguments):
                yield f"{path} is null"
        elif all(list(compare(each, value, path)) for each in options):
            yield from compare(options[-1], value, path)
    elif origin is list:
        if not isinstance(value, list):
            yield f"{path} is no array"
        else:
            for item in value:
                yield from compare(arguments[0], item, f"{path}[]")
    elif origin is dict:
        if not isinstance(value, dict):
            yield f"{path} is no object"
        else:
            for item in value.values():
                yield from compare(arguments[1], item, f"{path}.*")
    elif isinstance(model, type) and hasattr(model, "_calculated"):
        yield from _model(model, value, path)
    elif (expected := _json_type(model)) and not (isinstance(value, expected) and not _is_flag(model, value)):
        yield f"{path} is no {_shown(model)}: {value!r}"


def _model(model: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path} is no object"
        return
    model = _subclass(model, value)
    model.__new__(model)  # the SDK finds out a model's members when it makes the first one
    hints = _hints(model)
    fields = {rest._rest_name: attribute for attribute, rest in model._attr_to_rest_field.items()}
    for name, attribute in fields.items():
        hint = hints.get(attribute, Any)
        if name in value:
            yield from compare(hint, value[name], f"{path}.{name}")
        elif type(None) not in typing.get_args(hint) and hint is not Any:
            yield f"{path}.{name} is missing"
    for name in value.keys() - fields.keys():
        yield f"{path}.{name} is unknown to {model.__name__}"


def _subclass(model: Any, value: Mapping[str, Any]) -> Any:
    """The model that the discriminators of `value` choose, as the SDK chooses it."""
    seen: list[str] = []
    while (discriminator := model._get_discriminator(seen)) is not None:
        seen.append(discriminator._rest_name)
        model = model.__mapping__.get(value.get(discriminator._rest_name), model)
    return model


def _hints(model: Any) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for each in reversed(model.__mro__):
        own = inspect.get_annotations(each)
        package, found_models, _ = each.__module__.rpartition(".models")
        if not own or not found_models or not package.startswith(RESTCLIENT):
            continue
        names = vars(sys.modules[each.__module__]) | {"_models": sys.modules[f"{package}.models"]}
        for name, text in own.items():
            found[name] = eval(text, dict(names)) if isinstance(text, str) else text  # the SDK's own annotations
            if isinstance(found[name], typing.ForwardRef | str) or typing.get_args(found[name]):
                found[name] = _resolved(found[name], names)
    return found


def _resolved(hint: Any, names: Mapping[str, Any]) -> Any:
    """Forward references inside a generic type, resolved."""
    holder = type("Holder", (), {"__annotations__": {"value": hint}})
    return typing.get_type_hints(holder, dict(names), dict(names))["value"]


def _json_type(model: Any) -> tuple[type, ...]:
    if not isinstance(model, type):
        return ()
    if issubclass(model, str | dt.datetime | dt.timedelta | bytes):
        return (str,)
    if issubclass(model, bool):
        return (bool,)
    if issubclass(model, int):
        return (int,)
    return (int, float) if issubclass(model, float) else ()


def _is_flag(model: Any, value: Any) -> bool:
    return isinstance(value, bool) and model is not bool


def _shown(model: Any) -> str:
    return getattr(model, "__name__", str(model))
