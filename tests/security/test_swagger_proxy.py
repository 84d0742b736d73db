"""The proxy behind Swagger UI: it holds a key, and every page that the user visits can reach its port."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from telemetry_live import PRIMARY, SECONDARY, scoring_server, serving

from opsml_cli.domain.errors import ConflictError
from opsml_cli.guard import Guard, loopback_names
from opsml_cli.swagger_ui import LARGEST_REQUEST, Page, Target, serve, through_proxy

ROW = {"age": 56, "job": "housemaid", "rate": 4.857}


class Served:
    """The page before a live endpoint; `key` may be changed while it runs."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.key = PRIMARY
        self.page = Page(Target("bank", lambda: self.upstream, lambda: self.key, self.document))
        self.base = ""

    def document(self) -> dict[str, object]:
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx.get(self.upstream + "/swagger.json", headers=headers, trust_env=False).json()

    def url(self, rest: str = "") -> str:
        return f"{self.base}/{self.page.token}/{rest}"


@pytest.fixture(scope="module")
def one_server() -> Iterator[Served]:
    with scoring_server() as (upstream, _):
        found = Served(upstream)
        with serving(lambda port: Guard(found.page, loopback_names(port))) as port:
            found.base = f"http://127.0.0.1:{port}"
            yield found


@pytest.fixture
def served(one_server: Served) -> Iterator[Served]:
    upstream = one_server.upstream
    yield one_server
    one_server.upstream, one_server.key = upstream, PRIMARY


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as found:
        yield found


def test_it_scores_without_the_caller_knowing_a_key(served: Served, client: httpx.Client) -> None:
    reply = client.post(served.url("proxy/score"), json={"data": [ROW]})
    assert (reply.status_code, json.loads(reply.json())) == (200, {"result": ["yes"]})
    assert reply.headers["azureml-model-deployment"] == "blue"
    assert client.get(served.url("proxy/")).text == "Healthy"


def test_the_endpoint_s_own_refusals_come_through(served: Served, client: httpx.Client) -> None:
    reply = client.post(served.url("proxy/score"), json={"data": [ROW | {"age": "old"}]})
    assert reply.status_code == 400
    assert "age" in reply.text


@pytest.mark.parametrize("path", ["", "swagger.json", "start.js", "swagger-ui.css", "proxy/", "proxy/swagger.json"])
def test_the_key_reaches_no_page(served: Served, client: httpx.Client, path: str) -> None:
    reply = client.get(served.url(path))
    assert reply.status_code == 200
    for key in (PRIMARY, SECONDARY):
        assert key not in reply.text
        assert key not in str(reply.headers)


def test_a_rotated_key_and_a_moved_endpoint_are_followed(served: Served, client: httpx.Client) -> None:
    served.key = SECONDARY
    assert client.get(served.url("proxy/")).status_code == 200
    with scoring_server() as (elsewhere, _):
        served.upstream = elsewhere
        assert client.get(served.url("proxy/")).status_code == 200


@pytest.mark.parametrize("path", ["", "favicon.ico", "proxy/score", "wrong-token/", "wrong-token/proxy/", "//", "%2e%2e/"])
def test_nothing_is_served_without_the_unguessable_path(served: Served, client: httpx.Client, path: str) -> None:
    assert client.get(f"{served.base}/{path}").status_code == 404


def test_the_path_is_long_and_new_each_time(served: Served) -> None:
    others = {Page(Target("bank", str, str, dict)).token for _ in range(20)}
    assert len(others | {served.page.token}) == 21
    assert all(len(token) >= 32 for token in others)


@pytest.mark.parametrize("path", ["", "swagger.json", "proxy/", "proxy/score"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1:1"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
def test_foreign_pages_are_refused(
    served: Served, client: httpx.Client, path: str, headers: dict[str, str], status: int
) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        reply = client.request(method, served.url(path), headers=headers)
        assert reply.status_code == status
        assert PRIMARY not in reply.text


@pytest.mark.parametrize("path", ["", "swagger.json", "proxy/", "missing"])
def test_no_reply_opens_the_door_to_other_origins(served: Served, client: httpx.Client, path: str) -> None:
    reply = client.get(served.url(path), headers={"origin": served.base})
    assert not [name for name in reply.headers if name.startswith("access-control-")]
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "proxy/score"),
        ("POST", "proxy/"),
        ("DELETE", "proxy/score"),
        ("GET", "proxy/admin"),
        ("GET", "proxy/score/../metrics2"),
        ("GET", "proxy//evil.example/"),
        ("GET", "proxy/http://evil.example/"),
        ("GET", "proxy/@evil.example/"),
        ("POST", "proxy/score/"),
        ("POST", "proxy/%2e%2e/score"),
    ],
)
def test_only_the_endpoint_s_own_paths_are_forwarded(served: Served, method: str, path: str) -> None:
    parts = urlsplit(served.base)
    connection = http.client.HTTPConnection(parts.hostname, parts.port)
    connection.request(method, f"/{served.page.token}/{path}")  # raw: httpx would tidy the path
    assert connection.getresponse().status == 404
    connection.close()


