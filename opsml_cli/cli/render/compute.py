"""How computes are shown."""

from __future__ import annotations

from collections.abc import Sequence

from opsml_cli.cli import formats
from opsml_cli.cli.render.base import Rendering
from opsml_cli.domain.compute import Compute, ComputeCreated

FIELDS = (
    "name", "type", "state", "size", "min_nodes", "max_nodes", "nodes", "cores", "memory_gb", "low_priority", "idle_seconds",
    "location", "created_at", "description", "error",
)  # fmt: skip
_MAIN = ("name", "type", "state", "size", "min_nodes", "max_nodes", "nodes", "cores", "memory_gb")


def _document(compute: Compute) -> dict[str, object]:
    return {name: getattr(compute, name) for name in FIELDS}


def _view(compute: Compute, _width: int) -> str:
    shown = ((name.replace("_", " "), getattr(compute, name)) for name in FIELDS)
    return "\n".join(f"{name:<13} {value}" for name, value in shown if value not in (None, False))


def _list_view(computes: Sequence[Compute], width: int) -> str:
    rows = [["" if getattr(one, name) is None else str(getattr(one, name)) for name in _MAIN] for one in computes]
    return formats.to_table([name.replace("_", " ") for name in _MAIN], rows, width)


RENDERINGS: dict[type, Rendering] = {
    Compute: Rendering(document=_document, columns=_MAIN, view=_view, list_view=_list_view),
    ComputeCreated: Rendering(
        document=lambda made: {**_document(made.compute), "unchanged": made.unchanged},
        columns=_MAIN,
        view=lambda made, width: _view(made.compute, width) + ("\nunchanged" if made.unchanged else ""),
    ),
}
