"""What an endpoint's own document says of its input columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_TYPES = ("integer", "number", "boolean", "string")
_ROW_KEYS = ("input_data", "Inputs", "data")
_DEPTH = 12


def column_types(document: Mapping[str, Any]) -> dict[str, str]:
    """The type of each input column (integer, number, boolean, string or datetime) that an OpenAPI 3 or Swagger 2 document
    names; nothing where it does not describe rows by column name."""
    for schema in _requests(document):
        for row in _rows(schema, document, _DEPTH):
            found = {name: kind for name, each in row.items() if (kind := _type(each, document, _DEPTH)) is not None}
            if found:
                return found
    return {}


def _requests(document: Mapping[str, Any]) -> Iterator[Any]:
    """The schemas of what `/score` takes."""
    paths = document.get("paths")
    for path, operations in paths.items() if isinstance(paths, dict) else ():
        post = operations.get("post") if isinstance(operations, dict) and str(path).endswith("/score") else None
        if not isinstance(post, dict):
            continue
        content = _resolved(post.get("requestBody"), document).get("content")
        for media in content.values() if isinstance(content, dict) else ():
            yield media.get("schema") if isinstance(media, dict) else None
        for parameter in post.get("parameters") or ():
            if isinstance(parameter, dict) and parameter.get("in") == "body":
                yield parameter.get("schema")


def _rows(schema: Any, document: Mapping[str, Any], depth: int) -> Iterator[Mapping[str, Any]]:
    """The properties of every schema of one row below `schema`: what stands in a list."""
    schema = _resolved(schema, document)
    if depth <= 0 or not schema:
        return
    for kind in ("anyOf", "oneOf", "allOf"):
        for each in schema.get(kind) or ():
            yield from _rows(each, document, depth - 1)
    properties = schema.get("properties")
    for name in _ROW_KEYS if isinstance(properties, dict) else ():
        if name in properties:
            yield from _rows(properties[name], document, depth - 1)
    items = _resolved(schema.get("items"), document)
    for each in (items, *(_resolved(one, document) for one in items.get("anyOf") or items.get("oneOf") or ())):
        if isinstance(each.get("properties"), dict):
            yield each["properties"]


def _type(schema: Any, document: Mapping[str, Any], depth: int) -> str | None:
    schema = _resolved(schema, document)
    if depth <= 0:
        return None
    if schema.get("format") in ("date-time", "date"):
        return "datetime"
    kinds = schema.get("type")
    # The column's own type comes first; the others are what the server also takes.
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if kind in _TYPES:
            return str(kind)
    for name in ("anyOf", "oneOf", "allOf"):
        for each in schema.get(name) or ():
            found = _type(each, document, depth - 1)
            if found is not None:
                return found
    return None


def _resolved(schema: Any, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """`schema`, or what its reference names; an empty one for anything else."""
    for _ in range(_DEPTH):
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        if not isinstance(reference, str) or not reference.startswith("#/"):
            break
        schema = document
        for part in reference[2:].split("/"):
            schema = schema.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(schema, dict) else None
    return schema if isinstance(schema, dict) else {}
