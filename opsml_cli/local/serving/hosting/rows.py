"""Rows scored by a host, for whoever has rows and no server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from opsml_cli.domain.contract import BadRequest
from opsml_cli.domain.errors import ContractError
from opsml_cli.local.serving.hosting.process import HostGoneError, HostTimeoutError
from opsml_cli.local.serving.hosting.session import HostSession


def score(session: HostSession, rows: Sequence[Mapping[str, Any]], *, proba: bool = False, seconds: float = 600.0) -> list[Any]:
    """A result a row. BadRequest for what the model refuses, ContractError when it fails, ends or takes longer than
    `seconds`."""
    if not rows:
        return []
    method = "predict_proba" if proba else "predict"
    body = {"Inputs": {"data": list(rows)}, "GlobalParameters": {"method": method}}
    try:
        reply = session.send(json.dumps(body, default=str).encode(), seconds)
        document = json.loads(reply.body)
    except (HostGoneError, HostTimeoutError) as error:
        raise ContractError(f"the model failed: {error}") from error
    except ValueError as error:
        raise ContractError("the model's reply is no JSON") from error
    if reply.status == 400:
        raise _refusal(document)
    results = document.get("Results") if isinstance(document, dict) else None
    if reply.status != 200 or not isinstance(results, list) or len(results) != len(rows):
        raise ContractError(_message(document) or f"the model gave no result a row (status {reply.status})")
    return results


def _refusal(document: Any) -> BadRequest:
    detail = document.get("error") if isinstance(document, dict) else None
    if not isinstance(detail, dict):
        return BadRequest(_message(document) or "the model refuses the rows")
    return BadRequest(
        str(detail.get("message")),
        row=detail.get("row"),
        column=detail.get("column"),
        value=detail.get("value"),
        expected=detail.get("expected"),
    )


def _message(document: Any) -> str | None:
    if not isinstance(document, dict):
        return None
    found = document.get("error", document)
    return str(found.get("message", found))[:500] if isinstance(found, dict) else str(found)[:500]
