"""scikit-learn's trees and forests, gradient boosting and histogram gradient boosting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .flow import Column, Document, Flow, PredictorReader, Reading, UnknownError, chain, name_of
from .linear import checked, labels, scored
from .tree_text import Tree, constant, lightgbm_text


def note_splits(reading: Reading, trees: Sequence[Tree], flow: Flow) -> None:
    """The thresholds of the trees, for proofs."""
    points: dict[int, list[float]] = {}
    for tree in trees[:200]:
        inner = np.flatnonzero(tree.left >= 0)[:200]
        for feature, threshold in zip(tree.feature[inner].tolist(), tree.threshold[inner].tolist(), strict=True):
            points.setdefault(int(feature), []).append(float(threshold))
    for feature, values in points.items():
        if feature < flow.width:
            reading.note(flow.columns[feature], values)


def boosted(
    reading: Reading, trees: Sequence[Tree], flow: Flow, *, outputs: int = 1, single: bool, leaves: bool = False
) -> Document:
    note_splits(reading, trees, flow)
    width = flow.width
    text = reading.writer.text(lightgbm_text(trees, width, outputs))
    return {
        "op": "boosted",
        "text": text,
        "outputs": len(trees) if leaves else outputs,
        "kind": 2 if leaves else 1,
        "single": single,
    }


def by_leaves(
    reading: Reading,
    trees: Sequence[Tree],
    values: Sequence[np.ndarray],
    flow: Flow,
    *,
    start: Any,
    divisor: float = 1,
    groups: Sequence[int] | None = None,
    dtype: Any = np.float64,
    single: bool = True,
) -> Document:
    """`values`: of each tree's leaves (leaves, k)."""
    offsets = np.cumsum([0, *(len(part) for part in values[:-1])])
    return {
        "op": "leaves",
        "trees": boosted(reading, trees, flow, single=single, leaves=True),
        "offsets": reading.writer.array(offsets, np.int64),
        "values": reading.writer.array(np.concatenate(values), dtype),
        "start": reading.writer.array(np.atleast_1d(start), dtype),
        "divisor": divisor,
        "groups": None if groups is None else list(groups),
    }


def tree_of(tree: Any) -> Tree:
    """scikit-learn's `tree_`, without values."""
    missing = getattr(tree, "missing_go_to_left", None)
    left = np.asarray(tree.children_left)
    return Tree(
        left,
        np.asarray(tree.children_right),
        np.asarray(tree.feature),
        np.asarray(tree.threshold, dtype=np.float64),
        np.zeros(len(left), bool) if missing is None else np.asarray(missing).astype(bool),
        np.zeros(len(left)),
    )


def remapped(tree: Tree, features: Sequence[int]) -> Tree:
    """The tree of an estimator that reads only some of the features."""
    places = np.asarray(features)
    tree.feature = np.where(tree.left < 0, 0, places[np.maximum(tree.feature, 0)])
    return tree


def _one_target(model: Any) -> None:
    if getattr(model, "n_outputs_", 1) != 1 and hasattr(model, "classes_"):
        raise UnknownError(f"{name_of(model)} classifies several targets")


def _takes_nan(estimator: Any) -> bool:
    supports = getattr(estimator, "_support_missing_values", None)
    if supports is None:
        return False
    return bool(supports(np.zeros((1, estimator.n_features_in_))))


def leaf_values(estimator: Any, tree: Tree) -> np.ndarray:
    """(leaves, k): class shares, or a value for each target."""
    values = np.asarray(estimator.tree_.value, dtype=np.float64)[tree.leaves]
    if not hasattr(estimator, "classes_"):
        return np.asarray(values[:, :, 0])
    shares = values[:, 0, :]
    total = shares.sum(axis=1, keepdims=True)
    if (np.abs(total - 1) > 1e-6).any():  # before scikit-learn 1.3 these are counts
        total[total == 0] = 1
        shares = shares / total
    return np.asarray(shares)


def forest_raw(reading: Reading, estimators: Sequence[Any], flow: Flow, divisor: int) -> Document:
    trees = [tree_of(each.tree_) for each in estimators]
    values = [leaf_values(each, tree) for each, tree in zip(estimators, trees, strict=True)]
    outputs = values[0].shape[1]
    if outputs == 1:
        for tree, value in zip(trees, values, strict=True):
            tree.value[tree.leaves] = value[:, 0]
        return {**boosted(reading, trees, flow, single=True), "divisor": divisor}
    return by_leaves(reading, trees, values, flow, start=np.zeros(outputs), divisor=divisor)


def _forest(reading: Reading, model: Any, flow: Flow) -> Document:
    flow.numbers(model)
    _one_target(model)
    estimators = list(getattr(model, "estimators_", None) or [model])
    raw = forest_raw(reading, estimators, flow, len(estimators))
    nan = _takes_nan(estimators[0])
    if hasattr(model, "classes_"):
        then = scored(raw, "none", classes=labels(model), decide="probable")
    else:
        then = scored(raw, "none", flat=model.n_outputs_ == 1)
    return checked(flow, then, nan=nan, single=True)


