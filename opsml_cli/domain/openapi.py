"""The OpenAPI document of a scoring server, made from the model's columns; `swagger` makes Swagger 2.0.

The document promises exactly what `contract.read_call` accepts, so that a generated request is answered and its opposite
is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opsml_cli.domain.column_values import BOOLEANS, INTEGER_TEXT, NUMBER_TEXT, TEXT_LIMIT
from opsml_cli.domain.contract import METHODS, Column, Schema

JSON = "application/json"
Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class Service:
    """What is described. `classes` are the labels in the order of probabilities; empty for regression. `url` is the
    server's address without a path; `example_results` a reply to the schema's example row."""

    endpoint: str
    deployment: str
    model: str
    version: str
    schema: Schema
    classes: Sequence[object] = ()
    deployments: Sequence[str] = ()
    url: str = ""
    example_results: Sequence[object] = ()


def requests(schema: Schema) -> dict[str, object]:
    """A request in each dialect that the server answers, by dialect."""
    row = schema.example()
    return {
        "mlflow": {"input_data": {"columns": list(schema.names), "index": [0], "data": [[row[name] for name in schema.names]]}},
        "automl_v2": {"Inputs": {"data": [row]}, "GlobalParameters": {"method": "predict"}},
        "automl_v1": {"data": [row], "method": "predict"},
    }


def document(service: Service) -> Document:
    """OpenAPI 3.1."""
    examples = requests(service.schema)
    score: Document = {
        "operationId": "score",
        "summary": f"Score rows with {service.model}:{service.version}",
        "description": "Three request dialects, told apart by shape; each gets its own reply.",
        "parameters": [_deployment_parameter(service)],
        "requestBody": {
            "required": True,
            "content": {
                JSON: {
                    "schema": {"$ref": "#/components/schemas/Request"},
                    "examples": {name: {"value": value} for name, value in examples.items()},
                }
            },
        },
        "responses": {"200": _answer(service), **_refusals(("404", "413", "415", "500", "504"))},
    }
    answer: Document = {
        "openapi": "3.1.0",
        "info": info(service),
        "paths": {
            "/score": {"post": score},
            "/": {"get": _plain("health", "Whether the server lives", "text/plain", "Healthy")},
            "/swagger.json": {
                "get": {
                    **_plain("swagger", "This document", JSON, None, "404"),
                    "parameters": [
                        {
                            "name": "version",
                            "in": "query",
                            "schema": {"type": "string", "enum": ["2", "3"]},
                            "description": "Swagger 2.0 or OpenAPI 3",
                        }
                    ],
                }
            },
            "/metrics": {"get": _plain("metrics", "Prometheus metrics", "text/plain", None)},
        },
        "components": {"schemas": _schemas(service), "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{"key": []}],
    }
    if service.url:
        answer["servers"] = [{"url": service.url}]
    return answer


def info(service: Service) -> Document:
    return {
        "title": service.endpoint,
        "version": service.version,
        "description": f"Model {service.model}:{service.version}, deployment {service.deployment}.",
        "x-opsml": {
            "endpoint": service.endpoint,
            "deployment": service.deployment,
            "model": service.model,
            "classes": list(service.classes),
        },
    }


def _deployment_parameter(service: Service) -> Document:
    return {
        "name": "azureml-model-deployment",
        "in": "header",
        "required": False,
        "description": "Score with this deployment, whatever the traffic.",
        "schema": {"type": "string", "enum": list(service.deployments) or [service.deployment]},
    }


def _schemas(service: Service) -> Document:
    schema = service.schema
    listed: Document = {
        "type": "array",
        "description": "Values in the order of the columns.",
        "prefixItems": [_property(column) for column in schema.columns],
        "items": {},
        "minItems": len(schema.columns),
        "maxItems": len(schema.columns),
    }
    records: Document = {
        "type": "array",
        "items": {"anyOf": [{"$ref": "#/components/schemas/Row"}, {"$ref": "#/components/schemas/ListRow"}]},
    }
    method = {"type": "string", "enum": list(METHODS)}
    return {
        "Row": {
            "type": "object",
            "description": "One row by column name. Further columns are ignored, with a warning header.",
            "properties": {column.name: _property(column) for column in schema.columns},
            "required": required(schema),
            "example": schema.example(),
        },
        "ListRow": listed,
        "MLflow": {
            "type": "object",
            "title": "MLflow",
            "required": ["input_data"],
            "additionalProperties": False,
            "properties": {
                "input_data": {
                    "anyOf": [
                        {
                            "type": "object",
                            "required": ["columns", "data"],
                            "additionalProperties": False,
                            "properties": {
                                "columns": _names(schema),
                                "index": {"type": "array", "items": {}, "description": "It means nothing to the model."},
                                "data": {"type": "array", "items": {"$ref": "#/components/schemas/ListRow"}},
                            },
                        },
                        records,
                    ]
                },
                "params": {"type": ["object", "null"], "properties": {"method": method}},
            },
        },
        "AutoMLv2": {
            "type": "object",
            "title": "AutoML scoring v2",
            "required": ["Inputs"],
            "additionalProperties": False,
            "properties": {
                "Inputs": {
                    "type": "object",
                    "required": ["data"],
                    "additionalProperties": False,
                    "properties": {"data": records},
                },
                "GlobalParameters": {"type": ["object", "number", "null"], "properties": {"method": method}},
            },
        },
        "AutoMLv1": {
            "type": "object",
            "title": "AutoML scoring v1",
            "required": ["data"],
            "additionalProperties": False,
            "properties": {"data": records, "method": method},
        },
        "Request": {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("MLflow", "AutoMLv2", "AutoMLv1")]},
        "Result": _result(service.classes),
        "Error": {"type": ["object", "string"]},
    }


def _names(schema: Schema) -> Document:
    """The columns' names in their order. No `const` with a list: generators of clients know none."""
    return {
        "type": "array",
        "prefixItems": [{"type": "string", "const": name} for name in schema.names],
        "items": {"type": "string"},
        "minItems": len(schema.names),
        "maxItems": len(schema.names),
        "example": list(schema.names),
    }


