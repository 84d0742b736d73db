"""Pipelines, column transformers and feature unions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .flow import Column, Document, Flow, PredictorReader, Reading, TransformerReader, UnknownError, chain


def _steps(reading: Reading, steps: list[tuple[str, Any]], flow: Flow) -> tuple[Document, Flow]:
    documents = []
    for _, step in steps:
        document, flow = reading.transformer(step, flow)
        documents.append(document)
    return chain(*documents), flow


def _pipeline(reading: Reading, pipeline: Any, flow: Flow) -> tuple[Document, Flow]:
    return _steps(reading, pipeline.steps, flow)


def _predicting(reading: Reading, pipeline: Any, flow: Flow) -> Document:
    first, flow = _steps(reading, pipeline.steps[:-1], flow)
    return {"op": "after", "first": first, "then": reading.predictor(pipeline.steps[-1][1], flow)}


def _column_transformer(reading: Reading, compose: Any, flow: Flow) -> tuple[Document, Flow]:
    names = getattr(compose, "feature_names_in_", None)
    if flow.frame and names is not None:
        given = [column.name for column in flow.columns]
        places: list[int | None] = [given.index(name) if name in given else None for name in names]
    else:
        if compose.n_features_in_ != flow.width:
            raise UnknownError(f"ColumnTransformer was fitted on {compose.n_features_in_} columns and is given {flow.width}")
        places = list(range(flow.width))
    weights = compose.transformer_weights or {}
    parts: list[Document] = []
    columns: list[Column] = []
    for name, step, chosen in compose.transformers_:
        indices = list(compose._transformer_to_input_indices.get(name, ()))
        if (isinstance(step, str) and step == "drop") or not indices:
            continue
        if np.isscalar(chosen) or isinstance(chosen, str):
            raise UnknownError(f"the transformer {name!r} reads a column as a series")
        picks = [places[index] for index in indices]
        if None in picks:
            absent = [str(names[index]) for index in indices if places[index] is None and names is not None]
            raise UnknownError(f"the signature has no column {absent[0]!r}, which the ColumnTransformer reads")
        mine = flow.pick([place for place in picks if place is not None])
        document, after = reading.transformer(step, mine)
        documents = [{"op": "select", "picks": picks}, document]
        weight = weights.get(name)
        if weight is not None:
            after.numbers(step)
            factor = reading.writer.array(np.full(after.width, float(weight)))
            documents.append({"op": "arithmetic", "steps": [["multiply", factor]]})
        parts.append(chain(*documents))
        columns.extend(after.columns)
    if not parts:
        raise UnknownError("the ColumnTransformer gives no columns")
    frame = getattr(compose, "_sklearn_output_config", {}).get("transform") in {"pandas", "polars"}
    return {"op": "parallel", "parts": parts}, Flow(tuple(columns), frame, bool(compose.sparse_output_) and not frame)


def _feature_union(reading: Reading, union: Any, flow: Flow) -> tuple[Document, Flow]:
    weights = union.transformer_weights or {}
    parts: list[Document] = []
    columns: list[Column] = []
    sparse = False
    for name, step in union.transformer_list:
        if isinstance(step, str) and step == "drop":
            continue
        document, after = reading.transformer(step, flow)
        documents = [document]
        if weights.get(name) is not None:
            after.numbers(step)
            factor = reading.writer.array(np.full(after.width, float(weights[name])))
            documents.append({"op": "arithmetic", "steps": [["multiply", factor]]})
        parts.append(chain(*documents))
        columns.extend(after.columns)
        sparse = sparse or after.sparse
    return {"op": "parallel", "parts": parts}, Flow(tuple(replace(each, name=None) for each in columns), False, sparse)


TRANSFORMERS: dict[str, TransformerReader] = {
    "sklearn.Pipeline": _pipeline,
    "sklearn.ColumnTransformer": _column_transformer,
    "sklearn.FeatureUnion": _feature_union,
}
PREDICTORS: dict[str, PredictorReader] = {"sklearn.Pipeline": _predicting}
