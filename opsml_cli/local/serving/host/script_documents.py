"""What a script says of its bodies: by @input_schema and @output_schema of inference-schema, or in files of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opsml_cli.domain.errors import ContractError

_FILES = {"2": ("swagger.json", "swagger2.json"), "3": ("swagger3.json",)}
_VERSIONS = {"2": {"2", "2.0"}, "3": {"3", "3.0", "3.1"}}
_ERROR = {"type": "object", "properties": {"message": {"type": "string"}}}


def is_decorated(run: Callable[..., Any]) -> bool:
    """Whether `run` has @input_schema or @output_schema: only when the script has imported their package."""
    if "inference_schema.schema_util" not in sys.modules:
        return False
    from inference_schema.schema_util import is_schema_decorated

    return bool(is_schema_decorated(run))


def documents(code: Path, run: Callable[..., Any]) -> dict[str, Any]:
    """OpenAPI documents by version, "2" and "3", of the files beside the code or of the decorators. Nothing for a script that
    says nothing."""
    found = {}
    for version, names in _FILES.items():
        own = next((document for name in names if (document := _file(code / name)) is not None), None)
        if own is not None:
            found[version] = own
        elif is_decorated(run):
            from inference_schema.schema_util import get_input_schema, get_output_schema, get_supported_versions

            if _VERSIONS[version] & set(get_supported_versions(run)):
                make = _swagger2 if version == "2" else _openapi3
                found[version] = make(get_input_schema(run), get_output_schema(run))
    return found


def _file(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise ContractError(
            f"{path.name} in the code folder is no JSON: {error}; Azure's server does not start with it"
        ) from None


_INFO = {
    "title": "Scoring script",
    "version": "1.0",
    "description": "What the script's decorators say that it takes and gives.",
}
_KEY = {"type": "apiKey", "name": "Authorization", "in": "header", "description": "For example: Bearer abc123"}


def _swagger2(given: Any, result: Any) -> dict[str, Any]:
    failed = {"description": "The script failed.", "schema": {"$ref": "#/definitions/ErrorResponse"}}
    good = {"description": "What the script gives.", "schema": {"$ref": "#/definitions/ServiceOutput"}}
    score = {
        "operationId": "RunMLService",
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "security": [{"Bearer": []}],
        "parameters": [
            {"name": "serviceInputPayload", "in": "body", "required": True, "schema": {"$ref": "#/definitions/ServiceInput"}}
        ],
        "responses": {"200": good, "default": failed},
    }
    return {
        "swagger": "2.0",
        "info": _INFO,
        "schemes": ["http"],
        "securityDefinitions": {"Bearer": _KEY},
        "paths": {"/score": {"post": score}},
        "definitions": {"ServiceInput": given, "ServiceOutput": result, "ErrorResponse": _ERROR},
    }


def _openapi3(given: Any, result: Any) -> dict[str, Any]:
    def content(name: str) -> dict[str, Any]:
        return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}

    score = {
        "operationId": "RunMLService",
        "security": [{"Bearer": []}],
        "requestBody": {"required": True, "content": content("ServiceInput")},
        "responses": {
            "200": {"description": "What the script gives.", "content": content("ServiceOutput")},
            "default": {"description": "The script failed.", "content": content("ErrorResponse")},
        },
    }
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "paths": {"/score": {"post": score}},
        "components": {
            "schemas": {"ServiceInput": given, "ServiceOutput": result, "ErrorResponse": _ERROR},
            "securitySchemes": {"Bearer": _KEY},
        },
    }
