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
    from opsml_cli.local.automl.scoring import Linear

    Floats = NDArray[np.float64]

_MOST_ROWS, _FEWEST_ROWS = 300, 20
_MOST_CELLS = 200_000_000
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

    from opsml_cli.local.automl.scoring import Linear, dense

    sizes = np.zeros(width)
    for arrays in part.linear:
        model = dense(arrays)
        if isinstance(model, Linear):  # columns add up, and there may be thousands
            sizes += _added(model, rows, width)
            continue
        if "points" in arrays:  # which are compared with every row, for every column
            cells = arrays["points"].size + arrays["codes"].size
            rows = rows[: max(_FEWEST_ROWS, _MOST_CELLS // max(1, width * cells))]
        middle = np.nanmedian(rows, axis=0) if len(rows) else np.zeros(width)
        base = np.nan_to_num(middle)
        for index in range(width):
            moved = np.tile(base, (len(rows), 1))
            moved[:, index] = rows[:, index]
            scores = model.scores(moved)
            sizes[index] += float(np.abs(scores - scores.mean(axis=0)).mean())
    return sizes


def _added(model: Linear, rows: Floats, width: int) -> Floats:
    """(width,) what each column adds to the scores, as far as it differs between the rows."""
    import numpy as np

    from opsml_cli.local.automl.scoring import places, standardized

    sizes = np.zeros(width)
    if len(model.numbers):
        standard, absent = standardized(rows[:, model.numbers], model.mean, model.scale)
        for index, column in enumerate(model.numbers):
            added = np.outer(standard[:, index], model.weights[index]) + np.outer(absent[:, index], model.missing[index])
            sizes[column] += np.abs(added - added.mean(axis=0)).mean()
    if len(model.categories):
        place = places(rows[:, model.categories], model.sizes) + model.offsets
        for index, column in enumerate(model.categories):
            added = model.table[place[:, index]]
            sizes[column] += np.abs(added - added.mean(axis=0)).mean()
    return sizes
