"""The signature of an MLflow model, read without MLflow: which input it takes, as JSON Schemas and as an example.

A signature is columns (`{"type": "long", "name": "a", "required": true}`), nested types among them, or tensors; named or not.
What the schemas allow is what MLflow's scoring takes: a document made of them promises nothing that is refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opsml_cli.domain.column_values import TEXT_LIMIT
from opsml_cli.domain.contract import Column

JsonSchema = dict[str, Any]

KINDS: Mapping[str, str] = {
    "long": "integer",
    "integer": "integer",
    "double": "number",
    "float": "number",
    "boolean": "boolean",
    "datetime": "datetime",
    "string": "string",
}
_TIME = "A date or time as ISO 8601 text without a time zone, all of a column in one format"
_BASE64 = r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\n?$"
INT32 = 1 << 31
INT64 = 1 << 63
FLOAT32 = 3.4028234663852886e38
_INTEGER_TEXT = r"^[+-]?[0-9]{1,9}$"
_FLOAT_TEXT = r"^[+-]?[0-9]{1,20}(\.[0-9]{1,20})?$"


class SignatureError(ValueError):
    """The signature cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column or tensor. `spec` is its entry in the signature; `name` is None where only the place counts."""

    name: str | None
    spec: Mapping[str, Any]
    required: bool = True

    @property
    def type(self) -> str:
        return str(self.spec.get("type"))


@dataclass(frozen=True, slots=True)
class Signature:
    """`inputs` is empty for a model without a signature, which takes whatever its code takes."""

    inputs: tuple[Field, ...] = ()
    outputs: tuple[Field, ...] = ()
    params: tuple[Mapping[str, Any], ...] = ()

    @property
    def tensor(self) -> bool:
        return bool(self.inputs) and self.inputs[0].type == "tensor"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs; empty when they have none."""
        return tuple(field.name for field in self.inputs if field.name is not None)

    @property
    def plain(self) -> bool:
        """A table of named columns, each of numbers, texts, booleans or times."""
        return bool(self.inputs) and all(field.name is not None and field.type in KINDS for field in self.inputs)

    def columns(self) -> tuple[Column, ...]:
        """The columns of a plain table; none otherwise."""
        if not self.plain:
            return ()
        return tuple(
            Column(str(field.name), KINDS[field.type], example=example(field.spec), required=field.required)
            for field in self.inputs
        )

    def document(self) -> dict[str, Any]:
        """As JSON values, which `of_document` reads back."""
        answer: dict[str, Any] = {"inputs": [dict(field.spec) for field in self.inputs]}
        answer["outputs"] = [dict(field.spec) for field in self.outputs]
        answer["params"] = [dict(param) for param in self.params]
        return answer


def read(description: Mapping[str, Any]) -> Signature:
    """The signature in a parsed MLmodel file; SignatureError when it is broken."""
    signature = description.get("signature") or {}
    if not isinstance(signature, Mapping):
        raise SignatureError("the model's signature is no mapping")
    parts: dict[str, Any] = {}
    for name in ("inputs", "outputs", "params"):
        given = signature.get(name)
        try:
            parts[name] = json.loads(given) if isinstance(given, str) else given or []
        except ValueError as error:
            raise SignatureError(f"the model's signature is no JSON: {name}: {error}") from error
    return of_document(parts)


def of_document(parts: Mapping[str, Any]) -> Signature:
    return Signature(
        _fields(parts.get("inputs"), "inputs"), _fields(parts.get("outputs"), "outputs"), _params(parts.get("params"))
    )


def _fields(entries: object, where: str) -> tuple[Field, ...]:
    if entries is None:
        return ()
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and "type" in entry for entry in entries):
        raise SignatureError(f"the {where} of the model's signature are no list of types")
    found = []
    for entry in entries:
        name = entry.get("name")
        required = entry.get("required", not entry.get("optional", False))
        found.append(Field(None if name is None else str(name), entry, bool(required)))
    return tuple(found)


