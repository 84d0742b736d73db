"""A training's report as one HTML page: nothing is fetched, nothing runs, and every text of the data is escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence

from opsml_cli.cli.render.report_charts import COLOURS, Axes, Line, bars, chart, safe, span
from opsml_cli.domain.durations import format_duration
from opsml_cli.domain.job import AutoMLOutcome
from opsml_cli.domain.metric_names import higher_is_better
from opsml_cli.domain.report import ClassCurves, Confusion, CurvePoint, Dependence, JobReport

_SHOWN_TRIALS = 30
_SHOWN_COLUMNS = 20
_SHOWN_CLASSES = 20

_STYLE = """
:root{--ink:#1c2024;--soft:#60676f;--rule:#e2e5e9;--paper:#fff;--panel:#f7f8fa;--c0:#2f6fd0;--c1:#d0612f;--c2:#2f9e6a;
--c3:#8a4fc4;--c4:#b8912a;--c5:#c43c78;--good:#1f7a4d;--warn:#95610a;--bad:#b3261e;color-scheme:light dark}

@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#9aa2ab;--rule:#33383e;--paper:#16181b;--panel:#1e2125;--c0:#6ea3f2;
--c1:#f09468;--c2:#5fce98;--c3:#b98be8;--c4:#dcb95a;--c5:#ec7bae;--good:#5fce98;--warn:#e2b04a;--bad:#f2877f}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:3rem 1.5rem 5rem;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .25rem;letter-spacing:-.01em}
h2{font-size:1.2rem;margin:3rem 0 .75rem;padding-top:.9rem;border-top:1px solid var(--rule)}
p{margin:.4rem 0;max-width:44rem}.soft,figcaption,.tick,.label{color:var(--soft)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1.5rem;margin:1.25rem 0}dt{color:var(--soft)}dd{margin:0}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}
th{font-weight:600;text-align:left;color:var(--soft)}th,td{padding:.35rem .9rem .35rem 0;border-bottom:1px solid var(--rule);
vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap}tr.main td{font-weight:600}
.passed{color:var(--good)}.warning{color:var(--warn)}.failed{color:var(--bad)}
.passed,.warning,.failed{font-weight:600;white-space:nowrap}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));gap:1.5rem}
figure{margin:0;padding:1rem;background:var(--panel);border-radius:8px}figcaption{font-size:.9rem;margin-bottom:.4rem}
svg{display:block;width:100%;height:auto;font-size:12px}text{fill:currentColor}.end{text-anchor:end}.middle{text-anchor:middle}
.grid{stroke:var(--rule);fill:none}.axis{stroke:var(--soft);fill:none}
.reference{stroke:var(--soft);stroke-dasharray:4 4;fill:none}
.line{fill:none;stroke-width:2;stroke-linejoin:round}.line.c0{stroke:var(--c0)}.line.c1{stroke:var(--c1)}
.line.c2{stroke:var(--c2)}
.line.c3{stroke:var(--c3)}.line.c4{stroke:var(--c4)}.line.c5{stroke:var(--c5)}.dot{fill-opacity:.65}
.dot.c0{fill:var(--c0)}.dot.c1{fill:var(--c1)}.dot.c2{fill:var(--c2)}
.dot.c3{fill:var(--c3)}.dot.c4{fill:var(--c4)}.dot.c5{fill:var(--c5)}
.mark{fill:var(--paper);stroke:var(--c1);stroke-width:2.5}.bar{fill:var(--c0)}
figure ul{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:.5rem 0 0;padding:0;font-size:.85rem}
figure li::before{content:"";display:inline-block;width:.7em;height:.7em;
border-radius:50%;margin-right:.4em;background:currentColor}
li.c0{color:var(--c0)}li.c1{color:var(--c1)}li.c2{color:var(--c2)}li.c3{color:var(--c3)}li.c4{color:var(--c4)}
li.c5{color:var(--c5)}
.confusion td{text-align:right}.confusion .hit{font-weight:600;color:var(--c0)}
@media print{body{max-width:none;padding:0}figure,tr{break-inside:avoid}}
"""


def page(report: JobReport) -> str:
    """The whole document. Its policy allows its own style sheet by hash, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    title = f"Report of {safe(report.job.name)}"
    sections = (_summary(report), _metrics(report), _checks(report), _charts(report), _confusion(report.confusion, report.rows),
                _importance(report), _dependence(report), _leaderboard(report))  # fmt: skip
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(filter(None, sections))
        + "\n</body>\n</html>\n"
    )


