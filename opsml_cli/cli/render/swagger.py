"""How an OpenAPI document and its check are shown."""

from __future__ import annotations

import json
from typing import Any

from opsml_cli.cli.render.base import Rendering
from opsml_cli.services.swagger import SavedDocument, SwaggerCheck, SwaggerDocument, SwaggerUi


def _document(result: SwaggerDocument) -> dict[str, object]:
    return dict(result.document)


def _document_view(result: SwaggerDocument, _width: int) -> str:
    return json.dumps(_document(result), indent=2)


def _check(result: SwaggerCheck) -> dict[str, object]:
    findings = [{"check": finding.check, "detail": finding.detail} for finding in result.findings]
    return {"ok": result.ok, "findings": findings, "requests": result.requests}


def _check_view(result: SwaggerCheck, _width: int) -> str:
    if result.ok:
        return f"ok: {result.requests} live replies are as the document says"
    return "\n".join(f"FAIL  {finding.check}: {finding.detail}" for finding in result.findings)


def _saved(result: SavedDocument) -> dict[str, object]:
    return {"endpoint": result.endpoint, "path": result.path, "size_bytes": result.size_bytes}


def _ui(result: SwaggerUi) -> dict[str, object]:
    return {"endpoint": result.endpoint, "url": result.url}


RENDERINGS: dict[type[Any], Rendering] = {
    SwaggerDocument: Rendering(document=_document, view=_document_view),
    SwaggerCheck: Rendering(document=_check, view=_check_view, columns=("ok", "findings")),
    SavedDocument: Rendering(document=_saved, view=lambda saved, _width: f"{saved.path}: {saved.size_bytes} bytes"),
    SwaggerUi: Rendering(document=_ui, view=lambda ui, _width: f"Swagger UI of {ui.endpoint}: {ui.url}"),
}
