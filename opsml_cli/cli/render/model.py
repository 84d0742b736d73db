"""How models are shown."""

from __future__ import annotations

from collections.abc import Sequence

from opsml_cli.cli import formats
from opsml_cli.cli.render.base import Rendering
from opsml_cli.domain.model import Model, RegisteredModel


def document(model: Model) -> dict[str, object]:
    """The fields of `models show`."""
    return {
        "name": model.name,
        "version": model.version,
        "path": model.path,
        "algorithm": model.algorithm,
        "metrics": model.metrics,
        "threshold": model.threshold,
        "signature": model.signature,
        "sha256": model.sha256 or None,
        "job": model.job,
        "task": model.task,
        "own": model.own,
        "trusted": model.trusted,
        "size_bytes": model.size_bytes or None,
        "created_at": model.created_at,
        "description": model.description,
        "tags": model.tags,
        "data": None if model.data is None else str(model.data),
        "unknown": model.unknown,
    }


def _view(model: Model, width: int) -> str:
    origin = f"trained by job {model.job}" if model.own else f"{'' if model.trusted else 'not '}trusted, from elsewhere"
    lines = [f"{model.name}:{model.version}  {model.algorithm or ''}  {origin}".rstrip()]
    facts = {
        "task": model.task,
        "data": None if model.data is None else str(model.data),
        "threshold": None if model.threshold is None else f"{model.threshold:.4f}",
        "path": model.path,
        "size": f"{model.size_bytes:,} bytes" if model.size_bytes else None,
        "sha256": model.sha256,
        "created": model.created_at,
        "description": model.description,
    }
    lines += [f"{name:<11}  {value}" for name, value in facts.items() if value]
    if model.metrics:
        lines.append("metrics      " + ", ".join(f"{name} {value:.4f}" for name, value in sorted(model.metrics.items())))
    if model.signature is not None and model.signature.inputs:
        rows = [[column.name, column.type, "yes" if column.required else "no"] for column in model.signature.inputs]
        lines += ["", formats.to_table(["input", "type", "required"], rows, width).rstrip("\n")]
    return "\n".join(lines)


def _list_view(models: Sequence[Model], width: int) -> str:
    rows = [
        [model.name, model.version, model.algorithm or "", model.job or "", f"{model.size_bytes:,}", model.created_at]
        for model in models
    ]
    return formats.to_table(["name", "version", "algorithm", "job", "bytes", "created"], rows, width)


RENDERINGS: dict[type, Rendering] = {
    Model: Rendering(
        document=document,
        columns=("name", "version", "algorithm", "metrics", "job", "own", "size_bytes", "created_at"),
        view=_view,
        list_view=_list_view,
    ),
    RegisteredModel: Rendering(
        document=lambda found: {**document(found.model), "unchanged": found.unchanged},
        columns=("name", "version", "sha256", "unchanged"),
        view=lambda found, width: ("unchanged: " if found.unchanged else "") + _view(found.model, width),
        outputs=lambda found: {"model": found.model.name, "model_version": found.model.version},
    ),
}
