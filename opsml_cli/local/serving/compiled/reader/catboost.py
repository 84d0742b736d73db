"""CatBoost's symmetric trees, from the JSON that it writes itself."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .flow import Document, Flow, PredictorReader, Reading, UnknownError, name_of
from .linear import labels, scored

_UNREAD = {
    "categorical_features": "only CatBoost itself computes its hashes of texts and its statistics of the target by category",
    "text_features": "only CatBoost itself splits texts into words as it was trained on",
    "embedding_features": "vectors are no columns of a request",
}
_EXPONENTIAL = ("Poisson", "Tweedie")
_PLAIN = ("RMSE", "MAE", "Quantile", "MAPE", "LogCosh", "Huber", "Expectile", "Lq", "LogLinQuantile", "MultiRMSE")


def _document(model: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        return json.loads(path.read_text(encoding="utf-8"))


def _raw(reading: Reading, model: Any, flow: Flow) -> tuple[Document, str, int]:
    """Raw scores, the name of the loss, and how many scores a row has."""
    document = _document(model)
    information = document["features_info"]
    for kind, why in _UNREAD.items():
        if information.get(kind):
            raise UnknownError(f"{name_of(model)} with {kind.replace('_', ' ')}: {why}")
    if "oblivious_trees" not in document:
        raise UnknownError(f"{name_of(model)} with trees that are not symmetric")
    flow.numbers(model)
    names = list(model.feature_names_)
    if len(names) != flow.width or (flow.frame and [column.name for column in flow.columns] != names):
        raise UnknownError(f"{name_of(model)} was trained on other columns than it is given")
    features = information["float_features"]
    places = {feature["feature_index"]: feature["flat_feature_index"] for feature in features}
    for feature in features:
        reading.note(flow.columns[feature["flat_feature_index"]], feature["borders"] or ())
    trees = document["oblivious_trees"]
    depth = max([len(tree["splits"] or ()) for tree in trees] + [1])
    chosen = np.zeros((depth, len(trees)), dtype=np.int64)
    borders = np.full((depth, len(trees)), np.inf, dtype=np.float32)
    for place, tree in enumerate(trees):
        for level, split in enumerate(tree["splits"] or ()):
            if split["split_type"] != "FloatFeature":
                raise UnknownError(f"{name_of(model)} splits by {split['split_type']}")
            chosen[level, place] = places[split["float_feature_index"]]
            borders[level, place] = split["border"]
    scale, bias = document["scale_and_bias"]
    start = np.atleast_1d(np.asarray(bias, dtype=np.float64))
    outputs = max(len(start), len(trees[0]["leaf_values"]) // (1 << len(trees[0]["splits"] or ())) if trees else 1)
    values = [np.asarray(tree["leaf_values"], dtype=np.float64).reshape(-1, outputs) for tree in trees]
    high = [f["flat_feature_index"] for f in features if f["nan_value_treatment"] == "AsTrue"]
    raw = {
        "op": "oblivious",
        "features": reading.writer.array(chosen, np.int64),
        "borders": reading.writer.array(borders, np.float32),
        "offsets": reading.writer.array(np.cumsum([0, *(len(part) for part in values[:-1])]), np.int64),
        "values": reading.writer.array(np.concatenate(values) * float(scale)),
        "start": reading.writer.array(np.broadcast_to(start, (outputs,))),
        "high": high,
    }
    parameters = document["model_info"].get("params", {})
    loss = str(parameters.get("loss_function", {}).get("type", ""))
    return raw, loss, outputs


def _classifier(reading: Reading, model: Any, flow: Flow) -> Document:
    raw, loss, outputs = _raw(reading, model, flow)
    threshold = model.get_probability_threshold() if outputs == 1 and hasattr(model, "get_probability_threshold") else 0.5
    if threshold != 0.5:
        raise UnknownError(f"{name_of(model)} with a probability threshold of {threshold}")
    link = {"Logloss": "logistic", "CrossEntropy": "logistic", "MultiClass": "softmax", "MultiClassOneVsAll": "expit"}.get(loss)
    if link is None:
        raise UnknownError(f"{name_of(model)} with the loss {loss}")
    return scored(raw, link, classes=labels(model), decide="above" if outputs == 1 else "largest")


def _regressor(reading: Reading, model: Any, flow: Flow) -> Document:
    raw, loss, outputs = _raw(reading, model, flow)
    if loss in _EXPONENTIAL:
        return scored(raw, "exp")
    if loss not in _PLAIN:
        raise UnknownError(f"{name_of(model)} with the loss {loss}")
    return scored(raw, "none", flat=outputs == 1)


def _either(reading: Reading, model: Any, flow: Flow) -> Document:
    """A bare CatBoost answers with raw scores."""
    raw, _, outputs = _raw(reading, model, flow)
    return scored(raw, "none", flat=outputs == 1)


PREDICTORS: dict[str, PredictorReader] = {
    "catboost.CatBoostClassifier": _classifier,
    "catboost.CatBoostRegressor": _regressor,
    "catboost.CatBoost": _either,
}