def _params(entries: object) -> tuple[Mapping[str, Any], ...]:
    if entries is None:
        return ()
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and "name" in entry for entry in entries):
        raise SignatureError("the params of the model's signature are no list of named types")
    return tuple(entries)


def example(spec: Mapping[str, Any]) -> Any:
    """A value of the type."""
    kind = spec.get("type")
    if kind == "array":
        return [example(spec.get("items") or {})]
    if kind == "object":
        return {name: example(entry) for name, entry in (spec.get("properties") or {}).items()}
    if kind == "map":
        return {"key": example(spec.get("values") or {})}
    if kind == "tensor":
        tensor = spec.get("tensor-spec") or {}
        value: Any = _SCALARS.get(_letter(str(tensor.get("dtype"))), 0.0)
        for size in reversed(list(tensor.get("shape") or [-1])):
            value = [value] * (1 if size == -1 else int(size))
        return value
    return _EXAMPLES.get(str(kind), "text")


_EXAMPLES: Mapping[str, Any] = {
    "integer": 1,
    "long": 1,
    "float": 1.0,
    "double": 1.0,
    "boolean": True,
    "datetime": "2026-01-28T00:00:00",
    "string": "text",
    "binary": "dGV4dA==\n",
}
_SCALARS: Mapping[str, Any] = {"i": 1, "u": 1, "f": 1.0, "b": True, "s": "text", "o": "text", "d": "2026-01-31T00:00:00"}


def _letter(dtype: str) -> str:
    return dtype.lstrip("<>|=")[:1].lower()


def example_input(signature: Signature) -> Any:
    """An `input_data` of the signature's types; None when there is no signature."""
    if not signature.inputs:
        return None
    if signature.tensor:
        if signature.names:
            return {str(field.name): example(field.spec) for field in signature.inputs}
        return example(signature.inputs[0].spec)
    data = [[example(field.spec) for field in signature.inputs]]
    return {"columns": list(signature.names), "index": [0], "data": data} if signature.names else {"index": [0], "data": data}


# -- as JSON Schema -------------------------------------------------------------------------------------------------------


def input_schemas(signature: Signature) -> dict[str, JsonSchema]:
    """Schemas by name for the components of a document: `InputData`, what goes into `input_data`; `Rows`, what the AutoML
    dialects hold; and what these refer to."""
    if not signature.inputs:
        return {"InputData": {"description": "The model has no signature: it takes what its code takes."}, "Rows": _list({})}
    if signature.tensor:
        return _tensor_schemas(signature)
    cells = [cell(field.spec, field.required) for field in signature.inputs]
    # Generators of clients want `items` of every array, also where the number of items leaves nothing for it.
    listed: JsonSchema = {"type": "array", "prefixItems": cells, "items": {}, "minItems": len(cells), "maxItems": len(cells)}
    listed["description"] = "Values in the order of the columns."
    index: JsonSchema = {"type": "array", "items": {}, "description": "The rows' labels: one a row"}
    if not signature.names:
        table = {"type": "object", "required": ["data"], "additionalProperties": False}
        table["properties"] = {"index": index, "data": _list({"$ref": "#/components/schemas/ListRow"})}
        rows = _list({"$ref": "#/components/schemas/ListRow"})
        return {"InputData": {"anyOf": [table, rows]}, "Rows": rows, "ListRow": listed}
    names = list(signature.names)
    row: JsonSchema = {
        "type": "object",
        "description": "One row by column name. Further columns are ignored, with a warning header.",
        "properties": dict(zip(names, cells, strict=True)),
        "required": [str(field.name) for field in signature.inputs if field.required],
    }
    # An array of exactly these names, in a form that client generators understand.
    split: JsonSchema = {
        "type": "object",
        "required": ["columns", "data"],
        "additionalProperties": False,
        "properties": {
            "columns": {
                "type": "array",
                "prefixItems": [{"type": "string", "enum": [name]} for name in names],
                "items": {"type": "string"},
                "minItems": len(names),
                "maxItems": len(names),
            },
            "index": index,
            "data": _list({"$ref": "#/components/schemas/ListRow"}),
        },
    }
    rows = _list({"$ref": "#/components/schemas/Row"})
    return {"InputData": {"anyOf": [split, rows]}, "Rows": rows, "Row": row, "ListRow": listed}


