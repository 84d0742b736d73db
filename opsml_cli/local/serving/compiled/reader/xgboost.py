"""XGBoost's trees and linear boosters, from the JSON that it writes itself."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .flow import Document, Flow, PredictorReader, Reading, UnknownError, name_of
from .linear import checked, labels, scored
from .tree_text import Tree
from .trees import by_leaves

_LOGISTIC = ("binary:logistic", "reg:logistic", "binary:logitraw")
_EXPONENTIAL = ("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox")
_PLAIN = (
    "reg:squarederror", "reg:linear", "reg:absoluteerror", "reg:squaredlogerror", "reg:pseudohubererror",
    "reg:quantileerror", "rank:pairwise", "rank:ndcg", "rank:map",
)  # fmt: skip


def _start(learner: Any, objective: str, outputs: int) -> np.ndarray:
    """base_score as a margin, in float32 as XGBoost computes it."""
    text = str(learner["learner_model_param"]["base_score"]).strip("[]")
    scores = np.array([float(part) for part in text.split(",")], dtype=np.float32)
    if objective in _LOGISTIC[:2]:
        scores = -np.log(np.float32(1) / scores - np.float32(1))
    elif objective in _EXPONENTIAL:
        scores = np.log(scores)
    return np.asarray(np.broadcast_to(scores, (outputs,)), dtype=np.float32)


def _tree(document: Any) -> tuple[Tree, np.ndarray]:
    """The tree, and its leaves' values."""
    if any(document.get("split_type", ())):
        raise UnknownError("XGBoost splits by category")
    if int(document["tree_param"].get("size_leaf_vector", 1)) > 1:
        raise UnknownError("XGBoost with trees of several targets")
    left = np.array(document["left_children"])
    conditions = np.array(document["split_conditions"], dtype=np.float32)
    below = np.nextafter(conditions, np.float32(-np.inf))  # x < t of float32 numbers
    tree = Tree(
        left,
        np.array(document["right_children"]),
        np.array(document["split_indices"]),
        below.astype(np.float64),
        np.array(document["default_left"]).astype(bool),
        np.zeros(len(left)),
    )
    return tree, conditions[tree.leaves][:, None]


def _raw(reading: Reading, booster: Any, flow: Flow, owner: Any, last: int | None) -> tuple[Document, str, int]:
    """Raw scores, the objective and how many scores a row has."""
    if "c" in (booster.feature_types or ()) and any(column.kind == "t" for column in flow.columns):
        raise UnknownError(f"{name_of(owner)} was trained on pandas categories, and refuses the plain texts of a request")
    flow.numbers(owner)
    names = booster.feature_names
    if booster.num_features() != flow.width or (flow.frame and names and [c.name for c in flow.columns] != list(names)):
        raise UnknownError(f"{name_of(owner)} was trained on other columns than it is given")
    learner = json.loads(bytes(booster.save_raw(raw_format="json")))["learner"]
    objective = learner["objective"]["name"]
    outputs = max(1, int(learner["learner_model_param"]["num_class"]), int(learner["learner_model_param"].get("num_target", 1)))
    boosted = learner["gradient_booster"]
    reading.single = True
    start = _start(learner, objective, outputs)
    weights: Sequence[float] | None = None
    if boosted["name"] == "dart":
        weights = boosted["weight_drop"]
        boosted = boosted["gbtree"]
    elif boosted["name"] != "gbtree":
        raise UnknownError(f"XGBoost with the booster {boosted['name']}")
    model = boosted["model"]
    parallel = int(model["gbtree_model_param"].get("num_parallel_tree", 1))
    count = len(model["trees"]) if last is None else last * parallel * outputs
    read = [_tree(tree) for tree in model["trees"][:count]]
    trees, values = [tree for tree, _ in read], [value for _, value in read]
    if weights is not None:
        values = [value * np.float32(weight) for value, weight in zip(values, weights, strict=False)]
    raw = by_leaves(reading, trees, values, flow, start=start, groups=model["tree_info"][:count], dtype=np.float32, single=True)
    return raw, objective, outputs


def _best(model: Any) -> int | None:
    try:
        return int(model.best_iteration) + 1
    except AttributeError:
        return None


def _wrapped(model: Any) -> None:
    missing = getattr(model, "missing", math.nan)
    if not (isinstance(missing, float) and math.isnan(missing)):
        raise UnknownError(f"{name_of(model)} with missing={missing!r}")


def _unzeroed(flow: Flow, then: Document) -> Document:
    """What a sparse matrix does not hold is missing for XGBoost."""
    return {"op": "after", "first": {"op": "unzeroed"}, "then": then} if flow.sparse else then


def _classifier(reading: Reading, model: Any, flow: Flow) -> Document:
    _wrapped(model)
    raw, objective, outputs = _raw(reading, model.get_booster(), flow, model, _best(model))
    if objective == "binary:logistic" and outputs == 1:
        link = "single_logistic"
    elif objective in {"multi:softprob", "multi:softmax"} and outputs > 1:
        link = "single_softmax"
    else:
        raise UnknownError(f"{name_of(model)} with the objective {objective}")
    return _unzeroed(flow, scored(raw, link, classes=labels(model), decide="probable"))


def _values(reading: Reading, model: Any, booster: Any, flow: Flow, last: int | None) -> Document:
    raw, objective, outputs = _raw(reading, booster, flow, model, last)
    if objective in {"binary:logistic", "reg:logistic"}:
        link = "single_expit"
    elif objective in _EXPONENTIAL:
        link = "exp"
    elif objective in {*_PLAIN, "binary:logitraw"}:
        link = "none"
    elif objective == "multi:softprob":
        link = "single_softmax"
    elif objective == "multi:softmax":
        return _unzeroed(flow, scored(raw, "place", flat=True))
    else:
        raise UnknownError(f"{name_of(model)} with the objective {objective}")
    return _unzeroed(flow, scored(raw, link, flat=outputs == 1))


def _regressor(reading: Reading, model: Any, flow: Flow) -> Document:
    _wrapped(model)
    return _values(reading, model, model.get_booster(), flow, _best(model))


def _booster(reading: Reading, model: Any, flow: Flow) -> Document:
    """Answers a DMatrix, which refuses infinite numbers where the wrappers' arrays take them."""
    return checked(flow, _values(reading, model, model, flow, None), nan=True, single=True)


PREDICTORS: dict[str, PredictorReader] = {
    "xgboost.XGBClassifier": _classifier,
    "xgboost.XGBRFClassifier": _classifier,
    "xgboost.XGBRegressor": _regressor,
    "xgboost.XGBRFRegressor": _regressor,
    "xgboost.XGBRanker": _regressor,
    "xgboost.Booster": _booster,
}
