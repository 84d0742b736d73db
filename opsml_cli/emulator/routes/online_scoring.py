"""The host that clients score at: who calls is checked here, who answers is the endpoint's own server."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain import names
from opsml_cli.domain.errors import OpsmlError
from opsml_cli.emulator import access, endpoint_tokens
from opsml_cli.emulator.bodies import duration_seconds
from opsml_cli.emulator.routes import online_deployments
from opsml_cli.emulator.wire import Call, Reply, Route, WireError
from opsml_cli.guard import same_secret
from opsml_cli.local import annotations as notes
from opsml_cli.local.azure_names import AzureNames
from opsml_cli.local.endpoint_records import EndpointRecord

if TYPE_CHECKING:
    from opsml_cli.emulator.site import Served

ACTION = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action"
MOST_BYTES = 3 * 2**19  # of a request: 1.5 MiB, Azure's own limit
_DEPLOYMENT = "azureml-model-deployment"
_PASSED = ("content-type", "content-encoding", "user-agent", _DEPLOYMENT, "x-ms-request-id", "x-ms-client-request-id")
_RETURNED = (_DEPLOYMENT, "x-ms-client-request-id", "warning")


def score(call: Call) -> Reply:
    return _forward(call, "/score")


def swagger(call: Call) -> Reply:
    """The server's own document, with the address that clients know, and with the paths that lead through here."""
    reply = _forward(call, "/swagger.json")
    if reply.status != 200 or not isinstance(reply.content, bytes):
        return reply
    document = json.loads(reply.content)
    document["paths"] = {path: each for path, each in document.get("paths", {}).items() if path in _PATHS}
    if "swagger" in document:
        host = call.site.base.removeprefix("https://")
        document |= {"host": host, "basePath": f"/_online/{call.parameters['endpoint']}", "schemes": ["https"]}
    else:
        document["servers"] = [{"url": f"{call.site.base}/_online/{call.parameters['endpoint']}"}]
    return Reply(200, headers=reply.headers, content=json.dumps(document, indent=1).encode(), media_type=reply.media_type)


def _forward(call: Call, path: str) -> Reply:
    started = time.perf_counter()
    if len(call.body) > MOST_BYTES:
        raise _refused(413, "Payload too large")
    target = _found(call)
    query = "&".join(f"{name}={value}" for name, value in call.query.items() if name != "api-version")
    try:
        answer = _SERVERS.ask(call.method, target, f"{path}?{query}" if query else path, call.body, call.headers)
    except TimeoutError:
        raise _refused(408, "upstream request timeout") from None
    except (OSError, http.client.HTTPException):
        raise _refused(503, "no healthy upstream") from None
    return _reply(call, answer, time.perf_counter() - started)


def _found(call: Call) -> _Target:
    """The endpoint's server, once the caller is known to be allowed. WireError."""
    name = call.parameters["endpoint"]
    place = (call.site.root, names.key(name))
    known = _HOMES.get(place)
    for home in ([known] if known is not None else []) + call.site.workspaces():
        with call.site.serve(home) as served:
            record = served.local.online_endpoints.record(name)
            if record is None:
                continue
            _HOMES[place] = home
            _authenticate(call, served, record)
            return _target(served, record, call.headers.get(_DEPLOYMENT))
    _HOMES.pop(place, None)
    raise _refused(404, "Endpoint not found")


def _reply(call: Call, answer: _Answer, seconds: float) -> Reply:
    headers = {
        "x-request-id": call.headers.get("x-ms-request-id") or str(uuid.uuid4()),
        **{name: answer.headers[name] for name in _RETURNED if name in answer.headers},
    }
    media = answer.headers.get("content-type", "application/json")
    if answer.status == 200:
        took = {"x-ms-run-fn-exec-ms": f"{seconds * 1000:.3f}", "x-ms-run-function-failed": "False"}
        return Reply(200, headers={**headers, **(took if call.method == "POST" else {})}, content=answer.body, media_type=media)
    if answer.status == 504:
        raise _refused(408, "upstream request timeout")
    if answer.status in (400, 422, 500):
        # Whatever the model's container refuses reaches the client as a failed dependency.
        more = {"ms-azureml-model-error-statuscode": str(answer.status), "ms-azureml-model-error-reason": "model_error"}
        if call.method == "POST":
            return Reply(424, headers={**headers, **more}, content=answer.body, media_type=media)
    return Reply(answer.status, headers=headers, content=answer.body, media_type=media)


def _refused(status: int, text: str) -> WireError:
    return WireError(status, text, headers={"x-request-id": str(uuid.uuid4())})