def _tensor_schemas(signature: Signature) -> dict[str, JsonSchema]:
    if not signature.names:
        tensor = cell(signature.inputs[0].spec)
        return {"InputData": tensor, "Rows": tensor}
    properties = {str(field.name): cell(field.spec) for field in signature.inputs}
    named: JsonSchema = {
        "type": "object",
        "description": "Tensors by name",
        "properties": properties,
        "required": list(properties),
    }
    named["additionalProperties"] = False
    single = {str(field.name): _without_batch(field.spec) for field in signature.inputs}
    # Further names are made arrays too, and refused where their values form none.
    rows = _list({"type": "object", "properties": single, "required": list(single), "additionalProperties": False})
    return {"InputData": named, "Rows": {"anyOf": [rows, named]}}


def _without_batch(spec: Mapping[str, Any]) -> JsonSchema:
    tensor = dict(spec.get("tensor-spec") or {})
    tensor["shape"] = list(tensor.get("shape") or [-1])[1:]
    return cell({**spec, "tensor-spec": tensor})


def _list(items: JsonSchema) -> JsonSchema:
    return {"type": "array", "minItems": 1, "items": items}


def cell(spec: Mapping[str, Any], required: bool = True) -> JsonSchema:
    """What one value of the type may be."""
    kind = str(spec.get("type"))
    if kind == "tensor":
        tensor = spec.get("tensor-spec") or {}
        answer: JsonSchema = dict(_TENSOR_CELLS.get(_letter(str(tensor.get("dtype"))), {}))
        for size in reversed(list(tensor.get("shape") or [])):
            bounds = {"minItems": 1} if size == -1 else {"minItems": int(size), "maxItems": int(size)}
            answer = {"type": "array", "items": answer, **bounds}
        return answer
    if kind in _CELLS:
        return {**_CELLS[kind], "examples": [_EXAMPLES[kind]]}
    if kind == "any" or kind not in ("array", "object", "map"):
        return {"description": "Any value"}
    answer = _nested(spec)
    return answer if required else {"anyOf": [answer, {"type": "null"}]}


def _nested(spec: Mapping[str, Any]) -> JsonSchema:
    kind = spec.get("type")
    if kind == "array":
        return {"type": "array", "items": _inner(spec.get("items") or {}), "minItems": 1}
    if kind == "object":
        properties = spec.get("properties") or {}
        needed = [name for name, entry in properties.items() if entry.get("required", True)]
        inner = {name: _inner(entry) for name, entry in properties.items()}
        return {"type": "object", "properties": inner, "required": needed, "additionalProperties": False}
    return {"type": "object", "additionalProperties": _inner(spec.get("values") or {})}


def _inner(spec: Mapping[str, Any]) -> JsonSchema:
    """Inside arrays, objects and maps MLflow converts nothing that could lose something: no text for numbers, no null."""
    kind = str(spec.get("type"))
    if kind in _INNER:
        return dict(_INNER[kind])
    return _nested(spec) if kind in ("array", "object", "map") else {"description": "Any value"}