def _result(classes: Sequence[object]) -> Document:
    if not classes:
        return {"type": "number", "description": "The predicted value"}
    return {
        "anyOf": [
            {"enum": list(classes), "description": "The predicted class"},
            {
                "type": "array",
                "description": "predict_proba: the probability of each class, in the order of " + json.dumps(list(classes)),
                "items": {"type": "number", "minimum": 0, "maximum": 1},
                "minItems": len(classes),
                "maxItems": len(classes),
            },
        ]
    }


def _property(column: Column) -> Document:
    """What the contract accepts in this column: the type, null for a missing value, and numbers written as text."""
    answer: Document = {}
    if column.type in ("integer", "number"):
        answer["type"] = [column.type, "string", "null"]
        if column.type == "integer":
            answer["format"] = "int64"
        answer["pattern"] = INTEGER_TEXT if column.type == "integer" else NUMBER_TEXT
        answer["maxLength"] = TEXT_LIMIT
    elif column.type == "boolean":
        words = "|".join(
            "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else re.escape(c) for c in word) for word in BOOLEANS
        )
        text = {"type": "string", "pattern": rf"^\s*({words})?\s*$", "maxLength": TEXT_LIMIT}
        answer["anyOf"] = [{"type": ["boolean", "null"]}, {"enum": [0, 1]}, text]
    elif column.type == "datetime":
        answer["type"] = ["string", "null"]
        answer["format"] = "date-time"
    else:
        answer["type"] = ["string", "number", "null"]
        if column.categories:
            known: Document = {"enum": list(column.categories), "description": "Values seen in training"}
            answer = {"anyOf": [known, {**answer, "description": "Other values follow the model"}]}
    if column.missing and column.type != "string":
        words = "|".join(re.sub(r"([\\^$.*+?()\[\]{}|/])", r"\\\1", word) for word in column.missing)
        answer = {"anyOf": [answer, {"type": "string", "pattern": rf"^\s*({words})\s*$", "description": "No value"}]}
    answer.update(training_range(column))
    if column.example is not None:
        answer["examples"] = [column.example]
    return answer


def training_range(column: Column) -> Document:
    """The training range: a fact about the data, not a limit of the contract."""
    if column.minimum is None or column.maximum is None:
        return {}
    return {"x-training-range": [column.minimum, column.maximum]}


def required(schema: Schema) -> list[str]:
    return [column.name for column in schema.columns if column.required]


def _answer(service: Service) -> Document:
    results = list(service.example_results)
    shapes = {
        "mlflow": results,
        "automl_v2": {"Results": results},
        "automl_v1": json.dumps({"result": results}),
    }
    item = {"$ref": "#/components/schemas/Result"}
    content: Document = {
        "schema": {
            "anyOf": [
                {"type": "array", "items": item},
                {"type": "object", "required": ["Results"], "properties": {"Results": {"type": "array", "items": item}}},
                {"type": "string", "contentMediaType": JSON, "description": 'JSON text: {"result": [...]}'},
            ]
        }
    }
    if results:
        content["examples"] = {name: {"value": value} for name, value in shapes.items()}
    return {
        "description": "One result a row, in the shape of the request's dialect",
        "headers": {"azureml-model-deployment": {"description": "The deployment that answered", "schema": {"type": "string"}}},
        "content": {JSON: content},
    }


MEANINGS: Mapping[str, str] = {
    "400": "The request is wrong: the reply names column, row, value and what was expected",
    "401": "No key, or a wrong one",
    "403": "A page of another site asked",
    "404": "No such deployment or path",
    "408": "The request did not arrive in time",
    "413": "The body is too large",
    "415": "The body is no JSON",
    "421": "Another Host was meant",
    "429": "Too many requests or connections at once; try again",
    "431": "The head of the request is too large",
    "500": "The model failed",
    "504": "The model did not answer in time",
}
ALWAYS = ("400", "401", "403", "408", "421", "429", "431")  # of any path: no sound request, no key, a page of another site


def _refusals(statuses: Sequence[str]) -> Document:
    schema = {"$ref": "#/components/schemas/Error"}
    return {
        status: {"description": MEANINGS[status], "content": {JSON: {"schema": schema}}}
        for status in sorted({*statuses, *ALWAYS})
    }


def _plain(operation: str, summary: str, media: str, example: str | None, *refusals: str) -> Document:
    content: Document = {"schema": {"type": "object" if media == JSON else "string"}}
    if example:
        content["example"] = example
    return {
        "operationId": operation,
        "summary": summary,
        "responses": {"200": {"description": summary, "content": {media: content}}, **_refusals(refusals)},
    }
