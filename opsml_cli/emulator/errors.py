"""The bodies of refusals, in Azure's forms."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

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
from opsml_cli.emulator.clock import stamp, stamp_z
from opsml_cli.emulator.site import REGION
from opsml_cli.emulator.wire import Reply, WireError

_KINDS: tuple[tuple[type[OpsmlError], int, tuple[str, ...]], ...] = (
    (NotFoundError, 404, ("NotFound",)),
    (BusyError, 429, ("TooManyRequests",)),
    (ConflictError, 409, ("Conflict",)),
    (NotAllowedError, 403, ("Auth", "Authorization")),
    (QuotaError, 400, ("QuotaExceeded",)),
    (InvalidInputError, 400, ("BadArgument",)),
    (UsageError, 400, ("BadArgument",)),
)


def translated(error: OpsmlError) -> WireError:
    """A local error as the management front end would word it."""
    message = error.message if error.cause is None else f"{error.message}: {error.cause}"
    for kind, status, inner in _KINDS:
        if isinstance(error, kind):
            return WireError(status, message[:1].upper() + message[1:], inner=inner)
    return unexpected()


def unexpected() -> WireError:
    """What a client learns of a defect."""
    message = "An internal server error occurred. Please try again. If the problem persists, contact support."
    return WireError(500, message, code="InternalError", inner=("InternalServerError",))


def reply(error: WireError, form: str, now: datetime, correlation: str) -> Reply:
    """The whole answer on a route of that form; a refusal that names a form has its own, but `plain` is the resource
    manager's alone: it stands before no other host."""
    if error.form is not None and (error.form != "plain" or form == "arm"):
        form = error.form
    if form == "blob":
        return _blob(error, now)
    value: Any
    if form == "online":
        return Reply(error.status, headers=error.headers, content=error.message.encode(), media_type="text/plain")
    if form == "plain":
        value = {"error": {"code": error.code, "message": error.message}}
    elif form == "graph":
        inner = {"date": now.strftime("%Y-%m-%dT%H:%M:%S"), "request-id": correlation, "client-request-id": correlation}
        value = {"error": {"code": error.code, "message": error.message, "innerError": inner}}
    elif form == "data":
        value = _data_plane(error, now, correlation)
    else:
        value = {"error": body(error, now, correlation)}
    return Reply(error.status, value, error.headers)


def body(error: WireError, now: datetime, correlation: str) -> dict[str, Any]:
    """The `error` member in ARM's form."""
    info: list[tuple[str, Any]] = [
        ("ComponentName", "managementfrontend"),
        ("Correlation", {"operation": correlation.replace("-", ""), "request": secrets.token_hex(8)}),
        ("Environment", REGION),
        ("Location", REGION),
        ("Time", stamp(now)),
    ]
    if error.inner:
        info.append(("InnerError", _inner(error.inner)))
    if error.message_format is not None:
        info.append(("MessageFormat", error.message_format))
    if error.parameters is not None:
        info.append(("MessageParameters", dict(error.parameters)))
    return {
        "code": error.code,
        "message": error.message,
        "details": [{"code": code, "message": text, "details": [], "additionalInfo": []} for code, text in error.details],
        "additionalInfo": [{"type": kind, "info": {"value": value}} for kind, value in info],
    }


def _inner(codes: tuple[str, ...]) -> dict[str, Any] | None:
    found: dict[str, Any] | None = None
    for code in reversed(codes):
        found = {"code": code, "innerError": found}
    return found


def _data_plane(error: WireError, now: datetime, correlation: str) -> dict[str, Any]:
    return {
        "error": {
            "code": error.code,
            "severity": None,
            "message": error.message,
            "messageFormat": error.message_format,
            "messageParameters": dict(error.parameters or {}),
            "referenceCode": None,
            "detailsUri": None,
            "target": None,
            "details": [],
            "innerError": _inner(error.inner),
            "debugInfo": None,
            "additionalInfo": None,
        },
        "correlation": {"operation": correlation.replace("-", ""), "request": secrets.token_hex(8)},
        "environment": REGION,
        "location": REGION,
        "time": stamp(now),
        "componentName": "run-history",
        "statusCode": error.status,
    }


def _blob(error: WireError, now: datetime) -> Reply:
    request = secrets.token_hex(16)
    message = escape(f"{error.message}\nRequestId:{request}\nTime:{stamp_z(now)}")
    inside = f"<Error><Code>{escape(error.code)}</Code><Message>{message}</Message></Error>"
    content = f'\ufeff<?xml version="1.0" encoding="utf-8"?>{inside}'.encode()
    headers = {"x-ms-error-code": error.code, "x-ms-request-id": request, **error.headers}
    return Reply(error.status, headers=headers, content=content, media_type="application/xml")
