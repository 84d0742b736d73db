"""Rows scored by a registered model without a server: our own in this process, any other in a host of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opsml_cli.domain.contract import BadRequest
from opsml_cli.domain.endpoint import ScoreRequest, ScoreResult
from opsml_cli.domain.errors import ContractError, InvalidInputError
from opsml_cli.domain.model import Model


def score(root: Path, model: Model, request: ScoreRequest) -> ScoreResult:
    """`model` is trusted, and an own one verified. InvalidInputError for rows that it refuses; ContractError when it fails."""
    rows: list[dict[str, Any]] = [dict(row) for row in request.rows]
    try:
        scored = _own(model, rows, request) if model.own else _foreign(root, model, rows, request)
    except BadRequest as error:
        place = None if error.row is None else f"row {error.row}: expected {error.expected}, found {error.value!r}"
        raise InvalidInputError(error.message, cause=place, fix=f"opsml models show {model.name} names the columns") from error
    predictions, probabilities, classes, seconds = scored
    return ScoreResult(
        predictions=predictions,
        rows=len(rows),
        deployment=None,
        latency_ms=round(seconds * 1000, 3),
        classes=classes,
        probabilities=probabilities,
    )


_Scored = tuple[list[Any], list[Any], Sequence[object], float]


def _own(model: Model, rows: list[dict[str, Any]], request: ScoreRequest) -> _Scored:
    from opsml_cli.local.serving import scorers

    scorer = scorers.load(Path(model.path))
    started = time.perf_counter()
    scorer.schema.check(rows)
    probabilities = scorer.score(rows, True) if request.proba else []
    predictions = scorer.score(rows, False)
    return predictions, probabilities, scorer.classes if request.proba else (), time.perf_counter() - started


def _foreign(root: Path, model: Model, rows: list[dict[str, Any]], request: ScoreRequest) -> _Scored:
    from opsml_cli.local.environments.choosing import unmet_of
    from opsml_cli.local.serving.hosting import copies
    from opsml_cli.local.serving.hosting import rows as hosted
    from opsml_cli.local.serving.hosting.process import HostFailedError
    from opsml_cli.local.serving.hosting.session import open_host

    lines: list[str] = []
    try:
        with open_host(root, copies.source_of(model), lambda level, text: lines.append(f"{level}: {text}")) as session:
            started = time.perf_counter()
            probabilities = hosted.score(session, rows, proba=True) if request.proba else []
            predictions = hosted.score(session, rows)
            seconds = time.perf_counter() - started
            return predictions, probabilities, session.description.classes if request.proba else (), seconds
    except HostFailedError as error:
        told = unmet_of(Path(model.path))
        raise ContractError(
            f"model {model.name}:{model.version}: {error}",
            cause=told or _cause(lines),
            fix=f"opsml deploy {model.name}:{model.version} --environment isolated" if told else None,
        ) from error
    except ContractError as error:
        raise ContractError(error.message, cause=error.cause or _cause(lines)) from error


def _cause(lines: list[str]) -> str | None:
    """The last error that the model's process wrote."""
    last = next((line for line in reversed(lines) if line.startswith("error: ")), None)
    return last.removeprefix("error: ").splitlines()[-1][:300] if last else None
