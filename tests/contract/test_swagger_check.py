"""`swagger --check` finds each way in which a document and its server can differ, and nothing when they agree."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from telemetry_live import PRIMARY, Elders, scoring_server, serving

from opsml_cli.domain.contract import Column, Schema
from opsml_cli.domain.openapi import Service
from opsml_cli.domain.openapi import document as describe
from opsml_cli.local.serving.app import ScoringApp
from opsml_cli.local.serving.routing import Live, Routing
from opsml_cli.services.swagger import Comparison


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with scoring_server() as (found, _):
        yield found


@pytest.fixture(scope="module")
def document(address: str) -> dict[str, Any]:
    return httpx.get(address + "/swagger.json", headers={"authorization": f"Bearer {PRIMARY}"}, trust_env=False).json()


def findings(address: str, document: dict[str, Any]) -> list[str]:
    with httpx.Client(base_url=address, trust_env=False) as client:
        return [f"{found.check}: {found.detail}" for found in Comparison(document, client, PRIMARY).findings()]


def test_a_document_that_is_true_has_no_findings(address: str, document: dict[str, Any]) -> None:
    assert findings(address, document) == []


def drop(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        for part in path[:-1]:
            document = document[part]
        del document[path[-1]]

    return change


def put(value: object, *path: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        for part in path[:-1]:
            document = document[part]
        document[path[-1]] = value

    return change


SCORE = ("paths", "/score", "post")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (drop("paths"), "it describes no path"),
        (drop("components", "schemas", "Row"), "#/components/schemas/Row names nothing"),
        (put({"type": "sting"}, "components", "schemas", "Result"), "schema 'Result' is none"),
        (put([{"url": "http://127.0.0.1:1"}], "servers"), "is not where the endpoint answers"),
        (put("Hello", "paths", "/", "get", "responses", "200", "content", "text/plain", "schema", "const"), "does not fit"),
        (put({"get": {"responses": {"200": {}}}}, "paths", "/missing"), "GET /missing: expected 200, got 404"),
        (drop(*SCORE, "responses", "401"), "status 401 is not documented"),
        (drop(*SCORE, "responses", "400"), "status 400 is not documented"),
        (drop(*SCORE, "responses", "415"), "status 415 is not documented"),
        (put({"text/csv": {}}, *SCORE, "responses", "200", "content"), "came as application/json, documented: text/csv"),
        (put({"enum": ["maybe"]}, "components", "schemas", "Result"), "status 200 does not fit its schema"),
        (put({"type": "integer"}, "components", "schemas", "Error"), "status 400 does not fit its schema"),
        (drop(*SCORE, "requestBody", "content", "application/json", "examples"), "its request has no example"),
        (drop("components", "schemas", "AutoMLv1", "properties", "method"), "does not fit the request schema"),
        (
            put(
                {"value": {"data": [{"age": "x"}]}},
                *SCORE,
                "requestBody",
                "content",
                "application/json",
                "examples",
                "automl_v1",
            ),
            "expected 200, got 400",
        ),
        (
            put({"value": ["no"]}, *SCORE, "responses", "200", "content", "application/json", "examples", "mlflow"),
            "the reply is not the one that the document shows",
        ),
        (drop(*SCORE, "requestBody", "content", "application/json"), "its request has no application/json content"),
    ],
)
def test_what_the_document_gets_wrong_is_found(
    address: str, document: dict[str, Any], change: Callable[[dict[str, Any]], None], told: str
) -> None:
    wrong = copy.deepcopy(document)
    change(wrong)
    assert [line for line in findings(address, wrong) if told in line]


class Careless:
    """A server that asks for no key, takes anything, and answers the same to everybody."""

    def __init__(self, status: int, body: bytes, media: bytes = b"application/json") -> None:
        self.status, self.body, self.media = status, body, media

    async def __call__(self, scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": [(b"content-type", self.media)]})
        await send({"type": "http.response.body", "body": self.body})


@pytest.mark.parametrize(
    ("server", "told"),
    [
        (Careless(200, b'["yes"]'), "POST /score without a key: expected 401, got 200"),
        (Careless(200, b'["yes"]'), "with a wrong key: expected 401, got 200"),
        (Careless(200, b'["yes"]'), "with an empty object: expected 400, got 200"),
        (Careless(200, b'["yes"]'), "with plain text: expected 415, got 200"),
        (Careless(200, b"oops"), "is no JSON"),
        (Careless(200, b"{}", b"text/html"), "came as text/html"),
        (Careless(400, b'{"error": "bad"}'), "does not name column 'age'"),
        (Careless(500, b'{"error": "bad"}'), "expected 200, got 500"),
    ],
)
def test_what_the_server_gets_wrong_is_found(server: Careless, told: str) -> None:
    document = json.loads(json.dumps(describe(Service("bank", "blue", "elders", "1", Elders.schema, ("no", "yes")))))
    with serving(lambda port: server) as port:
        assert [line for line in findings(f"http://127.0.0.1:{port}", document) if told in line]


@pytest.mark.parametrize("version", ["2", "3"])
def test_every_operation_documents_what_happens_before_it(address: str, version: str) -> None:
    headers = {"authorization": f"Bearer {PRIMARY}"}
    found = httpx.get(f"{address}/swagger.json?version={version}", headers=headers, trust_env=False).json()
    for path, methods in found["paths"].items():
        for operation in methods.values():
            assert {"400", "401", "403", "408", "421", "429", "431"} <= operation["responses"].keys(), path


@pytest.mark.parametrize("column", ["age", "rate"])
def test_text_beyond_its_documented_length_is_refused(address: str, document: dict[str, Any], column: str) -> None:
    row = {"age": 60, "job": "x", "rate": 1.0, column: " " * 65}
    assert document["components"]["schemas"]["Row"]["properties"][column]["maxLength"] == 64
    reply = httpx.post(
        address + "/score", json={"data": [row]}, headers={"authorization": f"Bearer {PRIMARY}"}, trust_env=False
    )
    assert reply.status_code == 400


def test_what_swagger_2_allows_is_what_is_answered(address: str) -> None:
    import jsonschema

    headers = {"authorization": f"Bearer {PRIMARY}"}
    found = httpx.get(f"{address}/swagger.json?version=2", headers=headers, trust_env=False).json()
    schema = {"$ref": "#/definitions/Request", "definitions": found["definitions"]}
    for body, status in (
        ({"Inputs": {"": 1, "data": []}}, 400),
        ({"Inputs": {"data": []}}, 200),
        ({"Inputs": {"data": []}, "x": 1}, 400),
    ):
        assert jsonschema.Draft4Validator(schema).is_valid(body) is (status == 200)
        assert httpx.post(address + "/score", json=body, headers=headers, trust_env=False).status_code == status


GIVEN = {"type": "object", "properties": {"data": {"type": "array", "items": {}}}, "example": {"data": [1]}}


def script_document(given: object) -> dict[str, Any]:
    """As the decorators of inference-schema make it: one example in the schema, `default` in place of every refusal."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Given"}}}
    answers = {"200": {"description": ""}, "default": {"description": ""}}
    score = {"requestBody": {"content": content}, "responses": answers}
    return {"openapi": "3.1.0", "paths": {"/score": {"post": score}}, "components": {"schemas": {"Given": given}}}


