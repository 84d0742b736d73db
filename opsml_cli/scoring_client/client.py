"""One kept connection to an online endpoint, as any client would have it: HTTP or HTTPS, with the key."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
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
    NotFoundError,
    QuotaError,
    UnsupportedError,
    WorkFailedError,
)
from opsml_cli.scoring_client import bodies
from opsml_cli.scoring_client.answers import Answer, NotListeningError, UnansweredError, error_of
from opsml_cli.scoring_client.described import column_types

if TYPE_CHECKING:
    import ssl

TIMEOUT_SECONDS = 90.0
_CLOSING_SECONDS = 5.0  # for a request that was aborted to notice
JSON = "application/json"
DEPLOYMENT_HEADER = "azureml-model-deployment"
# Azure's front door answers 424 when the model's container refused, and says here with which status.
MODEL_STATUS_HEADER = "ms-azureml-model-error-statuscode"


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
        self._aborted = False
        self._busy = threading.Lock()  # held while a request is under way: http.client is closed by no other thread meanwhile
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
        held = self._busy.acquire(timeout=_CLOSING_SECONDS)
        try:
            self._connection.close()
        finally:
            if held:
                self._busy.release()

    def score(self, request: ScoreRequest) -> ScoreResult:
        """All rows, in requests below the server's size limit, all by the deployment that answered the first."""
        dialect = self.dialect(request.deployment, proba=request.proba)
        shaped, columns = bodies.shaped(request.rows, dialect)
        started = time.perf_counter()
        predictions: list[object] = []
        probabilities: list[list[float]] = []
        deployment = request.deployment
        raw: list[str] = []
        offset = 0
        for data, count in bodies.batches(shaped):
            results, answer = self._results(
                bodies.envelope(data, "predict", dialect, columns, count), count, deployment, offset
            )
            deployment = answer.deployment or deployment
            raw.append(answer.body.decode("utf-8", "replace"))
            predictions += results
            if request.proba:
                body = bodies.envelope(data, "predict_proba", dialect, columns, count)
                proba, answer = self._results(body, count, deployment, offset)
                raw.append(answer.body.decode("utf-8", "replace"))
                probabilities += self.shares(proba)
            offset += count
        seconds = time.perf_counter() - started
        return ScoreResult(
            predictions=predictions,
            rows=len(predictions),
            deployment=deployment,
            latency_ms=round(seconds * 1000, 3),
            classes=self.classes(deployment, probabilities) if request.proba else (),
            probabilities=probabilities,
            raw="\n".join(raw),
        )

    def bodies(self, rows: Sequence[Row], rows_per_request: int, deployment: str | None = None) -> list[bytes]:
        """Requests for `rows` in the dialect that the endpoint speaks, each with `rows_per_request` of them; the last is
        filled up from the first. QuotaError for a request that is larger than a server takes."""
        dialect = self.dialect(deployment, proba=False)
        made = []
        for first in range(0, len(rows), rows_per_request):
            chosen = [rows[(first + offset) % len(rows)] for offset in range(rows_per_request)]
            shaped, columns = bodies.shaped(chosen, dialect)
            parts = list(bodies.batches(shaped))
            if len(parts) != 1:
                raise QuotaError(
                    f"{rows_per_request} rows make a request of more than {bodies.CHUNK_BYTES} bytes", fix="send fewer"
                )
            made.append(bodies.envelope(parts[0][0], "predict", dialect, columns, rows_per_request))
        return made

    def swagger(self, deployment: str | None = None) -> Mapping[str, Any]:
        """The live OpenAPI document."""
        answer = self._send("GET", self._path.removesuffix("score") + "swagger.json", None, deployment)
        if answer.status != 200:
            raise error_of(self._name, answer, 0)
        try:
            document = json.loads(answer.body)
        except ValueError as error:
            raise ContractError(f"the document of endpoint {self._name!r} is no JSON") from error
        if not isinstance(document, dict):
            raise ContractError(f"the document of endpoint {self._name!r} is no object")
        return document

    def document(self, deployment: str | None = None) -> Mapping[str, Any]:
        """The live OpenAPI document, asked for once; an empty one where there is none: a scoring script needs no schema."""
        if self._document is None:
            try:
                self._document = self.swagger(deployment)
            except (NotFoundError, ContractError, WorkFailedError):
                self._document = {}
        return self._document

    def types(self, deployment: str | None = None) -> Mapping[str, str]:
        """The type of each input column, where the endpoint's document says it."""
        return column_types(self.document(deployment))

    def dialect(self, deployment: str | None = None, *, proba: bool) -> Dialect:
        """The request's shape: deployments without code speak MLflow's when nothing says otherwise."""
        if self._dialect is None:
            return bodies.dialect_of(self.document(deployment), proba=proba)
        return self._dialect

    def shares(self, results: list[Any]) -> list[list[float]]:
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

    def classes(self, deployment: str | None, probabilities: list[list[float]]) -> Sequence[object]:
        """The classes that the endpoint's document names; by their position where it names none."""
        named = tuple(self.document(deployment).get("info", {}).get("x-opsml", {}).get("classes", ()))
        width = len(probabilities[0]) if probabilities else 0
        return named if named or not width else tuple(f"class_{index}" for index in range(width))

    def exchange(self, body: bytes, deployment: str | None) -> Answer:
        """One scoring request; errors as `ask`."""
        return self.ask("POST", self._path, body, deployment)

    def try_out(self, row: Row, deployment: str) -> None:
        """Score one row with a deployment, whatever the shape of its answer; any OpsmlError says why it did not answer."""
        answer = self._send("POST", self._path, self.bodies([row], 1, deployment)[0], deployment)
        if answer.status != 200:
            raise error_of(self._name, answer, 0)
        bodies.read_document(self._name, answer.body)

    def _results(self, body: bytes, count: int, deployment: str | None, offset: int) -> tuple[list[Any], Answer]:
        answer = self._send("POST", self._path, body, deployment)
        if answer.status != 200:
            raise error_of(self._name, answer, offset)
        return bodies.read_results(self._name, answer.body, count), answer

    def send(self, request: RawRequest) -> RawReply:
        """Post a body as it is; the answer, whatever its status."""
        answer = self._send("POST", self._path, request.body, request.deployment, request.media)
        return RawReply(answer.status, answer.body, answer.deployment)

    def _send(self, method: str, path: str, body: bytes | None, deployment: str | None, media: str = JSON) -> Answer:
        try:
            return self.ask(method, path, body, deployment, media)
        except NotListeningError as error:
            raise self.not_listening(error) from error

    def not_listening(self, error: NotListeningError) -> ConflictError:
        """What it means when nobody listens and nobody will."""
        return ConflictError(
            f"endpoint {self._name!r} does not answer",
            cause=error.cause,
            fix=self._address.unreachable or f"opsml endpoints show {self._name}",
        )

    def ask(self, method: str, path: str, body: bytes | None, deployment: str | None, media: str = JSON) -> Answer:
        """One request. UnansweredError when the connection ended before an answer began, WorkFailedError when it broke
        inside one, BusyError when the time is up."""
        headers = {"Authorization": f"Bearer {self._address.key}", "User-Agent": "opsml"}
        if body is not None:
            headers["Content-Type"] = media
        if deployment is not None:
            headers[DEPLOYMENT_HEADER] = deployment
        with self._busy:
            return self._asked(method, path, body, headers)

    def _asked(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        try:
            reply = self._began(method, path, body, headers)
            status = reply.status
            inner = reply.headers.get(MODEL_STATUS_HEADER, "")
            if status == 424 and inner.isdecimal():
                status = int(inner)
            return Answer(status, reply.read(), reply.headers.get(DEPLOYMENT_HEADER), reply.headers.get("Retry-After"))
        except UnansweredError:
            self._connection.close()
            raise
        except TimeoutError as error:
            self._connection.close()
            raise BusyError(
                f"endpoint {self._name!r} did not answer within {TIMEOUT_SECONDS:g} s", fix=f"opsml logs {self._name}"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise WorkFailedError(
                f"the connection to endpoint {self._name!r} broke", cause=str(error), fix=f"opsml logs {self._name}"
            ) from error

    def _began(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """Send a request and read the head of its answer."""
        try:
            if self._connection.sock is None:
                self._connection.connect()
            # Whoever aborts sets this first, and looks for a socket then: one of the two is seen.
            if self._aborted:
                raise ConnectionAbortedError("it was ended from here")
            try:
                self._connection.request(method, path, body, dict(headers))
            except (BrokenPipeError, ConnectionResetError):
                # A server that refuses a body says so before it has read all of it, and then closes.
                return self._connection.getresponse()
            return self._connection.getresponse()
        except ConnectionRefusedError as error:
            raise NotListeningError(f"endpoint {self._name!r} does not answer", cause=str(error)) from error
        except (ConnectionError, http.client.ResponseNotReady) as error:  # RemoteDisconnected is one too
            raise UnansweredError(
                f"the connection to endpoint {self._name!r} broke", cause=str(error), fix=f"opsml logs {self._name}"
            ) from error

    def abort(self) -> None:
        """End whatever waits on this connection, from another thread, and whatever would begin."""
        import socket

        self._aborted = True
        found = self._connection.sock
        if found is not None:
            with suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)