_INTEGER: JsonSchema = {"type": "integer", "minimum": -(1 << 53), "maximum": 1 << 53}
_CELLS: Mapping[str, JsonSchema] = {
    "long": {"anyOf": [_INTEGER, {"type": "string", "pattern": _INTEGER_TEXT}]},
    "integer": {
        "anyOf": [{"type": "integer", "minimum": -INT32, "maximum": INT32 - 1}, {"type": "string", "pattern": _INTEGER_TEXT}]
    },
    "double": {"anyOf": [{"type": ["number", "null"]}, {"type": "string", "pattern": _FLOAT_TEXT, "maxLength": TEXT_LIMIT}]},
    "float": {
        "anyOf": [
            {"type": "number", "minimum": -FLOAT32, "maximum": FLOAT32},
            {"type": "null"},
            {"type": "string", "pattern": _FLOAT_TEXT, "maxLength": TEXT_LIMIT},
        ]
    },
    "boolean": {"anyOf": [{"type": "boolean"}, {"enum": [0, 1]}]},
    "string": {"type": ["string", "null"]},
    "datetime": {"type": ["string", "null"], "description": _TIME},
    "binary": {"type": "string", "contentEncoding": "base64", "pattern": _BASE64},
}
_INNER: Mapping[str, JsonSchema] = {
    "long": _INTEGER,
    "integer": {"type": "integer", "minimum": -INT32, "maximum": INT32 - 1},
    "double": {"type": "number", "description": "With a decimal point: 1.0, not 1"},
    "float": {"type": "number", "description": "With a decimal point: 1.0, not 1"},
    "boolean": {"type": "boolean"},
    "string": {"type": "string"},
    "datetime": {"type": "string", "description": _TIME},
    "binary": {"type": "string"},
}
_TENSOR_CELLS: Mapping[str, JsonSchema] = {
    "i": {"type": "integer", "minimum": 0, "maximum": 127},
    "u": {"type": "integer", "minimum": 0, "maximum": 255},
    "f": {"type": "number"},
    "b": {"type": "boolean"},
    "s": {"type": "string"},
}


def params_schema(signature: Signature, proba: bool) -> JsonSchema:
    """What `params` may hold. `proba`: the server's own `method` is understood."""
    properties: dict[str, JsonSchema] = {}
    for param in signature.params:
        inner = _inner(param)
        inner.pop("description", None)
        if param.get("shape"):
            inner = {"type": "array", "items": inner}
        default = param.get("default")
        if default is not None and not (isinstance(default, float) and not math.isfinite(default)):
            inner["default"] = default
        properties[str(param["name"])] = inner
    if proba and "method" not in properties:
        properties["method"] = {"type": "string", "enum": ["predict", "predict_proba"]}
    return {"type": ["object", "null"], "properties": properties}


# -- results --------------------------------------------------------------------------------------------------------------


def reply_schema(signature: Signature, reply: object = None) -> JsonSchema:
    """What a prediction is answered with. An observed reply says more than a declared output, which MLflow never checks."""
    if reply is not None:
        return _observed(reply)
    if not signature.outputs:
        return {"description": "What the model's code returns"}
    if signature.outputs[0].type == "tensor":
        return _widened(cell(signature.outputs[0].spec)) if len(signature.outputs) == 1 else {}
    return {"description": "The model's outputs: " + ", ".join(_told(field) for field in signature.outputs)}


def _told(field: Field) -> str:
    return f"{field.name}: {field.type}" if field.name is not None else field.type


def _widened(schema: JsonSchema) -> JsonSchema:
    if "items" in schema:
        return {"type": "array", "items": _widened(schema["items"])}
    return {"type": ["number", "string", "boolean", "null"]}


def _observed(value: object) -> JsonSchema:
    """Values like this one. Numbers may be missing (NaN is null in JSON), and lists have any length."""
    if isinstance(value, Mapping):
        return {"type": "object", "properties": {str(name): _observed(item) for name, item in value.items()}}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return {"type": "array", "items": _joined([_observed(item) for item in value[:100]])}
    if isinstance(value, bool):
        return {"type": ["boolean", "null"]}
    if isinstance(value, int | float):
        return {"type": ["number", "null"]}
    return {"type": ["string", "null"]} if isinstance(value, str) else {}


def _joined(schemas: Iterable[JsonSchema]) -> JsonSchema:
    distinct: list[JsonSchema] = []
    for schema in schemas:
        if schema == {}:
            return {}
        if schema not in distinct:
            distinct.append(schema)
    if len(distinct) == 1:
        return distinct[0]
    return {"anyOf": distinct} if distinct and len(distinct) <= 8 else {}