class Script:
    """It takes a list of numbers in `data`, and fails with 500 on all else."""

    async def __call__(self, scope, receive, send) -> None:
        body = b""
        while (message := await receive()).get("body") or message.get("more_body"):
            body += message["body"]
            if not message.get("more_body"):
                break
        try:
            status, answer = 200, str(sum(json.loads(body)["data"])).encode()
        except Exception:
            status, answer = 500, b"the script failed"
        await Careless(status, answer)(scope, receive, send)


def test_a_document_without_promises_is_kept_by_any_script() -> None:
    with serving(lambda port: Script()) as port:
        for given in (GIVEN, {}, {"type": "object", "required": ["data"], "properties": GIVEN["properties"]}):
            assert findings(f"http://127.0.0.1:{port}", script_document(given)) == []
        wrong = script_document({**GIVEN, "example": {"data": "x"}})
        assert [line for line in findings(f"http://127.0.0.1:{port}", wrong) if "expected 200, got 500" in line]
    with serving(lambda port: Careless(200, b"1")) as port:
        found = findings(f"http://127.0.0.1:{port}", script_document({**GIVEN, "required": ["data"]}))
        assert [line for line in found if "with an empty object: expected 400, got 200" in line]


@pytest.mark.parametrize("name", ["Größe in cm", 'quo"te', "it's", "back\\slash", "\U0001f600"])
def test_a_refusal_names_its_column_in_any_spelling_of_json(name: str) -> None:
    schema = Schema([Column(name, "number", example=1.0)])
    app = ScoringApp("bank")
    scorer = type("Named", (Elders,), {"schema": schema})()
    app.routing = Routing((PRIMARY.encode(),), {"blue": Live("blue", "r1", "m", "1", scorer, (1.0,))}, {}, {"blue": 100})
    with serving(lambda port: app) as port:
        address = f"http://127.0.0.1:{port}"
        made = httpx.get(address + "/swagger.json", headers={"authorization": f"Bearer {PRIMARY}"}, trust_env=False).json()
        assert [line for line in findings(address, made) if "does not name" in line] == []


def test_the_documents_one_parameter_is_what_it_says(address: str) -> None:
    for query, status in (
        ("version=2", 200),
        ("version=3", 200),
        ("", 200),
        ("version=", 400),
        ("version=2.0", 400),
        ("version=1&version=2", 400),
        ("version=2&version=2", 400),
        ("version[]=2", 400),
    ):
        reply = httpx.get(f"{address}/swagger.json?{query}", headers={"authorization": f"Bearer {PRIMARY}"}, trust_env=False)
        assert reply.status_code == status, query