def _gradient_boosting(reading: Reading, model: Any, flow: Flow) -> Document:
    flow.numbers(model)
    outputs = model.estimators_.shape[1]
    start = _start(model, outputs, flow.width)
    trees = [constant(value) for value in start]
    for stage in model.estimators_:
        for each in stage:
            tree = tree_of(each.tree_)
            tree.value = model.learning_rate * np.asarray(each.tree_.value, dtype=np.float64)[:, 0, 0]
            trees.append(tree)
    raw = boosted(reading, trees, flow, outputs=outputs, single=True)
    if not hasattr(model, "classes_"):
        return checked(flow, scored(raw, "none"), single=True)
    several = outputs > 1
    link = "doubled" if model.loss == "exponential" else "softmax" if several else "logistic"
    decide = "largest" if several else "from"
    return checked(flow, scored(raw, link, classes=labels(model), decide=decide), single=True)


def _start(model: Any, outputs: int, width: int) -> list[float]:
    """What the trees' sum begins with: the same for every row, or the model is not known."""
    if isinstance(model.init_, str) and model.init_ == "zero":
        return [0.0] * outputs
    if type(model.init_).__name__ not in {"DummyClassifier", "DummyRegressor"}:
        raise UnknownError(f"{name_of(model)} that begins with a {name_of(model.init_)}")
    found = model._raw_predict_init(np.zeros((1, width), dtype=np.float32))
    return [float(value) for value in np.asarray(found).ravel()]


def _histogram(reading: Reading, model: Any, flow: Flow) -> Document:
    first, inner, known = _histogram_input(reading, model, flow)
    trees = [constant(float(value)) for value in np.ravel(model._baseline_prediction)]
    outputs = model.n_trees_per_iteration_
    for stage in model._predictors:
        trees.extend(_histogram_tree(predictor, known) for predictor in stage)
    raw = boosted(reading, trees, inner, outputs=outputs, single=False)
    if hasattr(model, "classes_"):
        several = outputs > 1
        then = scored(
            raw, "softmax" if several else "logistic", classes=labels(model), decide="largest" if several else "above"
        )
    else:
        link = {"LogLink": "exp", "IdentityLink": "none"}.get(type(model._loss.link).__name__, "")
        if not link:
            raise UnknownError(f"{name_of(model)} with the link {type(model._loss.link).__name__}")
        then = scored(raw, link)
    return {"op": "after", "first": first, "then": then}


def _histogram_input(reading: Reading, model: Any, flow: Flow) -> tuple[Document, Flow, dict[int, int]]:
    """The model's own encoding of categories; what it gives; for each categorical feature the number of its categories."""
    preprocessor = getattr(model, "_preprocessor", None)
    categorical = getattr(model, "is_categorical_", None)
    if preprocessor is None:
        if categorical is not None and np.any(categorical):
            raise UnknownError(f"{name_of(model)} with categories, of a scikit-learn before 1.4")
        flow.numbers(model)
        return chain(), flow, {}
    parts: list[Document] = []
    columns: list[Column] = []
    known: dict[int, int] = {}
    for name, step, _ in preprocessor.transformers_:
        picks = [int(place) for place in preprocessor._transformer_to_input_indices.get(name, ())]
        if not picks:
            continue
        part = flow.pick(picks)
        if name == "encoder":
            document, part = reading.transformer(step, part)
            known = {place: len(step.categories_[place]) for place in range(len(picks))}
        else:
            part.numbers(model)
            document = chain()
        parts.append(chain({"op": "select", "picks": picks}, document))
        columns.extend(part.columns)
    return {"op": "parallel", "parts": parts}, Flow(tuple(columns)), known


def _histogram_tree(predictor: Any, known: dict[int, int]) -> Tree:
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    left = np.where(leaf, -1, nodes["left"].astype(np.int64))
    tree = Tree(
        left,
        nodes["right"].astype(np.int64),
        nodes["feature_idx"].astype(np.int64),
        nodes["num_threshold"].astype(np.float64),
        nodes["missing_go_to_left"].astype(bool),
        nodes["value"].astype(np.float64),
    )
    for place in np.flatnonzero(~leaf & nodes["is_categorical"].astype(bool)).tolist():
        bits = predictor.raw_left_cat_bitsets[int(nodes["bitset_idx"][place])]
        if tree.missing_left[place]:
            raise UnknownError("HistGradientBoosting sends missing categories to the left")
        tree.categories[place] = [
            code for code in range(known[int(tree.feature[place])]) if int(bits[code // 32]) >> (code % 32) & 1
        ]
    return tree


PREDICTORS: dict[str, PredictorReader] = {
    **dict.fromkeys(
        [
            f"sklearn.{name}"
            for name in (
                "DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor",
                "RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor",
            )
        ],
        _forest,
    ),
    "sklearn.GradientBoostingClassifier": _gradient_boosting,
    "sklearn.GradientBoostingRegressor": _gradient_boosting,
    "sklearn.HistGradientBoostingClassifier": _histogram,
    "sklearn.HistGradientBoostingRegressor": _histogram,
}  # fmt: skip
