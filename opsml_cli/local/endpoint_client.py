"""Talking to an endpoint of this machine as any client would: HTTP, with the key."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from opsml_cli.domain.endpoint import ScoreRequest, ScoreResult
from opsml_cli.domain.errors import (
    BusyError,
    ConflictError,
    ContractError,
    InvalidInputError,
    NotFoundError,
    NotSignedInError,
    OpsmlError,
    QuotaError,
    WorkFailedError,
)

CHUNK_BYTES = 4 * 2**20  # of one request's body; the server's limit is 10 MiB
TIMEOUT_SECONDS = 90.0
DEPLOYMENT_HEADER = "azureml-model-deployment"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    deployment: str | None


class EndpointClient:
    """One kept connection to the endpoint `name` at `scoring_uri`. Use as a context manager.

    Errors are translated: a refused key is NotSignedInError, bad rows InvalidInputError, a broken reply ContractError."""

    def __init__(self, name: str, scoring_uri: str, key: str) -> None:
        place = urlsplit(scoring_uri)
        self._name = name
        self._key = key
        self._connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=TIMEOUT_SECONDS)

    def __enter__(self) -> EndpointClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def score(self, request: ScoreRequest) -> ScoreResult:
        """All rows, in requests below the server's size limit, all by the deployment that answered the first."""
        started = time.perf_counter()
        predictions: list[object] = []
        probabilities: list[list[float]] = []
        deployment = request.deployment
        raw: list[str] = []
        offset = 0
        for data, count in batches(request.rows):
            results, answer = self._results(envelope(data, "predict"), count, deployment, offset)
            deployment = answer.deployment or deployment
            raw.append(answer.body.decode("utf-8", "replace"))
            predictions += results
            if request.proba:
                proba, answer = self._results(envelope(data, "predict_proba"), count, deployment, offset)
                raw.append(answer.body.decode("utf-8", "replace"))
                probabilities += proba
            offset += count
        classes: Sequence[object] = ()
        if request.proba:
            classes = self._classes(deployment)
        return ScoreResult(
            predictions=predictions,
            rows=len(predictions),
            deployment=deployment,
            latency_ms=round((time.perf_counter() - started) * 1000, 3),
            classes=classes,
            probabilities=probabilities,
            raw="\n".join(raw),
        )

    def swagger(self, deployment: str | None = None) -> Mapping[str, Any]:
        """The live OpenAPI document."""
        answer = self._send("GET", "/swagger.json", None, deployment)
        if answer.status != 200:
            raise self._error(answer, 0)
        document: Mapping[str, Any] = json.loads(answer.body)
        return document

    def _classes(self, deployment: str | None) -> Sequence[object]:
        info = self.swagger(deployment).get("info", {})
        return tuple(info.get("x-opsml", {}).get("classes", ()))

    def _results(self, body: bytes, count: int, deployment: str | None, offset: int) -> tuple[list[Any], Answer]:
        answer = self._send("POST", "/score", body, deployment)
        if answer.status != 200:
            raise self._error(answer, offset)
        return read_results(self._name, answer.body, count), answer

    def _send(self, method: str, path: str, body: bytes | None, deployment: str | None) -> Answer:
        headers = {"Authorization": f"Bearer {self._key}", "User-Agent": "opsml"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if deployment is not None:
            headers[DEPLOYMENT_HEADER] = deployment
        try:
            self._connection.request(method, path, body, headers)
            reply = self._connection.getresponse()
            return Answer(reply.status, reply.read(), reply.headers.get(DEPLOYMENT_HEADER))
        except ConnectionRefusedError as error:
            raise ConflictError(
                f"endpoint {self._name!r} does not answer", cause=str(error), fix=f"opsml endpoints start {self._name}"
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
        if answer.status == 401:
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
        if answer.status in (429, 503, 504):
            return BusyError(f"endpoint {self._name!r}: {message}", fix="run the same command again in a moment")
        return WorkFailedError(
            f"endpoint {self._name!r} failed with {answer.status}: {message}", fix=f"opsml logs {self._name} --level error"
        )


def envelope(data: bytes, method: str) -> bytes:
    """An AutoML v2 request body around a JSON array of rows."""
    return b'{"Inputs":{"data":%b},"GlobalParameters":{"method":"%b"}}' % (data, method.encode())


def batches(rows: Sequence[Mapping[str, object]]) -> Iterator[tuple[bytes, int]]:
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
