"""How much each column moves the served model's answers: TreeSHAP for boosters (the gain of their splits where
leaves are linear), what a column alone moves for linear models and networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from opsml_cli.local.automl import boosting, serving_cost

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from opsml_cli.local.automl.encode import Feature
    from opsml_cli.local.automl.model_folder import Part

    Floats = NDArray[np.float64]

_MOST_ROWS, _FEWEST_ROWS = 300, 20
_MOST_LEAVES = 2_000_000  # times rows: TreeSHAP takes some 0.13 microseconds for each


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
    visited = sum(serving_cost.leaves(part.boosters[0]))
    rows = rows[: max(_FEWEST_ROWS, _MOST_LEAVES // max(1, visited))]
    # One booster of a bag speaks for its siblings: they differ in a fifth of the rows.
    booster = module.Booster(model_str=part.boosters[0])
    if serving_cost.linear_leaves(part.boosters[0]):  # TreeSHAP knows constant leaves only
        return np.asarray(booster.feature_importance("gain"), dtype=np.float64)
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
