"""Azure's failures in the words of the error tree: by type, status and code, never by chance.

What Azure says is a stranger's text: it is told as the cause, shortened, and the next step is ours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from opsml_cli.azureml import limits, sdk_refusals
from opsml_cli.azureml.refusals import Refusal, read_document, read_refusal, short
from opsml_cli.domain.errors import (
    BusyError,
    ConfigError,
    ConflictError,
    ContractError,
    InvalidInputError,
    NotFoundError,
    NotSignedInError,
    OpsmlError,
    WorkFailedError,
)

_WHO = "opsml -w azure doctor tells who is signed in"
_AGAIN = "run the same command again"


class _Told(NamedTuple):
    """What is made of a refusal: the kind of error, the rest of its message, and the next step."""

    kind: type[OpsmlError]
    message: str
    fix: str | None = None


# --- answers


def refused(status: int, text: str, what: str, headers: Mapping[str, str] | None = None) -> OpsmlError:
    """The error for an answer of `status` with the body `text` to `what` (a few words: `PUT jobs/x`)."""
    refusal = read_refusal(text, headers)
    meant = _by_meaning(refusal, what)
    if meant is not None:
        return meant
    if status == 403:
        return limits.not_allowed(refusal, what)
    if status in _INVALID:
        return _invalid(refusal, what)
    told = _STATUSES.get(status)
    if told is None:
        redirected = 300 <= status < 400
        said = f"Azure redirects elsewhere (HTTP {status})" if redirected else f"Azure answered HTTP {status}"
        told = _Told(ContractError if redirected else OpsmlError, said)
    return told.kind(f"{what}: {told.message}", cause=refusal.told(), fix=told.fix)


def failed(document: Mapping[str, Any], what: str) -> OpsmlError:
    """The error of a long-running operation that ended badly: `document` is its last poll, or its `error`."""
    refusal = read_document(document)
    meant = _by_meaning(refusal, what)
    if meant is not None:
        return meant
    if refusal.has("BadArgument", "ArgumentInvalid", "ValidationError", "InvalidInput"):
        return _invalid(refusal, what)
    return WorkFailedError(f"{what} failed on Azure", cause=refusal.told())


_FAULT = _Told(BusyError, "Azure has a fault", f"{_AGAIN}; https://status.azure.com tells of large ones")
_STATE = _Told(ConflictError, "the state does not allow it", "wait for what runs there, or look at it")
_INVALID = frozenset((400, 405, 406, 411, 413, 414, 415, 416, 422, 424, 431))
_STATUSES = {
    401: _Told(NotSignedInError, "Azure refused the token", _WHO),
    404: _Told(NotFoundError, "not found on Azure"),
    408: _FAULT,
    409: _STATE,
    412: _STATE,
    423: _STATE,
    429: _Told(BusyError, "Azure throttles these requests", f"wait a minute, then {_AGAIN}"),
    500: _FAULT,
    502: _FAULT,
    503: _FAULT,
    504: _FAULT,
}

# What codes or text say, whatever the status is; the first that fits.
_MEANINGS: tuple[tuple[tuple[str, ...], str, _Told], ...] = (
    (
        ("ImageBuildFailure", "EnvironmentImageBuildFailure"),
        r"image build (?:has )?failed|failed to build.{0,40}image",
        _Told(
            WorkFailedError,
            "the container image could not be built",
            "its build log is on the workspace's Environments page: the conda.yaml cannot be solved as it is",
        ),
    ),
    (
        ("ResourceNotReady", "UserContainerCrashed"),
        r"container (?:has )?(?:crashed|terminated|exited)|liveness probe|user container",
        _Told(WorkFailedError, "the container started and ended", "opsml -w azure logs ENDPOINT --container shows why"),
    ),
    (
        (),
        r"already an endpoint with this name",
        _Told(ConflictError, "the name is taken", "endpoint names are unique within a region: choose another"),
    ),
    (
        (),
        r"with this name(?: and version)? already exists",
        _Told(ConflictError, "the name is taken, with other content", "give a new name or version"),
    ),
    ((), r"cannot delete an active trigger", _Told(ConflictError, "the schedule is enabled", "disable it first")),
    (
        (),
        r"\bis immutable\b|cannot be (?:changed|updated)",
        _Told(ConflictError, "that cannot be changed any more", "give a new name or version"),
    ),
)


def _by_meaning(refusal: Refusal, what: str) -> OpsmlError | None:
    text = refusal.everything
    if refusal.has(*limits.QUOTA_CODES) or limits.QUOTA_TEXT.search(text):
        return limits.quota(refusal, what)
    for codes, pattern, told in _MEANINGS:
        if refusal.has(*codes) or re.search(pattern, text, re.IGNORECASE):
            return told.kind(f"{what}: {told.message}", cause=refusal.told(), fix=told.fix)
    return None


def _invalid(refusal: Refusal, what: str) -> InvalidInputError:
    names = [name for name in refusal.fields if name]
    wrong = f"{', '.join(names)} {'are' if len(names) > 1 else 'is'} not valid" if names else "Azure calls the request invalid"
    return InvalidInputError(f"{what}: {wrong}", cause=refusal.told())


# --- exceptions


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise what Azure's libraries raise inside as the error tree; `what` is told first."""
    try:
        yield
    except OpsmlError:
        raise
    except Exception as error:
        found = translate(error, what)
        if found is None:
            raise
        raise found from error


