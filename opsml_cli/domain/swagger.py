"""The Swagger 2.0 document of a scoring server, for older clients; `openapi` makes the one of today."""

from __future__ import annotations

import json
from collections.abc import Sequence

from opsml_cli.domain.contract import METHODS, Column
from opsml_cli.domain.openapi import ALWAYS, JSON, MEANINGS, Document, Service, info, requests, required, training_range


def document(service: Service) -> Document:
    """Swagger 2.0, as Azure's own servers give by default. It cannot say 'one of': the AutoML v2 shape is described."""
    properties = {column.name: _property(column) for column in service.schema.columns}
    row = {"type": "object", "properties": properties, "required": required(service.schema)}
    result: Document = _result(service.classes)
    scored: dict[str, Document] = {"200": {"description": "Predictions", "schema": {"$ref": "#/definitions/Reply"}}}
    healthy: dict[str, Document] = {"200": {"description": "Healthy", "schema": {"type": "string"}}}
    answer: Document = {
        "swagger": "2.0",
        "info": info(service),
        "consumes": [JSON],
        "produces": [JSON],
        "schemes": ["http"],
        "securityDefinitions": {"Bearer": {"type": "apiKey", "name": "Authorization", "in": "header"}},
        "security": [{"Bearer": []}],
        "paths": {
            "/": {
                "get": {
                    "operationId": "health",
                    "produces": ["text/plain", JSON],
                    "responses": healthy | _refusals(),
                }
            },
            "/score": {
                "post": {
                    "operationId": "score",
                    "parameters": [
                        {"name": "request", "in": "body", "required": True, "schema": {"$ref": "#/definitions/Request"}},
                        {"name": "azureml-model-deployment", "in": "header", "type": "string", "required": False},
                    ],
                    "responses": scored | _refusals("404", "413", "415", "500", "504"),
                }
            },
        },
        "definitions": {
            "Row": row,
            "Request": {
                "type": "object",
                "required": ["Inputs"],
                "additionalProperties": False,
                "properties": {
                    "Inputs": {
                        "type": "object",
                        "required": ["data"],
                        "additionalProperties": False,
                        "properties": {"data": {"type": "array", "items": {"$ref": "#/definitions/Row"}}},
                    },
                    "GlobalParameters": {
                        "type": "object",
                        "properties": {"method": {"type": "string", "enum": list(METHODS), "default": "predict"}},
                    },
                },
                "example": requests(service.schema)["automl_v2"],
            },
            "Reply": {"type": "object", "properties": {"Results": {"type": "array", "items": result}}},
        },
    }
    if service.url:
        answer["host"] = service.url.partition("://")[2]
    return answer


def _property(column: Column) -> Document:
    answer: Document = {"x-nullable": True}
    if column.type == "datetime":
        answer |= {"type": "string", "format": "date-time"}
    else:
        answer["type"] = column.type
    if column.type == "integer":
        answer["format"] = "int64"
    if column.categories and column.type == "string":
        # Other values are taken too, which an enum would deny; Swagger 2.0 has no 'any of'.
        answer["description"] = f"Values seen in training: {json.dumps(list(column.categories))}; others follow the model"
    if column.example is not None:
        answer["example"] = column.example
    return answer | training_range(column)


def _result(classes: Sequence[object]) -> Document:
    if not classes:
        return {"type": "number", "format": "double"}
    # Swagger 2.0 has no 'one of': it is a label, or with predict_proba a list of numbers.
    words = json.dumps(list(classes))
    return {"description": f"The predicted class, one of {words}; predict_proba: the probability of each, in this order"}


def _refusals(*statuses: str) -> dict[str, Document]:
    return {status: {"description": MEANINGS[status]} for status in sorted({*statuses, *ALWAYS})}
