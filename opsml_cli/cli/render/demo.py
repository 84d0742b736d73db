"""How the demo's result is shown."""

from __future__ import annotations

import shlex

from opsml_cli.cli.render.base import Rendering
from opsml_cli.services.demo import PIPELINE, DemoResult


def _document(result: DemoResult) -> dict[str, object]:
    return {
        "workspace": result.workspace,
        "data_source": result.data_source,
        "steps": [
            {"command": step.command, "status": step.status, "duration_seconds": step.duration_seconds} for step in result.steps
        ],
        "endpoint": result.endpoint,
        "scoring_uri": result.scoring_uri,
        "metrics": dict(result.metrics),
        "folder": result.folder,
        "ended": result.ended,
    }


def _view(result: DemoResult, _width: int) -> str:
    lines = ["", "The demo is done:"]
    lines += [f"  {step.duration_seconds:7.1f} s  {step.command}" for step in result.steps]
    total = sum(step.duration_seconds for step in result.steps)
    lines += [f"  {total:7.1f} s  in all", "", f"data: {result.data_source}"]
    shown = {name: result.metrics[name] for name in ("AUC_weighted", "accuracy", "balanced_accuracy") if name in result.metrics}
    if shown:
        lines.append("on unseen rows: " + ", ".join(f"{name} {value:.4f}" for name, value in shown.items()))
    if result.ended:
        lines.append(f"Everything was stopped. Its records lie in {result.folder}; delete the folder when you are done.")
        return "\n".join(lines)
    lines += [
        f"scoring URI: {result.scoring_uri}",
        "",
        "Everything keeps running. To look at it:",
        f"  cd {shlex.quote(result.folder)}",
        f"  opsml swagger {result.endpoint} --ui     # try it out in the browser",
        f"  opsml logs {result.endpoint} --follow",
        f"  opsml pipeline url {PIPELINE} --curl",
        "  opsml local status",
        "To end it:",
        "  opsml local down --yes",
    ]
    return "\n".join(lines)


def _summary(result: DemoResult) -> str:
    rows = "\n".join(f"| `{step.command}` | {step.status} | {step.duration_seconds:.1f} |" for step in result.steps)
    return f"| command | status | seconds |\n|---|---|---|\n{rows}\n"


RENDERINGS: dict[type, Rendering] = {
    DemoResult: Rendering(
        document=_document,
        columns=("workspace", "data_source", "endpoint", "scoring_uri", "metrics"),
        view=_view,
        outputs=lambda result: {"endpoint": result.endpoint, "scoring_uri": result.scoring_uri or ""},
        summary=_summary,
    )
}
