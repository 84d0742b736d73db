"""Imputers, scalers, masks and functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..evaluator.numbers import FUNCTIONS
from .flow import Column, Document, Flow, Reading, TransformerReader, UnknownError, chain, check, name_of


def _steps(reading: Reading, *steps: tuple[str, Any]) -> Document:
    return {"op": "arithmetic", "steps": [[name, reading.writer.array(values)] for name, values in steps]}


def _after(flow: Flow, steps: list[tuple[str, Any]]) -> Flow:
    """The columns once `steps` were done to them."""
    columns = []
    for place, column in enumerate(flow.columns):
        done = tuple((name, float(values[place])) for name, values in reversed(steps) if name not in {"maximum", "minimum"})
        columns.append(Column("n", None, column.origin, (*done, *column.undo)))
    return Flow(tuple(columns), False, flow.sparse)


def _standard(reading: Reading, scaler: Any, flow: Flow) -> tuple[Document, Flow]:
    flow.numbers(scaler)
    steps: list[tuple[str, Any]] = []
    if scaler.with_mean:
        steps.append(("subtract", scaler.mean_))
    if scaler.with_std:
        steps.append(("divide", scaler.scale_))
    return chain(check(flow, nan=True), _steps(reading, *steps)), _after(flow, steps)


def _min_max(reading: Reading, scaler: Any, flow: Flow) -> tuple[Document, Flow]:
    flow.numbers(scaler)
    steps = [("multiply", scaler.scale_), ("add", scaler.min_)]
    if scaler.clip:
        low, high = scaler.feature_range
        steps += [("maximum", np.full(flow.width, float(low))), ("minimum", np.full(flow.width, float(high)))]
    return chain(check(flow, nan=True), _steps(reading, *steps)), _after(flow, steps)


def _max_abs(reading: Reading, scaler: Any, flow: Flow) -> tuple[Document, Flow]:
    flow.numbers(scaler)
    steps = [("divide", scaler.scale_)]
    if getattr(scaler, "clip", False):
        steps += [("maximum", np.full(flow.width, -1.0)), ("minimum", np.full(flow.width, 1.0))]
    return chain(check(flow, nan=True), _steps(reading, *steps)), _after(flow, steps)


def _robust(reading: Reading, scaler: Any, flow: Flow) -> tuple[Document, Flow]:
    flow.numbers(scaler)
    steps: list[tuple[str, Any]] = []
    if scaler.with_centering:
        steps.append(("subtract", scaler.center_))
    if scaler.with_scaling:
        steps.append(("divide", scaler.scale_))
    return chain(check(flow, nan=True), _steps(reading, *steps)), _after(flow, steps)


def missing_marker(imputer: Any) -> Document:
    """`missing_values` as the evaluator has it."""
    marker = imputer.missing_values
    if isinstance(marker, np.generic):
        marker = marker.item()
    if marker is None:
        return {"none": True}
    if isinstance(marker, float) and math.isnan(marker):
        return {"nan": True}  # a None among objects is no NaN for scikit-learn
    if isinstance(marker, str | int | float):
        return {"value": marker}
    raise UnknownError(f"{name_of(imputer)} with missing_values={marker!r}")


def _imputer(_: Reading, imputer: Any, flow: Flow) -> tuple[Document, Flow]:
    if imputer.strategy not in {"mean", "median", "most_frequent", "constant"}:
        raise UnknownError(f"SimpleImputer with strategy={imputer.strategy!r}")
    if imputer.strategy in {"mean", "median"}:
        flow.numbers(imputer)
    marker = missing_marker(imputer)
    values: list[Any] = []
    kept: list[bool] = []
    columns: list[Column] = []
    for column, value in zip(flow.columns, list(imputer.statistics_), strict=True):
        plain = value.item() if isinstance(value, np.generic) else value
        empty = plain is None or (isinstance(plain, float) and math.isnan(plain))
        kept.append(not empty or bool(imputer.keep_empty_features))
        if empty and kept[-1]:
            raise UnknownError("SimpleImputer keeps a column that it knows no value for")
        if kept[-1]:
            if isinstance(plain, str) != (column.kind == "t"):
                raise UnknownError(f"SimpleImputer puts {plain!r} into a column of another kind")
            columns.append(Column(column.kind, None, column.origin, column.undo))
        values.append(plain if kept[-1] else None)
    indicated: list[int] = []
    if imputer.add_indicator:
        indicated = [int(place) for place in imputer.indicator_.features_]
        columns += [Column("n")] * len(indicated)
    values = [float(value) if isinstance(value, bool | int) else value for value in values]
    document = {"op": "fill", "missing": marker, "values": values, "kept": kept, "indicators": indicated}
    steps = check(flow, nan=bool(marker.get("nan"))) if all(column.kind == "n" for column in flow.columns) else []
    return chain(steps, document), Flow(tuple(columns))


def _indicator(_: Reading, indicator: Any, __: Flow) -> tuple[Document, Flow]:
    marker = missing_marker(indicator)
    if indicator.error_on_new and indicator.features == "missing-only":
        raise UnknownError("MissingIndicator with error_on_new=True")
    picks = [int(place) for place in indicator.features_]
    return {"op": "missingness", "missing": marker, "picks": picks}, Flow((Column("n"),) * len(picks))


def _support(nan: bool) -> TransformerReader:
    def read(_: Reading, selector: Any, flow: Flow) -> tuple[Document, Flow]:
        flow.numbers(selector)
        picks = [int(place) for place in np.flatnonzero(selector.get_support())]
        if not picks:
            raise UnknownError(f"{name_of(selector)} keeps no feature")
        return chain(check(flow, nan=nan), {"op": "select", "picks": picks}), flow.pick(picks)

    return read


def _from_model(reading: Reading, selector: Any, flow: Flow) -> tuple[Document, Flow]:
    return _support(_tags_allow_nan(selector))(reading, selector, flow)


def _tags_allow_nan(thing: Any) -> bool:
    """Whether scikit-learn lets NaN through to `thing`."""
    try:
        from sklearn.utils import get_tags

        return bool(get_tags(thing).input_tags.allow_nan)
    except ImportError:
        from sklearn.utils._tags import _safe_tags

        return bool(_safe_tags(thing, "allow_nan"))


def _function(_: Reading, transformer: Any, flow: Flow) -> tuple[Document, Flow]:
    if transformer.kw_args:
        raise UnknownError(f"FunctionTransformer with kw_args={transformer.kw_args!r}")
    steps = check(flow, nan=False) if transformer.validate else []
    function = transformer.func
    if function is None:
        return chain(steps), flow if not transformer.validate else Flow(flow.columns, False, flow.sparse)
    name = getattr(function, "__name__", "")
    if getattr(np, name, None) is not function or name not in FUNCTIONS:
        raise UnknownError(
            f"FunctionTransformer of {name or type(function).__name__}, which is not a NumPy function that is known"
        )
    flow.numbers(transformer)
    return chain(steps, {"op": "function", "name": name}), flow


TRANSFORMERS: dict[str, TransformerReader] = {
    "sklearn.StandardScaler": _standard,
    "sklearn.MinMaxScaler": _min_max,
    "sklearn.MaxAbsScaler": _max_abs,
    "sklearn.RobustScaler": _robust,
    "sklearn.SimpleImputer": _imputer,
    "sklearn.MissingIndicator": _indicator,
    "sklearn.VarianceThreshold": _support(True),
    "sklearn.SelectKBest": _support(False),
    "sklearn.SelectPercentile": _support(False),
    "sklearn.SelectFpr": _support(False),
    "sklearn.SelectFdr": _support(False),
    "sklearn.SelectFwe": _support(False),
    "sklearn.GenericUnivariateSelect": _support(False),
    "sklearn.SelectFromModel": _from_model,
    "sklearn.RFE": _from_model,
    "sklearn.RFECV": _from_model,
    "sklearn.SequentialFeatureSelector": _from_model,
    "sklearn.FunctionTransformer": _function,
}