class Echo:
    """An upstream that tells what it got, and answers with headers that must not come through."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, object]] = []

    async def __call__(self, scope, receive, send) -> None:
        self.scopes.append(scope)
        headers = [
            (b"content-type", b"text/html"),
            (b"set-cookie", b"a=b"),
            (b"access-control-allow-origin", b"*"),
            (b"content-security-policy", b"default-src *"),
            (b"location", b"http://evil.example/"),
            (b"x-ms-request-id", b"7"),
        ]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send({"type": "http.response.body", "body": b"<script>alert(1)</script>"})


def test_what_goes_through_in_both_directions_is_chosen(served: Served, client: httpx.Client) -> None:
    echo = Echo()
    with serving(lambda port: echo) as port:
        served.upstream = f"http://127.0.0.1:{port}"
        reply = client.post(
            served.url("proxy/score?version=3"),
            content=b"{}",
            headers={
                "cookie": "session=1",
                "authorization": "Bearer mine",
                "x-forwarded-for": "1.2.3.4",
                "connection": "keep-alive, azureml-model-deployment",
                "te": "trailers",
                "azureml-model-deployment": "green",
                "content-type": "application/json",
                "origin": served.base,
            },
        )
    (scope,) = echo.scopes
    got = dict(scope["headers"])
    assert got[b"authorization"] == f"Bearer {PRIMARY}".encode()
    assert got[b"azureml-model-deployment"] == b"green"
    assert scope["query_string"] == b"version=3"
    assert not {b"cookie", b"x-forwarded-for", b"te", b"origin", b"referer"} & set(got)
    assert reply.status_code == 302
    assert not {"set-cookie", "location", "access-control-allow-origin"} & set(reply.headers)
    assert reply.headers["x-ms-request-id"] == "7"
    assert reply.headers.get_list("content-security-policy") == [client.get(served.url()).headers["content-security-policy"]]


def test_a_body_that_is_too_large_is_refused(served: Served, client: httpx.Client) -> None:
    reply = client.post(served.url("proxy/score"), content=b" " * (LARGEST_REQUEST + 1))
    assert reply.status_code == 413


def test_a_stopped_endpoint_is_said_so(served: Served, client: httpx.Client) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        served.upstream = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        reply = client.get(served.url("proxy/"))
    assert reply.status_code == 502
    assert "opsml endpoints start bank" in reply.json()["error"]["message"]


@pytest.mark.parametrize("version", ["2", "3"])
def test_the_document_leads_to_the_proxy_alone(version: str) -> None:
    with scoring_server() as (upstream, _):
        original = httpx.get(
            f"{upstream}/swagger.json?version={version}", headers={"authorization": f"Bearer {PRIMARY}"}, trust_env=False
        ).json()
        page = Page(Target("bank", lambda: upstream, lambda: PRIMARY, lambda: original))
        with serving(lambda port: Guard(page, loopback_names(port))) as port:
            base = f"http://127.0.0.1:{port}"
            document = httpx.get(f"{base}/{page.token}/swagger.json", trust_env=False).json()
    if version == "3":
        assert document["servers"] == [{"url": f"/{page.token}/proxy"}]
    else:
        assert (document["host"], document["basePath"], document["schemes"]) == (
            f"127.0.0.1:{port}",
            f"/{page.token}/proxy",
            ["http"],
        )
    assert upstream not in json.dumps(document)
    assert "securitySchemes" not in document.get("components", {})
    assert "security" not in document
    assert "security" in original  # the copy was changed, not the original


def test_servers_and_security_deeper_in_the_document_go_too() -> None:
    operation = {"security": [{"key": []}], "servers": [{"url": "http://evil.example"}], "responses": {}}
    document = through_proxy(
        {"openapi": "3.1.0", "paths": {"/score": {"post": operation, "servers": [{"url": "http://evil.example"}]}}}
    )
    assert "evil.example" not in json.dumps(document)
    assert document["paths"]["/score"]["post"] == {"responses": {}}


def test_a_taken_port_is_a_conflict() -> None:
    with scoring_server() as (upstream, _):
        port = urlsplit(upstream).port
        with pytest.raises(ConflictError, match=f"port {port}"):
            serve(Target("bank", lambda: upstream, lambda: PRIMARY, dict), port, lambda url: None)


def test_an_endpoint_that_is_not_there_is_an_error_at_once() -> None:
    def missing() -> dict[str, object]:
        raise ConflictError("the endpoint is stopped")

    told: list[str] = []
    with pytest.raises(ConflictError, match="stopped"):
        serve(Target("bank", lambda: "http://127.0.0.1:1", lambda: PRIMARY, missing), 0, told.append)
    assert told == []
