"""The HTTP application of the local service: pipelines are triggered and their runs read, by whoever has the token."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import opsml_cli
from opsml_cli.domain import json_text
from opsml_cli.domain.errors import (
    BusyError,
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    OpsmlError,
    QuotaError,
    UsageError,
)
from opsml_cli.domain.pipeline import PipelineRun
from opsml_cli.guard import ASGIApp, Receive, Scope, Send, bearer, same_secret
from opsml_cli.local.layout import Layout
from opsml_cli.local.pipelines.runs import Labels
from opsml_cli.local.service.requests import check_kinds, read_trigger
from opsml_cli.local.workspace import LocalWorkspace

MAX_BODY_BYTES = 1_000_000
_MAX_DEPTH = 30
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,200}\Z")
_STATUS: tuple[tuple[type[OpsmlError], int], ...] = (
    (NotFoundError, 404),
    (BusyError, 503),
    (ConflictError, 409),
    (NotAllowedError, 403),
    (QuotaError, 507),
    (InvalidInputError, 400),
    (UsageError, 400),
)


class TokenRequired:
    """ASGI middleware: 401 without the bearer token. Nothing but the token opens any route."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = bearer(scope)
            if given is None or not same_secret(given, self._token):
                response = _error(
                    401, "not_signed_in", "a bearer token is required", "send the header Authorization: Bearer TOKEN"
                )
                response.headers["www-authenticate"] = "Bearer"
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def make_app(layout: Layout) -> Starlette:
    """The application behind the guard and the token."""
    service = _Service(layout)
    return Starlette(
        routes=[
            Route("/", service.health, methods=["GET"]),
            Route("/pipelines/{name}/jobs", service.trigger, methods=["POST"]),
            Route("/runs/{run}", service.run, methods=["GET"]),
            Route("/runs/{run}/cancel", service.cancel, methods=["POST"]),
        ],
        exception_handlers={
            OpsmlError: _opsml_error,
            404: _plain_error(404, "not_found", "no such route"),
            405: _plain_error(405, "usage", "this route has no such method"),
            500: _plain_error(500, "unexpected", "the service failed; its log says why"),
        },
    )


class _Service:
    """One handler a route. The work is done in threads, each with a connection of its own."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    async def health(self, _: Request) -> Response:
        return JSONResponse({"service": "opsml", "version": opsml_cli.__version__, "status": "ok", "pid": os.getpid()})

    async def trigger(self, request: Request) -> Response:
        body = await _json_body(request)
        trigger = read_trigger(body)
        name, version = request.path_params["name"], request.query_params.get("version")
        given = request.headers.get("idempotency-key") or request.headers.get("x-ms-client-request-id")
        if given is not None and not _REQUEST_ID.match(given):
            raise InvalidInputError("the request id must be 1 to 200 visible ASCII characters")
        asked = json.dumps([name.casefold(), version, body], sort_keys=True)
        digest = hashlib.sha256(asked.encode()).hexdigest()

        def begin(workspace: LocalWorkspace) -> tuple[PipelineRun, bool]:
            check_kinds(trigger, workspace.pipelines.get(name, version).inputs)
            run, made = workspace.pipelines.start_published(
                name,
                version,
                trigger.inputs,
                trigger.experiment,
                labels=Labels(display_name=trigger.display_name, tags=trigger.tags),
                request_key=given,
                request_body=digest,
            )
            return workspace.pipelines.run(run), made

        run, made = await self._work(begin)
        headers = {"location": f"/runs/{run.run}"}
        return JSONResponse(_document(run), status_code=201 if made else 200, headers=headers)

    async def run(self, request: Request) -> Response:
        name = request.path_params["run"]
        return JSONResponse(_document(await self._work(lambda workspace: workspace.pipelines.run(name))))

    async def cancel(self, request: Request) -> Response:
        name = request.path_params["run"]
        return JSONResponse(_document(await self._work(lambda workspace: workspace.pipelines.cancel(name))), status_code=202)

    async def _work(self, work: Callable[[LocalWorkspace], Any]) -> Any:
        def do() -> Any:
            workspace = LocalWorkspace(self._layout.root)
            try:
                return work(workspace)
            finally:
                workspace.store.close()

        return await run_in_threadpool(do)


def _document(run: PipelineRun) -> dict[str, object]:
    """A run for both kinds of client: `Id` as a v1 pipeline answers, `name` and `properties` as a batch endpoint does."""
    steps = [
        {
            "name": step.name,
            "status": step.status.value,
            "duration_seconds": step.duration_seconds,
            "reused": step.reused,
            "job": step.job,
            "detail": step.detail,
        }
        for step in run.steps
    ]
    return {
        "Id": run.run,
        "id": f"/runs/{run.run}",
        "name": run.run,
        "type": "Microsoft.MachineLearningServices/workspaces/batchEndpoints/jobs",
        "properties": {"status": run.status.value, "experimentName": run.experiment, "displayName": run.pipeline},
        "run": run.run,
        "pipeline": run.pipeline,
        "version": run.version,
        "status": run.status.value,
        "experiment": run.experiment,
        "inputs": dict(run.inputs),
        "steps": steps,
        "outputs": dict(run.outputs),
        "error": run.error,
        "created_at": run.created_at,
        "duration_seconds": run.duration_seconds,
    }


async def _json_body(request: Request) -> object:
    """The body, limited in size and depth. Its type must say JSON: a web page's form cannot."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise _RefusedError(415, "invalid_input", "the body must be sent as Content-Type: application/json")
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise _RefusedError(413, "invalid_input", f"the body is larger than {MAX_BODY_BYTES} bytes")
    try:
        return json_text.read(bytes(content), depth=_MAX_DEPTH)
    except json_text.JsonError as error:
        raise InvalidInputError(f"the body is not the JSON that is taken here: {error}") from None


class JSONResponse(Response):
    """JSON in ASCII: a record that holds half of a surrogate pair is still answered, as the escape that it came as."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        return json.dumps(content, separators=(",", ":")).encode()


class _RefusedError(OpsmlError):
    """A refusal with its own HTTP status."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = code


def _error(status: int, code: str, message: str, fix: str | None = None, cause: str | None = None) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message, "cause": cause, "fix": fix}}, status_code=status)


async def _opsml_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, OpsmlError)
    if isinstance(error, _RefusedError):
        return _error(error.status, error.reason, error.message)
    status = next((number for kind, number in _STATUS if isinstance(error, kind)), 500)
    return _error(status, error.code, error.message, error.fix, error.cause)


def _plain_error(status: int, code: str, message: str) -> Callable[[Request, Exception], Any]:
    async def handler(_: Request, __: Exception) -> Response:
        return _error(status, code, message)

    return handler
