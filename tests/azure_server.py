"""A small HTTPS server on loopback that answers as a test tells it: for what Azure's hosts do on the wire."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opsml_cli.emulator import tls
from opsml_cli.local.layout import Layout


@dataclass(frozen=True)
class Asked:
    """One request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def token(self) -> str | None:
        return self.headers.get("authorization", "").removeprefix("Bearer ") or None


@dataclass(frozen=True)
class Say:
    """An answer. `drop` breaks the connection instead, after the request was read."""

    status: int = 200
    value: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    text: str | None = None


Answers = Callable[[Asked], Say]


@dataclass
class AzureServer:
    """`url` without a slash at the end. `answer` is asked for everything but tokens, which are `token-1`, `token-2` …"""

    url: str
    bundle: Path
    asked: list[Asked] = field(default_factory=list)
    tokens: list[Asked] = field(default_factory=list)
    answer: Answers = lambda _: Say(404, {"error": {"code": "UserError", "message": "nothing here"}})
    refuse_tokens: Say | None = None

    def script(self, *answers: Say) -> None:
        """Answer with these, one after the other; the last one stays."""
        left = list(answers)
        self.answer = lambda _: left.pop(0) if len(left) > 1 else left[0]

    @property
    def environment(self) -> dict[str, str]:
        """How a process finds this server as its cloud, signed in as a service principal."""
        return {
            "ARM_CLOUD_METADATA_URL": f"{self.url}/metadata/endpoints",
            "AZURE_AUTHORITY_HOST": self.url,
            "AZURE_TENANT_ID": "adfs",
            "AZURE_CLIENT_ID": "client",
            "AZURE_CLIENT_SECRET": "s3cret",
            "REQUESTS_CA_BUNDLE": str(self.bundle),
        }

    def _reply(self, asked: Asked) -> Say:
        path = asked.path.partition("?")[0]
        if path == "/metadata/endpoints":
            return Say(value=[metadata(self.url)])
        if path.endswith(("/oauth2/token", "/oauth2/v2.0/token")):
            self.tokens.append(asked)
            if self.refuse_tokens is not None:
                return self.refuse_tokens
            return Say(value={"access_token": f"token-{len(self.tokens)}", "token_type": "Bearer", "expires_in": 3600})
        if path.endswith("/.well-known/openid-configuration"):
            base = f"{self.url}/{path.split('/')[1]}"
            return Say(
                value={
                    "authorization_endpoint": f"{base}/oauth2/authorize",
                    "token_endpoint": f"{base}/oauth2/token",
                    "issuer": base,
                }
            )
        self.asked.append(asked)
        return self.answer(asked)


def metadata(url: str) -> dict[str, Any]:
    return {
        "name": "TestCloud",
        "portal": "https://portal.azure.localhost/",
        "authentication": {"loginEndpoint": f"{url}/", "audiences": [url], "tenant": "adfs"},
        "resourceManager": f"{url}/",
        "microsoftGraphResourceId": f"{url}/graph/",
        "suffixes": {"storage": "core.test"},
    }


@contextmanager
def azure_server(folder: Path) -> Iterator[AzureServer]:
    """A running server, its certificates in `folder`."""
    certificates = tls.ensure(Layout(folder), datetime.now(UTC))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body leave apart

        def _any(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            say = server._reply(Asked(self.command, self.path, headers, self.rfile.read(length)))
            if say.drop:
                self.close_connection = True
                return
            body = say.text.encode() if say.text is not None else json.dumps(say.value).encode()
            self.send_response(say.status)
            for name, value in {"content-type": "application/json", **say.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = do_HEAD = _any

        def log_message(self, *args: object) -> None: ...

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server)
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    http.socket = context.wrap_socket(http.socket, server_side=True)
    server = AzureServer(f"https://localhost:{http.server_address[1]}", certificates.authority)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join(60)
