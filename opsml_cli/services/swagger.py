"""`swagger --check`: whether an endpoint answers as its OpenAPI document says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opsml_cli.domain.endpoint import SwaggerFinding
from opsml_cli.domain.errors import NotFinishedError, OpsmlError, UnsupportedError
from opsml_cli.domain.proxies import usable_proxies
from opsml_cli.domain.workspace import Workspace

if TYPE_CHECKING:
    import httpx

JSON = "application/json"
TIMEOUT_SECONDS = 60.0
_FRONT_DOOR = "azureml-frontdoor"
_MOST = 100  # findings; more say nothing new


@dataclass(frozen=True, slots=True)
class SwaggerDocument:
    """The OpenAPI document as the endpoint gives it."""

    endpoint: str
    document: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class SavedDocument:
    endpoint: str
    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SwaggerUi:
    """Where the page is served."""

    endpoint: str
    url: str


@dataclass(frozen=True, slots=True)
class SwaggerCheck:
    """`requests` were sent; `findings` say where document and replies differ."""

    ok: bool
    findings: tuple[SwaggerFinding, ...]
    requests: int


def check(workspace: Workspace, name: str) -> SwaggerCheck:
    """Ask the endpoint everything that its document promises, and what it must refuse.

    UnsupportedError for a document that is no OpenAPI 3; ConflictError and such when the endpoint does not answer."""
    document = workspace.online_endpoints.swagger(name)
    if not str(document.get("openapi", "")).startswith("3."):
        raise UnsupportedError(
            f"the document of {name!r} is no OpenAPI 3", cause="only OpenAPI 3 says enough to be compared with replies"
        )
    access = workspace.online_endpoints.access(name)
    import httpx

    with usable_proxies():
        made = httpx.Client(
            base_url=access.url,
            timeout=TIMEOUT_SECONDS,
            verify=access.trust or True,
            trust_env=urlsplit(access.url).hostname not in _LOOPBACK,
        )
    with made as client:
        comparison = Comparison(document, client, access.credential)
        try:
            findings = tuple(finding for finding, _ in zip(comparison.findings(), range(_MOST), strict=False))
        except httpx.TimeoutException as error:
            raise NotFinishedError(f"endpoint {name!r} did not answer within {TIMEOUT_SECONDS:g} s") from error
        except httpx.HTTPError as error:
            raise OpsmlError(
                f"endpoint {name!r} broke off: {type(error).__name__}",
                cause=str(error) or None,
                fix=f"opsml logs {name} --tail 20",
            ) from error
    return SwaggerCheck(not findings, findings, comparison.requests)


_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Comparison:
    """A document against the server that `client` reaches with `key`."""

    def __init__(self, document: Mapping[str, Any], client: httpx.Client, key: str) -> None:
        self.requests = 0
        self._document = document
        self._client = client
        self._key = key

    def findings(self) -> Iterator[SwaggerFinding]:
        broken = list(self._broken_document())
        yield from broken
        if broken:
            return
        yield from self._address()
        for path, methods in self._document["paths"].items():
            for method, operation in methods.items():
                if method in ("get", "post"):
                    yield from self._operation(path, method, operation)

    def _broken_document(self) -> Iterator[SwaggerFinding]:
        """What makes the document unusable: a part that is missing, a reference to nothing, a schema that is none."""
        import jsonschema

        if not isinstance(self._document.get("paths"), dict) or not self._document["paths"]:
            yield SwaggerFinding("document", "it describes no path")
            return
        for where, reference in _references(self._document, "#"):
            try:
                self._resolve(reference)
            except (KeyError, IndexError, ValueError, TypeError):
                yield SwaggerFinding("document", f"{where}: {reference} names nothing")
        for name, schema in self._document.get("components", {}).get("schemas", {}).items():
            try:
                jsonschema.Draft202012Validator.check_schema(schema)
            except jsonschema.SchemaError as error:
                yield SwaggerFinding("document", f"schema {name!r} is none: {error.message}")

    def _address(self) -> Iterator[SwaggerFinding]:
        answering = str(self._client.base_url).rstrip("/")
        for server in self._document.get("servers", []):
            url = str(server.get("url"))
            if urlsplit(url).netloc and url.rstrip("/") != answering:
                yield SwaggerFinding("servers", f"{url} is not where the endpoint answers: {answering}")

    def _operation(self, path: str, method: str, operation: Mapping[str, Any]) -> Iterator[SwaggerFinding]:
        what = f"{method.upper()} {path}"
        secured = bool(operation.get("security", self._document.get("security")))
        body = operation.get("requestBody")
        if body is None:
            reply = self._send(method, path)
            yield from self._expect(what, operation, reply, 200)
        else:
            content = body.get("content", {}).get(JSON)
            if content is None:
                yield SwaggerFinding(what, f"its request has no {JSON} content")
                return
            yield from self._examples(what, path, method, operation, content)
            yield from self._refusals(what, path, method, operation, content)
        if secured:
            sent = {"content": b"{}", "headers": {"content-type": JSON}} if body is not None else {}
            for label, key in (("without a key", None), ("with a wrong key", "wrong-key")):
                reply = self._send(method, path, key=key, **sent)
                yield from self._expect(f"{what} {label}", operation, reply, 401)

    def _examples(
        self, what: str, path: str, method: str, operation: Mapping[str, Any], content: Mapping[str, Any]
    ) -> Iterator[SwaggerFinding]:
        """The requests that the document gives as examples fit its schema, and are answered as it says."""
        examples = self._known_examples(content)
        own = self._document.get("info", {}).get("x-opsml")
        # Documents of opsml's own have examples, unless they say that nobody knows one: of a model without a signature, for
        # one. A script's document need not have any.
        if not examples and own is not None and "example" not in own:
            yield SwaggerFinding(what, "its request has no example")
        for name, value in examples.items():
            label = f"{what} example {name!r}"
            for problem in self._violations(value, content.get("schema", {})):
                yield SwaggerFinding(label, f"does not fit the request schema: {problem}")
            reply = self._score(method, path, value)
            yield from self._expect(label, operation, reply, 200)
            expected = _examples(operation.get("responses", {}).get("200", {}).get("content", {}).get(JSON, {})).get(name)
            if expected is not None and reply.status_code == 200 and _parsed(reply) != expected:
                yield SwaggerFinding(label, "the reply is not the one that the document shows")

    def _refusals(
        self, what: str, path: str, method: str, operation: Mapping[str, Any], content: Mapping[str, Any]
    ) -> Iterator[SwaggerFinding]:
        """What is no valid request is refused with 400 (415), in the documented shape, naming the column. A document that
        has `default` in place of these promises a refusal of any status, and one that describes no body promises none."""
        schema = self._resolved(content.get("schema", {}))
        if not schema:
            return
        for label, raw, media, status in (
            ("with an empty object", b"{}", JSON, 400),
            ("with broken JSON", b'{"input_data": ', JSON, 400),
            ("with plain text", b"hello", "text/plain", 415),
        ):
            if raw == b"{}" and not self._violations({}, schema):
                continue
            reply = self._send(method, path, content=raw, headers={"content-type": media})
            yield from self._expect_refusal(f"{what} {label}", operation, reply, status)
        for name, value in self._known_examples(content).items():
            for column, label, bad in _broken_rows(value):
                if not self._violations(bad, content.get("schema", {})):
                    continue  # an optional column may be left out, and some columns take anything
                reply = self._score(method, path, bad)
                where = f"{what} example {name!r} {label}"
                yield from self._expect_refusal(where, operation, reply, 400)
                documented = "400" in operation.get("responses", {})
                if documented and _status(reply) == 400 and not _names(reply, column):
                    yield SwaggerFinding(where, f"the refusal does not name column {column!r}")

    def _expect_refusal(
        self, what: str, operation: Mapping[str, Any], reply: httpx.Response, status: int
    ) -> Iterator[SwaggerFinding]:
        responses = operation.get("responses", {})
        if str(status) not in responses and "default" in responses and _status(reply) >= 400:
            status = _status(reply)
        yield from self._expect(what, operation, reply, status)

    def _expect(self, what: str, operation: Mapping[str, Any], reply: httpx.Response, status: int) -> Iterator[SwaggerFinding]:
        came = _status(reply)
        if came != status:
            yield SwaggerFinding(what, f"expected {status}, got {came}: {reply.text[:200]}")
        elif came == 401 and reply.headers.get("server") == _FRONT_DOOR:
            return  # Azure's own words, before the container whose document this is
        responses = operation.get("responses", {})
        known = (responses[name] for name in (str(came), f"{came // 100}XX", "default") if name in responses)
        documented = next(known, None)
        if documented is None:
            yield SwaggerFinding(what, f"status {came} is not documented")
            return
        documented = self._resolved(documented)
        media = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
        contents = documented.get("content")
        if not contents:
            return
        if media not in contents:
            yield SwaggerFinding(what, f"status {came} came as {media or 'nothing'}, documented: {', '.join(contents)}")
            return
        schema = contents[media].get("schema")
        if schema is None:
            return
        try:
            value = _parsed(reply) if media == JSON else reply.text
        except ValueError:
            yield SwaggerFinding(what, f"status {came} is no JSON: {reply.text[:200]}")
            return
        for problem in self._violations(value, schema):
            yield SwaggerFinding(what, f"status {came} does not fit its schema: {problem}")

    def _score(self, method: str, path: str, value: object) -> httpx.Response:
        headers = {"content-type": JSON}
        deployment = self._document.get("info", {}).get("x-opsml", {}).get("deployment")
        if deployment:
            headers["azureml-model-deployment"] = deployment  # the one whose columns the document describes
        return self._send(method, path, content=json.dumps(value).encode(), headers=headers)

    def _send(self, method: str, path: str, *, key: str | None = "", **options: Any) -> httpx.Response:
        """`key` empty: the right one; None: none."""
        self.requests += 1
        headers = {"user-agent": "opsml-check", **options.pop("headers", {})}
        if key is not None:
            headers["authorization"] = f"Bearer {key or self._key}"
        return self._client.request(method, path, headers=headers, **options)

    def _violations(self, value: object, schema: Mapping[str, Any]) -> list[str]:
        import jsonschema

        whole = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **schema,
            "components": self._document.get("components", {}),
        }
        errors = jsonschema.Draft202012Validator(whole).iter_errors(value)
        return [f"{error.json_path}: {error.message[:200]}" for error, _ in zip(errors, range(3), strict=False)]

    def _known_examples(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the content, else the one of its schema."""
        found = _examples(content)
        schema = self._resolved(content.get("schema", {}))
        return found if found or "example" not in schema else {"example": schema["example"]}

    def _resolved(self, part: Mapping[str, Any]) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._resolve(part["$ref"]) if "$ref" in part else part
        return found

    def _resolve(self, reference: str) -> Any:
        if not reference.startswith("#/"):
            raise ValueError(reference)
        found: Any = self._document
        for part in reference[2:].split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        return found