def _outcome(report: JobReport) -> AutoMLOutcome:
    return report.job.automl or AutoMLOutcome()


def _section(title: str, intro: str, body: str) -> str:
    about = f"<p>{intro}</p>" if intro else ""
    return f"<section><h2>{title}</h2>{about}{body}</section>"


def _table(name: str, head: Sequence[str], lines: Sequence[str]) -> str:
    """`head` cells and `lines` (whole rows) are HTML already."""
    top = f"<thead><tr>{''.join(head)}</tr></thead>" if head else ""
    return f'<div class="scroll"><table id="{name}" class="{name}">{top}<tbody>{"".join(lines)}</tbody></table></div>'


def _number(text: str, tag: str = "td") -> str:
    return f'<{tag} class="n">{text}</{tag}>'


def _rows(report: JobReport) -> str:
    return "test rows that no trial has seen" if report.rows == "test" else "validation rows, each scored by a model without it"


def _summary(report: JobReport) -> str:
    job, found = report.job, _outcome(report)
    facts = {
        "Task": found.task,
        "Target": job.spec.get("target_column_name") or job.spec.get("target_column"),
        "Metric": found.metric,
        "Best": f"trial {found.best.trial}, {found.best.algorithm}" if found.best else None,
        "Model": f"{found.model.name}:{found.model.version}" if found.model else None,
        "Threshold": f"{found.threshold:.4f}" if found.threshold is not None else None,
        "Experiment": job.experiment,
        "Trained": job.ended_at,
        "Duration": format_duration(job.duration_seconds) if job.duration_seconds is not None else None,
    }
    lines = "".join(f"<dt>{name}</dt><dd>{safe(value)}</dd>" for name, value in facts.items() if value)
    about = f'<p class="soft">AutoML training report, {safe(job.status)}</p>'
    return f"<header><h1>{safe(job.name)}</h1>{about}<dl>{lines}</dl></header>"


def _metrics(report: JobReport) -> str:
    found = _outcome(report)
    shown: Mapping[str, float] = found.test_metrics or report.validation_metrics
    baseline = found.baseline_metrics or {}
    lines = []
    for name in sorted(shown, key=lambda name: name != found.metric):
        interval = (found.intervals or {}).get(name)
        between = f"{interval[0]:.4f} to {interval[1]:.4f}" if interval and found.test_metrics else ""
        cells = [f"{shown[name]:.4f}", between, f"{baseline[name]:.4f}" if name in baseline else ""]
        mark = ' class="main"' if name == found.metric else ""
        better = "higher" if higher_is_better(name) else "lower"
        numbers = "".join(_number(cell) for cell in cells)
        lines.append(f'<tr{mark}><td>{safe(name)}</td>{numbers}<td class="soft">{better} is better</td></tr>')
    head = ["<th>Metric</th>", *(_number(word, "th") for word in ("Model", "95 % interval", "Baseline")), "<th></th>"]
    intro = f"On {_rows(report)}. The baseline is what a model answers that has seen the target alone."
    return _section("Metrics", intro, _table("metrics", head, lines))


def _checks(report: JobReport) -> str:
    order = ("failed", "warning", "passed")
    checks = sorted(_outcome(report).guardrails, key=lambda check: order.index(check.status) if check.status in order else 0)
    if not checks:
        return ""
    lines = []
    for check in checks:
        mark = check.status if check.status in order else "warning"
        status = f'<td class="{mark}">{safe(check.status)}</td>'
        lines.append(f"<tr>{status}<td>{safe(check.check)}</td><td>{safe(check.detail)}</td></tr>")
    return _section("Checks of the data", "", _table("checks", (), lines))


