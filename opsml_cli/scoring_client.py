"""Talking to an online endpoint as any client would, wherever it is served: HTTP or HTTPS, with the key."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opsml_cli.domain.contract import Dialect
from opsml_cli.domain.endpoint import RawReply, RawRequest, Row, ScoreRequest, ScoreResult
from opsml_cli.domain.errors import (
    BusyError,
    ConflictError,
    ContractError,
    InvalidInputError,
    NotFoundError,
    NotSignedInError,
    OpsmlError,
    QuotaError,
    UnsupportedError,
    WorkFailedError,
)

if TYPE_CHECKING:
    import ssl

CHUNK_BYTES = 2**20  # of one request's body: Azure takes 1.5 MiB, a local server 10
TIMEOUT_SECONDS = 90.0
DEPLOYMENT_HEADER = "azureml-model-deployment"
# Azure's front door answers 424 when the model's container refused, and says here with which status.
MODEL_STATUS_HEADER = "ms-azureml-model-error-statuscode"


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply. `status` is the model's own where a front door stands before it."""

    status: int
    body: bytes
    deployment: str | None


@dataclass(frozen=True, slots=True)
class Address:
    """Where an endpoint answers. `scoring_uri` ends in `/score`, `swagger.json` lies beside it. `key` is a key or token.
    `trust` is for https. `unreachable` is the command to run when nobody listens."""

    name: str
    scoring_uri: str
    key: str
    trust: ssl.SSLContext | None = None
    unreachable: str | None = None


