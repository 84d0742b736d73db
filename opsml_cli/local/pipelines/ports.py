"""Reading the inputs and outputs of a pipeline, component or step."""

from __future__ import annotations

import math
from collections.abc import Mapping

from opsml_cli.domain import names
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.fields import FieldError, Fields, did_you_mean
from opsml_cli.domain.names import AssetRef
from opsml_cli.local.pipelines.definition import LITERAL_TYPES, PATH_TYPES, Local, Output, Port
from opsml_cli.local.pipelines.sources import Sources, local_key

Scalar = str | int | float | bool
_TYPES = (*LITERAL_TYPES, *PATH_TYPES)
_EXPECTED = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
}


def identifier(name: str, section: Fields, what: str) -> str:
    """`name` when bindings can name it."""
    try:
        return names.step_name(name, f"name of {what}")
    except UsageError as error:
        raise FieldError((*section.where, name), error.message, error.cause) from error


def type_of_literal(value: Scalar) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "integer" if isinstance(value, int) else "number" if isinstance(value, float) else "string"


def literal(port: Port, value: object) -> Scalar:
    """`value` (text, or already a number or boolean) as the port's type and within its limits; ValueError otherwise."""
    parsed = _parse(port.type, value)
    if isinstance(parsed, float) and not math.isfinite(parsed):
        raise ValueError(f"{port.name} must be a finite number")
    if not isinstance(parsed, str | bool):
        if port.minimum is not None and parsed < port.minimum:
            raise ValueError(f"{port.name} is {parsed}, and must not be less than {port.minimum:g}")
        if port.maximum is not None and parsed > port.maximum:
            raise ValueError(f"{port.name} is {parsed}, and must not be more than {port.maximum:g}")
    if port.choices and str(parsed) not in port.choices:
        raise ValueError(f"{port.name} is {str(parsed)!r}, and must be one of: {', '.join(port.choices)}")
    if isinstance(parsed, str) and "\0" in parsed:
        raise ValueError(f"{port.name} holds a NUL character")
    return parsed


def _parse(kind: str, value: object) -> Scalar:
    wrong = ValueError(f"{value!r} is not {_EXPECTED[kind]}")
    if not isinstance(value, str | int | float):
        raise wrong
    if kind == "string":
        return str(value).lower() if isinstance(value, bool) else str(value)
    if kind == "boolean":
        words = {"true": True, "false": False}
        word = str(value).lower()
        if word not in words:
            raise wrong
        return words[word]
    if isinstance(value, bool) or (isinstance(value, str) and len(value) > 400):
        raise wrong
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise wrong from None
    if kind == "number":
        return number
    if not math.isfinite(number) or number != int(number):
        raise wrong
    # Digits as they are, beyond what a float can hold.
    return int(value) if not isinstance(value, str) or value.strip().lstrip("+-").isdigit() else int(number)


def asset_ref(text: str, section: Fields, key: str) -> AssetRef:
    """`azureml:name:version` or `azureml:name@latest`."""
    try:
        return names.parse_ref(text)
    except UsageError as error:
        raise FieldError((*section.where, key), error.message, error.cause) from error


def path_value(text: str, kind: str, section: Fields, key: str, sources: Sources, *, base: str = "") -> AssetRef | Local:
    """A `path:`: a registered asset, or a file or folder beside the YAML that holds it."""
    where = (*section.where, key)
    if text.startswith("azureml:") and not text.startswith("azureml://"):
        return asset_ref(text, section, key)
    found = local_key(text, base)
    if found is None:
        raise FieldError(
            where, f"{text!r} is no local path", "register it first: opsml data register NAME SOURCE, then azureml:NAME:1"
        )
    there = sources.kind(found)
    if there is None:
        raise FieldError(
            where, f"no file or folder {text!r}", "relative paths start from the folder of the YAML that holds them"
        )
    wanted = "file" if kind == "uri_file" else "folder"
    if there != wanted:
        raise FieldError(where, f"{text!r} is a {there}; the type {kind} wants a {wanted}")
    return Local(found)


def read_ports(section: Fields | None, sources: Sources, base: str, *, literals: bool) -> dict[str, Port]:
    """The inputs that a pipeline (`literals`: bare values are allowed and become defaults) or component declares."""
    if section is None:
        return {}
    ports: dict[str, Port] = {}
    for name in section.keys():  # noqa: SIM118 - Fields is no mapping
        identifier(name, section, "an input")
        value = section.raw(name)
        if isinstance(value, str | int | float) and literals:
            _no_binding(value, section, name)
            ports[name] = Port(name, type_of_literal(value), default=value)
        else:
            ports[name] = _port(name, Fields(value, (*section.where, name)), sources, base)
    return ports


def _no_binding(value: object, section: Fields, name: str) -> None:
    if isinstance(value, str) and "${{" in value:
        raise FieldError((*section.where, name), "a pipeline's input cannot hold an expression", "give it a value, or a type")


