"""A trained tabular model: columns, ensemble, threshold."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .encoder import Encoder
from .members import Member

FORMAT = 1
_PUBLIC = ("name", "type", "categories", "minimum", "maximum", "example")


class TabularModel:
    """A trained model: columns, ensemble and threshold. Safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        if document.get("format") != FORMAT:
            raise ValueError(f"model format {document.get('format')!r} is not {FORMAT}: a newer release made it")
        self.document: dict[str, Any] = document
        self.task: str = document["task"]
        self.target: str = document["target"]
        self.classes: list[Any] = document["classes"]
        self.threshold: float | None = document["threshold"]
        self.positive_index: int | None = document["positive_index"]
        self.columns: list[dict[str, Any]] = [{key: c.get(key) for key in _PUBLIC} for c in document["columns"]]
        self._encoder = Encoder(document["columns"])
        self.width = self._encoder.width
        self.slices = self._encoder.slices  # of each column in an encoded row
        outputs = len(self.classes) if self.task == "classification" else 1
        self.members = [Member(part, folder, outputs, self.width) for part in document["members"]]
        self.lock = threading.Lock()  # the single-row calls share their result buffers

    def encode(self, rows: Sequence[Mapping[str, object]]) -> np.ndarray:
        """Rows to float64 (n, width). Extra columns are ignored; unknown categories and missing values follow the model.
        Raises ColumnError for an absent column or a value of the wrong type."""
        return self._encoder.rows(rows)

    def encode_columns(self, columns: Mapping[str, Sequence[object]]) -> np.ndarray:
        """Values by column to float64 (n, width); ValueError where the model cannot read columns as a whole."""
        return self._encoder.table(columns)

    def encode_frame(self, frame: Any) -> np.ndarray:
        """A pandas frame to float64 (n, width); as `encode`."""
        return self._encoder.frame(frame)

    def _answer(self, matrix: np.ndarray) -> np.ndarray:
        matrix = np.ascontiguousarray(matrix, dtype=np.float64)
        if len(matrix) == 1:
            with self.lock:
                return self._sum(matrix)
        return self._sum(matrix)

    def _sum(self, matrix: np.ndarray) -> np.ndarray:
        total = self.members[0].answer(matrix) * self.members[0].weight
        for member in self.members[1:]:
            total += member.answer(matrix) * member.weight
        return total

    def probabilities(self, matrix: np.ndarray) -> np.ndarray:
        """(n, k) for an encoded matrix; columns in the order of `classes`."""
        if self.task != "classification":
            raise ValueError("a regression model has no probabilities")
        return self._answer(matrix)

    def values(self, matrix: np.ndarray) -> np.ndarray:
        """(n,) predictions of a regression model for an encoded matrix."""
        if self.task != "regression":
            raise ValueError("a classification model has no values")
        return self._answer(matrix)[:, 0]

    def labels(self, probabilities: np.ndarray) -> list[Any]:
        """The label of each row: the positive class from `threshold` on where one is set, else the most probable."""
        if self.threshold is not None and self.positive_index is not None:
            positive = self.positive_index
            chosen = np.where(probabilities[:, positive] >= self.threshold, positive, 1 - positive)
        else:
            chosen = probabilities.argmax(axis=1)
        return [self.classes[index] for index in chosen.tolist()]

    def predict(self, frame: Any, params: Mapping[str, Any] | None = None) -> Any:
        """MLflow's entry: labels or values (n,); with `params` `{"method": "predict_proba"}` probabilities (n, k)."""
        matrix = self.encode_frame(frame)
        if self.task == "regression":
            return self.values(matrix)
        probabilities = self.probabilities(matrix)
        if params and params.get("method") == "predict_proba":
            return probabilities
        return np.array(self.labels(probabilities))


def load(data_path: str) -> TabularModel:
    """The model in the folder `data_path`."""
    return TabularModel(Path(data_path))


def _load_pyfunc(data_path: str) -> TabularModel:
    """What MLflow calls."""
    return load(data_path)