class ScoringClient:
    """One kept connection to an endpoint. Use as a context manager.

    `dialect` is the request's shape; None: the one that the endpoint's own document describes.
    Errors are translated: a refused key is NotSignedInError, bad rows InvalidInputError, a broken reply ContractError."""

    def __init__(self, address: Address, dialect: Dialect | None = Dialect.AUTOML_V2) -> None:
        place = urlsplit(address.scoring_uri)
        self._name = address.name
        self._address = address
        self._path = place.path or "/score"
        self._dialect = dialect
        self._document: Mapping[str, Any] | None = None
        if place.scheme == "https":
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                place.hostname or "", place.port, timeout=TIMEOUT_SECONDS, context=address.trust
            )
        else:
            self._connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=TIMEOUT_SECONDS)

    @property
    def address(self) -> Address:
        return self._address

    def __enter__(self) -> ScoringClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def score(self, request: ScoreRequest) -> ScoreResult:
        """All rows, in requests below the server's size limit, all by the deployment that answered the first."""
        dialect = self._chosen(request)
        shaped, columns = _shaped(request.rows, dialect)
        started = time.perf_counter()
        predictions: list[object] = []
        probabilities: list[list[float]] = []
        deployment = request.deployment
        raw: list[str] = []
        offset = 0
        for data, count in batches(shaped):
            results, answer = self._results(envelope(data, "predict", dialect, columns, count), count, deployment, offset)
            deployment = answer.deployment or deployment
            raw.append(answer.body.decode("utf-8", "replace"))
            predictions += results
            if request.proba:
                body = envelope(data, "predict_proba", dialect, columns, count)
                proba, answer = self._results(body, count, deployment, offset)
                raw.append(answer.body.decode("utf-8", "replace"))
                probabilities += self._shares(proba)
            offset += count
        seconds = time.perf_counter() - started
        return ScoreResult(
            predictions=predictions,
            rows=len(predictions),
            deployment=deployment,
            latency_ms=round(seconds * 1000, 3),
            classes=self._classes(deployment, probabilities) if request.proba else (),
            probabilities=probabilities,
            raw="\n".join(raw),
        )

    def bodies(self, rows: Sequence[Row], rows_per_request: int, deployment: str | None = None) -> list[bytes]:
        """Requests for `rows` in the dialect that the endpoint speaks, each with `rows_per_request` of them; the last is
        filled up from the first. QuotaError for a request that is larger than a server takes."""
        dialect = self._chosen(ScoreRequest(rows, deployment=deployment))
        made = []
        for first in range(0, len(rows), rows_per_request):
            chosen = [rows[(first + offset) % len(rows)] for offset in range(rows_per_request)]
            shaped, columns = _shaped(chosen, dialect)
            parts = list(batches(shaped))
            if len(parts) != 1:
                raise QuotaError(f"{rows_per_request} rows make a request of more than {CHUNK_BYTES} bytes", fix="send fewer")
            made.append(envelope(parts[0][0], "predict", dialect, columns, rows_per_request))
        return made

    def swagger(self, deployment: str | None = None) -> Mapping[str, Any]:
        """The live OpenAPI document."""
        answer = self._send("GET", self._path.removesuffix("score") + "swagger.json", None, deployment)
        if answer.status != 200:
            raise self._error(answer, 0)
        try:
            document = json.loads(answer.body)
        except ValueError as error:
            raise ContractError(f"the document of endpoint {self._name!r} is no JSON") from error
        if not isinstance(document, dict):
            raise ContractError(f"the document of endpoint {self._name!r} is no object")
        return document

    def _chosen(self, request: ScoreRequest) -> Dialect:
        if self._dialect is not None:
            return self._dialect
        try:
            self._document = self.swagger(request.deployment)
        except (NotFoundError, ContractError, WorkFailedError):
            # A scoring script without a schema has no document; deployments without code speak MLflow's dialect.
            return Dialect.MLFLOW
        return dialect_of(self._document, proba=request.proba)

    def _shares(self, results: list[Any]) -> list[list[float]]:
        """One list of probabilities a row; UnsupportedError when the deployment answered something else."""
        shares: list[list[float]] = []
        for result in results:
            row = list(result.values()) if isinstance(result, dict) else result
            if not isinstance(row, list) or not all(isinstance(value, int | float) for value in row):
                raise UnsupportedError(
                    f"endpoint {self._name!r} answers classes only, no probabilities",
                    cause="an MLflow model that is deployed without code answers what its own `predict` gives",
                    fix="leave --proba out, or deploy a model that opsml trained, or one with a scoring script that offers "
                    "predict_proba",
                )
            shares.append(row)
        return shares

    def _classes(self, deployment: str | None, probabilities: list[list[float]]) -> Sequence[object]:
        """The classes that the endpoint's document names; by their position where it names none."""
        if self._document is None:
            try:
                self._document = self.swagger(deployment)
            except (NotFoundError, ContractError):
                self._document = {}
        named = tuple(self._document.get("info", {}).get("x-opsml", {}).get("classes", ()))
        width = len(probabilities[0]) if probabilities else 0
        return named if named or not width else tuple(f"class_{index}" for index in range(width))

    def _results(self, body: bytes, count: int, deployment: str | None, offset: int) -> tuple[list[Any], Answer]:
        answer = self._send("POST", self._path, body, deployment)
        if answer.status != 200:
            raise self._error(answer, offset)
        return read_results(self._name, answer.body, count), answer

    def send(self, request: RawRequest) -> RawReply:
        """Post a body as it is; the answer, whatever its status."""
        answer = self._send("POST", self._path, request.body, request.deployment, request.media)
        return RawReply(answer.status, answer.body, answer.deployment)

    def _send(
        self, method: str, path: str, body: bytes | None, deployment: str | None, media: str = "application/json"
    ) -> Answer:
        headers = {"Authorization": f"Bearer {self._address.key}", "User-Agent": "opsml"}
        if body is not None:
            headers["Content-Type"] = media
        if deployment is not None:
            headers[DEPLOYMENT_HEADER] = deployment
        try:
            self._connection.request(method, path, body, headers)
            reply = self._connection.getresponse()
            status = reply.status
            inner = reply.headers.get(MODEL_STATUS_HEADER, "")
            if status == 424 and inner.isdecimal():
                status = int(inner)
            return Answer(status, reply.read(), reply.headers.get(DEPLOYMENT_HEADER))
        except ConnectionRefusedError as error:
            raise ConflictError(
                f"endpoint {self._name!r} does not answer",
                cause=str(error),
                fix=self._address.unreachable or f"opsml endpoints show {self._name}",
            ) from error
        except TimeoutError as error:
            raise BusyError(
                f"endpoint {self._name!r} did not answer within {TIMEOUT_SECONDS:g} s", fix=f"opsml logs {self._name}"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise WorkFailedError(
                f"the connection to endpoint {self._name!r} broke", cause=str(error), fix=f"opsml logs {self._name}"
            ) from error

    def _error(self, answer: Answer, offset: int) -> OpsmlError:
        detail = _detail(answer.body)
        message = str(detail.get("message") or f"status {answer.status}")
        if answer.status in (401, 403):
            return NotSignedInError(f"endpoint {self._name!r} refused the key", fix="run the same command again")
        if answer.status == 404:
            return NotFoundError(message, fix=f"opsml endpoints show {self._name}")
        if answer.status == 400:
            row = detail.get("row")
            place = f"row {row + offset} of the input" if isinstance(row, int) and offset else None
            expected = f"expected {detail['expected']}" if detail.get("expected") else None
            return InvalidInputError(
                message,
                cause=", ".join(filter(None, (place, expected))) or None,
                fix=f"opsml swagger {self._name} shows the columns and a request that works",
            )
        if answer.status == 413:
            return QuotaError(message, fix="send smaller rows")
        if answer.status in (408, 429, 503, 504):
            return BusyError(f"endpoint {self._name!r}: {message}", fix="run the same command again in a moment")
        return WorkFailedError(
            f"endpoint {self._name!r} failed with {answer.status}: {message}", fix=f"opsml logs {self._name} --level error"
        )


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


def _shaped(rows: Sequence[Mapping[str, object]], dialect: Dialect) -> tuple[Iterable[object], tuple[str, ...]]:
    """The rows as the dialect has them, and MLflow's columns: every column that a row has, in the order of appearance."""
    if dialect is not Dialect.MLFLOW:
        return rows, ()
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return ([row.get(name) for name in columns] for row in rows), columns


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


def read_results(endpoint: str, body: bytes, count: int) -> list[Any]:
    """The results in a 200 reply; ContractError when it carries an error, or is not one result a row."""
    try:
        document = json.loads(body)
        if isinstance(document, str):
            document = json.loads(document)
    except ValueError as error:
        raise ContractError(f"endpoint {endpoint!r} answered 200 with no JSON", fix=f"opsml logs {endpoint}") from error
    if isinstance(document, dict) and "error" in document:
        raise ContractError(
            f"endpoint {endpoint!r} answered 200 with an error: {str(document['error'])[:500]}", fix=f"opsml logs {endpoint}"
        )
    results = document.get("Results", document.get("result")) if isinstance(document, dict) else document
    if not isinstance(results, list) or len(results) != count:
        found = f"{len(results)} results" if isinstance(results, list) else "no results"
        raise ContractError(f"endpoint {endpoint!r} answered with {found} for {count} rows", fix=f"opsml logs {endpoint}")
    return results


def _detail(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
        if isinstance(document, str):
            document = json.loads(document)
    except ValueError:
        return {"message": body[:200].decode("utf-8", "replace")}
    error = document.get("error", document) if isinstance(document, dict) else {}
    return error if isinstance(error, dict) else {"message": str(error)}


def _plain(value: object) -> object:
    """Dates and NumPy scalars as JSON has them."""
    for name in ("isoformat", "item"):
        method = getattr(value, name, None)
        if callable(method):
            return method()
    raise TypeError(f"{type(value).__name__} is no JSON value")
