"""The data sets of `automl.py`, real and made up, and how they are split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

_TARGETS = {
    "ames": "Sale_Price",
    "attrition": "Attrition",
    "concrete": "compressive_strength",
    "credit_data": "Status",
    "default": "default",
    "keel_magic": "y",
    "keel_satimage": "y",
    "wa_churn": "churn",
}
_REGRESSION = ("ames", "concrete", "diabetes")


@dataclass(frozen=True, slots=True)
class DataSet:
    """A table with its target; `task` is classification or regression."""

    name: str
    frame: pd.DataFrame
    target: str
    task: str

    @property
    def kind(self) -> str:
        """binary, multiclass or regression."""
        if self.task == "regression":
            return "regression"
        return "binary" if self.frame[self.target].nunique() == 2 else "multiclass"

    def groups(self, rows: np.ndarray) -> np.ndarray:
        """The number of each row's group of identical rows, from 0."""
        hashes = pd.util.hash_pandas_object(self.frame.iloc[rows].astype("string"), index=False).to_numpy()
        return np.unique(hashes, return_inverse=True)[1]


def bank(folder: Path) -> DataSet:
    frame = pd.read_csv(folder / "bank-marketing" / "bankmarketing_train.csv")
    return DataSet("bank-marketing", frame, "y", "classification")


def tables(folder: Path) -> list[DataSet]:
    """Those of `folder`/tabular, and those that scikit-learn ships."""
    from sklearn import datasets

    found = []
    for name, target in _TARGETS.items():
        path = folder / "tabular" / f"{name}.csv"
        if path.exists():
            task = "regression" if name in _REGRESSION else "classification"
            found.append(DataSet(name, pd.read_csv(path).dropna(subset=[target]), target, task))
    for name in ("breast_cancer", "wine", "iris", "digits", "diabetes"):
        frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
        found.append(DataSet(name, frame, "target", "regression" if name in _REGRESSION else "classification"))
    return found


def made_up(rows: int, seed: int = 0) -> DataSet:
    """Orders that are returned or not: numbers, steps, an interaction, and a shop of a thousand with a rate of its own."""
    draw = np.random.default_rng([seed, rows])
    shop, region = (draw.zipf(1.3, rows) % 1000), draw.integers(0, 40, rows)
    frame = pd.DataFrame({f"x{index}": draw.normal(0, 1, rows).round(4) for index in range(8)})
    frame["price"] = np.exp(draw.normal(3, 1, rows)).round(2)
    frame["express"] = draw.random(rows) < 0.3
    rates, pull = np.random.default_rng(7).normal(0, 1, 1000), np.random.default_rng(8).normal(0, 0.5, 40)
    score = (
        1.2 * np.sin(2 * frame["x0"]) + frame["x1"] * frame["x2"] + 0.8 * (frame["x3"] > 0.5) * frame["x4"]
        + 0.6 * np.log(frame["price"]) * frame["express"] + 0.5 * frame["x5"] + rates[shop] + pull[region] - 1.5
    )  # fmt: skip
    frame["shop"], frame["region"] = [f"shop-{each:03d}" for each in shop], [f"r{each}" for each in region]
    frame["returned"] = np.where(score + draw.logistic(0, 1, rows) > 0, "yes", "no")
    return DataSet(f"orders-{rows}", frame, "returned", "classification")


def split(data: DataSet, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """80 % to learn from, 20 % unseen, with the classes' shares kept."""
    draw = np.random.default_rng(seed)
    unseen = np.zeros(len(data.frame), dtype=bool)
    labels = data.frame[data.target].to_numpy()
    if data.task == "regression":
        unseen[draw.permutation(len(labels))[: len(labels) // 5]] = True
    else:
        for label in pd.unique(labels):
            rows = draw.permutation(np.flatnonzero(labels == label))
            unseen[rows[: len(rows) // 5]] = True
    return np.flatnonzero(~unseen), np.flatnonzero(unseen)
