"""`opsml endpoints invoke`"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.result import Verdict
from opsml_cli.cli.session import Session
from opsml_cli.domain.errors import ConflictError, NotFoundError, QuotaError

if TYPE_CHECKING:
    from opsml_cli.domain.endpoint import RawReply

_MOST_BYTES = 64 << 20  # of a request: more than any endpoint takes


@dataclass(frozen=True, slots=True)
class Invoked:
    """What an endpoint replied. `body` is None when it was written to the file `out`."""

    endpoint: str
    deployment: str | None
    status: int
    bytes: int
    body: str | None
    out: str | None = None


def invoke(
    session: Session,
    endpoint: options.EndpointName,
    request_file: Annotated[
        str, typer.Option("--request-file", metavar="FILE", help="The request's body, sent as it is; - is standard input.")
    ],
    deployment: Annotated[
        str | None, typer.Option("--deployment", metavar="NAME", help="The deployment that answers; otherwise by traffic.")
    ] = None,
    content_type: Annotated[str, typer.Option("--content-type", metavar="TYPE", help="The body's type.")] = "application/json",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the reply's body to this file.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file of --out.")] = False,
) -> Invoked | Verdict | str:
    """Send an endpoint a request as it is, and print the reply's body.

    For a scoring script with a body of its own; opsml score sends rows. A reply that is no success is printed too, and the exit
    code says which failure it is. Bytes that are no UTF-8 are printed as escapes; --out writes the body as it came.

    Example: opsml endpoints invoke texts --request-file request.json
    """
    from opsml_cli.cli.saving import check_target, write_whole
    from opsml_cli.domain.endpoint import RawRequest
    from opsml_cli.scoring_client.answers import Answer, error_of

    if out is not None:
        check_target(out)
        if out.is_file() and not force:
            raise ConflictError(f"{str(out)!r} exists", fix="another --out, or --force to replace it")
    request = RawRequest(_content(request_file), content_type, deployment)
    reply = session.workspace.online_endpoints.send(endpoint, request)
    if out is not None:
        write_whole(out, reply.body)
    invoked = _shown(endpoint, reply, out)
    result: Invoked | str = invoked
    if session.options.format in ("table", "none"):
        result = f"{len(reply.body):,} bytes in {out}" if out is not None else str(invoked.body)
    if 200 <= reply.status < 300:
        return result
    return Verdict(result, error_of(endpoint, Answer(reply.status, reply.body, reply.deployment), 0))


def _content(source: str) -> bytes:
    if source == "-":
        content = sys.stdin.buffer.read(_MOST_BYTES + 1)
    else:
        try:
            with Path(source).expanduser().open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
        except OSError as error:
            raise NotFoundError(f"the request {source} cannot be read: {error.strerror}", fix="check the path") from error
    if len(content) > _MOST_BYTES:
        raise QuotaError(f"the request {source} is larger than {_MOST_BYTES >> 20} MiB", fix="send less at once")
    return content


def _shown(endpoint: str, reply: RawReply, out: Path | None) -> Invoked:
    body = None if out is not None else reply.body.decode("utf-8", "backslashreplace")
    return Invoked(endpoint, reply.deployment, reply.status, len(reply.body), body, None if out is None else str(out))
