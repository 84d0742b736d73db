"""The emulator's application: bare ASGI, one way for every request.

Guard (loopback names only) > route > body > token, role, workspace > handler, in a thread > answer with Azure's headers."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import orjson

from opsml_cli.domain.errors import OpsmlError
from opsml_cli.emulator import access, answers, errors
from opsml_cli.emulator.clock import SystemWallClock, WallClock
from opsml_cli.emulator.faults import Dropped, Faults, read_faults
from opsml_cli.emulator.identity import Identity
from opsml_cli.emulator.operations import Operations, Pace
from opsml_cli.emulator.routing import Match, Request, Table, every_route, every_watch
from opsml_cli.emulator.site import Site
from opsml_cli.emulator.wire import Call, Reply, WireError
from opsml_cli.guard import ASGIApp, Guard, Receive, Scope, Send, bearer, loopback_names

THREADS = 24
# What Azure takes: 4 MiB for a management request, 256 MiB for one part of a blob.
MAX_BODY_BYTES = {"sas": 256 << 20, "scoring": 16 << 20}
MAX_DOCUMENT_BYTES = 4 << 20
# Of a body: what may be in memory before its sender is known.
EARLY_BYTES = 1 << 20
# Azure has more below these than is emulated.
_AZURE = ("/subscriptions/", "/history/", "/data/", "/mferp/", "/providers/", "/v1.0/", "/rp/", "/metric/", "/mlflow/")
# Where the server puts what closes a connection without an answer.
ABORT = "opsml.abort"
_log = logging.getLogger("opsml.emulator")


def make_app(
    root: Path,
    port: int,
    *,
    pace: str = "fast",
    inject: Sequence[str] = (),
    clock: WallClock | None = None,
    faults: Faults | None = None,
    trust: bool = False,
) -> ASGIApp:
    """The application behind the guard, for the workspace in `root` and those below it, addressed on `port`. `faults` are
    those that the caller goes on changing; `inject` are words for some. `trust`: models and scoring scripts of clients may
    run. UsageError for a wrong pace or fault."""
    time = clock or SystemWallClock()
    base = f"https://localhost:{port}"
    identity = Identity(base, root, time)
    struck = faults or Faults(read_faults(inject))
    operations = Operations(Pace.read(pace), every_watch(), time, identity, struck)
    return Guard(Emulator(Site(base, root, operations, identity, time, trust), struck), loopback_names(port))


class Emulator:
    """One ASGI application for all routes."""

    def __init__(self, site: Site, faults: Faults) -> None:
        self._site = site
        self._faults = faults
        self._table = Table(every_route())
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="emulator")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        loop = asyncio.get_running_loop()
        started = loop.time()
        request = self._request(scope)
        try:
            body = await _body(receive, request.match, lambda: loop.run_in_executor(self._pool, self._early, request))
            if body is None:
                return
            answer = self._answer(request, body)
        except WireError as error:
            answer = iter((self._refusal(error, request),))
        try:
            reply = await loop.run_in_executor(self._pool, next, answer, None)
            assert isinstance(reply, Reply)
            content = _content(reply)
            seconds = loop.time() - started
            form, now = access.form_of(request.match), self._site.clock.now()
            headers = answers.headers(reply, form, request.method, request.correlation, now, seconds)
            if content is not None:
                headers.setdefault("content-length", str(len(content)))
            raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": reply.status, "headers": raw})
            while content is None and isinstance(part := await loop.run_in_executor(self._pool, next, answer, None), bytes):
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": content or b""})
        except Dropped:
            scope[ABORT]()
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            # Also when the client went away: the workspace's connection is closed with the answer.
            await loop.run_in_executor(self._pool, getattr(answer, "close", lambda: None))

    def _request(self, scope: Scope) -> Request:
        path = scope["raw_path"].decode("latin-1").partition("?")[0]
        return Request(
            scope["method"],
            path,
            dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
            {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            bearer(scope),
            self._table.find(scope["method"], path),
            str(uuid.uuid4()),
        )

    def _answer(self, request: Request, body: bytes) -> Iterator[Reply | bytes]:
        """The reply, then the parts of its content where it comes in parts. Runs in threads, one step at a time."""
        try:
            yield from self._handled(request, body)
        except WireError as error:
            yield self._refusal(error, request)
        except OpsmlError as error:
            yield self._refusal(errors.translated(error), request)
        except Dropped:
            raise
        except Exception:
            _log.exception("%s %s failed (%s)", request.method, request.path, request.correlation)
            yield self._refusal(errors.unexpected(), request)

    def _handled(self, request: Request, body: bytes) -> Iterator[Reply | bytes]:
        match = request.match
        if not isinstance(match, Match):
            raise _unknown(request.method, request.path, match)
        with self._called(request, match, body) as call:
            known = match.route.access != "open"
            if known:
                self._strike("before", request)
            reply = match.route.handler(call)
            if known:
                self._strike("after", request)
            yield reply
            if reply.content is not None and not isinstance(reply.content, bytes):
                yield from reply.content

    def _strike(self, when: str, request: Request) -> None:
        signed_in = request.token is not None
        self._faults.strike(when, request.method, request.path, self._site.identity, signed_in=signed_in)

    @contextmanager
    def _called(self, request: Request, match: Match, body: bytes) -> Iterator[Call]:
        """The request as its handler sees it: admitted, with its workspace open until the block ends."""
        with self._site.first() as first:
            admitted = access.admit(request, match, self._site.identity, first)
        call = Call(
            request.method,
            request.path,
            match.parameters,
            request.query,
            request.headers,
            body,
            self._site,
            principal=admitted.principal,
        )
        with ExitStack() as stack:
            if admitted.names is not None:
                call = replace(call, workspace=stack.enter_context(self._site.serve(admitted.names)))
            yield call

    def _early(self, request: Request) -> None:
        """Ask of a large body's sender what its route asks for. WireError."""
        match = request.match
        if isinstance(match, Match) and match.route.early is not None:
            with self._called(request, match, b"") as call:
                match.route.early(call)

    def _refusal(self, error: WireError, request: Request) -> Reply:
        return errors.reply(error, access.form_of(request.match), self._site.clock.now(), request.correlation)


