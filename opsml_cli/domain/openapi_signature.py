"""The OpenAPI documents of a model that is described by an MLflow signature: any types, tensors, params, any result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from opsml_cli.domain import openapi, swagger
from opsml_cli.domain.mlflow_signature import Signature, input_schemas, params_schema, reply_schema
from opsml_cli.domain.openapi import JSON, Document, Service


def document(service: Service, signature: Signature, example: object, reply: object) -> Document:
    """OpenAPI 3.1. `example` is a request in MLflow's dialect that is answered with `reply`; None when none is known."""
    answer: Any = openapi.document(service)
    score = answer["paths"]["/score"]["post"]
    examples = requests(signature, example)
    content: Document = {"schema": {"$ref": "#/components/schemas/Request"}}
    if examples:
        content["examples"] = {name: {"value": value} for name, value in examples.items()}
    else:
        answer["info"]["x-opsml"]["example"] = None
    score["requestBody"]["content"][JSON] = content
    score["responses"]["200"]["content"][JSON] = _answers(examples, reply)
    answer["components"]["schemas"] = _schemas(signature, service.classes, reply)
    return answer  # type: ignore[no-any-return]


def requests(signature: Signature, example: object) -> dict[str, object]:
    """The example in each dialect."""
    if not isinstance(example, Mapping) or "input_data" not in example:
        return {}
    rows = _rows(signature, example["input_data"])
    params = example.get("params")
    parameters = dict(params) if isinstance(params, Mapping) else {}
    v2: dict[str, object] = {"Inputs": {"data": rows}}
    if parameters:
        v2["GlobalParameters"] = parameters
    answer: dict[str, object] = {"mlflow": dict(example), "automl_v2": v2}
    if not parameters:
        answer["automl_v1"] = {"data": rows}  # this dialect has no place for params
    return answer


def _rows(signature: Signature, data: Any) -> Any:
    """What the AutoML dialects hold in place of `input_data`."""
    if signature.tensor or not isinstance(data, Mapping) or "data" not in data:
        return data
    rows, columns = data["data"], data.get("columns")
    if not isinstance(rows, list) or not columns:
        return rows
    return [dict(zip(columns, row, strict=False)) if isinstance(row, list) else row for row in rows]


def _answers(examples: Mapping[str, object], reply: object) -> Document:
    shapes = {"mlflow": reply, "automl_v2": {"Results": reply}, "automl_v1": json.dumps({"result": reply})}
    prediction = {"$ref": "#/components/schemas/Prediction"}
    content: Document = {
        "schema": {
            "anyOf": [
                prediction,
                {"type": "object", "required": ["Results"], "properties": {"Results": prediction}},
                {"type": "string", "contentMediaType": JSON, "description": 'JSON text: {"result": ...}'},
            ]
        }
    }
    if examples:
        content["examples"] = {name: {"value": shapes[name]} for name in examples}
    return content


def _schemas(signature: Signature, classes: Sequence[object], reply: object) -> Document:
    inputs = input_schemas(signature)
    data: Document = {"$ref": "#/components/schemas/InputData"}
    rows: Document = {"$ref": "#/components/schemas/Rows"}
    params = params_schema(signature, bool(classes))
    method = {"method": {"type": "string", "enum": ["predict", "predict_proba"] if classes else ["predict"]}}
    return {
        **inputs,
        "MLflow": _object("MLflow", {"input_data": data, "params": params}, ["input_data"]),
        "AutoMLv2": _object(
            "AutoML scoring v2",
            {"Inputs": _object(None, {"data": rows}, ["data"]), "GlobalParameters": params},
            ["Inputs"],
        ),
        "AutoMLv1": _object("AutoML scoring v1", {"data": rows, **method}, ["data"]),
        "Request": {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("MLflow", "AutoMLv2", "AutoMLv1")]},
        "Prediction": _prediction(signature, classes, reply),
        "Error": {"type": ["object", "string"]},
    }


def _object(title: str | None, properties: Document, required: list[str]) -> Document:
    named: Document = {} if title is None else {"title": title}
    return {"type": "object", **named, "required": required, "additionalProperties": False, "properties": properties}


def _prediction(signature: Signature, classes: Sequence[object], reply: object) -> Document:
    schema = reply_schema(signature, reply)
    if not classes:
        return schema
    told = "predict_proba: the probability of each class, in the order of " + json.dumps(list(classes))
    probabilities = {"type": "array", "items": {"type": "number"}, "minItems": len(classes), "maxItems": len(classes)}
    return {"anyOf": [schema, {"type": "array", "description": told, "items": probabilities}]}


# -- Swagger 2.0 ----------------------------------------------------------------------------------------------------------


def swagger2(service: Service, signature: Signature, example: object, reply: object) -> Document:
    """Swagger 2.0, of the AutoML v2 dialect: it cannot say 'one of'."""
    answer: Any = swagger.document(service)
    schemas: Any = _schemas(signature, (), reply)
    definitions: Document = {
        name: _older(schemas[name]) for name in ("Row", "ListRow", "Rows", "Prediction") if name in schemas
    }
    request: Document = {
        "type": "object",
        "required": ["Inputs"],
        "properties": {
            "Inputs": {"type": "object", "required": ["data"], "properties": {"data": {"$ref": "#/definitions/Rows"}}},
            "GlobalParameters": _older(params_schema(signature, bool(service.classes))),
        },
    }
    examples = requests(signature, example)
    if examples:
        request["example"] = examples["automl_v2"]
    reply_of = {"type": "object", "properties": {"Results": {"$ref": "#/definitions/Prediction"}}}
    answer["definitions"] = {**definitions, "Request": request, "Reply": reply_of}
    return answer  # type: ignore[no-any-return]


_DROPPED = ("prefixItems", "contentEncoding", "contentMediaType", "examples", "const", "title")


def _older(schema: Any) -> Any:
    """The schema in the words of Swagger 2.0, which has one type a value: the first of several."""
    if not isinstance(schema, Mapping):
        return schema
    variants = [variant for variant in schema.get("anyOf", ()) if variant != {"type": "null"}]
    if variants:
        rest = {name: value for name, value in schema.items() if name != "anyOf"}
        return _older({**variants[0], **rest})
    answer: Document = {}
    for name, value in schema.items():
        if name in _DROPPED or (name == "required" and not value):
            continue
        if name == "$ref":
            answer[name] = str(value).replace("#/components/schemas/", "#/definitions/")
        elif name == "type" and isinstance(value, list):
            kinds = [kind for kind in value if kind != "null"]
            answer["type"] = kinds[0]
            if len(kinds) < len(value):
                answer["x-nullable"] = True
        elif name == "properties":
            answer[name] = {key: _older(inner) for key, inner in value.items()}
        elif name in ("items", "additionalProperties"):
            answer[name] = _older(value)
        else:
            answer[name] = value
    if answer.get("type") == "array":
        answer.setdefault("items", {})
    if schema.get("examples"):
        answer["example"] = schema["examples"][0]
    return answer
