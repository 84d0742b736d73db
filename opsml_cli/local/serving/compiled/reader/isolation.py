"""Isolation forests: 1 for a row like those of the training, -1 for an outlier."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .flow import Document, Flow, PredictorReader, Reading, UnknownError, name_of
from .linear import checked, scored
from .trees import by_leaves, remapped, tree_of


def _takes(model: Any, value: float) -> bool:
    """Whether this scikit-learn's isolation forests answer a row of `value`."""
    try:
        model.predict(np.full((1, model.n_features_in_), value))
    except ValueError:
        return False
    return True


def _forest(reading: Reading, model: Any, flow: Flow) -> Document:
    flow.numbers(model)
    lengths, averages = getattr(model, "_decision_path_lengths", None), getattr(model, "_average_path_length_per_tree", None)
    if lengths is None or averages is None:
        raise UnknownError(f"{name_of(model)} of a scikit-learn before 1.3")
    trees, values = [], []
    for place, (part, features) in enumerate(zip(model.estimators_, model.estimators_features_, strict=True)):
        tree = remapped(tree_of(part.tree_), features)
        trees.append(tree)
        values.append((np.asarray(lengths[place]) + np.asarray(averages[place]) - 1.0)[tree.leaves][:, None])
    from sklearn.ensemble._iforest import _average_path_length

    raw = {
        "op": "isolation",
        "lengths": by_leaves(reading, trees, values, flow, start=np.zeros(1)),
        "divisor": len(trees) * float(_average_path_length([model._max_samples])[0]),
        "offset": float(model.offset_),
    }
    then = scored(raw, None, classes=[-1, 1], decide="from")
    infinite, nan = _takes(model, math.inf), _takes(model, math.nan)
    if infinite and nan:
        return then
    if infinite:
        raise UnknownError(f"{name_of(model)} that takes infinite numbers, but no missing ones")
    return checked(flow, then, nan=nan, single=True)


PREDICTORS: dict[str, PredictorReader] = {"sklearn.IsolationForest": _forest}
