"""What the rooms of the emulator hand each other: a request that was understood, and an answer that was not sent yet.

A handler is a plain function from a Call to a Reply, run in a thread. It raises WireError for what Azure refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opsml_cli.domain import json_text

if TYPE_CHECKING:
    from opsml_cli.emulator.site import Served, Site
    from opsml_cli.local.principals import Principal

JSON = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `parameters` are those of the route's template, percent-decoded; header names are lower case; `body` is
    whole. `path` is as it was sent, still percent-encoded. `workspace` is what the path's `{ws}` names, or by its `{account}`
    (the storage account), else the first one; None below a resource group. `principal` is who calls; None where the route
    needs no bearer token."""

    method: str
    path: str
    parameters: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    site: Site
    workspace: Served | None = None
    principal: Principal | None = None

    @property
    def api_version(self) -> str:
        return self.query.get("api-version", "")

    @property
    def served(self) -> Served:
        """The workspace of a route that has one."""
        assert self.workspace is not None
        return self.workspace

    def document(self) -> dict[str, Any]:
        """The body as a JSON object; 400 for anything else."""
        try:
            value = json_text.read(self.body or b"null")
        except json_text.JsonError as error:
            raise WireError(400, f"The request body is not valid JSON: {error}.", inner=("BadArgument",)) from error
        if not isinstance(value, dict):
            raise WireError(400, "The request body must be a JSON object.", inner=("BadArgument",))
        return value


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `value` is sent as JSON (None: the four bytes `null`), unless `content` is set: bytes, or parts of bytes."""

    status: int = 200
    value: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | Iterator[bytes] | None = None
    media_type: str = JSON


class WireError(Exception):
    """A refusal as the management front end words it. `code` is `UserError` for 404 too; the semantic codes are `inner`,
    outermost first; `form` says which error body: `arm`, `data` (the data plane's), `blob`, `online` (text alone), or `plain`
    (code and message alone, as the resource manager itself refuses), or `graph` (Microsoft Graph's); None: that of the route.
    `details` are (code, message) pairs of a service behind the front end."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "UserError",
        inner: tuple[str, ...] = (),
        parameters: Mapping[str, str] | None = None,
        message_format: str | None = None,
        form: str | None = None,
        headers: Mapping[str, str] | None = None,
        details: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.inner = inner
        self.parameters = parameters
        self.message_format = message_format
        self.form = form
        self.headers = headers or {}
        self.details = tuple(details)


Handler = Callable[[Call], Reply]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of Azure's wire. `template` begins with `{ws}` for what lies in a workspace (every spelling of its ARM
    id); literal segments compare without case; `{name:path}` takes the rest.

    `access`: `read` or `write` (a bearer token whose principal has such a role on the workspace), `scoring` (an endpoint's key
    or token, checked by the handler), `sas` (checked by the handler), `open` (no credential). `coverage` is what the generated
    page says: `emulated`, `ignored` (accepted, without effect) or `refused` (501); `note` a short sentence for that page.
    `early` is asked of a large body's sender while the body is still to come: a refusal keeps it out of memory."""

    method: str
    template: str
    handler: Handler
    access: str = "read"
    coverage: str = "emulated"
    note: str = ""
    early: Callable[[Call], object] | None = None


def refused(method: str, template: str, note: str = "") -> Route:
    """A route that Azure has and the emulator does not: 501, and a line on the page of what is covered."""

    def handler(call: Call) -> Reply:
        message = f"{call.method} {call.path} is not emulated; docs/reference/emulator.md lists what is."
        raise WireError(501, message, code="NotImplemented", form="plain")

    return Route(method, template, handler, "read" if method == "GET" else "write", coverage="refused", note=note)
