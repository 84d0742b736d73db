"""Sources: http(s) with its limits, without credentials; and what is refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from opsml_cli.domain.data import RegisterData
from opsml_cli.domain.errors import InvalidInputError, NotAllowedError, NotFoundError, OpsmlError, QuotaError, UsageError
from opsml_cli.domain.progress import Silent
from opsml_cli.local.workspace import LocalWorkspace
from opsml_cli.tables.sources import FetchLimits, chunks, parse_source

TABLE = b"a,b\n1,x\n2,y\n"


class Files(BaseHTTPRequestHandler):
    """Answers by path."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        type(self).seen.append((self.path, self.headers.get("authorization")))
        path = self.path.partition("?")[0]
        if path.startswith("/redirect/"):
            left = int(path.rpartition("/")[2])
            return self._reply(302, b"", location=f"/redirect/{left - 1}" if left else "/table.csv")
        if path == "/file":
            return self._reply(302, b"", location="file:///etc/passwd")
        if path == "/loop":
            return self._reply(302, b"", location="/loop")
        if path.startswith("/status/"):
            return self._reply(int(path.rpartition("/")[2]), b"secret body")
        if path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", str(len(TABLE) + 100))
            self.end_headers()
            self.wfile.write(TABLE)
            self.close_connection = True
            return None
        if path == "/slow":
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            try:
                for _ in range(200):
                    self.wfile.write(b"1,2\n")
                    self.wfile.flush()
                    if self.server.stopping.wait(0.05):  # type: ignore[attr-defined]
                        break
            except OSError:
                pass
            return None
        if path == "/endless":
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            try:
                while True:
                    self.wfile.write(b"1,2\n" * 100_000)
            except OSError:
                return None
        return self._reply(200, TABLE)

    def _reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    Files.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    server.stopping = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.stopping.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_url_is_registered_without_its_credentials(workspace: LocalWorkspace, url: str) -> None:
    source = f"http://user:canary-pw@{url}/redirect/2?sig=canary-sig#canary-part"
    asset = workspace.data.register(RegisterData("t", source), Silent()).asset
    assert asset.rows == 2
    assert asset.source == f"http://{url}/redirect/2"
    assert Files.seen[0][1] is not None  # sent to the server that was named
    held = b"".join(path.read_bytes() for path in workspace.root.rglob("*") if path.is_file())
    assert b"canary" not in held
    assert workspace.data.register(RegisterData("t", f"http://{url}/table.csv"), Silent()).unchanged


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/status/404", NotFoundError),
        ("/status/403", NotAllowedError),
        ("/status/401", NotAllowedError),
        ("/status/500", OpsmlError),
        ("/status/204", OpsmlError),
        ("/loop", OpsmlError),
        ("/redirect/9", OpsmlError),
        ("/file", InvalidInputError),
        ("/short", OpsmlError),
    ],
)
def test_failures_are_told_without_credentials(workspace: LocalWorkspace, url: str, path: str, error: type[OpsmlError]) -> None:
    with pytest.raises(error) as caught:
        workspace.data.register(RegisterData("t", f"http://u:canary@{url}{path}?sig=canary"), Silent())
    text = repr(caught.value.document())
    assert url in text
    assert "canary" not in text
    assert "secret body" not in text
    assert workspace.data.list() == []
    assert list(workspace.layout.blobs.glob("*")) == []


def test_a_server_that_is_not_there(workspace: LocalWorkspace) -> None:
    with pytest.raises(OpsmlError, match="could not be fetched") as caught:
        workspace.data.register(RegisterData("t", "http://u:canary@127.0.0.1:1/x"), Silent())
    assert "canary" not in repr(caught.value.document())


def test_downloads_are_limited_in_size(url: str) -> None:
    with pytest.raises(QuotaError):
        for _ in chunks(parse_source(f"http://{url}/endless"), FetchLimits(total_bytes=1_000_000)):
            pass
    with pytest.raises(QuotaError):
        for _ in chunks(parse_source(f"http://{url}/table.csv"), FetchLimits(total_bytes=5)):
            pass


def test_downloads_are_limited_in_time(url: str) -> None:
    start = time.monotonic()
    with pytest.raises(OpsmlError):
        for _ in chunks(parse_source(f"http://{url}/slow"), FetchLimits(total_seconds=0.3)):
            pass
    assert time.monotonic() - start < 8


@pytest.mark.parametrize(
    "source", ["file:///etc/passwd", "ftp://x/y", "s3://b/k", "azureml://datastores/d/paths/p", "data://x"]
)
def test_other_schemes_are_refused(source: str) -> None:
    with pytest.raises(UsageError):
        parse_source(source)


def test_a_credential_is_not_in_the_repr() -> None:
    assert "canary" not in repr(parse_source("https://u:canary@h/x?sig=canary"))


@pytest.mark.parametrize("source", ["/dev/zero", "a\x00b"])
def test_devices_and_impossible_paths_are_refused(source: str) -> None:
    with pytest.raises((InvalidInputError, UsageError)):
        parse_source(source)


def test_a_near_name_is_suggested(tmp_path: Path) -> None:
    (tmp_path / "bank.csv").touch()
    with pytest.raises(NotFoundError) as caught:
        parse_source(str(tmp_path / "bnk.csv"))
    assert "bank.csv" in (caught.value.cause or "")
