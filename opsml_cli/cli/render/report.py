"""How a training's report is shown in the terminal and as a document; `report_page` makes the HTML of it."""

from __future__ import annotations

from collections.abc import Sequence

from opsml_cli.cli import formats
from opsml_cli.cli import text as texts
from opsml_cli.cli.render import explanation
from opsml_cli.cli.render import job as jobs
from opsml_cli.cli.render.base import Rendering
from opsml_cli.domain.job import AutoMLOutcome
from opsml_cli.domain.report import ClassCurves, Confusion, JobReport, SavedReport

_BAR = 30
_SHOWN_COLUMNS = 15
_SHOWN_CLASSES = 8
_SHOWN_METRICS = 8
_SHOWN_DEPENDENCE = 3
_SHARES = (0.05, 0.1, 0.2, 0.4)


def document(report: JobReport) -> dict[str, object]:
    """The fields of `jobs show` that a report has, and the figures."""
    shown = jobs.document(report.job)
    kept = ("job", "status", "task", "metric", "model", "best", "test_metrics", "baseline_metrics", "intervals", "threshold",
            "guardrails", "leaderboard", "duration_seconds")  # fmt: skip
    return {name: shown[name] for name in kept} | {
        "rows": report.rows,
        "validation_metrics": report.validation_metrics,
        "curves": report.curves,
        "confusion": report.confusion,
        "importance": report.importance,
        "predictions": report.predictions,
        "dependence": report.dependence,
        "dependence_of": report.dependence_of,
    }


def _view(report: JobReport, width: int) -> str:
    found = report.job.automl or AutoMLOutcome()
    best = f"  best: trial {found.best.trial}, {found.best.algorithm}" if found.best else ""
    model = f"  model {found.model.name}:{found.model.version}" if found.model else ""
    lines = [
        f"{report.job.name}  {report.job.status}{best}{model}",
        "",
        f"METRICS on {report.rows} rows",
        _metrics(report, width),
    ]
    if found.threshold is not None:
        lines.append(f"threshold {found.threshold:.4f}")
    if found.guardrails:
        rows = [[check.status, check.check, check.detail] for check in found.guardrails if check.status != "passed"]
        passed = len(found.guardrails) - len(rows)
        lines += ["", f"CHECKS  {passed} of {len(found.guardrails)} passed"]
        # Whole lines: a leak's two figures are at its end.
        lines += [f"{status:<7}  {texts.escape_line(check)}: {texts.escape_line(detail)}" for status, check, detail in rows]
    for curves in report.curves[:_SHOWN_CLASSES]:
        lines += ["", *_class(curves)]
    if report.confusion is not None and len(report.confusion.labels) <= _SHOWN_CLASSES:
        lines += ["", "CONFUSION  rows are the truth", _confusion(report.confusion, width)]
    if report.predictions:
        lines += ["", *_residuals(report)]
    if report.importance:
        lines += ["", "IMPORTANCE", _importance(report, width)]
    if report.dependence:
        of = "answer" if report.dependence_of is None else f"probability of {report.dependence_of!r}"
        lines += ["", texts.escape_line(f"DEPENDENCE  the mean {of} when every row has the value")]
        lines += ["\n" + explanation.dependence(each, width) for each in report.dependence[:_SHOWN_DEPENDENCE]]
    if found.leaderboard:
        lines += ["", "LEADERBOARD", jobs.board(found.leaderboard[:10], width, found.metric).rstrip("\n")]
    return "\n".join(lines)


def _metrics(report: JobReport, width: int) -> str:
    found = report.job.automl or AutoMLOutcome()
    shown = found.test_metrics or report.validation_metrics
    names = list(dict.fromkeys([*jobs.main_metrics(shown, found.metric), *shown]))[:_SHOWN_METRICS]
    rows = []
    for name in names:
        interval = (found.intervals or {}).get(name) if found.test_metrics else None
        trivial = (found.baseline_metrics or {}).get(name)
        rows.append(
            [
                name,
                f"{shown[name]:.4f}",
                f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else "",
                "" if trivial is None else f"{trivial:.4f}",
            ]
        )
    return formats.to_table(["metric", "model", "95 % interval", "baseline"], rows, width).rstrip("\n")


def _class(curves: ClassCurves) -> list[str]:
    lines = [f"CLASS {texts.escape_line(curves.label)}"]
    for share in _SHARES:
        within = [point for point in curves.gain if point.share <= share]
        if within:
            point = within[-1]
            lines.append(f"the best {100 * point.share:>5.1f} % of rows hold {100 * point.gain:>5.1f} %  lift {point.lift:.2f}")
    if curves.calibration:
        lines.append("predicted  observed   rows")
        lines += [f"{each.predicted:>9.3f}  {each.observed:>8.3f}  {each.rows:>5}" for each in curves.calibration]
    return lines


def _confusion(found: Confusion, width: int) -> str:
    labels = [texts.escape_line(label) for label in found.labels]
    # The labels are a row of their own: a header would change their spelling.
    rows = [["", *labels], *([label, *map(str, counts)] for label, counts in zip(labels, found.counts, strict=True))]
    return formats.to_table(["truth", "predicted", *[""] * (len(labels) - 1)], rows, width).rstrip("\n")


def _residuals(report: JobReport) -> list[str]:
    errors = sorted(each.truth - each.predicted for each in report.predictions)
    marks = ((0.05, "5 %"), (0.25, "25 %"), (0.5, "half"), (0.75, "75 %"), (0.95, "95 %"))
    return [
        f"RESIDUALS (true - predicted) of {len(errors)} rows",
        "   ".join(f"{name} below {errors[min(len(errors) - 1, int(share * len(errors)))]:.4g}" for share, name in marks),
    ]


def _importance(report: JobReport, width: int) -> str:
    most = max(each.share for each in report.importance) or 1.0
    rows: Sequence[Sequence[str]] = [
        [texts.escape_line(each.column), f"{100 * each.share:5.1f} %", "#" * round(_BAR * each.share / most)]
        for each in report.importance[:_SHOWN_COLUMNS]
    ]
    return formats.to_table(["column", "share", ""], rows, width).rstrip("\n")


RENDERINGS: dict[type, Rendering] = {
    JobReport: Rendering(
        document=document, view=_view, columns=("job", "status", "metric", "test_metrics", "threshold", "model")
    ),
    SavedReport: Rendering(
        document=lambda saved: {"job": saved.job, "path": saved.path, "size_bytes": saved.size_bytes},
        view=lambda saved, _width: f"{saved.path}: {saved.size_bytes} bytes",
    ),
}