def _port(name: str, fields: Fields, sources: Sources, base: str) -> Port:
    kind, path, value = fields.text("type"), fields.text("path"), fields.raw("value")
    default = fields.raw("default")
    default = value if default is None else default
    minimum, maximum = fields.number("min"), fields.number("max")
    choices, optional = fields.words("enum"), fields.flag("optional") or False
    description = fields.text("description")
    for unused in ("mode", "datastore"):
        fields.text(unused)
    fields.done()
    if kind is None:
        if isinstance(default, str | int | float):
            kind = type_of_literal(default)
        elif path is not None:
            kind = "uri_folder"
        else:
            raise FieldError(fields.where, f"the input {name} has no type")
    kind = "uri_folder" if kind == "path" else kind
    if kind not in _TYPES:
        raise FieldError((*fields.where, "type"), f"the type {kind!r} is not known", did_you_mean(kind, _TYPES))
    port = Port(name, kind, None, optional, minimum, maximum, choices, description)
    given: Scalar | AssetRef | Local | None = None
    if kind in LITERAL_TYPES:
        if path is not None:
            raise FieldError((*fields.where, "path"), f"an input of type {kind} has no path", "give its value with `default:`")
        if default is not None:
            key = "default" if "default" in fields else "value"
            try:
                given = literal(port, default)
            except ValueError as error:
                raise FieldError((*fields.where, key), str(error)) from error
    elif path is not None or isinstance(default, str):
        text = path if path is not None else str(default)
        given = path_value(text, kind, fields, "path" if path is not None else "default", sources, base=base)
    return Port(name, kind, given, optional, minimum, maximum, choices, description)


def read_output(name: str, fields: Fields | None, kind: str | None) -> Output:
    """A declared output; `kind` is its type when the YAML says none."""
    if fields is None:
        return Output(name, kind or "uri_folder")
    declared = fields.text("type")
    if declared is not None and declared not in PATH_TYPES and declared != "path":
        raise FieldError(
            (*fields.where, "type"), f"the output type {declared!r} is not supported", did_you_mean(declared, PATH_TYPES)
        )
    register, version = fields.text("name"), fields.text("version")
    if fields.text("path") is not None:
        raise FieldError((*fields.where, "path"), "the place of an output is the workspace's own business", "leave `path` out")
    for unused in ("mode", "description"):
        fields.text(unused)
    fields.done()
    try:
        if register is not None:
            names.asset_name(register)
        if version is not None:
            names.version(version)
    except UsageError as error:
        raise FieldError((*fields.where, "name"), error.message, error.cause) from error
    declared = "uri_folder" if declared == "path" else declared
    return Output(name, declared or kind or "uri_folder", register, version)


def parent_output(text: str) -> str | None:
    """The name in `${{parent.outputs.NAME}}` when that is the whole text."""
    from opsml_cli.local.pipelines.bindings import BindingError, Scope, parse

    try:
        reference = parse(text).only
    except BindingError:
        return None
    return reference.name if reference is not None and reference.scope is Scope.PARENT_OUTPUT else None


def read_step_outputs(
    section: Fields | None, declared: Mapping[str, Output], parents: Mapping[str, Output]
) -> dict[str, Output]:
    """A step's outputs: those its component declares, with what the step says of them. `parents`: the pipeline's."""
    outputs = dict(declared)
    if section is None:
        return outputs
    for name in section.keys():  # noqa: SIM118
        identifier(name, section, "an output")
        base = declared.get(name)
        if declared and base is None:
            raise FieldError(
                (*section.where, name), f"the component has no output {name!r}", did_you_mean(name, tuple(declared))
            )
        value, where = section.raw(name), (*section.where, name)
        bound: str | None = None
        fields: Fields | None = None
        if isinstance(value, Mapping):
            fields = Fields(value, where)
            path = value.get("path")
            if isinstance(path, str) and parent_output(path) is not None:
                bound = parent_output(path)
                fields = Fields({key: item for key, item in value.items() if key != "path"}, where)
        elif isinstance(value, str):
            bound = parent_output(value)
            if bound is None:
                raise FieldError(where, f"{value!r} is no output", "expected ${{parent.outputs.NAME}} or a mapping with `type`")
        elif value is not None:
            raise FieldError(where, f"{value!r} is no output", "expected ${{parent.outputs.NAME}} or a mapping with `type`")
        if bound is not None and bound not in parents:
            raise FieldError(where, f"the pipeline has no output {bound!r}", did_you_mean(bound, tuple(parents)))
        kind = base.type if base else parents[bound].type if bound else None
        output = read_output(name, fields, kind)
        if base is not None and output.type != base.type:
            raise FieldError(where, f"the component's output {name} has the type {base.type}, not {output.type}")
        outputs[name] = Output(name, output.type, output.register, output.version, bound)
    return outputs
