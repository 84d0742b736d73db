"""From a request to the arguments of a script's `run`, as Azure's server reads it."""

from __future__ import annotations

import codecs
import inspect
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, quote

from opsml_cli.local.serving.host.exchange import HostRequest

_ID_LENGTH = 100
# Flask reads these as forms and leaves no raw data.
_FORMS = ("application/x-www-form-urlencoded", "application/x-url-encoded")


class InputError(Exception):
    """The request cannot be read; the text goes to the client."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def refuse(request: HostRequest) -> None:
    """InputError for what reaches no script: another method, or an identity that is too long."""
    if request.method not in ("GET", "POST", "OPTIONS", "HEAD"):
        raise InputError(405, "The method is not allowed for the requested URL.")
    if len(header(request, "x-request-id") or "") > _ID_LENGTH:
        raise InputError(431, f"x-request-id must not exceed {_ID_LENGTH} characters")
    if any(len(header(request, name) or "") > _ID_LENGTH for name in ("x-ms-request-id", "x-ms-client-request-id")):
        raise InputError(431, f"x-ms-request-id and x-ms-client-request-id must not exceed {_ID_LENGTH} characters")


def text(request: HostRequest) -> str:
    """The one argument of a script without decorator: the body, or the query as a JSON object."""
    if request.method == "GET":
        return json.dumps(query(request))
    _only_post(request)
    if _is_form(request):
        return ""
    try:
        return request.body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(400, f"Input cannot be decoded as UTF-8: {error}") from None


def by_name(request: HostRequest, parameters: Sequence[inspect.Parameter]) -> dict[str, Any]:
    """The arguments of a script with @input_schema: from the JSON object of the body, or from the query."""
    if request.method == "GET":
        given = query(request)
    else:
        _only_post(request)
        given = _object(request)
    arguments = {}
    for each in parameters:
        value = given.get(each.name, each.default)
        if value is inspect.Parameter.empty:
            raise InputError(400, f"A value is not provided for the {each.name!r} parameter.")
        arguments[each.name] = value
    return arguments


def query(request: HostRequest) -> dict[str, Any]:
    """The query's values, each as JSON where it is JSON; a list where a name comes several times."""
    found: dict[str, list[Any]] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True, errors="opsml.quoted"):
        try:
            read = json.loads(value)
        except (ValueError, RecursionError):
            read = value
        found.setdefault(name, []).append(read)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _quoted(error: UnicodeError) -> tuple[str, int]:
    """What is not UTF-8 stays percent-encoded."""
    assert isinstance(error, UnicodeDecodeError)
    return quote(error.object[error.start : error.end], safe=""), error.end


codecs.register_error("opsml.quoted", _quoted)


def measured(request: HostRequest) -> HostRequest:
    """With the length of the body among the headers: the front keeps back how the body came."""
    if not request.body and request.method not in ("POST", "PUT", "PATCH"):
        return request
    return replace(request, headers=(*request.headers, ("content-length", str(len(request.body)))))


def header(request: HostRequest, name: str) -> str | None:
    """A header's first value; `name` in lower case."""
    return next((value for each, value in request.headers if each == name), None)


def header_names(request: HostRequest) -> dict[str, str]:
    """The headers as Flask has them: Names-Like-This, those that come twice joined; none with an underscore."""
    found: dict[str, str] = {}
    for name, value in request.headers:
        if "_" in name:
            continue
        title = name.title()
        found[title] = f"{found[title]},{value}" if title in found else value
    return {name: value for name, value in found.items() if value or name not in ("Content-Type", "Content-Length")}


def media_type(request: HostRequest) -> str:
    return (header(request, "content-type") or "").partition(";")[0].strip().lower()


def _only_post(request: HostRequest) -> None:
    if request.method != "POST":
        raise InputError(405, "Method not allowed")


def _is_form(request: HostRequest) -> bool:
    media = media_type(request)
    if media == "multipart/form-data":
        return "boundary=" in (header(request, "content-type") or "").lower()
    return media in _FORMS


def _object(request: HostRequest) -> dict[str, Any]:
    media = media_type(request)
    if media != "application/json" and not (media.startswith("application/") and media.endswith("+json")):
        raise InputError(415, "Expects Content-Type to be application/json")
    try:
        found = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        if request.body:
            raise InputError(400, f"POST body could not be decoded as JSON: {error}") from None
        raise InputError(400, "POST body is empty. Expecting a JSON dictionary.") from None
    if not isinstance(found, dict):
        raise InputError(400, "POST body should be a JSON dictionary.")
    return found