def _charts(report: JobReport) -> str:
    if report.predictions:
        figures, note = _residual_charts(report), ""
    elif report.curves:
        figures = _class_charts(report.curves[:COLOURS], _outcome(report).threshold)
        left = len(report.curves) - COLOURS
        note = f'<p class="soft">{left} more classes are not drawn.</p>' if left > 0 else ""
    else:
        return ""
    title = "Curves" if report.curves else "Predictions"
    return _section(title, f"On {_rows(report)}.", f'<div class="charts">{"".join(figures)}</div>{note}')


def _class_charts(curves: Sequence[ClassCurves], threshold: float | None) -> list[str]:
    single = len(curves) == 1
    about = f", class {curves[0].label}" if single else ", each class against the others"

    def lines(points: Sequence[Sequence[tuple[float, float]]], *, dots: bool = False) -> list[Line]:
        return [Line(found, each.label, index, dots) for index, (each, found) in enumerate(zip(curves, points, strict=True))]

    cut = 0.5 if threshold is None else threshold
    roc = [[(point.x, point.y) for point in each.roc] for each in curves]
    recall = [[(point.x, point.y) for point in each.precision_recall] for each in curves]
    gain = [[(0.0, 0.0), *((point.share, point.gain) for point in each.gain)] for each in curves]
    lift = [[(point.share, point.lift) for point in each.gain] for each in curves]
    calibration = [[(each.predicted, each.observed) for each in found.calibration] for found in curves]
    diagonal = ((0.0, 0.0), (1.0, 1.0))
    figures = [
        chart(
            f"ROC{about}" + (f"; the ring is the threshold {cut:.3g}" if single else ""),
            Axes("false positive rate", "true positive rate", reference=diagonal),
            lines(roc),
            _nearest(curves[0].roc, cut) if single else None,
        ),
        chart(
            f"Precision and recall{about}",
            Axes("recall", "precision"),
            lines(recall),
            _nearest(curves[0].precision_recall, cut) if single else None,
        ),
        chart(
            f"Calibration{about}: on the dashed line a predicted probability is what happens",
            Axes("predicted probability", "observed share", reference=diagonal),
            lines(calibration, dots=True),
        ),
    ]
    if any(each.gain for each in curves):
        highest = max(point[1] for found in lift for point in found)
        figures += [
            chart(f"Gain{about}", Axes("share of rows, best first", "share found", reference=diagonal), lines(gain)),
            chart(
                f"Lift{about}",
                Axes(
                    "share of rows, best first",
                    "times chance",
                    y_span=(0.0, highest * 1.05),
                    reference=((0.0, 1.0), (1.0, 1.0)),
                ),
                lines(lift),
            ),
        ]
    return figures


def _nearest(points: Sequence[CurvePoint], threshold: float) -> tuple[float, float] | None:
    """The point of the last row that still counts as of the class."""
    above = [point for point in points if point.threshold >= threshold]
    return (above[-1].x, above[-1].y) if above else None


def _residual_charts(report: JobReport) -> list[str]:
    pairs = [(each.truth, each.predicted) for each in report.predictions]
    both = span([value for pair in pairs for value in pair])
    errors = [(predicted, truth - predicted) for truth, predicted in pairs]
    across = span([predicted for predicted, _ in errors])
    return [
        chart(
            "Predicted and true values: on the dashed line they agree",
            Axes("true value", "predicted", both, both, ((both[0], both[0]), (both[1], both[1]))),
            [Line(pairs, dots=True, line=False)],
        ),
        chart(
            "Residuals: what the prediction lacks",
            Axes(
                "predicted", "true - predicted", across, span([error for _, error in errors]), ((across[0], 0), (across[1], 0))
            ),
            [Line(errors, dots=True, line=False)],
        ),
    ]