def translate(error: BaseException, what: str) -> OpsmlError | None:
    """The error for an exception of httpx, azure-core, azure-identity, msal or azure-ai-ml; None for any other."""
    from azure.core.exceptions import AzureError

    module = type(error).__module__.partition(".")[0]
    if module in ("httpx", "httpcore"):
        return _of_httpx(error, what)
    if isinstance(error, AzureError) or module == "azure":
        return _of_azure(error, what)
    if module == "msal":
        return NotSignedInError(f"{what}: signing in failed", cause=short(str(error)), fix=_WHO)
    if module in ("marshmallow", "jsonschema"):
        return sdk_refusals.invalid(error, what)
    return None


def _first_fit(error: BaseException, table: tuple[tuple[tuple[type, ...], _Told], ...]) -> _Told | None:
    return next((told for kinds, told in table if isinstance(error, kinds)), None)


_UNBELIEVED = _Told(
    ConfigError,
    "the server's certificate is not believed",
    "set azure.ca_bundle or REQUESTS_CA_BUNDLE to the certificate authority of your network or emulator",
)
_UNREADABLE = _Told(ContractError, "the answer cannot be read")
_UNREACHED = _Told(BusyError, "no connection to Azure", f"check the network and proxy, then {_AGAIN}")
_BROKEN = _Told(BusyError, "the connection broke", _AGAIN)


def _of_httpx(error: BaseException, what: str) -> OpsmlError:
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        return refused(error.response.status_code, error.response.text, what, error.response.headers)
    told = _first_fit(
        error,
        (
            (
                (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.CookieConflict),
                _Told(ConfigError, "no usable URL", "check the URLs of opsml config show"),
            ),
            ((httpx.ProxyError,), _Told(ConfigError, "the proxy refused", "check HTTPS_PROXY and NO_PROXY")),
            (
                (httpx.ConnectError, httpx.ConnectTimeout),
                _UNBELIEVED if "CERTIFICATE_VERIFY_FAILED" in str(error) else _UNREACHED,
            ),
            ((httpx.TimeoutException,), _Told(BusyError, "no answer in time", _AGAIN)),
            ((httpx.DecodingError, httpx.TooManyRedirects, httpx.LocalProtocolError, httpx.StreamError), _UNREADABLE),
        ),
    )
    told = told or _BROKEN
    return told.kind(f"{what}: {told.message}", cause=short(str(error)) or type(error).__name__, fix=told.fix)


def _of_azure(error: BaseException, what: str) -> OpsmlError:
    from azure.core import exceptions as core

    said = short(str(getattr(error, "message", None) or error)) or type(error).__name__
    if isinstance(error, core.HttpResponseError):
        return _of_response(error, what, said)
    told = _first_fit(
        error,
        (
            (
                (core.ServiceRequestError, core.ServiceResponseError),
                _UNBELIEVED if "CERTIFICATE_VERIFY_FAILED" in said else _BROKEN,
            ),
            ((core.StreamConsumedError, core.StreamClosedError, core.ResponseNotReadError), _UNREADABLE),
            (
                (core.SerializationError, core.DeserializationError),
                _Told(ContractError, "the answer has another form than Azure's SDK knows"),
            ),
        ),
    )
    told = told or _of_sdk(error)
    refusal = sdk_refusals.origin_of(error)
    if (told is None and refusal is not None) or (told is not None and told.kind is InvalidInputError):
        return sdk_refusals.invalid(refusal or error, what)
    told = told or _Told(WorkFailedError, "failed in Azure's SDK")
    return told.kind(f"{what}: {told.message}", cause=said, fix=told.fix)


def _of_response(error: Any, what: str, said: str) -> OpsmlError:
    from azure.core import exceptions as core

    status = error.status_code or getattr(error.response, "status_code", None)
    if isinstance(error, core.ClientAuthenticationError) and status in (None, 400, 401):
        return NotSignedInError(f"{what}: not signed in to Azure", cause=said, fix=_WHO)
    if isinstance(error, core.IncompleteReadError):
        return _BROKEN.kind(f"{what}: {_BROKEN.message}", cause=said, fix=_BROKEN.fix)
    if isinstance(error, core.DecodeError | core.TooManyRedirectsError):
        return ContractError(f"{what}: {_UNREADABLE.message}", cause=said)
    body = _body(error.response)
    if status is not None and status >= 400:
        return refused(status, body or said, what, getattr(error.response, "headers", None))
    # A long-running operation that ended badly is reported with the answer to its last, successful poll.
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    return failed(document if isinstance(document, dict) and document else {"message": said}, what)


def _of_sdk(error: BaseException) -> _Told | None:
    """azure-ai-ml's own exceptions, by their names and the category that each carries."""
    name = type(error).__name__
    bases = {base.__name__ for base in type(error).__mro__}
    if "NotFound" in name:
        return _Told(NotFoundError, "not found")
    if "AssetPath" in name:
        return _Told(ConflictError, "that cannot be changed any more", "give a new name or version")
    invalid = bases & {"UserErrorException", "ValidationException", "EmptyDirectoryError"}
    if invalid or getattr(error, "error_category", None) == "UserError":
        return _Told(InvalidInputError, "not valid")
    return None


def _body(response: Any) -> str:
    """The text of a response of either of azure-core's generations; empty for a stream that nobody read."""
    if response is None:
        return ""
    try:
        text = response.text
        return str(text() if callable(text) else text)
    except (ValueError, AttributeError, UnicodeError):
        return ""
    except Exception as error:
        if type(error).__module__.startswith("azure.core"):
            return ""
        raise
