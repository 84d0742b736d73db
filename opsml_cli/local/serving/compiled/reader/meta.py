"""Models made of other models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..evaluator.numbers import FUNCTIONS
from .flow import Column, Document, Flow, PredictorReader, Reading, UnknownError, chain, key_of, name_of
from .linear import checked, labels, scored
from .trees import by_leaves, leaf_values, remapped, tree_of

_TREES = {
    f"sklearn.{name}"
    for name in ("DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor")
}


def _unframed(flow: Flow) -> Flow:
    return replace(flow, frame=False)


def _average(
    parts: list[Document],
    classes: list[Any] | None,
    *,
    weights: Sequence[float] | None = None,
    votes: list[bool] | None = None,
    places: list[Any] | None = None,
    silent: bool = False,
) -> Document:
    given = None if weights is None else [float(weight) for weight in weights]
    return {
        "op": "average",
        "parts": parts,
        "classes": classes,
        "weights": given,
        "votes": votes,
        "places": places,
        "silent": silent,
    }


def _encoded(part: Any, count: int) -> None:
    """UnknownError unless the part was fitted on the numbers of all classes."""
    if labels(part) != list(range(count)):
        raise UnknownError(f"{name_of(part)} within a model knows other classes than the model")


def _voting_classifier(reading: Reading, model: Any, flow: Flow) -> Document:
    classes = labels(model)
    for part in model.estimators_:
        _encoded(part, len(classes))
    parts = [reading.predictor(part, flow) for part in model.estimators_]
    hard = model.voting == "hard"
    return _average(parts, classes, weights=model._weights_not_none, votes=[hard] * len(parts) if hard else None, silent=hard)


def _voting_regressor(reading: Reading, model: Any, flow: Flow) -> Document:
    return _average([reading.predictor(part, flow) for part in model.estimators_], None, weights=model._weights_not_none)


def _stacking(reading: Reading, model: Any, flow: Flow) -> Document:
    methods = list(model.stack_method_)
    parts = [reading.predictor(part, flow) for part in model.estimators_]
    if model.passthrough:
        flow.numbers(model)
    final = model.final_estimator_
    width = int(final.n_features_in_)
    columns = tuple(Column("n") for _ in range(width - (flow.width if model.passthrough else 0)))
    if model.passthrough:
        columns += tuple(replace(column, name=None) for column in flow.columns)
    then = reading.predictor(final, Flow(columns))
    classes = labels(model) if hasattr(model, "classes_") else None
    if classes is not None:
        _encoded(final, len(classes))
    document = {"op": "stacked", "parts": parts, "methods": methods, "passthrough": bool(model.passthrough)}
    return {**document, "width": width, "then": then, "classes": classes}


def _bagging(reading: Reading, model: Any, flow: Flow) -> Document:
    flow.numbers(model)
    flow = _unframed(flow)
    classes = labels(model) if hasattr(model, "classes_") else None
    chosen = [np.asarray(features).tolist() for features in model.estimators_features_]
    whole = classes is None or all(len(part.classes_) == len(classes) for part in model.estimators_)
    if whole and all(key_of(part) in _TREES for part in model.estimators_):
        return _bagged_trees(reading, model, flow, classes, chosen)
    parts, votes, places = [], [], []
    for part, features in zip(model.estimators_, chosen, strict=True):
        inner = reading.predictor(part, flow.pick(features))
        parts.append({"op": "after", "first": {"op": "select", "picks": features}, "then": inner})
        votes.append(classes is not None and not hasattr(part, "predict_proba"))
        places.append(None if whole else [int(label) for label in part.classes_])
    return _average(parts, classes, votes=votes, places=places)


def _bagged_trees(reading: Reading, model: Any, flow: Flow, classes: list[Any] | None, chosen: list[list[int]]) -> Document:
    read = sorted({place for features in chosen for place in features})  # the others are not even checked
    flow = flow.pick(read)
    trees = [
        remapped(tree_of(part.tree_), [read.index(place) for place in features])
        for part, features in zip(model.estimators_, chosen, strict=True)
    ]
    values = [leaf_values(part, tree) for part, tree in zip(model.estimators_, trees, strict=True)]
    if values[0].shape[1] != (1 if classes is None else len(classes)):
        raise UnknownError(f"{name_of(model)} of several targets")
    raw = by_leaves(reading, trees, values, flow, start=np.zeros(values[0].shape[1]), divisor=len(trees))
    then = checked(flow, scored(raw, "none", classes=classes, decide="probable"), nan=_nan(model.estimators_[0]), single=True)
    return {"op": "after", "first": {"op": "select", "picks": read}, "then": then}


def _nan(tree: Any) -> bool:
    supports = getattr(tree, "_support_missing_values", None)
    return bool(supports(np.zeros((1, tree.n_features_in_)))) if supports is not None else False


def _boosting(reading: Reading, model: Any, flow: Flow) -> Document:
    """AdaBoost of trees: each tree adds its weight for the class that it chooses."""
    flow.numbers(model)
    if not all(key_of(part) in _TREES for part in model.estimators_):
        raise UnknownError(f"{name_of(model)} of {name_of(model.estimators_[0])}")
    if getattr(model, "algorithm", "SAMME") == "SAMME.R":
        raise UnknownError(f"{name_of(model)} with algorithm='SAMME.R'")
    classes = labels(model)
    count = len(classes)
    trees = [tree_of(part.tree_) for part in model.estimators_]
    values = []
    for part, tree, weight in zip(model.estimators_, trees, model.estimator_weights_, strict=False):
        if labels(part) != classes:
            raise UnknownError(f"{name_of(part)} within {name_of(model)} knows other classes")
        chosen = leaf_values(part, tree).argmax(axis=1)
        votes = np.full((len(chosen), count), -1 / (count - 1) * weight)
        votes[np.arange(len(chosen)), chosen] = weight
        values.append(votes)
    total = float(model.estimator_weights_.sum())
    raw = by_leaves(reading, trees, values, flow, start=np.zeros(count), divisor=total)
    link, decide = ("ada_pair", "second") if count == 2 else ("ada", "largest")
    return checked(flow, scored(raw, link, classes=classes, decide=decide), single=True)


def _calibrated(reading: Reading, model: Any, flow: Flow) -> Document:
    classes = labels(model)
    parts, methods, curves = [], [], []
    array = reading.writer.array
    kinds = set()
    for each in model.calibrated_classifiers_:
        part = each.estimator
        if key_of(part) == "sklearn.FrozenEstimator":
            part = part.estimator
        if labels(part) != classes:
            raise UnknownError(f"{name_of(part)} within {name_of(model)} knows other classes")
        parts.append(reading.predictor(part, flow))
        methods.append("decision_function" if hasattr(part, "decision_function") else "predict_proba")
        mine = []
        for curve in each.calibrators:
            kind = type(curve).__name__
            kinds.add(kind)
            if kind == "_SigmoidCalibration":
                mine.append([array(curve.a_), array(curve.b_)])
            elif kind == "IsotonicRegression":
                mine.append([array(curve.X_thresholds_), array(curve.y_thresholds_)])
            else:
                raise UnknownError(f"{name_of(model)} with the calibration {kind}")
        if len(mine) != (1 if len(classes) == 2 else len(classes)):
            raise UnknownError(f"{name_of(model)} with {len(mine)} calibrations of {len(classes)} classes")
        curves.append(mine)
    if len(kinds) != 1:
        raise UnknownError(f"{name_of(model)} with several kinds of calibration")
    document = {"op": "calibrated", "parts": parts, "methods": methods, "curves": curves, "classes": classes}
    return {**document, "sigmoid": kinds == {"_SigmoidCalibration"}}


def _target(reading: Reading, model: Any, flow: Flow) -> Document:
    if model._training_dim != 1:
        raise UnknownError(f"{name_of(model)} of several targets")
    part = reading.predictor(model.regressor_, flow)
    turn = _inverse(reading, model.transformer_)
    return {"op": "target", "parts": [part], "classes": None, "turn": turn}


def _inverse(reading: Reading, transformer: Any) -> Document:
    array = reading.writer.array
    kind = key_of(transformer)
    if kind == "sklearn.FunctionTransformer":
        function = transformer.inverse_func
        name = getattr(function, "__name__", "")
        if function is None:
            return chain()
        if getattr(np, name, None) is not function or name not in FUNCTIONS:
            raise UnknownError(
                f"the target's inverse {name or type(function).__name__}, which is not a NumPy function that is known"
            )
        return {"op": "function", "name": name}
    steps: list[list[str]] = []
    if kind == "sklearn.StandardScaler":
        steps += [["multiply", array(transformer.scale_)]] if transformer.with_std else []
        steps += [["add", array(transformer.mean_)]] if transformer.with_mean else []
    elif kind == "sklearn.MinMaxScaler":
        steps = [["subtract", array(transformer.min_)], ["divide", array(transformer.scale_)]]
    elif kind == "sklearn.MaxAbsScaler":
        steps = [["multiply", array(transformer.scale_)]]
    elif kind == "sklearn.RobustScaler":
        steps += [["multiply", array(transformer.scale_)]] if transformer.with_scaling else []
        steps += [["add", array(transformer.center_)]] if transformer.with_centering else []
    else:
        raise UnknownError(f"a target transformed by {name_of(transformer)}")
    return {"op": "arithmetic", "steps": steps}


def _searched(reading: Reading, model: Any, flow: Flow) -> Document:
    return reading.predictor(model.best_estimator_, flow)


def _frozen(reading: Reading, model: Any, flow: Flow) -> Document:
    return reading.predictor(model.estimator, flow)


def _several(reading: Reading, model: Any, flow: Flow) -> Document:
    parts = [reading.predictor(part, flow) for part in model.estimators_]
    return {"op": "several", "parts": parts, "classes": None}


def _against_rest(reading: Reading, model: Any, flow: Flow) -> Document:
    if model.label_binarizer_.y_type_ not in {"multiclass", "binary"}:
        raise UnknownError(f"{name_of(model)} of several targets")
    parts = [reading.predictor(part, flow) for part in model.estimators_]
    decides = all(hasattr(part, "decision_function") for part in model.estimators_)
    silent = not hasattr(model.estimators_[0], "predict_proba")
    return {"op": "against_rest", "parts": parts, "classes": labels(model), "decides": decides, "silent": silent}


def _threshold(reading: Reading, model: Any, flow: Flow) -> Document:
    threshold = getattr(model, "best_threshold_", getattr(model, "threshold", None))
    inner = model.estimator_
    if not isinstance(threshold, float) or model.response_method not in {"auto", "predict_proba", "decision_function"}:
        raise UnknownError(f"{name_of(model)} with threshold={threshold!r}")
    if getattr(model, "pos_label", None) is not None:
        raise UnknownError(f"{name_of(model)} with pos_label={model.pos_label!r}")
    decides = model.response_method == "decision_function" or not hasattr(inner, "predict_proba")
    part = reading.predictor(inner, flow)
    return {"op": "threshold", "parts": [part], "classes": labels(model), "threshold": threshold, "decides": decides}


def _dummy_classifier(reading: Reading, model: Any, flow: Flow) -> Document:
    if model.strategy not in {"most_frequent", "prior", "constant"}:
        raise UnknownError(f"{name_of(model)} with strategy={model.strategy!r}")
    classes = labels(model)
    given = np.zeros((1, flow.width))
    code = classes.index(np.asarray(model.predict(given)).tolist()[0])
    answer = reading.writer.array(np.asarray(model.predict_proba(given))[0])
    return {"op": "constant", "classes": classes, "answer": answer, "code": code}


def _dummy_regressor(reading: Reading, model: Any, flow: Flow) -> Document:
    answer = np.ravel(model.predict(np.zeros((1, flow.width))))
    return {"op": "constant", "classes": None, "answer": reading.writer.array(answer), "code": 0}


PREDICTORS: dict[str, PredictorReader] = {
    "sklearn.VotingClassifier": _voting_classifier,
    "sklearn.VotingRegressor": _voting_regressor,
    "sklearn.StackingClassifier": _stacking,
    "sklearn.StackingRegressor": _stacking,
    "sklearn.BaggingClassifier": _bagging,
    "sklearn.BaggingRegressor": _bagging,
    "sklearn.AdaBoostClassifier": _boosting,
    "sklearn.CalibratedClassifierCV": _calibrated,
    "sklearn.TransformedTargetRegressor": _target,
    "sklearn.GridSearchCV": _searched,
    "sklearn.RandomizedSearchCV": _searched,
    "sklearn.HalvingGridSearchCV": _searched,
    "sklearn.HalvingRandomSearchCV": _searched,
    "sklearn.FrozenEstimator": _frozen,
    "sklearn.MultiOutputRegressor": _several,
    "sklearn.OneVsRestClassifier": _against_rest,
    "sklearn.TunedThresholdClassifierCV": _threshold,
    "sklearn.FixedThresholdClassifier": _threshold,
    "sklearn.DummyClassifier": _dummy_classifier,
    "sklearn.DummyRegressor": _dummy_regressor,
}
