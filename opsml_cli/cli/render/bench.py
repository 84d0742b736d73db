"""How a load test is shown."""

from __future__ import annotations

from typing import Any

from opsml_cli.cli.render.base import Rendering
from opsml_cli.domain.load import LoadFigures
from opsml_cli.services.bench import Bench, Change, Objective


def _document(result: Bench) -> dict[str, object]:
    document: dict[str, object] = result.figures.document()
    document["slo"] = (
        None if not result.objectives else {"met": result.met, "objectives": [_objective(each) for each in result.objectives]}
    )
    document["baseline"] = [_change(each) for each in result.changes] or None
    document["proposed_alerts"] = [str(rule) for rule in result.proposed]
    document["alerts"] = [str(saved.alert.rule) for saved in result.alerts]
    return document


def _objective(each: Objective) -> dict[str, object]:
    return {"objective": each.objective, "met": each.met, "value": each.value}


def _change(each: Change) -> dict[str, object]:
    return {"measure": each.measure, "baseline": each.baseline, "value": each.value, "change": each.change, "ok": each.ok}


def _view(result: Bench, _width: int) -> str:
    figures = result.figures
    lines = [
        f"{figures.endpoint}: {figures.requests} requests, {figures.errors} errors, {figures.plan.told}",
        f"  rate       {figures.rate:.1f} answers a second",
        f"  latency    {_latency(figures)}",
    ]
    if figures.failed:
        lines.append("  errors     " + ", ".join(f"{kind}: {count}" for kind, count in figures.failed.items()))
    if len(figures.deployments) > 1:
        lines.append("  answers    " + ", ".join(f"{name}: {count}" for name, count in figures.deployments.items()))
    lines += [f"  {'met ' if each.met else 'MISS'}       {each.objective}: {_found(each)}" for each in result.objectives]
    lines += [f"  {'ok  ' if each.ok else 'WORSE'}      {_changed(each)}" for each in result.changes]
    if result.alerts:
        lines += [f"  alert set  {saved.alert.rule}{' (was there)' if saved.unchanged else ''}" for saved in result.alerts]
    elif result.proposed:
        wanted = " ".join(f"--alert '{rule}'" for rule in result.proposed)
        lines.append(f"  suggested  opsml insights alerts {figures.endpoint} {wanted}")
    return "\n".join(lines)


def _latency(figures: LoadFigures) -> str:
    latency = figures.latency_ms
    if latency.p50 is None:
        return "no answer"
    named = (("p50", latency.p50), ("p95", latency.p95), ("p99", latency.p99), ("max", figures.max_ms))
    return ", ".join(f"{name} {value:.2f} ms" for name, value in named if value is not None)


def _found(each: Objective) -> str:
    return "nothing was measured" if each.value is None else f"found {each.value:.4g}"


def _changed(each: Change) -> str:
    grew = "" if each.change is None else f" ({each.change:+.1%})"
    return f"{each.measure}: {each.value:.4g}, baseline {each.baseline:.4g}{grew}"


def _summary(result: Bench) -> str:
    figures = result.figures
    latency = figures.latency_ms
    cells = (
        figures.requests, figures.errors, f"{figures.rate:.1f}/s",
        *("-" if value is None else f"{value:.2f} ms" for value in (latency.p50, latency.p95, latency.p99, figures.max_ms)),
    )  # fmt: skip
    lines = [
        f"### Load on {figures.endpoint}: {figures.plan.told}",
        "",
        "| requests | errors | rate | p50 | p95 | p99 | max |",
        "|---|---|---|---|---|---|---|",
        "| " + " | ".join(str(cell) for cell in cells) + " |",
    ]
    if result.objectives or result.changes:
        lines += ["", "| what | ok | found |", "|---|---|---|"]
        lines += [f"| {each.objective} | {_ok(each.met)} | {_found(each)} |" for each in result.objectives]
        lines += [f"| {each.measure} against baseline | {_ok(each.ok)} | {_changed(each)} |" for each in result.changes]
    return "\n".join(lines) + "\n"


def _ok(value: bool) -> str:
    return "yes" if value else "**no**"


def _outputs(result: Bench) -> dict[str, str]:
    figures = result.figures
    found = {"requests": str(figures.requests), "errors": str(figures.errors), "rate": f"{figures.rate:.3f}"}
    if figures.latency_ms.p95 is not None:
        found["p95_ms"] = f"{figures.latency_ms.p95:.3f}"
    return found


RENDERINGS: dict[type[Any], Rendering] = {
    Bench: Rendering(
        document=_document,
        columns=("endpoint", "requests", "errors", "rate", "latency_ms", "slo"),
        view=_view,
        outputs=_outputs,
        summary=_summary,
    )
}
