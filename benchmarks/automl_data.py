"""The data sets of `automl.py`, and how they are split."""

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
