"""Scripts that use Flask, most often through @rawhttp and AMLResponse: its request while they answer, and its responses."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opsml_cli.local.serving.host.exchange import HostRequest
from opsml_cli.local.serving.host.script_input import header

_RUN_FAILED = "x-ms-run-function-failed"

_Reply = tuple[int, bytes, str, list[tuple[str, str]]]


class Flasks:
    """An application whose request stands while `run` answers, when the script uses Flask; nothing otherwise."""

    def __init__(self, script: Path) -> None:
        self._script = script
        self._app: Any = None
        self._environ: dict[str, Any] = {}

    def take(self) -> None:
        """Look, once the script is loaded, whether it uses Flask: what imports it inside `run` needs the request too."""
        if "flask" in sys.modules or b"flask" in self._script.read_bytes():
            with contextlib.suppress(ImportError):
                import flask

                self._app = flask.Flask("opsml_script")

    @contextlib.contextmanager
    def request(self, request: HostRequest) -> Iterator[Any]:
        """Flask's request, as `flask.request` gives it; None for a script that does without."""
        if self._app is None:
            yield None
            return
        import flask

        self._environ = _environ(request)
        with self._app.request_context(self._environ):
            yield flask.request

    def reply(self, result: Any) -> _Reply | None:
        """What a response of Flask's says; None for any other result. Within the request."""
        if self._app is None:
            return None
        import flask

        if not isinstance(result, flask.Response):
            return None
        content, status, headers = result.get_wsgi_response(self._environ)
        try:
            body = b"".join(content)
        finally:
            close = getattr(content, "close", None)
            if close is not None:
                close()
        code = int(status.split()[0])
        pairs = [(name, value) for name, value in headers if name.lower() not in ("content-length", _RUN_FAILED)]
        told = next((value for name, value in headers if name.lower() == _RUN_FAILED), None)
        if told is not None or code >= 500:
            pairs.append((_RUN_FAILED, "True" if code >= 500 else str(told)))
        media = next((value for name, value in pairs if name.lower() == "content-type"), "application/octet-stream")
        return code, body, media, [pair for pair in pairs if pair[0].lower() != "content-type"]


def _environ(request: HostRequest) -> dict[str, Any]:
    """A WSGI environment of the request, as gunicorn makes it."""
    from urllib.parse import unquote_to_bytes

    host = header(request, "host") or "127.0.0.1"
    name, _, port = host.rpartition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(request.path).decode("latin-1"),
        "QUERY_STRING": request.query,
        "RAW_URI": request.path + (f"?{request.query}" if request.query else ""),
        "SERVER_NAME": name if port.isdigit() else host,
        "SERVER_PORT": port if port.isdigit() else "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "opsml",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for key, value in request.headers:
        if "_" in key:
            continue
        variable = key.upper().replace("-", "_")
        if variable not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            variable = f"HTTP_{variable}"
        environ[variable] = f"{environ[variable]},{value}" if variable in environ else value
    return environ
