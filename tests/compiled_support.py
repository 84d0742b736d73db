"""Fitted models with the data that they were fitted on, compiled and compared with what they answer themselves."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from opsml_cli.local.serving.compiled.compiling import compile_model
from opsml_cli.local.serving.compiled.original import listed
from opsml_cli.local.serving.compiled.scorer import CompiledScorer, load

_DTYPES = {"double": "float64", "float": "float32", "boolean": bool, "string": object}


class FrameOriginal:
    """A native model called with data frames of its signature's types; a null in an integer or boolean column is refused."""

    def __init__(self, native: Any, columns: Sequence[Mapping[str, Any]], example: Mapping[str, Any], method: str = "predict"):
        self.native, self.columns, self.example, self.method = native, columns, example, method

    def frame(self, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
        data = {}
        for column in self.columns:
            name, kind = column["name"], column["type"]
            if not column["required"] and all(name not in row for row in rows):
                continue
            values = [row[name] for row in rows]
            if kind in ("long", "integer"):
                if None in values:
                    raise ValueError(f"null in {name}")
                data[name] = pd.Series([int(value) for value in values], dtype="int64" if kind == "long" else "int32")
            else:
                if kind == "boolean" and None in values:
                    raise ValueError(f"null in {name}")
                data[name] = pd.Series(values, dtype=_DTYPES[kind])
        return pd.DataFrame(data)

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        return listed(getattr(self.native, self.method)(self.frame(rows)))

    def probabilities(self, rows: Sequence[Mapping[str, Any]]) -> list[Any] | None:
        answer = getattr(self.native, "predict_proba", None)
        return None if answer is None else listed(answer(self.frame(rows)))


def columns_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    kinds = {"f": "double", "i": "long", "b": "boolean"}
    return [
        {"name": str(name), "type": kinds.get(getattr(frame[name].dtype, "kind", "O"), "string"), "required": True}
        for name in frame.columns
    ]


def example_of(frame: pd.DataFrame) -> dict[str, Any]:
    for row in frame.to_dict("records"):
        if not any(value is None or value != value for value in row.values()):
            return {str(name): value.item() if hasattr(value, "item") else value for name, value in row.items()}
    raise AssertionError("every row lacks a value")


def compiled(native: Any, frame: pd.DataFrame, folder: Path, seconds: float = 30.0) -> CompiledScorer:
    """The compiled form, proven; AssertionError with the reason when the model does not compile."""
    original = FrameOriginal(native, columns_of(frame), example_of(frame))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcome = compile_model(original, folder, seconds)
    assert outcome.reason is None, outcome.reason
    scorer = load(folder)
    given = json_rows(frame.head(100))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = original.predict(given)
    except ValueError:
        return scorer
    assert close(scorer.score(given, False), wanted, scorer.tolerance)
    return scorer


def json_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(k): v.item() if isinstance(v, np.generic) else v for k, v in row.items()} for row in rows]


def close(mine: Any, theirs: Any, tolerance: float) -> bool:
    if isinstance(mine, list):
        return len(mine) == len(theirs) and all(close(a, b, tolerance) for a, b in zip(mine, theirs, strict=True))
    if isinstance(mine, float):
        return bool(abs(mine - theirs) <= tolerance * max(1.0, abs(theirs)))
    return bool(mine == theirs)


def numbers(rows: int = 300, seed: int = 0) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    return pd.DataFrame({
        "a": chance.normal(10, 5, rows),
        "b": chance.exponential(100, rows),
        "c": chance.integers(0, 50, rows),
        "d": chance.uniform(-1, 1, rows),
    })  # fmt: skip


def mixed(rows: int = 300, seed: int = 0, missing: bool = True) -> pd.DataFrame:
    """Numbers with gaps, integers, a flag and texts with gaps."""
    chance = np.random.default_rng(seed)
    frame = numbers(rows, seed)
    frame["flag"] = chance.random(rows) < 0.5
    frame["job"] = pd.Series(chance.choice(["admin", "tech", "blue", "öl", "x y"], rows), dtype=object)
    frame["size"] = pd.Series(chance.choice(["s", "m", "l"], rows), dtype=object)
    if missing:
        frame.loc[chance.random(rows) < 0.1, "a"] = np.nan
        frame.loc[chance.random(rows) < 0.1, "job"] = np.nan
    return frame


def target(frame: pd.DataFrame, kind: str, seed: int = 0) -> np.ndarray:
    chance = np.random.default_rng(seed)
    score = frame["b"].to_numpy() / 50 + frame["c"].to_numpy() / 10 + chance.normal(0, 1.5, len(frame))
    if kind == "value":
        return score
    if kind == "count":
        return np.maximum(0, np.round(score))
    if kind == "binary":
        return np.where(score > np.median(score), "yes", "no")
    if kind == "three":
        return np.digitize(score, np.quantile(score, [0.33, 0.66])) * 10
    if kind == "binary numbers":
        return (score > np.median(score)).astype(int)
    if kind == "three numbers":
        return np.digitize(score, np.quantile(score, [0.33, 0.66]))
    if kind == "values":
        return np.stack([score, score**2], axis=1)
    raise AssertionError(kind)
