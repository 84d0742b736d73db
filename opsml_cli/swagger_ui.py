"""Swagger UI for one endpoint, and the same-origin proxy that adds the key, so that 'Try it out' works.

    http://127.0.0.1:<port>/<unguessable>/               the page, from an installed package; nothing is fetched elsewhere
    http://127.0.0.1:<port>/<unguessable>/swagger.json   the live document, with the proxy as its only server
    http://127.0.0.1:<port>/<unguessable>/proxy/…        forwarded, with the key, to the paths of that document alone

The key never reaches the page. A page of another site can neither find the path, nor send with its own Origin, Host or
Sec-Fetch-Site, nor read a reply: no CORS header is ever sent.
"""

from __future__ import annotations

import html
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.errors import ConflictError, OpsmlError
from opsml_cli.guard import Guard, Receive, Scope, Send, loopback_names, same_secret

if TYPE_CHECKING:
    import ssl

    import httpx

LARGEST_REQUEST = 16 * 2**20  # bytes
LARGEST_REPLY = 64 * 2**20
TIMEOUT_SECONDS = 120.0

# What a page may do over the proxy.
FORWARDED = {("GET", "/"), ("POST", "/score"), ("GET", "/swagger.json"), ("GET", "/metrics")}
_SENT = {b"accept", b"content-type", b"user-agent", b"azureml-model-deployment", b"x-ms-request-id", b"x-ms-client-request-id"}
# Hop-by-hop, recomputed, or a power over the browser that a reply must not have.
_KEPT_BACK = {
    "connection",
    "content-encoding",
    "content-length",
    "content-security-policy",
    "date",
    "keep-alive",
    "location",
    "proxy-authenticate",
    "server",
    "set-cookie",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
}
_HEADERS = [
    (
        b"content-security-policy",
        # Swagger UI draws with inline style attributes and with images in data: addresses.
        b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
        b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
_START = b"""window.ui = SwaggerUIBundle({
  url: new URL("swagger.json", window.location).href,
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis],
  deepLinking: false,
  displayRequestDuration: true,
  tryItOutEnabled: false,
  validatorUrl: null,
  persistAuthorization: false
});
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" type="image/png" href="favicon-32x32.png">
<link rel="stylesheet" href="swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="swagger-ui-bundle.js"></script>
<script src="start.js"></script>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Target:
    """The endpoint behind the page. All three are asked anew for each request, so that a restart or a rotated key is
    followed; each may raise OpsmlError. `address` is what stands before `/score`; `document` the live OpenAPI document.
    `trust` is for an https address (None: the machine's own roots); `unreachable` the command to run when nobody listens."""

    name: str
    address: Callable[[], str]
    key: Callable[[], str]
    document: Callable[[], Mapping[str, object]]
    trust: ssl.SSLContext | None = None
    unreachable: str = ""


def serve(target: Target, port: int, ready: Callable[[str], None]) -> None:
    """Serve until interrupted, on 127.0.0.1 and `port` (0: a free one); `ready` gets the page's URL once it answers.

    ConflictError when the port is taken or the package with Swagger UI is missing."""
    import asyncio
    import socket

    import uvicorn

    from opsml_cli.http_protocol import BoundedProtocol, fit_descriptors

    fit_descriptors()
    target.document()  # an endpoint that is not there is an error now, not a page that fails
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise ConflictError(
                f"port {port} cannot be had: {getattr(error, 'strerror', None) or error}",
                fix="leave --port out to take a free one",
            ) from error
        listener.listen(128)
        bound = int(listener.getsockname()[1])
        page = Page(target)
        url = f"http://127.0.0.1:{bound}/{page.token}/"
        server = uvicorn.Server(
            uvicorn.Config(
                Guard(page, loopback_names(bound)),
                http=BoundedProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=2,
            )
        )

        async def run() -> None:
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            while not server.started and not serving.done():
                await asyncio.sleep(0.01)
            if not serving.done():
                ready(url)
            await serving

        asyncio.run(run())


def assets() -> dict[str, bytes]:
    """Swagger UI's own files, from the installed package, without importing it (it would load FastAPI)."""
    found = find_spec("fastapi_swagger")
    if found is None or not found.submodule_search_locations:
        raise ConflictError("Swagger UI's files are missing", fix="install opsml-azure again: its fastapi-swagger is gone")
    folder = Path(next(iter(found.submodule_search_locations))) / "resources"
    try:
        return {name: (folder / name).read_bytes() for name in _ASSETS}
    except OSError as error:
        raise ConflictError(f"Swagger UI's files cannot be read: {error.filename}", fix="install opsml-azure again") from error


def through_proxy(document: Mapping[str, object]) -> dict[str, object]:
    """The document with the proxy as its only server, and without the key, which the proxy adds."""
    answer: dict[str, Any] = json.loads(json.dumps(document))
    answer.pop("security", None)
    answer.pop("securityDefinitions", None)
    if isinstance(answer.get("components"), dict):
        answer["components"].pop("securitySchemes", None)
    for path in answer.get("paths", {}).values():
        for operation in path.values() if isinstance(path, dict) else ():
            if isinstance(operation, dict):
                operation.pop("security", None)
                operation.pop("servers", None)
        if isinstance(path, dict):
            path.pop("servers", None)
    return answer


class Page:
    """The ASGI application below `/<token>/`. It goes behind a `Guard`."""

    def __init__(self, target: Target) -> None:
        self.token = secrets.token_urlsafe(24)
        self._target = target
        self._files = assets()
        self._client: httpx.Client | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        token, _, rest = scope["path"].removeprefix("/").partition("/")
        if not same_secret(token, self.token):
            await _error(send, 404, "not_found", "nothing is here")
            return
        site = [value for name, value in scope["headers"] if name == b"sec-fetch-site"]
        if any(value not in (b"same-origin", b"none") for value in site):
            await _error(send, 403, "foreign_origin", "requests from another site's pages are refused")
            return
        try:
            if rest == "proxy" or rest.startswith("proxy/"):
                await self._forward(scope, receive, send, "/" + rest.removeprefix("proxy").removeprefix("/"))
            elif scope["method"] != "GET":
                await _error(send, 405, "not_allowed", "only GET is answered here")
            else:
                await self._file(scope, send, rest)
        except OpsmlError as error:
            await _error(send, 502, error.code, error.message)

    async def _file(self, scope: Scope, send: Send, name: str) -> None:
        if name == "":
            page = _PAGE.format(title=html.escape(self._target.name))
            await _send(send, 200, "text/html; charset=utf-8", page.encode())
        elif name == "start.js":
            await _send(send, 200, "text/javascript; charset=utf-8", _START)
        elif name in _ASSETS:
            await _send(send, 200, _ASSETS[name], self._files[name])
        elif name == "swagger.json":
            await _send(send, 200, "application/json", json.dumps(await self._document(scope)).encode())
        else:
            await _error(send, 404, "not_found", "nothing is here")

    async def _document(self, scope: Scope) -> dict[str, object]:
        import asyncio

        answer = through_proxy(await asyncio.to_thread(self._target.document))
        base = f"/{self.token}/proxy"
        if "swagger" in answer:
            host = next(value for name, value in scope["headers"] if name == b"host")
            answer |= {"host": host.decode("latin-1"), "basePath": base, "schemes": ["http"]}
        else:
            answer["servers"] = [{"url": base}]
        return answer

    async def _forward(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        import asyncio

        import httpx

        if (scope["method"], path) not in FORWARDED:
            await _error(send, 404, "not_found", f"only {', '.join(sorted(f'{m} {p}' for m, p in FORWARDED))} are forwarded")
            return
        try:
            body = await _body(receive)
        except _Gone:
            return
        if body is None:
            await _error(send, 413, "too_large", f"the body is larger than {LARGEST_REQUEST} bytes")
            return
        address, key = await asyncio.to_thread(lambda: (self._target.address(), self._target.key()))
        headers = [(name, value) for name, value in scope["headers"] if name in _SENT]
        headers += [(b"authorization", f"Bearer {key}".encode()), (b"accept-encoding", b"identity")]
        query = scope["query_string"].decode("latin-1")
        if self._client is None:
            # Neither proxies nor netrc of the environment: the key goes to the endpoint alone. Not asynchronous: the Azure
            # adapter loads httpx without what that needs.
            self._client = httpx.Client(
                verify=self._target.trust or True, trust_env=False, follow_redirects=False, timeout=TIMEOUT_SECONDS
            )
        client = self._client

        def ask() -> tuple[int, httpx.Headers, bytes | None]:
            url = address.rstrip("/") + path + (f"?{query}" if query else "")
            with client.stream(scope["method"], url, headers=headers, content=body) as reply:
                content = bytearray()
                for piece in reply.iter_bytes():
                    content += piece
                    if len(content) > LARGEST_REPLY:
                        return reply.status_code, reply.headers, None
                return reply.status_code, reply.headers, bytes(content)

        try:
            status, kept, content = await asyncio.to_thread(ask)
            if content is None:
                await _error(send, 502, "too_large", f"the reply is larger than {LARGEST_REPLY} bytes")
                return
            media = kept.get("content-type", "application/octet-stream")
            await _send(send, status, media, content, _passed(kept.multi_items()))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            name = self._target.name
            advice = self._target.unreachable or f"opsml endpoints start {name}"
            told = f"endpoint {name!r} does not answer ({type(error).__name__}): {advice}"
            await _error(send, 502, "unreachable", told)


def _passed(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in ((name.lower(), value) for name, value in headers)
        if name not in _KEPT_BACK and name != "content-type" and not name.startswith(("access-control-", "cross-origin-"))
    ]


class _Gone(Exception):  # noqa: N818 - nobody is there to be told
    """The client left before its request was whole."""


async def _body(receive: Receive) -> bytes | None:
    """The request's body; None when it is too large. `_Gone` when it does not come to its end."""
    content = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        content += message.get("body", b"")
        if len(content) > LARGEST_REQUEST:
            return None
        if not message.get("more_body"):
            return bytes(content)


async def _error(send: Send, status: int, code: str, message: str) -> None:
    await _send(send, status, "application/json", json.dumps({"error": {"code": code, "message": message}}).encode())


async def _send(send: Send, status: int, media: str, body: bytes, extra: Iterable[tuple[bytes, bytes]] = ()) -> None:
    ours = {name for name, _ in _HEADERS}
    headers = [
        (b"content-type", media.encode("latin-1")),
        (b"content-length", str(len(body)).encode()),
        *_HEADERS,
        *((name, value) for name, value in extra if name not in ours),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