# Who calls


def _authenticate(call: Call, served: Served, record: EndpointRecord) -> None:
    """WireError 401 for a credential that is missing, wrong or expired, 403 for a caller without the right to score."""
    scheme, _, credential = call.headers.get("authorization", "").partition(" ")
    token = credential.strip().encode("latin-1", "replace")
    if scheme.lower() != "bearer" or not token:
        raise _refused(401, "key_auth_bad_header_forbidden" if record.auth_mode == "Key" else "Unauthorized")
    if record.auth_mode == "Key":
        keys = served.local.online_endpoints.keys(record.name)
        if not same_secret(token, keys.primary) | same_secret(token, keys.secondary):
            raise _refused(401, "key_auth_access_denied")
    elif record.auth_mode == "AMLToken":
        if not endpoint_tokens.fits(call, token, record.id):
            raise _refused(401, "Unauthorized")
    else:
        _check_caller(call, served, token)


def _check_caller(call: Call, served: Served, token: bytes) -> None:
    try:
        caller = call.site.identity.caller(token, call.site.identity.scoring)
    except WireError as error:
        raise _refused(401, error.message) from error
    with call.site.first() as first:
        principal = access.principal(first, caller.client_id, served.arm_id)
    if principal is None or not principal.may(ACTION):
        raise _refused(403, f"The caller has no permission for the action {ACTION}.")


# Who answers


@dataclass(frozen=True, slots=True)
class _Target:
    port: int
    key: str
    seconds: float


@dataclass(frozen=True, slots=True)
class _Answer:
    """Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def _target(served: Served, record: EndpointRecord, wanted: str | None) -> _Target:
    if wanted is not None and record.deployment(wanted) is None:
        raise _refused(404, "Specified deployment could not be found")
    if record.port is None or not any(each.active for each in record.deployments.values()):
        raise _refused(404, "The endpoint has no deployment that can answer")
    try:
        key = served.local.online_endpoints.keys(record.name).primary
    except OpsmlError:
        raise _refused(503, "no healthy upstream") from None
    return _Target(record.port, key, _patience(served, record, wanted))


def _patience(served: Served, record: EndpointRecord, wanted: str | None) -> float:
    """How long the deployment may take: the longest of those that can be picked."""
    able = [wanted] if wanted is not None else [name for name, percent in record.traffic.items() if percent]
    with served.local.store.read() as connection:
        said = {name: notes.find(connection, online_deployments.KIND, record.name, names.key(name)) or {} for name in able}
    asked = [(each.get("requestSettings") or {}).get("requestTimeout") for each in said.values()]
    return max(
        [duration_seconds(text) or online_deployments.REQUEST_SECONDS for text in asked if text]
        or [online_deployments.REQUEST_SECONDS]
    )


class _Servers:
    """Connections to the endpoints' servers, kept open between requests and used by one thread at a time."""

    def __init__(self) -> None:
        self._idle: dict[int, deque[http.client.HTTPConnection]] = {}

    def ask(self, method: str, target: _Target, path: str, body: bytes, headers: Mapping[str, str]) -> _Answer:
        """TimeoutError after the target's seconds; OSError when nobody answers."""
        passed = {name: headers[name] for name in _PASSED if name in headers} | {"authorization": f"Bearer {target.key}"}
        idle = self._idle.setdefault(target.port, deque())
        while True:
            kept = _pop(idle)
            connection = kept or http.client.HTTPConnection("127.0.0.1", target.port)
            connection.timeout = target.seconds
            if connection.sock is not None:
                connection.sock.settimeout(target.seconds)
            try:
                connection.request(method, path, body or None, passed)
                reply = connection.getresponse()
                answer = _Answer(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())
            except TimeoutError:
                connection.close()
                raise
            except (OSError, http.client.HTTPException):
                connection.close()
                if kept is None:
                    raise
                continue  # the server has closed what was kept; to score twice does no harm
            if not reply.will_close:
                idle.append(connection)
            return answer


def _pop(idle: deque[http.client.HTTPConnection]) -> http.client.HTTPConnection | None:
    try:
        return idle.pop()
    except IndexError:
        return None


_SERVERS = _Servers()
# Where an endpoint was found last, by the emulator's folder and the endpoint's name; looked at again when it is not there.
_HOMES: dict[tuple[Path, str], AzureNames] = {}

_HOST = "/_online/{endpoint}"
_PATHS = ("/score", "/swagger.json")

ROUTES = (
    Route("POST", _HOST + "/score", score, "scoring"),
    Route("GET", _HOST + "/swagger.json", swagger, "scoring"),
)
