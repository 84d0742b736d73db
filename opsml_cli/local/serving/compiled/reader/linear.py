"""Linear models."""

from __future__ import annotations

from typing import Any

import numpy as np

from .flow import Document, Flow, PredictorReader, Reading, UnknownError, chain, check, name_of


def labels(thing: Any, classes: Any = None) -> list[Any]:
    """Class labels as JSON values."""
    found = np.asarray(thing.classes_ if classes is None else classes)
    if found.ndim != 1:
        raise UnknownError(f"{name_of(thing)} has several targets")
    values: list[Any] = found.tolist()
    for value in values:
        if not isinstance(value, str | int | float | bool):
            raise UnknownError(f"{name_of(thing)} has the label {value!r}")
    return values


def linear(reading: Reading, weights: Any, intercept: Any) -> Document:
    """`weights` (outputs, features) or (features,)."""
    matrix = np.atleast_2d(np.asarray(weights, dtype=np.float64)).T
    offset = np.broadcast_to(np.asarray(intercept, dtype=np.float64), (matrix.shape[1],))
    return {"op": "linear", "weights": reading.writer.array(matrix), "intercept": reading.writer.array(offset)}


def scored(
    raw: Document, link: str | None, *, classes: list[Any] | None = None, decide: str | None = None, flat: bool = True
) -> Document:
    return {"op": "scored", "raw": raw, "link": link, "classes": classes, "decide": decide, "flat": flat}


def checked(flow: Flow, then: Document, *, nan: bool = False, single: bool = False) -> Document:
    return {"op": "after", "first": chain(check(flow, nan=nan, single=single)), "then": then}


def dense(weights: Any) -> np.ndarray:
    return np.asarray(weights.toarray() if hasattr(weights, "toarray") else weights, dtype=np.float64)


def _regressor(reading: Reading, model: Any, flow: Flow) -> Document:
    flow.numbers(model)
    weights = dense(model.coef_)
    return checked(flow, scored(linear(reading, weights, model.intercept_), "none", flat=weights.ndim == 1))


def _generalized(reading: Reading, model: Any, flow: Flow) -> Document:
    flow.numbers(model)
    link = {"LogLink": "exp", "IdentityLink": "none"}.get(type(model._base_loss.link).__name__)
    if link is None:
        raise UnknownError(f"{name_of(model)} with the link {type(model._base_loss.link).__name__}")
    return checked(flow, scored(linear(reading, model.coef_, model.intercept_), link))


def _classifier(link: str | None) -> PredictorReader:
    def read(reading: Reading, model: Any, flow: Flow) -> Document:
        flow.numbers(model)
        return classifier(reading, model, flow, link)

    return read


def classifier(reading: Reading, model: Any, flow: Flow, link: str | None) -> Document:
    classes = labels(model)
    weights = np.atleast_2d(dense(model.coef_))
    decide = "above" if len(weights) == 1 else "largest"
    raw = linear(reading, weights, model.intercept_)
    return checked(flow, scored(raw, link, classes=classes, decide=decide))


def _logistic(reading: Reading, model: Any, flow: Flow) -> Document:
    flow.numbers(model)
    classes = len(model.classes_)
    given = getattr(model, "multi_class", "deprecated")
    if classes <= 2:
        link = "halved" if given == "multinomial" else "logistic"
    elif given == "ovr" or (given in {"auto", "deprecated", "warn"} and model.solver == "liblinear"):
        link = "one_against_rest"
    else:
        link = "softmax"
    return classifier(reading, model, flow, link)


def _stochastic(reading: Reading, model: Any, flow: Flow) -> Document:
    flow.numbers(model)
    several = len(model.classes_) > 2
    link = {"log_loss": "one_against_rest" if several else "logistic", "modified_huber": "huber"}.get(model.loss)
    return classifier(reading, model, flow, link)


def _discriminant(reading: Reading, model: Any, flow: Flow) -> Document:
    flow.numbers(model)
    return classifier(reading, model, flow, "softmax" if len(model.classes_) > 2 else "logistic")


PREDICTORS: dict[str, PredictorReader] = {
    **dict.fromkeys(
        [
            f"sklearn.{name}"
            for name in (
                "LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "LassoLars", "LassoLarsCV", "LassoLarsIC", "Lars",
                "LarsCV", "ElasticNet", "ElasticNetCV", "MultiTaskLasso", "MultiTaskElasticNet", "BayesianRidge",
                "ARDRegression", "HuberRegressor", "SGDRegressor", "LinearSVR", "TheilSenRegressor", "QuantileRegressor",
                "PassiveAggressiveRegressor", "OrthogonalMatchingPursuit", "OrthogonalMatchingPursuitCV",
            )
        ],
        _regressor,
    ),
    "sklearn.PoissonRegressor": _generalized,
    "sklearn.GammaRegressor": _generalized,
    "sklearn.TweedieRegressor": _generalized,
    "sklearn.LogisticRegression": _logistic,
    "sklearn.LogisticRegressionCV": _logistic,
    "sklearn.SGDClassifier": _stochastic,
    "sklearn.LinearDiscriminantAnalysis": _discriminant,
    "sklearn.RidgeClassifier": _classifier(None),
    "sklearn.RidgeClassifierCV": _classifier(None),
    "sklearn.LinearSVC": _classifier(None),
    "sklearn.Perceptron": _classifier(None),
    "sklearn.PassiveAggressiveClassifier": _classifier(None),
}  # fmt: skip