def _parsed(reply: httpx.Response) -> object:
    return json.loads(reply.content)


def _status(reply: httpx.Response) -> int:
    """The model's own, where Azure's front door answers 424 for it."""
    behind = reply.headers.get("ms-azureml-model-error-statuscode", "")
    return int(behind) if reply.status_code == 424 and behind.isdecimal() else reply.status_code


def _names(reply: httpx.Response, column: str) -> bool:
    """Whether the refusal names the column, as it is or as a literal: its text as it was meant, whatever JSON escapes."""
    return any(word in text for text in _texts(reply.text) for word in (column, repr(column)[1:-1]))


def _texts(text: str) -> Iterator[str]:
    yield text
    try:
        found = [json.loads(text)]
    except ValueError:
        return
    while found:
        value = found.pop()
        if isinstance(value, str):
            yield from _texts(value)
        elif isinstance(value, (dict, list)):
            found += [*value, *value.values()] if isinstance(value, dict) else value


def _references(value: object, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name == "$ref" and isinstance(item, str):
                yield where, item
            # An example is data: what looks like a reference in it is none.
            elif name not in ("example", "examples", "enum", "const"):
                yield from _references(item, f"{where}/{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _references(item, f"{where}/{index}")


def _examples(content: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: example.get("value") for name, example in content.get("examples", {}).items()}
    if "example" in content:
        found.setdefault("example", content["example"])
    return found


def _broken_rows(value: object) -> Iterator[tuple[str, str, object]]:
    """(column, what is wrong, request): a row-by-name request with a column missing, and with a value of no sane type."""
    rows = _rows(value)
    if not rows or not isinstance(rows[0], dict) or not rows[0]:
        return
    for label, change in (
        ("with a nested value", lambda row, name: row | {name: {"nested": [1]}}),
        ("without a column", _without),
    ):
        column = next(iter(rows[0]))
        copy = json.loads(json.dumps(value))
        _rows(copy)[0] = change(rows[0], column)
        yield column, f"{label} ({column})", copy


def _without(row: dict[str, object], name: str) -> dict[str, object]:
    return {key: value for key, value in row.items() if key != name}


def _rows(value: object) -> list[Any]:
    """The list of rows in a request of any dialect, the very list; empty when there is none."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        for name in ("Inputs", "input_data", "data"):
            if name in value:
                return _rows(value[name])
    return []
