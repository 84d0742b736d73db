"""What the front process and a host process say to each other: a description once, then requests and replies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class HostRequest:
    """A client's request, unread. `headers` have lower-case names and come without the endpoint's key; `query` is raw."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class HostReply:
    """`headers` go beside the content type. `rows`, `converted` and `ignored` are counted in the metrics."""

    status: int
    body: bytes
    media: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    rows: int = 0
    converted: int = 0
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class Description:
    """What a loaded responder says of itself, as JSON values.

    `columns` are the fields of `domain.contract.Column` (empty: not a table of named columns); `classes` the labels in the
    order of probabilities; `example` a body that is answered with 200 (None: nobody knows one); `results` what it was answered
    with; `documents` finished OpenAPI documents by version, "2" and "3", served as they are but for host and URL;
    `signature` an MLflow signature as `domain.mlflow_signature` reads it (None: not an MLflow model), of which the front makes
    the documents; `reply` the whole reply to `example` in MLflow's dialect, where it need not be a list."""

    columns: tuple[dict[str, Any], ...] = ()
    classes: tuple[Any, ...] = ()
    example: str | None = None
    results: tuple[Any, ...] = ()
    documents: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    signature: dict[str, Any] | None = None
    reply: Any = None


class Responder(Protocol):
    """A loaded script or model. `answer` may be called by several threads only when the deployment asked for several."""

    def describe(self) -> Description: ...

    def answer(self, request: HostRequest) -> HostReply:
        """A reply whatever was sent; it raises only for a defect of its own, whose traceback goes to the log."""
        ...
