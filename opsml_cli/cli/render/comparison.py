"""How the comparison of two models is shown."""

from __future__ import annotations

from opsml_cli.cli import formats
from opsml_cli.cli.render.base import Rendering
from opsml_cli.domain.comparison import Comparison


def document(found: Comparison) -> dict[str, object]:
    return {
        "a": found.a,
        "b": found.b,
        "metric": found.metric,
        "rows": found.rows,
        "difference": found.difference,
        "interval": found.interval,
        "verdict": found.verdict,
        "metrics": found.metrics,
        "distinct_rows": found.distinct_rows,
        "trained_on": found.trained_on,
    }


def _view(found: Comparison, width: int) -> str:
    low, high = found.interval
    names = sorted(found.metrics["a"], key=lambda name: name != found.metric)
    rows = []
    for name in names:
        if name in found.metrics["b"]:
            a, b = found.metrics["a"][name], found.metrics["b"][name]
            rows.append([name, f"{a:.4f}", f"{b:.4f}", f"{a - b:+.4f}"])
    verdict = {"better": "is better than", "worse": "is worse than", "tie": "ties with"}[found.verdict]
    return (
        f"{found.a} {verdict} {found.b}: {found.metric} {found.difference:+.4f} ({low:+.4f} to {high:+.4f}) "
        f"on {found.rows:,} rows\n\n" + formats.to_table(["metric", "A", "B", "A - B"], rows, width).rstrip("\n")
    )


RENDERINGS: dict[type, Rendering] = {
    Comparison: Rendering(
        document=document,
        view=_view,
        columns=("a", "b", "metric", "rows", "difference", "interval", "verdict"),
        outputs=lambda found: {"verdict": found.verdict, "difference": repr(found.difference)},
    )
}
