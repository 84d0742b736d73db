"""LightGBM, by the text that it writes itself."""

from __future__ import annotations

from typing import Any

from .flow import Document, Flow, PredictorReader, Reading, UnknownError, name_of
from .linear import labels, scored


def _lightgbm_raw(reading: Reading, booster: Any, flow: Flow, owner: Any) -> Document:
    if getattr(booster, "pandas_categorical", None):
        refused = ", and refuses the plain texts and numbers of a request" if flow.frame else ""
        raise UnknownError(f"{name_of(owner)} was trained on pandas categories{refused}")
    flow.numbers(owner)
    if booster.num_feature() != flow.width:
        raise UnknownError(f"{name_of(owner)} was trained on {booster.num_feature()} columns and is given {flow.width}")
    text = booster.model_to_string()
    outputs = booster.num_model_per_iteration()
    return {"op": "boosted", "text": reading.writer.text(text), "outputs": outputs, "kind": 0, "single": False}


def _lightgbm_classifier(reading: Reading, model: Any, flow: Flow) -> Document:
    if callable(model._objective):
        raise UnknownError("LGBMClassifier with an objective of its own")
    raw = _lightgbm_raw(reading, model._Booster, flow, model)
    link = "none" if raw["outputs"] > 1 else "pair"
    return {**scored(raw, link, classes=labels(model), decide="probable"), "decision": {**raw, "kind": 1}}


def _lightgbm_regressor(reading: Reading, model: Any, flow: Flow) -> Document:
    raw = _lightgbm_raw(reading, model._Booster, flow, model)
    return scored(raw, "none", flat=raw["outputs"] == 1)


def _lightgbm_booster(reading: Reading, model: Any, flow: Flow) -> Document:
    raw = _lightgbm_raw(reading, model, flow, model)
    return scored(raw, "none", flat=raw["outputs"] == 1)


PREDICTORS: dict[str, PredictorReader] = {
    "lightgbm.LGBMClassifier": _lightgbm_classifier,
    "lightgbm.LGBMRegressor": _lightgbm_regressor,
    "lightgbm.LGBMRanker": _lightgbm_regressor,
    "lightgbm.Booster": _lightgbm_booster,
}
