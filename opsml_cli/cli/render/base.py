"""How one type of result is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Rendering:
    """`document(value)` is the JSON-able mapping with the stable field names. `columns` are the document's main fields: a
    list shows these, and a tsv row is these in this order (empty: all fields of the document).

    `view(value, width)` is what a person reads: text, or a rich renderable (import rich inside it); None: `field  value`
    lines of the document, a table for lists. `list_view(values, width)` likewise for a list.

    `outputs(value)` are CI outputs by name; `summary(value)` is Markdown for the CI job's page, or None; `secrets(value)`
    are texts that are shown on purpose and that CI must mask wherever else they appear."""

    document: Callable[[Any], Mapping[str, object]]
    columns: Sequence[str] = ()
    view: Callable[[Any, int], object] | None = None
    list_view: Callable[[Sequence[Any], int], object] | None = None
    outputs: Callable[[Any], Mapping[str, str]] | None = None
    summary: Callable[[Any], str | None] | None = None
    secrets: Callable[[Any], Sequence[str]] | None = None
