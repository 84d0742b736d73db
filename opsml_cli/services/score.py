"""Scoring rows: on an endpoint, or with a model in this process; and keeping what came out."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from opsml_cli.domain import names
from opsml_cli.domain.endpoint import OnlineEndpoint, Row, ScoreRequest, ScoreResult
from opsml_cli.domain.errors import NotFoundError, UsageError
from opsml_cli.domain.model import Model
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.workspace import Workspace

FORMATS = (".csv", ".json", ".jsonl")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to score: an endpoint (and perhaps one of its deployments), or a model in this process."""

    endpoint: str | None = None
    deployment: str | None = None
    model: AssetRef | None = None


@dataclass(frozen=True, slots=True)
class ScoredFile:
    """Predictions that were written to `path`."""

    path: str
    rows: int
    deployment: str | None
    latency_ms: float


def score(workspace: Workspace, target: Target, rows: Sequence[Row], *, proba: bool = False) -> ScoreResult:
    """Score `rows`. Errors in them name the column and the row."""
    request = ScoreRequest(rows, proba=proba, deployment=target.deployment)
    if target.model is not None:
        return workspace.models.score(target.model, request)
    assert target.endpoint is not None
    return workspace.online_endpoints.score(target.endpoint, request)


def sample(workspace: Workspace, target: Target, count: int) -> Sequence[Row]:
    """`count` rows of the registered data that the model was trained on, without the target column."""
    model = _model(workspace, target)
    if model.data is None:
        raise NotFoundError(
            f"nobody recorded which registered data model {model.name}:{model.version} was trained on",
            fix="give the rows: a file, or - for standard input",
        )
    asset = workspace.data.get(model.data)
    hidden = {asset.target_column}
    if model.job is not None:
        hidden.add(str(workspace.jobs.get(model.job).spec.get("target_column")))
    rows = workspace.data.sample(model.data, count)
    return [{name: value for name, value in row.items() if name not in hidden} for row in rows]


def write(result: ScoreResult, path: str) -> ScoredFile:
    """Write predictions, and probabilities where there are any, as CSV, JSON or JSON lines by the file's suffix; whole or
    not at all. UsageError for another suffix."""
    place = Path(path).expanduser()
    suffix = place.suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(f"{place.name!r} does not say its format", fix=f"end it in {', '.join(FORMATS)}")
    records = [_record(result, index) for index in range(result.rows)]
    if suffix == ".json":
        text = json.dumps(records, indent=1)
    elif suffix == ".jsonl":
        text = "".join(json.dumps(record) + "\n" for record in records)
    else:
        import csv
        import io

        buffer = io.StringIO()
        fields = ["prediction", *(f"probability_{label}" for label in result.classes)]
        writer = csv.DictWriter(buffer, fields)
        writer.writeheader()
        writer.writerows(records)
        text = buffer.getvalue()
    temporary = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, "utf-8")
        temporary.replace(place)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no folder {place.parent}", fix="make it, or choose another --out") from error
    finally:
        temporary.unlink(missing_ok=True)
    return ScoredFile(str(place), result.rows, result.deployment, result.latency_ms)


def _record(result: ScoreResult, index: int) -> dict[str, object]:
    record = {"prediction": result.predictions[index]}
    if result.probabilities:
        shares = result.probabilities[index]
        record |= {f"probability_{label}": share for label, share in zip(result.classes, shares, strict=True)}
    return record


def _model(workspace: Workspace, target: Target) -> Model:
    if target.model is not None:
        return workspace.models.get(target.model)
    assert target.endpoint is not None
    endpoint = workspace.online_endpoints.get(target.endpoint)
    pointer = next((each.model for each in endpoint.deployments if each.name == _deployment(endpoint, target.deployment)), None)
    if pointer is None:
        raise NotFoundError(f"endpoint {endpoint.name!r} has no such deployment", fix=f"opsml endpoints show {endpoint.name}")
    return workspace.models.get(AssetRef(pointer.name, pointer.version))


def _deployment(endpoint: OnlineEndpoint, wanted: str | None) -> str | None:
    """The name as the endpoint writes it; without a wish, the one with most traffic."""
    if wanted is not None:
        return next((each.name for each in endpoint.deployments if names.key(each.name) == names.key(wanted)), None)
    return max((each.name for each in endpoint.deployments), key=lambda name: endpoint.traffic.get(name, 0), default=None)
