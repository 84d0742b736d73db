"""How a diagnosis is shown."""

from __future__ import annotations

from opsml_cli.cli.commands.doctor import Diagnosis
from opsml_cli.cli.render.base import Rendering


def _document(diagnosis: Diagnosis) -> dict[str, object]:
    return {"ok": diagnosis.ok, "checks": list(diagnosis.checks)}


def _view(diagnosis: Diagnosis, _width: int) -> str:
    lines = []
    for check in diagnosis.checks:
        lines.append(f"{'ok  ' if check.ok else 'FAIL'}  {check.check}: {check.detail}")
        if check.fix:
            lines.append(f"      fix: {check.fix}")
    return "\n".join(lines)


RENDERINGS: dict[type, Rendering] = {Diagnosis: Rendering(document=_document, view=_view)}