def _confusion(found: Confusion | None, rows: str) -> str:
    if found is None:
        return ""
    if len(found.labels) > _SHOWN_CLASSES:
        return _section("Confusion", f"{len(found.labels)} classes are too many for a table; -o json has them.", "")
    head = ["<th></th>", *(_number(safe(label), "th") for label in found.labels), _number("recall", "th")]
    lines = []
    for index, (label, counts) in enumerate(zip(found.labels, found.counts, strict=True)):
        marks = ["hit" if at == index else "miss" for at in range(len(counts))]
        cells = "".join(f'<td class="{mark}">{count:,}</td>' for mark, count in zip(marks, counts, strict=True))
        whole = sum(counts)
        recall = f"{100 * counts[index] / whole:.1f} %" if whole else ""
        lines.append(f'<tr><th>{safe(label)}</th>{cells}<td class="soft">{recall}</td></tr>')
    intro = f"Rows are the truth, columns the prediction; the last column is the share found ({safe(rows)} rows)."
    return _section("Confusion", intro, _table("confusion", head, lines))


def _importance(report: JobReport) -> str:
    if not report.importance:
        return ""
    shown = [(each.column, each.share) for each in report.importance[:_SHOWN_COLUMNS]]
    left = len(report.importance) - len(shown)
    note = f'<p class="soft">and {left} more columns</p>' if left > 0 else ""
    intro = "How much of the model's answers each column moves. It says what the model uses, not what causes the outcome."
    return _section("Importance", intro, bars("Importance of the columns", shown) + note)


def _dependence(report: JobReport) -> str:
    if not report.dependence:
        return ""
    of = "answer" if report.dependence_of is None else f"probability of {report.dependence_of!r}"
    across = span([answer for each in report.dependence for answer in each.answers])
    parts = [_dependence_chart(place, each, of, across) for place, each in enumerate(report.dependence)]
    intro = safe(f"The mean {of} when every row has the column's value and keeps its others, on a sample of rows.")
    return _section("Dependence", intro, f'<div class="charts">{"".join(parts)}</div>')


def _dependence_chart(place: int, found: Dependence, of: str, across: tuple[float, float]) -> str:
    """A line through numbers, a table of anything else; every chart has the same scale."""
    points = [
        (float(value), answer)
        for value, answer in zip(found.values, found.answers, strict=True)
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    if len(points) == len(found.values) and len(points) > 1:
        axes = Axes(found.column, f"mean {of}", span([value for value, _ in points]), across)
        return chart(found.column, axes, [Line(points, dots=True)])
    lines = [
        f"<tr><td>{safe(value)}</td>{_number(f'{answer:.4g}')}</tr>"
        for value, answer in zip(found.values, found.answers, strict=True)
    ]
    head = ["<th>Value</th>", _number("Mean", "th")]
    return f"<figure><figcaption>{safe(found.column)}</figcaption>{_table(f'dependence-{place}', head, lines)}</figure>"


def _leaderboard(report: JobReport) -> str:
    found = _outcome(report)
    if not found.leaderboard:
        return ""
    metric = found.metric or ""
    lines = []
    for trial in found.leaderboard[:_SHOWN_TRIALS]:
        value = f"{trial.metrics[metric]:.5f}" if metric in trial.metrics else ""
        cells = [
            _number("" if trial.rank is None else str(trial.rank)),
            *(f"<td>{safe(text)}</td>" for text in (trial.trial, trial.algorithm)),
            _number(value),
            _number(f"{trial.duration_seconds:.1f} s"),
            f"<td>{safe(trial.detail or '')}</td>",
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    left = len(found.leaderboard) - _SHOWN_TRIALS
    note = f'<p class="soft">and {left} more trials</p>' if left > 0 else ""
    words = "<th>Trial</th><th>Algorithm</th>"
    head = [_number("Rank", "th"), words, _number(safe(metric), "th"), _number("Time", "th"), "<th></th>"]
    return _section(
        "Leaderboard", "Validation figures, from which the model was chosen.", _table("leaderboard", head, lines) + note
    )
