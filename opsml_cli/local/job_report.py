"""The figures that training left beside its model, read back as values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from opsml_cli.domain.errors import ConflictError, ContractError, NotFoundError, UnsupportedError
from opsml_cli.domain.job import Job, JobKind, JobState
from opsml_cli.domain.report import (
    CalibrationBin,
    ClassCurves,
    ColumnShare,
    Confusion,
    CurvePoint,
    Dependence,
    GainPoint,
    JobReport,
    Predicted,
)


def read(job: Job, outputs: Path) -> JobReport:
    """The report of `job`, whose artifacts lie in `outputs`. UnsupportedError for what is no training, ConflictError before
    its end, NotFoundError for lost artifacts, ContractError for artifacts that are not what training writes."""
    if job.kind is not JobKind.AUTOML:
        raise UnsupportedError(f"{job.name} is a {job.kind} job: it has no report", fix=f"opsml jobs show {job.name}")
    if not job.status.finished:
        raise ConflictError(
            f"job {job.name} is {job.status}: its report comes with its end", fix=f"opsml jobs watch {job.name}"
        )
    if job.status is not JobState.COMPLETED:
        raise ConflictError(
            f"job {job.name} is {job.status}: it has no report", cause=job.error, fix=f"opsml jobs logs {job.name}"
        )
    try:
        metrics, curves = _document(outputs / "metrics.json"), _document(outputs / "curves.json")
        confusion = _confusion(_document(outputs / "confusion.json")) if (outputs / "confusion.json").exists() else None
        dependence = _document(outputs / "dependence.json") if (outputs / "dependence.json").exists() else {}
        return JobReport(
            job=job,
            rows=str(curves["rows"]),
            validation_metrics={str(name): float(value) for name, value in (metrics.get("validation") or {}).items()},
            curves=tuple(_curves(label, found, confusion) for label, found in (curves.get("classes") or {}).items()),
            confusion=confusion,
            importance=tuple(
                ColumnShare(str(each["column"]), float(each["share"])) for each in _document(outputs / "importance.json")
            ),
            predictions=tuple(
                Predicted(float(each["truth"]), float(each["predicted"])) for each in curves.get("residuals") or ()
            ),
            dependence=tuple(
                Dependence(str(each["column"]), tuple(each["values"]), tuple(map(float, each["answers"])))
                for each in dependence.get("columns") or ()
            ),
            dependence_of=dependence.get("class"),
        )
    except FileNotFoundError as error:
        raise NotFoundError(
            f"job {job.name} has no {Path(str(error.filename)).name}: it was removed, or an older release trained it",
            fix="train again",
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ContractError(f"the artifacts of job {job.name} are damaged", cause=str(error), fix="train again") from error


def _document(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _confusion(document: Mapping[str, Any]) -> Confusion:
    return Confusion(
        tuple(str(label) for label in document["classes"]),
        tuple(tuple(int(count) for count in row) for row in document["counts"]),
    )


def _curves(label: str, found: Mapping[str, Any], confusion: Confusion | None) -> ClassCurves:
    roc = _points(found["roc"], "false_positive_rate", "true_positive_rate")
    return ClassCurves(
        label,
        roc,
        _points(found["precision_recall"], "recall", "precision"),
        tuple(
            CalibrationBin(float(each["predicted"]), float(each["observed"]), int(each["rows"]))
            for each in found["calibration"]
        ),
        _gain(label, roc, confusion),
    )


def _points(found: Mapping[str, Sequence[float]], x: str, y: str) -> tuple[CurvePoint, ...]:
    return tuple(
        CurvePoint(float(a), float(b), float(cut)) for a, b, cut in zip(found[x], found[y], found["threshold"], strict=True)
    )


def _gain(label: str, roc: Sequence[CurvePoint], confusion: Confusion | None) -> tuple[GainPoint, ...]:
    """From the ROC curve and the class's share of the rows."""
    if confusion is None or label not in confusion.labels:
        return ()
    rows = sum(sum(counts) for counts in confusion.counts)
    positive = sum(confusion.counts[confusion.labels.index(label)])
    found = []
    for point in roc:
        share = (point.y * positive + point.x * (rows - positive)) / rows
        if share > 0:
            found.append(GainPoint(share, point.y, point.y / share))
    return tuple(found)
