"""Models that keep examples: support vector machines and nearest neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np

from .flow import Document, Flow, PredictorReader, Reading, UnknownError, name_of
from .linear import checked, dense, labels, scored

_CELLS = 20_000_000  # numbers that a model may keep


def _kernel(reading: Reading, model: Any, examples: np.ndarray) -> Document:
    if model.kernel not in {"linear", "rbf", "poly", "sigmoid"}:
        raise UnknownError(f"{name_of(model)} with the kernel {model.kernel!r}")
    if examples.size > _CELLS:
        raise UnknownError(f"{name_of(model)} keeps {len(examples):,} rows")
    return {
        "kernel": model.kernel,
        "examples": reading.writer.array(examples),
        "gamma": float(model._gamma),
        "coef0": float(model.coef0),
        "degree": int(model.degree),
    }


def _machine(reading: Reading, model: Any) -> Document:
    """The scores of a model that is one machine."""
    return {
        "op": "kernel",
        **_kernel(reading, model, dense(model.support_vectors_)),
        "weights": reading.writer.array(dense(model.dual_coef_).T),
        "intercept": reading.writer.array(model.intercept_),
    }


def _support_regressor(reading: Reading, model: Any, flow: Flow) -> Document:
    flow.numbers(model)
    return checked(flow, scored(_machine(reading, model), "none"))


def _support_classifier(reading: Reading, model: Any, flow: Flow) -> Document:
    """Each pair of classes has a machine of its own. Scores as libsvm has them: above 0 the first class of the pair wins."""
    flow.numbers(model)
    if getattr(model, "break_ties", False):
        raise UnknownError(f"{name_of(model)} with break_ties=True")
    classes = labels(model)
    count = len(classes)
    coefficients, starts = dense(model._dual_coef_), np.cumsum([0, *model._n_support])
    weights = []
    for first in range(count):
        for second in range(first + 1, count):
            column = np.zeros(coefficients.shape[1])
            mine, theirs = (slice(starts[each], starts[each + 1]) for each in (first, second))
            column[mine], column[theirs] = coefficients[second - 1, mine], coefficients[first, theirs]
            weights.append(column)
    raw = {
        "op": "kernel",
        **_kernel(reading, model, dense(model.support_vectors_)),
        "weights": reading.writer.array(np.array(weights).T),
        "intercept": reading.writer.array(model._intercept_),
    }
    platt = None
    if np.size(model._probA):
        platt = [reading.writer.array(model._probA), reading.writer.array(model._probB)]
    shape = getattr(model, "decision_function_shape", "ovr")
    then = {"op": "pairs", "raw": raw, "classes": classes, "platt": platt, "shape": shape}
    return checked(flow, then)


def _one_class(reading: Reading, model: Any, flow: Flow) -> Document:
    flow.numbers(model)
    return checked(flow, scored(_machine(reading, model), None, classes=[-1, 1], decide="above"))


def _neighbours(_: Reading, model: Any, __: Flow) -> Document:
    raise UnknownError(f"{name_of(model)}: which of equally near examples count is the choice of scikit-learn's own search")


PREDICTORS: dict[str, PredictorReader] = {
    "sklearn.SVC": _support_classifier,
    "sklearn.NuSVC": _support_classifier,
    "sklearn.SVR": _support_regressor,
    "sklearn.NuSVR": _support_regressor,
    "sklearn.OneClassSVM": _one_class,
    "sklearn.LocalOutlierFactor": _neighbours,
    "sklearn.KNeighborsClassifier": _neighbours,
    "sklearn.KNeighborsRegressor": _neighbours,
    "sklearn.RadiusNeighborsClassifier": _neighbours,
    "sklearn.RadiusNeighborsRegressor": _neighbours,
}
