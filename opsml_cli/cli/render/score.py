"""How predictions are shown."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from opsml_cli.cli.formats import cell
from opsml_cli.cli.render.base import Rendering
from opsml_cli.domain.endpoint import ScoreResult
from opsml_cli.domain.scoring import ScoredFile

_FIRST = 20  # predictions that a person is shown


def _score(result: ScoreResult) -> dict[str, object]:
    document: dict[str, object] = {"predictions": list(result.predictions)}
    if result.probabilities:
        document["classes"] = list(result.classes)
        document["probabilities"] = [list(row) for row in result.probabilities]
    return document | {"rows": result.rows, "deployment": result.deployment, "latency_ms": result.latency_ms}


def _score_view(result: ScoreResult, _width: int) -> str:
    lines = []
    for index, prediction in enumerate(result.predictions[:_FIRST]):
        line = f"{index:>4}  {cell(prediction) if isinstance(prediction, dict | list) else prediction}"
        if result.probabilities:
            shares = zip(result.classes, result.probabilities[index], strict=False)
            line += "  " + "  ".join(f"{label} {share:.3f}" for label, share in shares)
        lines.append(line)
    if result.rows > _FIRST and len(result.predictions) >= _FIRST:
        lines.append(f"      and {result.rows - _FIRST} more; --out FILE or -o json gives all")
    by = f" by {result.deployment}" if result.deployment else ""
    lines.append(f"{result.rows} rows{by} in {result.latency_ms:.1f} ms")
    return "\n".join(lines)


RENDERINGS: dict[type[Any], Rendering] = {
    ScoreResult: Rendering(
        document=_score,
        view=_score_view,
        columns=("predictions", "rows", "deployment", "latency_ms"),
        outputs=lambda result: {"rows": str(result.rows)},
    ),
    ScoredFile: Rendering(
        document=asdict,
        view=lambda file, _width: f"{file.rows} predictions in {file.path}",
        outputs=lambda file: {"rows": str(file.rows), "path": file.path},
    ),
}
