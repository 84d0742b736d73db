"""What holds of every OpenAPI document, of trained models and of those with an MLflow signature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import pytest

from opsml_cli.domain import openapi, openapi_signature, swagger
from opsml_cli.domain.contract import Column, Schema
from opsml_cli.domain.mlflow_signature import example_input, of_document

SERVICE = openapi.Service(
    "bank", "blue", "elders", "1", Schema([Column("age", "integer", example=1), Column("job", "string")]), ("no", "yes")
)


def tensor(shape: list[int], name: str | None = None) -> dict[str, Any]:
    named = {} if name is None else {"name": name}
    return {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": shape}, **named}


SIGNATURES: dict[str, dict[str, Any]] = {
    "named": {"inputs": [{"name": "age", "type": "long"}, {"name": "job", "type": "string", "required": False}]},
    "unnamed": {"inputs": [{"type": "long"}, {"type": "double"}]},
    "nested": {
        "inputs": [
            {"name": "tags", "type": "array", "items": {"type": "array", "items": {"type": "string"}}},
            {"name": "place", "type": "object", "properties": {"at": {"type": "double", "required": False}}},
            {"name": "counts", "type": "map", "values": {"type": "long"}},
        ]
    },
    "tensor": {"inputs": [tensor([-1, 2])]},
    "tensors": {"inputs": [tensor([-1, 2], "left"), tensor([-1], "right")]},
    "params": {"inputs": [{"type": "string"}], "params": [{"name": "stops", "type": "string", "shape": [-1]}]},
    "none": {},
}


def documents() -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "own-3", openapi.document(SERVICE)
    yield "own-2", swagger.document(SERVICE)
    for name, parts in SIGNATURES.items():
        signature = of_document(parts)
        given = None if not signature.inputs else {"input_data": example_input(signature)}
        for reply in (None, [1.0, None], [{"label": "x", "shares": [0.5]}], "text"):
            yield f"{name}-3-{reply}", openapi_signature.document(SERVICE, signature, given, reply)
            yield f"{name}-2-{reply}", openapi_signature.swagger2(SERVICE, signature, given, reply)


DOCUMENTS = dict(documents())


def arrays(value: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        kind = value.get("type")
        if kind == "array" or (isinstance(kind, list) and "array" in kind):
            yield value
        for name, item in value.items():
            if name not in ("example", "examples", "enum", "default", "required"):
                yield from arrays(item)
    elif isinstance(value, list):
        for item in value:
            yield from arrays(item)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_array_names_its_items(name: str) -> None:
    found = list(arrays(DOCUMENTS[name]))
    assert found or name.startswith("none")
    assert [each for each in found if "items" not in each] == []


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if "-3" in name])
def test_every_example_fits_its_schema(name: str) -> None:
    document = DOCUMENTS[name]
    content = document["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"]
    for example in content.get("examples", {}).values():
        jsonschema.Draft202012Validator({**content["schema"], "components": document["components"]}).validate(example["value"])


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if "-3" in name])
def test_a_parameter_has_a_type(name: str) -> None:
    """Generated requests tell text from numbers by it; in a query both are the same."""
    parameters = [
        parameter
        for path in DOCUMENTS[name]["paths"].values()
        for operation in path.values()
        for parameter in operation.get("parameters", [])
    ]
    assert {parameter["name"] for parameter in parameters} == {"version", "azureml-model-deployment"}
    assert all(parameter["schema"]["type"] == "string" for parameter in parameters)
