"""Asking endpoints that speak the dialects of Azure's servers: a model without code, and AutoML's scoring scripts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from opsml_cli.domain.contract import Dialect
from opsml_cli.domain.endpoint import ScoreRequest
from opsml_cli.domain.errors import (
    BusyError,
    ContractError,
    InvalidInputError,
    NotSignedInError,
    OpsmlError,
    UnsupportedError,
    WorkFailedError,
)
from opsml_cli.scoring_client import Address, ScoringClient, dialect_of

ROWS = [{"age": 41, "job": "technician"}, {"age": None, "job": "retired", "extra": 1}]


def swagger(*names: str) -> dict[str, Any]:
    """A Swagger 2.0 document as Azure's inference server makes one, whose request has these members."""
    return {"swagger": "2.0", "definitions": {"ServiceInput": {"properties": {name: {} for name in names}}}, "paths": {}}


class Server:
    """An endpoint that remembers what it was asked. `document` None: it has none."""

    def __init__(self, document: dict[str, Any] | None, answer: Callable[[Any], tuple[int, Any, dict[str, str]]]) -> None:
        self.document = document
        self.answer = answer
        self.asked: list[Any] = []


@pytest.fixture
def serve() -> Iterator[Callable[[Server], str]]:
    running: list[ThreadingHTTPServer] = []

    def start(server: Server) -> str:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # head and body leave apart

            def do_GET(self) -> None:
                found = server.document if self.path == "/prefix/swagger.json" else None
                self._send(200 if found else 404, found or {"error": "none"}, {})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                server.asked.append(body)
                assert self.path == "/prefix/score" and self.headers["authorization"] == "Bearer key"
                self._send(*server.answer(body))

            def _send(self, status: int, value: Any, headers: dict[str, str]) -> None:
                content = json.dumps(value).encode()
                self.send_response(status)
                for name, text in {"content-length": str(len(content)), "azureml-model-deployment": "blue", **headers}.items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None: ...

        found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        running.append(found)
        return f"http://127.0.0.1:{found.server_address[1]}/prefix/score"

    yield start
    for each in running:
        each.shutdown()
        each.server_close()


def score(uri: str, *, proba: bool = False) -> Any:
    with ScoringClient(Address("bank", uri, "key"), dialect=None) as client:
        return client.score(ScoreRequest(ROWS, proba=proba))


def test_a_model_without_code_is_asked_in_mlflows_words(serve: Callable[[Server], str]) -> None:
    server = Server(swagger("input_data", "params"), lambda _: (200, ["yes", "no"], {}))
    found = score(serve(server))
    assert (found.predictions, found.deployment, found.rows) == (["yes", "no"], "blue", 2)
    assert server.asked == [
        {
            "input_data": {
                "columns": ["age", "job", "extra"],
                "index": [0, 1],
                "data": [[41, "technician", None], [None, "retired", 1]],
            }
        }
    ]


def test_a_model_without_code_may_know_no_probabilities(serve: Callable[[Server], str]) -> None:
    # Its own predict answers classes, whatever the parameters.
    server = Server(swagger("input_data", "params"), lambda _: (200, ["yes", "no"], {}))
    with pytest.raises(UnsupportedError, match="classes only"):
        score(serve(server), proba=True)
    assert server.asked[1]["params"] == {"method": "predict_proba"}


def test_automls_second_script_gives_probabilities(serve: Callable[[Server], str]) -> None:
    def answer(body: Any) -> tuple[int, Any, dict[str, str]]:
        proba = body["GlobalParameters"]["method"] == "predict_proba"
        return 200, {"Results": [[0.2, 0.8], [0.9, 0.1]] if proba else ["yes", "no"]}, {}

    found = score(serve(Server(swagger("Inputs", "GlobalParameters"), answer)), proba=True)
    assert (found.predictions, found.probabilities) == (["yes", "no"], [[0.2, 0.8], [0.9, 0.1]])
    assert found.classes == ("class_0", "class_1")  # nobody says which they are


def test_automls_first_script_answers_a_text(serve: Callable[[Server], str]) -> None:
    server = Server(swagger("data", "method"), lambda _: (200, json.dumps({"result": ["yes", "no"]}), {}))
    assert score(serve(server)).predictions == ["yes", "no"]
    assert server.asked[0]["data"][0] == ROWS[0]


def test_without_a_document_mlflows_words_are_tried(serve: Callable[[Server], str]) -> None:
    server = Server(None, lambda _: (200, ["yes", "no"], {}))
    assert score(serve(server)).rows == 2
    assert "input_data" in server.asked[0]


@pytest.mark.parametrize(
    ("status", "value", "headers", "kind"),
    [
        (200, json.dumps({"error": "no such column"}), {}, ContractError),
        (200, {"error": "no such column"}, {}, ContractError),
        (200, ["one"], {}, ContractError),
        (401, {"message": "key_auth_access_denied"}, {}, NotSignedInError),
        (424, {"message": "wrong"}, {"ms-azureml-model-error-statuscode": "400"}, InvalidInputError),
        (424, {"message": "crashed"}, {"ms-azureml-model-error-statuscode": "500"}, WorkFailedError),
        (408, {"message": "upstream request timeout"}, {}, BusyError),
        (429, {"message": "too many"}, {}, BusyError),
    ],
)
def test_what_is_no_answer_is_an_error(
    serve: Callable[[Server], str], status: int, value: Any, headers: dict[str, str], kind: type[OpsmlError]
) -> None:
    with pytest.raises(OpsmlError) as caught:
        score(serve(Server(swagger("input_data"), lambda _: (status, value, headers))))
    assert isinstance(caught.value, kind)


def test_the_document_tells_the_dialect() -> None:
    every = swagger("input_data", "Inputs", "data")
    assert dialect_of(every, proba=False) is Dialect.MLFLOW
    assert dialect_of(every, proba=True) is Dialect.AUTOML_V2
    assert dialect_of({"components": {"schemas": {"X": {"properties": {"Inputs": {}}}}}}, proba=False) is Dialect.AUTOML_V2
    assert dialect_of({}, proba=False) is Dialect.MLFLOW
