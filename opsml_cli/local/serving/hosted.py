"""Between HTTP and a group of hosts: what a request is to a host, and what its answer is to a client."""

from __future__ import annotations

import json

from opsml_cli.guard import Scope
from opsml_cli.local.serving.host.exchange import HostReply, HostRequest
from opsml_cli.local.serving.hosting.group import BusyError, HostGroup, UnavailableError
from opsml_cli.local.serving.hosting.process import HostGoneError, HostTimeoutError

# The endpoint's own: its key, and what says how the body came.
_KEPT_BACK = {b"authorization", b"x-opsml-revision", b"connection", b"transfer-encoding", b"expect", b"content-length"}
# Written by the server itself.
_WRITTEN = {
    "content-type",
    "content-length",
    "connection",
    "transfer-encoding",
    "azureml-model-deployment",
    "date",
    "keep-alive",
}


def message(scope: Scope, body: bytes) -> HostRequest:
    """The client's request as a host gets it."""
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"] if name not in _KEPT_BACK
    )
    return HostRequest(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers, body)


async def answer(group: HostGroup, request: HostRequest, seconds: float) -> tuple[HostReply, str | None]:
    """The host's reply, or one that says why there is none; and a line for the log in that case."""
    seconds = group.seconds or seconds
    try:
        return await group.answer(request, seconds), None
    except BusyError:
        return _refusal(429, "saturated", "too many requests at once; try again", retry=True), None
    except HostTimeoutError:
        text = f"the model did not answer within {seconds:g} s"
        return _refusal(504, "timeout", text), f"{text}; its process was killed, and another one is started"
    except HostGoneError:
        text = "the process of the deployment ended before it answered"
        return _refusal(502, "process_ended", f"{text}; see the logs"), text
    except UnavailableError as error:
        text = f"the deployment could not take the request within {seconds:g} s: {error}"
        return _refusal(503, "unavailable", text, retry=True), text


def headers(reply: HostReply) -> list[tuple[bytes, bytes]]:
    """Its further headers, but for those that the server writes; none that would break out of its line."""
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in reply.headers
        if name.lower() not in _WRITTEN and name.isascii() and name.isprintable() and value.isprintable()
    ]


def _refusal(status: int, code: str, text: str, *, retry: bool = False) -> HostReply:
    body = json.dumps({"error": {"code": code, "message": text}}).encode()
    return HostReply(status, body, headers=(("retry-after", "1"),) if retry else ())
