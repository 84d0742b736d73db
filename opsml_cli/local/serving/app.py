"""The scoring server as a bare ASGI application: no framework between the socket and the model."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol
from urllib.parse import parse_qs

import orjson

from opsml_cli.domain import names
from opsml_cli.domain.contract import BadRequest, Call, read_call
from opsml_cli.guard import Receive, Scope, Send
from opsml_cli.local.serving import hosted, metrics
from opsml_cli.local.serving.admission import (
    DEPLOYMENT_HEADER,
    JSON,
    MODEL_HEADER,
    REVISION_HEADER,
    Admission,
    Headers,
    Refused,
    check_media,
    printable,
    request_id,
)
from opsml_cli.local.serving.documents import Documents
from opsml_cli.local.serving.hosting.group import HostGroup
from opsml_cli.local.serving.refusals import Refusals
from opsml_cli.local.serving.request import Bodies, Disconnected, Limits, Request, saturated
from opsml_cli.local.serving.routing import Live, Routing

TEXT = b"text/plain; charset=utf-8"

Reply = tuple[int, bytes, bytes, Headers]  # status, body, media type, further headers


class RequestSink(Protocol):
    """Receives every request that was answered. Returns at once, never raises. `started` is seconds since the epoch."""

    def record(  # noqa: PLR0917 - called for every request: keywords would cost more than the call
        self,
        started: float,
        deployment: str,
        status: int,
        duration_ms: float,
        request_bytes: int,
        response_bytes: int,
        user_agent: str,
    ) -> None: ...


class ScoringApp:
    """`routing` may be replaced at any time from any thread. `rekey` is asked, when a key is refused, whether the secrets
    have changed on disk; it returns the keys of now. `report` gets one line for every failure of a model, `warn`
    some about what is refused."""

    def __init__(
        self,
        endpoint: str,
        *,
        sink: RequestSink | None = None,
        limits: Limits | None = None,
        report: Callable[[str, str], None] | None = None,
        warn: Callable[[str], None] | None = None,
        rekey: Callable[[], tuple[bytes, ...]] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.routing = Routing()
        self.metrics = metrics.Metrics()
        self.limits = limits or Limits()
        self._sink = sink
        self._report = report
        self.admission = Admission(rekey)
        self._refusals = Refusals(warn) if warn is not None else None
        self._in_flight = 0  # in this process; hosts have bounds of their own, so that none of them takes another's place
        self._hosted_requests = 0
        self._pending = 0
        self._bodies = Bodies(self.limits)
        self._threads = ThreadPoolExecutor(self.limits.threads, thread_name_prefix="score")
        # Threads that share Python's lock only hinder each other: what is soon done goes one by one.
        self._soon = ThreadPoolExecutor(1, thread_name_prefix="soon")
        self._tasks: set[asyncio.Task[None]] = set()
        self._documents = Documents(endpoint)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, dict(scope["headers"]), time.time(), time.perf_counter())
        try:
            reply = await self._route(request, receive)
        except Refused as refusal:
            if self._refusals is not None:
                self._refusals.note(refusal.status, str(refusal))
            reply = refusal.status, refusal.body, JSON, refusal.headers
        except Disconnected:
            return
        await self._reply(request, send, reply)

    def refused(self, status: int, reason: str) -> None:
        """Count and record what was refused before it was a request to this application: by the protocol or the guard."""
        self.metrics.requests["", status] += 1
        if self._refusals is not None:
            self._refusals.note(status, reason)
        if self._sink is not None:
            self._sink.record(time.time(), "", status, 0.0, 0, 0, "")

    async def _reply(self, request: Request, send: Send, reply: Reply) -> None:
        status, body, media, headers = reply
        given = request.headers
        answer = [
            (b"content-type", media),
            (b"content-length", b"%d" % len(body)),
            (b"x-ms-request-id", printable(given.get(b"x-ms-request-id")) or request_id()),
            *headers,
        ]
        if request.deployment:
            answer.append((DEPLOYMENT_HEADER, request.deployment.encode()))
        if request.model:
            answer.append((MODEL_HEADER, request.model))
        client = printable(given.get(b"x-ms-client-request-id"))
        if client:
            answer.append((b"x-ms-client-request-id", client))
        await send({"type": "http.response.start", "status": status, "headers": answer})
        await send({"type": "http.response.body", "body": body})
        if request.telling or status >= 400:
            seconds = time.perf_counter() - request.clock
            self._note(request, request.deployment, status, seconds, len(body))

    def _note(self, request: Request, deployment: str, status: int, seconds: float, sent: int) -> None:
        agent = request.headers.get(b"user-agent", b"").decode("latin-1")
        self.note(request.started, deployment, status, seconds, request.received, sent, agent)

    def note(  # noqa: PLR0917 - called for every request: keywords would cost more than the call
        self, started: float, deployment: str, status: int, seconds: float, received: int, sent: int, agent: str
    ) -> None:
        """Count an answer, and record it where requests are recorded. `started` in seconds since the epoch, sizes in bytes."""
        self.metrics.observe(deployment, status, seconds)
        if self._sink is not None and deployment not in self.routing.unrecorded:
            self._sink.record(started, deployment, status, seconds * 1000, received, sent, agent)

    @property
    def saturated(self) -> bool:
        """Whether a further request for a model of this process is refused."""
        return self._in_flight >= self.limits.in_flight or self._pending > self.limits.pending_bytes

    async def _route(self, request: Request, receive: Receive) -> Reply:
        scope = request.scope
        self.admission.authenticate(scope["headers"], self.routing.keys)
        path, method = scope["path"], scope["method"]
        if path == "/score":
            return await self._scored(request, receive)
        if path not in ("/", "/swagger.json", "/metrics"):
            raise Refused(404, "not_found", "there is /, /score, /swagger.json and /metrics")
        if method not in ("GET", "HEAD"):
            raise Refused(405, "method_not_allowed", f"{method} is not for {path}", [(b"allow", b"GET, HEAD")])
        request.telling = False
        if path == "/":
            return 200, b"Healthy", TEXT, []
        if path == "/metrics":
            return 200, self.metrics.text(self._in_flight + self._hosted_requests), metrics.CONTENT_TYPE, []
        return 200, self._document(request), JSON, []

    def _pick(self, request: Request) -> Live:
        routing = self.routing
        revision = request.headers.get(REVISION_HEADER)
        if revision is not None:
            candidate = routing.candidates.get(revision.decode("latin-1"))
            if candidate is None:
                raise Refused(404, "not_found", "no such revision is loaded")
            request.telling = False  # our own proof before the swap is no client's request
            return candidate
        wanted = request.headers.get(DEPLOYMENT_HEADER)
        if wanted is not None:
            live = routing.live.get(names.key(wanted.decode("latin-1")))
            if live is None:
                known = ", ".join(sorted(each.deployment for each in routing.live.values())) or "none"
                raise Refused(404, "no_such_deployment", f"this endpoint has no such deployment; it has: {known}")
            return live
        chosen = routing.pick()
        if chosen is None:
            raise Refused(
                404, "no_traffic", "no deployment of this endpoint has traffic; name one in the header azureml-model-deployment"
            )
        return chosen

    async def _scored(self, request: Request, receive: Receive) -> Reply:
        limits = self.limits
        live = self._pick(request)
        request.deployment, request.model = live.deployment, live.title
        if isinstance(live.scorer, HostGroup):
            return await self._hosted(request, receive, live, live.scorer)
        method = request.scope["method"]
        if method != "POST":
            raise Refused(405, "method_not_allowed", f"{method} is not for /score: use POST", [(b"allow", b"POST")])
        check_media(request.headers)
        body = await self._bodies.read(request, receive)
        # Counted from here on: a body that is still coming keeps nobody else waiting.
        if self._in_flight >= limits.in_flight or self._pending > limits.pending_bytes:
            raise saturated()
        self._in_flight += 1
        handed = False
        try:
            if self._mirrors(request):
                self._mirror(request, body)
            if live.scorer.quick and len(body) <= limits.inline_bytes:
                return self._answer(live, body)
            handed = True
            return await self._in_thread(live, body)
        finally:
            if not handed:
                self._in_flight -= 1

    async def _hosted(self, request: Request, receive: Receive, live: Live, group: HostGroup) -> Reply:
        """Have a host answer: it reads the body itself, whatever its type is."""
        group.enter()
        self._hosted_requests += 1
        try:
            body = await self._bodies.read(request, receive)
            if self._mirrors(request):
                self._mirror(request, body)
            return await self._from_host(request.scope, live, group, body)
        finally:
            self._hosted_requests -= 1
            group.leave()

    async def _from_host(self, scope: Scope, live: Live, group: HostGroup, body: bytes) -> Reply:
        reply, problem = await hosted.answer(group, hosted.message(scope, body), self.limits.request_seconds)
        if problem is not None and self._report is not None:
            self._report(live.deployment, problem)
        self.metrics.count(live.deployment, reply.rows, reply.converted, ignored=reply.ignored)
        return reply.status, reply.body, reply.media.encode("latin-1", "replace"), hosted.headers(reply)

    def _mirrors(self, request: Request) -> bool:
        return bool(self.routing.mirror) and request.telling and DEPLOYMENT_HEADER not in request.headers

    async def _in_thread(self, live: Live, body: bytes) -> Reply:
        """Score off the loop. The request counts as in flight until its thread is done, even when nobody waits any more."""
        size = len(body)
        self._pending += size
        loop = asyncio.get_running_loop()
        soon = getattr(live.scorer, "quick", False) and size <= self.limits.soon_bytes
        work = (self._soon if soon else self._threads).submit(self._answer, live, body)

        def done() -> None:
            self._in_flight -= 1
            self._pending -= size

        # The thread's own end counts: one that works for nobody is still busy.
        work.add_done_callback(lambda _: loop.call_soon_threadsafe(done))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(work), self.limits.request_seconds)
        except TimeoutError:
            raise Refused(504, "timeout", f"the model did not answer within {self.limits.request_seconds:g} s") from None

    def _mirror(self, request: Request, body: bytes) -> None:
        """Let the mirrored deployment answer a copy that nobody waits for; left out when there is too much to do."""
        live, size = self.routing.mirrored(), len(body)
        if live is None or self._pending + size > self.limits.pending_bytes:
            return
        loop = asyncio.get_running_loop()
        if isinstance(live.scorer, HostGroup):
            task = loop.create_task(self._mirror_to_host(request, live, live.scorer, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        self._pending += size

        def answer() -> None:
            started = time.perf_counter()
            status, reply, _, _ = self._answer(live, body)
            loop.call_soon_threadsafe(done, status, time.perf_counter() - started, len(reply))

        def done(status: int, seconds: float, sent: int) -> None:
            self._pending -= size
            self._note(request, live.deployment, status, seconds, sent)

        self._threads.submit(answer)

    async def _mirror_to_host(self, request: Request, live: Live, group: HostGroup, body: bytes) -> None:
        started = time.perf_counter()
        group.enter()
        try:
            status, reply, _, _ = await self._from_host(request.scope, live, group, body)
        finally:
            group.leave()
        self._note(request, live.deployment, status, time.perf_counter() - started, len(reply))

    def _answer(self, live: Live, body: bytes) -> Reply:
        """Score a body with a model; whatever is in it ends in a reply. Runs on the loop or in a thread."""
        dialect, scorer = None, live.scorer
        assert not isinstance(scorer, HostGroup)
        try:
            if live.many is not None and len(body) > self.limits.inline_bytes and (whole := live.many.answer(body)) is not None:
                self.metrics.count(live.deployment, whole[1], 0, ignored=False)
                return 200, whole[0], JSON, []
            call = read_call(orjson.loads(body), scorer.schema)
            dialect = call.dialect
            _refuse_no_rows(call, live)
            results = scorer.score(call.rows, call.proba) if call.rows else []
            reply = orjson.dumps(call.reply(results))
        except orjson.JSONDecodeError as error:
            return 400, BadRequest(f"the body is no JSON: {error}", expected="JSON; null for a missing value").body(), JSON, []
        except BadRequest as error:
            error.dialect = error.dialect or dialect
            return 400, error.body(), JSON, []
        except (Exception, SystemExit) as error:  # a model may raise anything; the server lives on
            return self._failed(live, error)
        headers: Headers = []
        self.metrics.count(live.deployment, len(call.rows), call.converted, ignored=bool(call.ignored))
        if call.ignored:
            headers.append((b"warning", b'299 opsml "ignored: ' + _quoted(call.ignored) + b'"'))
        return 200, reply, JSON, headers

    def _failed(self, live: Live, error: BaseException) -> Reply:
        if self._report is not None:
            self._report(live.deployment, f"the model failed: {type(error).__name__}: {error}")
        text = {"error": {"code": "model_failed", "message": f"the model failed with {type(error).__name__}; see the logs"}}
        return 500, json.dumps(text).encode(), JSON, []

    def _document(self, request: Request) -> bytes:
        query = parse_qs(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        version = query.get("version", ["3"])
        if version not in (["2"], ["3"]) or query.keys() - {"version"}:
            raise Refused(400, "invalid_input", "the one parameter is version: 2 (Swagger 2.0) or 3 (OpenAPI 3.1)")
        routing = self.routing
        wanted = request.headers.get(DEPLOYMENT_HEADER)
        live = routing.main() if wanted is None else self._pick(request)
        if live is None:
            raise Refused(404, "no_deployment", "no deployment is ready")
        host = request.headers[b"host"].decode("latin-1")
        deployments = tuple(sorted(each.deployment for each in routing.live.values()))
        return self._documents.of(live, version[0], host, deployments)


def _quoted(ignored: tuple[str, ...]) -> bytes:
    text = json.dumps(", ".join(ignored[:20]))[1:-1].replace("\\", "").replace('"', "'")
    return text[:500].encode("ascii")


def _refuse_no_rows(call: Call, live: Live) -> None:
    """A compiled model takes no empty table, as its original."""
    if not call.rows and live.compiled:
        raise BadRequest("there are no rows", expected="a row, or more")
