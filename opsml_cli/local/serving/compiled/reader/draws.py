"""Rows on which a compiled model must answer as its original does."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from .encoders import UNSEEN

_DRAWN = 160  # rows of values from the model's own categories and thresholds
_POINTS = 60  # of a column
_EXTREME = (0.0, -0.0, 1e-320, 0.1, 1e5, -1e5, 3.5e38, -3.5e38, 1e300, -1e300)
_INTEGERS = (0, 1, -1, 127, 46341, (1 << 31) - 1, -(1 << 31), 1 << 31, (1 << 53) + 1, (1 << 63) - 1, -(1 << 63), 1 << 63)


def _around(value: float) -> list[float]:
    """A threshold, and the nearest numbers on both sides: of 64 and of 32 bits."""
    if not math.isfinite(value):
        return []
    near = [value, math.nextafter(value, math.inf), math.nextafter(value, -math.inf)]
    wide = max(abs(value) * 1.3e-7, 1e-44)
    return [each for each in (*near, value + wide, value - wide) if math.isfinite(each)]


def _pool(column: Mapping[str, Any], points: Sequence[Any], example: Any, chance: random.Random) -> list[Any]:
    kind = column["type"]
    if kind == "string":
        texts = [value for value in points if isinstance(value, str)]
        chosen = texts if len(texts) <= _POINTS else chance.sample(texts, _POINTS)
        return [*chosen, *([example] if isinstance(example, str) else ["text"])]
    if kind == "boolean":
        return [True, False]
    numbers = [float(value) for value in points if not isinstance(value, str)]
    chosen_numbers = numbers if len(numbers) <= _POINTS else chance.sample(numbers, _POINTS)
    near = [each for value in chosen_numbers for each in _around(value)]
    if isinstance(example, int | float):
        near.append(float(example))
    near += [0.0, 1.0]
    if kind in {"long", "integer"}:
        limit = 2.0**31 - 1 if kind == "integer" else 2.0**53
        return [int(each) for value in near for each in (math.floor(value), math.ceil(value)) if abs(value) < limit]
    return near


def drawn(
    columns: Sequence[Mapping[str, Any]], points: Mapping[int, Sequence[Any]], example: Mapping[str, Any], seed: int = 0
) -> list[dict[str, Any]]:
    """Rows that the original should answer: values at, beside and between those that the model knows."""
    chance = random.Random(seed)  # noqa: S311 - draws for a test
    pools = [_pool(column, points.get(place, ()), example.get(column["name"]), chance) for place, column in enumerate(columns)]
    rows = []
    for _ in range(_DRAWN):
        row = {}
        for column, pool in zip(columns, pools, strict=True):
            value = chance.choice(pool)
            if isinstance(value, float) and chance.random() < 0.3:
                value = chance.uniform(value, chance.choice(pool))
            elif isinstance(value, int) and not isinstance(value, bool) and chance.random() < 0.3:
                value = chance.randint(*sorted((value, chance.choice(pool))))
            row[column["name"]] = value
        rows.append(row)
    return rows


def edges(
    columns: Sequence[Mapping[str, Any]], base: Mapping[str, Any], points: Mapping[int, Sequence[Any]]
) -> list[dict[str, Any]]:
    """Rows that differ from `base` in one value: missing, unseen, extreme or of another type; whether the original answers
    or refuses is asked of it."""
    rows = [{column["name"]: None for column in columns}]
    for place, column in enumerate(columns):
        kind, name = column["type"], column["name"]
        values: list[Any] = [None]
        if kind == "string":
            values += [UNSEEN, "", " ", "nan", "None", 5, 2.5, "x" * 500]
            known = [value for value in points.get(place, ()) if isinstance(value, str)][:3]
            values += [text for each in known for text in (each.upper(), each + " ", each[:-1])]
        elif kind == "boolean":
            values += [True, False, 1, "false"]
        elif kind in {"long", "integer"}:
            values += [*_INTEGERS, 3.0, "7", " 8 "]
        else:
            values += [*_EXTREME, 3, "2.5", " 1e3 ", (1 << 53) + 1]
        rows += [{**base, name: value} for value in values]
        if not column.get("required", True):
            rows.append({key: value for key, value in base.items() if key != name})
    return rows
