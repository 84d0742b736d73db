"""A proxy on loopback that makes Azure's host names answer with the emulator's routes.

The SDK's own tests name `cloud="AzureCloud"`, whose addresses are built in. A test tool: it opens TLS with a throwaway
authority, and what it does not stand in for it refuses, so no test reaches out."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from signatures import signed
from tokens import Tokens

REGION = "local"
MANAGEMENT, LOGIN = "management.azure.com", "login.microsoftonline.com"
HOSTS = (
    MANAGEMENT,
    LOGIN,
    "*.blob.core.windows.net",
    "*.api.azureml.ms",
    f"*.{REGION}.inference.ml.azure.com",
)
BLOB = ".blob.core.windows.net"
# Hop by hop, or made anew by whoever sends.
OWN_HEADERS = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "content-length", "host", "accept-encoding"}


class Mapping:
    """From Azure's addresses to the emulator's, and back in what it answers."""

    def __init__(self, emulator: str) -> None:
        self.authority = urlsplit(emulator).netloc
        self._accounts: set[str] = set()
        self._back = (
            (re.compile(rf"https://{self.authority}/_blob/([a-z0-9]+)\.blob\.core\.windows\.net(:443)?"), rf"https://\1{BLOB}\2"),
            (re.compile(rf"{self.authority}/_blob/([a-z0-9]+)"), r"\1"),
            (re.compile(rf"https://{self.authority}/_(?:online|batch)/([A-Za-z0-9-]+)"),
             rf"https://\1.{REGION}.inference.ml.azure.com"),
            (re.compile(rf"https://{self.authority}(?=/subscriptions/|/providers/)"), "https://management.azure.com"),
            (re.compile(rf"azureml://{self.authority}"), f"azureml://{REGION}.api.azureml.ms"),
            (re.compile(rf"https://{self.authority}(?=/[^/\"]+/oauth2|/adfs)"), "https://login.microsoftonline.com"),
            (re.compile(rf"https://{self.authority}"), f"https://{REGION}.api.azureml.ms"),
        )  # fmt: skip

    def path(self, host: str, path: str) -> str | None:
        """The emulator's path for `path` on an Azure host; None for a host that nobody stands in for."""
        if host in {MANAGEMENT, LOGIN} or host.endswith(".api.azureml.ms"):
            return path
        if host.endswith(BLOB):
            return f"/_blob/{host}{path}"
        if host.endswith(".inference.ml.azure.com"):
            endpoint = host.split(".", 1)[0]
            # Azure tells batch from online by what the endpoint is; the path does as well.
            kind = "batch" if path.partition("?")[0].rstrip("/").endswith("/jobs") else "online"
            return f"/_{kind}/{endpoint}{path}"
        return None

    def forth(self, text: str) -> str:
        """A request's body. Addresses of storage accounts that are not the emulator's stay what they are."""
        for account in self._accounts:
            text = text.replace(f"https://{account}{BLOB}", f"https://{self.authority}/_blob/{account}{BLOB}")
        return text

    def back(self, text: str) -> str:
        """A reply's body, or the value of a header."""
        self._accounts.update(re.findall(rf"{self.authority}/_blob/([a-z0-9]+)", text))
        for pattern, replacement in self._back:
            text = pattern.sub(replacement, text)
        return text


@contextmanager
def serving(emulator: str, emulator_ml: str, emulator_roots: Path, certificate: Path, account_key: bytes) -> Iterator[str]:
    """The proxy's own address while the block runs. `emulator_ml` is the emulator's audience of data-plane tokens."""
    inside = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    inside.load_cert_chain(certificate)
    outside = ssl.create_default_context(cafile=str(emulator_roots))
    mapping = Mapping(emulator)

    class Handler(_Handler):
        pass

    Handler.inside, Handler.outside, Handler.mapping = inside, outside, mapping
    Handler.tokens, Handler.account_key = Tokens(emulator, emulator_ml), account_key
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    """CONNECT makes the connection TLS with the named host; the requests that follow on it are forwarded."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    inside: ssl.SSLContext
    outside: ssl.SSLContext
    mapping: Mapping
    tokens: Tokens
    account_key: bytes
    azure_host = ""
    _emulator: http.client.HTTPSConnection | None = None

    def do_CONNECT(self) -> None:
        host = self.path.rsplit(":", 1)[0].lower()
        if self.mapping.path(host, "/") is None:
            self.send_error(502, f"The peer tests' proxy does not stand in for {host}")
            return
        self.send_response_only(200, "Connection established")
        self.end_headers()
        self.wfile.flush()
        try:
            self.connection = self.inside.wrap_socket(self.connection, server_side=True)
        except OSError:
            self.close_connection = True
            return
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
        self.azure_host, self.close_connection = host, False

    def _forward(self) -> None:
        path = self.mapping.path(self.azure_host, self.path) if self.azure_host else None
        if path is None:
            self.send_error(502, "The peer tests' proxy serves CONNECT alone")
            return
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in OWN_HEADERS}
        for name in ("Authorization", "x-azureml-token"):
            if name in self.headers:
                headers[name] = self.tokens.own(self.headers[name])
        if self.headers.get("Authorization", "").startswith("SharedKey "):
            length = {"content-length": self.headers.get("content-length", "")}
            account = self.azure_host.removesuffix(BLOB)
            headers["Authorization"] = signed(self.account_key, account, self.command, path, headers | length)
        audience = None
        if self.azure_host == LOGIN and self.command == "POST":
            body, audience = self.tokens.asked(body)
        if "json" in self.headers.get("content-type", ""):
            body = self.mapping.forth(body.decode()).encode()
        answer, content = self._asked(path, body, headers)
        if "json" in (answer.getheader("content-type") or ""):
            content = self.mapping.back(content.decode()).encode()
        if audience is not None and answer.status == 200:
            value = json.loads(content)
            value["access_token"] = self.tokens.given(value["access_token"], audience)
            content = json.dumps(value).encode()
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in OWN_HEADERS:
                self.send_header(name, self.mapping.back(value))
        length = answer.getheader("content-length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def _asked(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[http.client.HTTPResponse, bytes]:
        """The emulator's answer; on a new connection when it closed the old one while it was idle."""
        for fresh in (False, True):
            if self._emulator is None or fresh:
                host, port = self.mapping.authority.rsplit(":", 1)
                self._emulator = http.client.HTTPSConnection(host, int(port), context=self.outside, timeout=120)
            try:
                self._emulator.request(self.command, path, body or None, headers)
                answer = self._emulator.getresponse()
                return answer, answer.read()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self._emulator.close()
                self._emulator = None
                if fresh:
                    raise
        raise AssertionError

    do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = do_HEAD = _forward

    def finish(self) -> None:
        if self._emulator is not None:
            self._emulator.close()
        try:
            super().finish()
            self.connection.close()
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        """Quiet: the emulator keeps its own log."""
