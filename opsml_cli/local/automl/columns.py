"""Columns as the documents that scoring.Encoder takes: what a value of each kind becomes, with ranges and an example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.data import ColumnType
from opsml_cli.local.automl import scoring

if TYPE_CHECKING:
    import pandas as pd

MOST_CATEGORIES_SHOWN = 100
MOST_CODES = 20_000
ALPHABETICAL = 200  # codes follow the alphabet up to so many, frequency beyond
RARE_FROM = 50  # columns with more distinct values pool those seen once

# The document, or the reason why there is none; and a (check, what was done) to tell.
Found = tuple[dict[str, Any] | None, str, tuple[str, str] | None]


def boolean_column(name: str, example: bool) -> dict[str, Any]:
    return {"name": name, "kind": "boolean", "type": "boolean", "categories": None, "minimum": None, "maximum": None,
            "example": example}  # fmt: skip


def datetime_column(name: str, example: object) -> dict[str, Any]:
    moment = scoring.moment_of(example)
    return {"name": name, "kind": "datetime", "type": "datetime", "categories": None, "minimum": None, "maximum": None,
            "example": moment.isoformat() if moment is not None else "2026-01-31T00:00:00"}  # fmt: skip


def number_column(series: pd.Series[Any], hint: ColumnType | None, tokens: Sequence[str] = ()) -> Found:
    import numpy as np

    values = np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan))
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None, "it has no finite value", None
    if len(finite) == len(values) and finite.min() == finite.max():
        return None, "it is constant", None
    whole = bool((finite == np.floor(finite)).all()) and float(np.abs(finite).max()) < 2**53
    declared = series.dtype.kind in "iu" if isinstance(series.dtype, np.dtype) else False
    integer = whole and (declared or hint is ColumnType.INTEGER)
    middle = float(np.sort(finite)[len(finite) // 2])
    document: dict[str, Any] = {
        "name": str(series.name),
        "kind": "number",
        "type": "integer" if integer else "number",
        "categories": None,
        "minimum": int(finite.min()) if integer else float(finite.min()),
        "maximum": int(finite.max()) if integer else float(finite.max()),
        "example": int(middle) if integer else middle,
        "gaps": len(finite) < len(values),
    }
    if tokens:
        document["missing_tokens"] = list(tokens)
    infinite = int(np.isinf(values).sum())
    note = ("Infinite values", f"{series.name!r} has {infinite} infinite values, taken as missing") if infinite else None
    return document, "", note


def category_column(name: str, by_text: Mapping[str, int], rows: int) -> Found:
    distinct = len(by_text)
    if distinct == rows and rows > 20:
        return None, "every value is different: an identifier", None
    kept = sorted(by_text, key=lambda text: (-by_text[text], text))
    if distinct > RARE_FROM:
        kept = [text for text in kept if by_text[text] > 1][:MOST_CODES]
    if not kept:
        return None, "every value is different: an identifier", None
    note = None
    if distinct > max(RARE_FROM, rows // 10):
        note = (
            "High cardinality",
            f"{name!r} has {distinct} different values; {distinct - len(kept)} rare ones share one code",
        )
    example = kept[0]
    if len(kept) <= ALPHABETICAL:
        # Texts that begin alike mean alike more often than texts that are equally frequent (measured: AUC +0.0003).
        kept.sort()
    document: dict[str, Any] = {
        "name": name,
        "kind": "category",
        "type": "string",
        "categories": sorted(kept) if len(kept) == distinct <= MOST_CATEGORIES_SHOWN else None,
        "minimum": None,
        "maximum": None,
        "example": example,
        "codes": kept,
        "other": float(len(kept)) if len(kept) < distinct else None,
    }
    return document, "", note