def _content(reply: Reply) -> bytes | None:
    """The whole content; None when it comes in parts."""
    if isinstance(reply.content, bytes):
        return reply.content
    if reply.content is not None:
        return None
    if reply.status in (204, 304):
        return b""
    try:
        return orjson.dumps(reply.value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # an integer beyond 64 bits, or half of a surrogate pair: kept before they were refused
        return json.dumps(reply.value, default=str).encode()


async def _body(receive: Receive, match: Match | frozenset[str], early: Callable[[], Awaitable[None]]) -> bytes | None:
    """The whole body; None when the client went away. WireError 413, and what `early` raises when there is much of it: the
    rest of a refused body is read, so that its sender hears why, and not kept."""
    limit = MAX_BODY_BYTES.get(match.route.access, MAX_DOCUMENT_BYTES) if isinstance(match, Match) else MAX_DOCUMENT_BYTES
    parts: list[bytes] = []
    size, asked = 0, False
    refused: WireError | None = None
    while True:
        message: Mapping[str, Any] = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit, match)
        if size > EARLY_BYTES and not asked:
            asked = True
            try:
                await early()
            except WireError as error:
                refused = error
                parts.clear()
        if refused is None:
            parts.append(part)
        if not message.get("more_body"):
            if refused is not None:
                raise refused
            return b"".join(parts)


def _too_large(limit: int, match: Match | frozenset[str]) -> WireError:
    headers = {"connection": "close"}
    if access.form_of(match) == "blob":
        message = "The request body is too large and exceeds the maximum permissible limit."
        return WireError(413, message, code="RequestBodyTooLarge", headers=headers)
    message = f"The request content size exceeds the maximum size of '{limit >> 20} MB'."
    return WireError(413, message, code="RequestContentTooLarge", form="plain", headers=headers)


def _unknown(method: str, path: str, methods: frozenset[str]) -> WireError:
    if methods:
        allow = {"allow": ", ".join(sorted(methods))}
        message = f"The requested resource does not support http method '{method}'."
        return WireError(405, message, code="MethodNotAllowed", form="plain", headers=allow)
    if path.lower().startswith(_AZURE):
        return WireError(
            501,
            f"{method} {path} is not emulated; docs/reference/emulator.md lists what is.",
            code="NotImplemented",
            form="plain",
        )
    return WireError(404, f"No service answers {method} {path}.", code="NotFound", form="plain")
