"""Networks, naive Bayes and quadratic discriminants."""

from __future__ import annotations

from typing import Any

import numpy as np

from .flow import Document, Flow, PredictorReader, Reading, UnknownError, chain, check, name_of
from .linear import checked, labels, linear, scored


def _network(reading: Reading, model: Any) -> Document:
    layers = [
        [reading.writer.array(weights), reading.writer.array(intercept)]
        for weights, intercept in zip(model.coefs_, model.intercepts_, strict=True)
    ]
    return {"op": "network", "layers": layers, "activation": model.activation}


def _network_classifier(reading: Reading, model: Any, flow: Flow) -> Document:
    flow.numbers(model)
    classes = labels(model)
    link = {"logistic": "logistic", "softmax": "softmax"}.get(model.out_activation_)
    if link is None or model._label_binarizer.y_type_.startswith("multilabel"):
        raise UnknownError(f"{name_of(model)} of several targets")
    decide = "largest" if link == "softmax" else "above"
    return checked(flow, scored(_network(reading, model), link, classes=classes, decide=decide))


def _network_regressor(reading: Reading, model: Any, flow: Flow) -> Document:
    flow.numbers(model)
    link = {"identity": "none", "poisson": "exp"}.get(model.out_activation_, "")
    if not link:
        raise UnknownError(f"{name_of(model)} with the output {model.out_activation_}")
    return checked(flow, scored(_network(reading, model), link, flat=model.n_outputs_ == 1))


def _gaussian(reading: Reading, model: Any, flow: Flow) -> Document:
    flow.numbers(model)
    variance = np.asarray(getattr(model, "var_", getattr(model, "sigma_", None)), dtype=np.float64)
    array = reading.writer.array
    offset = np.log(model.class_prior_) - 0.5 * np.sum(np.log(2.0 * np.pi * variance), axis=1)
    raw = {"op": "gaussian", "means": array(model.theta_), "variances": array(variance), "offset": array(offset)}
    return checked(flow, scored(raw, "softmax", classes=labels(model), decide="largest"))


def _multinomial(reading: Reading, model: Any, flow: Flow) -> Document:
    flow.numbers(model)
    raw = linear(reading, model.feature_log_prob_, model.class_log_prior_)
    return checked(flow, scored(raw, "softmax", classes=labels(model), decide="largest"))


def _complement(reading: Reading, model: Any, flow: Flow) -> Document:
    flow.numbers(model)
    prior = model.class_log_prior_ if len(model.classes_) == 1 else np.zeros(len(model.classes_))
    raw = linear(reading, model.feature_log_prob_, prior)
    return checked(flow, scored(raw, "softmax", classes=labels(model), decide="largest"))


def _bernoulli(reading: Reading, model: Any, flow: Flow) -> Document:
    flow.numbers(model)
    absent = np.log(1 - np.exp(model.feature_log_prob_))
    raw = linear(reading, model.feature_log_prob_ - absent, model.class_log_prior_ + absent.sum(axis=1))
    then = scored(raw, "softmax", classes=labels(model), decide="largest")
    steps: list[Document] = check(flow, nan=False)
    if model.binarize is not None:
        edges = [reading.writer.array([float(model.binarize)]) for _ in flow.columns]
        for column in flow.columns:
            reading.note(column, [float(model.binarize)])
        steps.append({"op": "bins", "edges": edges, "hot": False, "side": "left"})
    return {"op": "after", "first": chain(steps), "then": then}


def _quadratic(reading: Reading, model: Any, flow: Flow) -> Document:
    flow.numbers(model)
    array = reading.writer.array
    turned = [np.asarray(r) * (np.asarray(s) ** -0.5) for r, s in zip(model.rotations_, model.scalings_, strict=True)]
    sums = np.array([np.sum(np.log(s)) for s in model.scalings_])
    raw = {
        "op": "quadratic",
        "means": array(model.means_),
        "matrices": [array(matrix) for matrix in turned],
        "offset": array(np.log(model.priors_) - 0.5 * sums),
    }
    return checked(flow, scored(raw, "softmax", classes=labels(model), decide="largest"))


PREDICTORS: dict[str, PredictorReader] = {
    "sklearn.MLPClassifier": _network_classifier,
    "sklearn.MLPRegressor": _network_regressor,
    "sklearn.GaussianNB": _gaussian,
    "sklearn.MultinomialNB": _multinomial,
    "sklearn.ComplementNB": _complement,
    "sklearn.BernoulliNB": _bernoulli,
    "sklearn.QuadraticDiscriminantAnalysis": _quadratic,
}
