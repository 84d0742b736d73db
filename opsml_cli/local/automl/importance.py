"""How much each column moves the served model's answers: TreeSHAP for boosters, coefficients for linear models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from opsml_cli.local.automl import boosting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from opsml_cli.local.automl.encode import Feature
    from opsml_cli.local.automl.model_folder import Part

    Floats = NDArray[np.float64]

_MOST_ROWS = 300


def shares(parts: Sequence[Part], features: Sequence[Feature], matrix: Floats, seed: int) -> list[dict[str, object]]:
    """`[{"column", "share"}]`, largest first; the shares sum to 1. Mean absolute contributions on a sample of rows."""
    import numpy as np

    draw = np.random.default_rng([seed, 86028121])
    rows = matrix if len(matrix) <= _MOST_ROWS else matrix[draw.choice(len(matrix), _MOST_ROWS, replace=False)]
    total = np.zeros(len(features))
    for part in parts:
        size = _boosted(part, rows) if part.boosters else _linear(part, rows, len(features))
        if size.sum() > 0:
            total += part.weight * size / size.sum()
    by_column: dict[str, float] = {}
    for feature, amount in zip(features, total.tolist(), strict=True):
        by_column[feature.column] = by_column.get(feature.column, 0.0) + amount
    whole = sum(by_column.values()) or 1.0
    ranked = sorted(by_column, key=lambda name: (-by_column[name], name))
    return [{"column": name, "share": by_column[name] / whole} for name in ranked]


def _boosted(part: Part, rows: Floats) -> Floats:
    import numpy as np

    module = boosting.lightgbm()
    # One booster of a bag speaks for its siblings: they differ in a fifth of the rows.
    booster = module.Booster(model_str=part.boosters[0])
    found = np.asarray(booster.predict(rows, pred_contrib=True)).reshape(len(rows), part.outputs, rows.shape[1] + 1)
    sizes: Floats = np.abs(found[:, :, :-1]).mean(axis=(0, 1))
    return sizes


def _linear(part: Part, rows: Floats, width: int) -> Floats:
    import numpy as np

    from opsml_cli.local.automl.scoring import dense

    sizes = np.zeros(width)
    for arrays in part.linear:
        model = dense(arrays)
        middle = np.nanmedian(rows, axis=0) if len(rows) else np.zeros(width)
        base = np.nan_to_num(middle)
        for index in range(width):
            moved = np.tile(base, (len(rows), 1))
            moved[:, index] = rows[:, index]
            scores = model.scores(moved)
            sizes[index] += float(np.abs(scores - scores.mean(axis=0)).mean())
    return sizes
