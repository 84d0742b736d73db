"""Request bodies in the dialect that an endpoint speaks, and the results in its replies."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from opsml_cli.domain.contract import Dialect
from opsml_cli.domain.errors import ContractError, InvalidInputError
from opsml_cli.domain.scoring import not_by_row

CHUNK_BYTES = 2**20  # of one request's body: Azure takes 1.5 MiB, a local server 10


def dialect_of(document: Mapping[str, Any], *, proba: bool) -> Dialect:
    """The request's shape that an endpoint's document describes. With `proba` AutoML's v2, which has a word for
    probabilities, goes first; otherwise MLflow's, which a deployment without code speaks."""
    found = {
        dialect
        for dialect, key in ((Dialect.MLFLOW, "input_data"), (Dialect.AUTOML_V2, "Inputs"), (Dialect.AUTOML_V1, "data"))
        if _describes(document, key)
    }
    order = (Dialect.MLFLOW, Dialect.AUTOML_V2, Dialect.AUTOML_V1)
    if proba:
        order = (Dialect.AUTOML_V2, Dialect.MLFLOW, Dialect.AUTOML_V1)
    return next((dialect for dialect in order if dialect in found), Dialect.MLFLOW)


def _describes(document: Mapping[str, Any], key: str) -> bool:
    """Whether a request of the document has the property `key` at its top."""
    components = document.get("components", {})
    schemas: list[Any] = [*document.get("definitions", {}).values()]
    if isinstance(components, dict):
        schemas += components.get("schemas", {}).values()
    for path in document.get("paths", {}).values():
        for operation in path.values() if isinstance(path, dict) else ():
            for parameter in operation.get("parameters", ()) if isinstance(operation, dict) else ():
                schemas.append(parameter.get("schema", {}))
    return any(isinstance(schema, dict) and key in schema.get("properties", {}) for schema in schemas)


def shaped(
    rows: Sequence[Mapping[str, object]], dialect: Dialect, columns: tuple[str, ...] | None = None
) -> tuple[Sequence[object], tuple[str, ...]]:
    """The rows as the dialect has them, and MLflow's columns: `columns`, or every one that a row has, in the order of
    appearance."""
    if dialect is not Dialect.MLFLOW:
        return rows, ()
    if columns is None:
        columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return [[row.get(name) for name in columns] for row in rows], columns


def envelope(
    data: bytes,
    method: str,
    dialect: Dialect = Dialect.AUTOML_V2,
    columns: Sequence[str] = (),
    count: int = 0,
) -> bytes:
    """A request body around a JSON array of rows."""
    if dialect is Dialect.AUTOML_V2:
        return b'{"Inputs":{"data":%b},"GlobalParameters":{"method":"%b"}}' % (data, method.encode())
    if dialect is Dialect.AUTOML_V1:
        return b'{"data":%b,"method":"%b"}' % (data, method.encode())
    named, index = json.dumps(list(columns)).encode(), json.dumps(list(range(count))).encode()
    # Only a wish for something else is said: a model whose signature has no parameters refuses any.
    params = b"" if method == "predict" else b',"params":{"method":"%b"}' % method.encode()
    return b'{"input_data":{"columns":%b,"index":%b,"data":%b}%b}' % (named, index, data, params)


def batches(rows: Iterable[object]) -> Iterator[tuple[bytes, int]]:
    """JSON arrays below the size limit that hold all rows, each with its count of rows."""
    parts: list[bytes] = []
    size = 0
    for number, row in enumerate(rows):
        try:
            part = json.dumps(row, allow_nan=False, separators=(",", ":"), default=_plain).encode()
        except (ValueError, TypeError) as error:
            raise InvalidInputError(f"row {number} cannot be sent as JSON: {error}") from error
        if parts and size + len(part) > CHUNK_BYTES:
            yield b"[%b]" % b",".join(parts), len(parts)
            parts, size = [], 0
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield b"[%b]" % b",".join(parts), len(parts)


def parts(rows: Sequence[object]) -> Iterator[tuple[bytes, int]]:
    """As `batches`, fast, for rows that are known to hold neither NaN nor infinity."""
    import orjson

    try:
        whole = orjson.dumps(rows, default=_plain)
    except TypeError:  # integers beyond 64 bits, or lone surrogates
        yield from batches(rows)
        return
    if len(whole) <= CHUNK_BYTES or len(rows) == 1:
        yield whole, len(rows)
        return
    # A little below the even share, for rows that are longer than the mean; halves where that does not do.
    share = min(max(1, int(len(rows) * CHUNK_BYTES * 0.9 / len(whole))), (len(rows) + 1) // 2)
    for first in range(0, len(rows), share):
        yield from parts(rows[first : first + share])


class Whole(NamedTuple):
    """A reply that is one answer for all rows of its request: a text, a number, an object."""

    answer: object


def read_results(endpoint: str, body: bytes, count: int) -> list[Any]:
    """The results in a 200 reply; ContractError when it carries an error, or is not one result a row."""
    found = read_reply(endpoint, body, count)
    if isinstance(found, Whole):
        raise not_by_row(found.answer, count, f"endpoint {endpoint!r}")
    return found


def read_reply(endpoint: str, body: bytes, count: int) -> list[Any] | Whole:
    """The results in a 200 reply, one a row, or the one answer that it gives to all; ContractError when it carries an
    error, or a list of another length."""
    document = read_document(endpoint, body)
    results = document.get("Results", document.get("result", Whole)) if isinstance(document, dict) else document
    if not isinstance(results, list):
        return Whole(document)
    if len(results) != count:
        raise ContractError(
            f"endpoint {endpoint!r} answered with {len(results)} results for {count} rows", fix=f"opsml logs {endpoint}"
        )
    return results


def read_document(endpoint: str, body: bytes) -> Any:
    """The JSON value of a 200 reply. A scoring script that returns JSON text sends it encoded twice: a text that holds an
    object or a list is read once more, any other text is the answer itself."""
    try:
        document = json.loads(body)
    except ValueError as error:
        raise ContractError(f"endpoint {endpoint!r} answered 200 with no JSON", fix=f"opsml logs {endpoint}") from error
    if isinstance(document, str):
        with suppress(ValueError):
            inner = json.loads(document)
            document = inner if isinstance(inner, dict | list) else document
    if isinstance(document, dict) and "error" in document:
        raise ContractError(
            f"endpoint {endpoint!r} answered 200 with an error: {str(document['error'])[:500]}", fix=f"opsml logs {endpoint}"
        )
    return document


def _plain(value: object) -> object:
    """Dates and NumPy scalars as JSON has them."""
    for name in ("isoformat", "item"):
        method = getattr(value, name, None)
        if callable(method):
            return method()
    raise TypeError(f"{type(value).__name__} is no JSON value")
