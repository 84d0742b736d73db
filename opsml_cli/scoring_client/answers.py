"""An endpoint's replies, and what a refusal means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opsml_cli.domain.errors import (
    BusyError,
    InvalidInputError,
    NotFoundError,
    NotSignedInError,
    OpsmlError,
    QuotaError,
    WorkFailedError,
)
from opsml_cli.domain.scoring import naming_row


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply. `status` is the model's own where a front door stands before it; `retry_after` the header of that name."""

    status: int
    body: bytes
    deployment: str | None
    retry_after: str | None = None


class RefusedRowError(InvalidInputError):
    """Rows that the endpoint refuses. `row`: which one, in the whole input; None: it does not say."""

    row: int | None = None


class UnansweredError(WorkFailedError):
    """The connection ended before the first byte of an answer: the request may be sent again."""


class NotListeningError(UnansweredError):
    """Nobody took the connection, so nobody has the request."""


def error_of(endpoint: str, answer: Answer, offset: int) -> OpsmlError:
    """The error that a reply other than 200 stands for. `offset`: rows of the input before this request."""
    detail = _detail(answer.body)
    message = str(detail.get("message") or f"status {answer.status}")
    if answer.status in (401, 403):
        return NotSignedInError(f"endpoint {endpoint!r} refused the key", fix="run the same command again")
    if answer.status == 404:
        return NotFoundError(message, fix=f"opsml endpoints show {endpoint}")
    if answer.status in (400, 422):
        return _refused(endpoint, message, detail, offset)
    if answer.status in (413, 431):
        return QuotaError(message, fix="send fewer rows a request: --batch-rows 100")
    if answer.status in (408, 429, 502, 503, 504):
        return BusyError(f"endpoint {endpoint!r}: {message}", fix="run the same command again in a moment")
    return WorkFailedError(
        f"endpoint {endpoint!r} failed with {answer.status}: {message}", fix=f"opsml logs {endpoint} --level error"
    )


def _refused(endpoint: str, message: str, detail: Mapping[str, Any], offset: int) -> RefusedRowError:
    row = detail.get("row")
    number = row + offset if isinstance(row, int) and not isinstance(row, bool) else None
    if number is not None:
        message = naming_row(message, number)
    expected = f"expected {detail['expected']}" if detail.get("expected") else None
    error = RefusedRowError(
        message,
        cause=expected,
        fix=f"opsml swagger {endpoint} shows the columns and a request that works",
    )
    error.row = number
    return error


def _detail(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
        if isinstance(document, str):
            document = json.loads(document)
    except ValueError:
        return {"message": body[:200].decode("utf-8", "replace")}
    error = document.get("error", document) if isinstance(document, dict) else {}
    return error if isinstance(error, dict) else {"message": str(error)}
