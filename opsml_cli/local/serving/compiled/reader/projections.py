"""Transformers that mix or reshape numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from .flow import Column, Document, Flow, Reading, TransformerReader, UnknownError, chain, check, name_of


def _result(width: int, sparse: bool = False) -> Flow:
    return Flow((Column("n"),) * width, False, sparse)


def _kept(flow: Flow) -> Flow:
    """Each number replaced by another one: where it came from is known no more."""
    return _result(flow.width)


def _principal(reading: Reading, model: Any, flow: Flow) -> tuple[Document, Flow]:
    flow.numbers(model)
    array = reading.writer.array
    components = np.asarray(model.components_, dtype=np.float64)
    document: Document = {"op": "project", "matrix": array(components.T)}
    if model.mean_ is not None:
        document["offset"] = array(np.reshape(model.mean_, (1, -1)) @ components.T)
    if model.whiten:
        scale = np.sqrt(model.explained_variance_)
        scale[scale < np.finfo(scale.dtype).eps] = np.finfo(scale.dtype).eps
        document["scale"] = array(scale)
    return chain(check(flow, nan=False), document), _result(len(components))


def _singular(reading: Reading, model: Any, flow: Flow) -> tuple[Document, Flow]:
    flow.numbers(model)
    document = {"op": "project", "matrix": reading.writer.array(np.asarray(model.components_).T)}
    return chain(check(flow, nan=False), document), _result(len(model.components_))


def _normalizer(_: Reading, model: Any, flow: Flow) -> tuple[Document, Flow]:
    flow.numbers(model)
    return chain(check(flow, nan=False), {"op": "normalize", "norm": model.norm}), _kept(flow)


def _power(reading: Reading, model: Any, flow: Flow) -> tuple[Document, Flow]:
    flow.numbers(model)
    array = reading.writer.array
    steps: list[Document] = [{"op": "power", "method": model.method, "lambdas": array(model.lambdas_)}]
    if model.standardize:
        scaler = model._scaler
        arithmetic = [["subtract", array(scaler.mean_)], ["divide", array(scaler.scale_)]]
        steps.append({"op": "arithmetic", "steps": arithmetic})
    return chain(check(flow, nan=True), steps), _kept(flow)


def _quantiles(reading: Reading, model: Any, flow: Flow) -> tuple[Document, Flow]:
    from scipy.stats import norm

    flow.numbers(model)
    tail = 1e-7 - np.spacing(1)
    document = {
        "op": "quantiles",
        "quantiles": reading.writer.array(model.quantiles_),
        "references": reading.writer.array(model.references_),
        "normal": model.output_distribution == "normal",
        "clip": [float(norm.ppf(tail)), float(norm.ppf(1 - tail))],
    }
    for column, values in zip(flow.columns, np.asarray(model.quantiles_).T, strict=True):
        reading.note(column, [float(values[0]), float(values[-1]), *map(float, values[1 : -1 : max(1, len(values) // 10)])])
    return chain(check(flow, nan=True), document), _kept(flow)


def _bins(reading: Reading, model: Any, flow: Flow) -> tuple[Document, Flow]:
    flow.numbers(model)
    inner = [np.asarray(edges, dtype=np.float64)[1:-1] for edges in model.bin_edges_]
    for column, edges in zip(flow.columns, inner, strict=True):
        reading.note(column, map(float, edges))
    hot = model.encode != "ordinal"
    document = {"op": "bins", "edges": [reading.writer.array(edges) for edges in inner], "hot": hot, "side": "right"}
    width = sum(len(edges) + 1 for edges in inner) if hot else flow.width
    return chain(check(flow, nan=False), document), _result(width, model.encode == "onehot")


def _binarizer(reading: Reading, model: Any, flow: Flow) -> tuple[Document, Flow]:
    flow.numbers(model)
    edge = [float(model.threshold)]
    for column in flow.columns:
        reading.note(column, edge)
    document = {"op": "bins", "edges": [reading.writer.array(edge) for _ in flow.columns], "hot": False, "side": "left"}
    return chain(check(flow, nan=False), document), _kept(flow)


def _polynomial(reading: Reading, model: Any, flow: Flow) -> tuple[Document, Flow]:
    flow.numbers(model)
    powers = np.asarray(model.powers_)
    if len(powers) > 5000:
        raise UnknownError(f"{name_of(model)} with {len(powers)} products")
    document = {"op": "polynomial", "powers": reading.writer.array(powers, np.int64)}
    return chain(check(flow, nan=False), document), _result(len(powers))


TRANSFORMERS: dict[str, TransformerReader] = {
    "sklearn.PCA": _principal,
    "sklearn.IncrementalPCA": _principal,
    "sklearn.TruncatedSVD": _singular,
    "sklearn.Normalizer": _normalizer,
    "sklearn.PowerTransformer": _power,
    "sklearn.QuantileTransformer": _quantiles,
    "sklearn.KBinsDiscretizer": _bins,
    "sklearn.Binarizer": _binarizer,
    "sklearn.PolynomialFeatures": _polynomial,
}
