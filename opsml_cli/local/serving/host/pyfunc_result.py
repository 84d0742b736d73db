"""A prediction as JSON, in the shape that MLflow's own server gives it: a frame as records, arrays as lists, bytes as base64.

JSON has no NaN and no infinity: they become null, where MLflow writes tokens that JSON parsers refuse."""

from __future__ import annotations

import json
import math
from typing import Any


class NoJsonError(Exception):
    """The model returned what JSON cannot hold: its own defect, whatever was sent."""


def plain(prediction: Any) -> Any:
    """JSON values; NoJsonError for what has none."""
    value = prediction
    tolist = getattr(prediction, "tolist", None)
    if type(prediction).__module__ == "numpy" and tolist is not None and prediction.dtype.kind in "iufb":
        value = tolist()
        if prediction.dtype.kind != "f" or _finite(prediction):
            return value
    else:
        value = _mlflow_values(prediction)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return _rid(value, 0)
    return value


def _finite(array: Any) -> bool:
    import numpy as np

    return bool(np.isfinite(array).all())


def _mlflow_values(prediction: Any) -> Any:
    from mlflow.utils.proto_json_utils import _get_jsonable_obj

    return _get_jsonable_obj(prediction, pandas_orient="records")


_DEEPEST = 200


def _rid(value: Any, depth: int) -> Any:
    """`value` without what JSON lacks, each kind as MLflow's encoder writes it."""
    if depth > _DEEPEST:
        raise NoJsonError("the model's result is nested too deeply for JSON")
    if value is None or (isinstance(value, str | bool | int) and type(value).__module__ == "builtins"):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_key(name): _rid(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rid(item, depth + 1) for item in value]
    return _rid(_encoded(value), depth + 1)


def _key(name: Any) -> str:
    if isinstance(name, str):
        return name
    if name is None or isinstance(name, bool | int | float):
        return json.dumps(name)
    raise NoJsonError(f"the model's result has a key of type {type(name).__name__}, which JSON cannot hold")


def _encoded(value: Any) -> Any:
    if type(value).__name__ in ("NaTType", "NAType"):
        return None
    from mlflow.utils.proto_json_utils import NumpyEncoder

    encoded, changed = NumpyEncoder().try_convert(value)
    if not changed or encoded is value:
        raise NoJsonError(f"the model's result holds a {type(value).__name__}, which JSON cannot hold")
    return encoded
