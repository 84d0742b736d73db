"""What a compiled model is on disk: a JSON document, one npz file of arrays without objects, and texts of boosters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = 1
DOCUMENT, ARRAYS = "compiled.json", "arrays.npz"
LIMIT_BYTES = 256 * 2**20  # of arrays and texts together


class TooLargeError(Exception):
    """The model holds more numbers than a compiled form may have."""


class Writer:
    """Collects arrays and texts of a model under short names; `save` writes them with the document."""

    def __init__(self, limit: int = LIMIT_BYTES) -> None:
        self._arrays: dict[str, np.ndarray] = {}
        self._texts: dict[str, str] = {}
        self._limit = limit
        self.size = 0

    def array(self, values: Any, dtype: Any = np.float64) -> str:
        array = np.ascontiguousarray(values, dtype=dtype)
        name = f"a{len(self._arrays)}"
        self._grow(array.nbytes)
        self._arrays[name] = array
        return name

    def text(self, text: str) -> str:
        name = f"booster{len(self._texts)}.txt"
        self._grow(len(text))
        self._texts[name] = text
        return name

    def _grow(self, size: int) -> None:
        self.size += size
        if self.size > self._limit:
            raise TooLargeError(f"its compiled form would be larger than {self._limit >> 20} MiB")

    def save(self, folder: Path, document: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self._texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        np.savez(folder / ARRAYS, **self._arrays)  # type: ignore[arg-type]
        text = json.dumps({"format": FORMAT, **document}, allow_nan=False)
        (folder / DOCUMENT).write_text(text, encoding="utf-8")


class Artifact:
    """A folder that `Writer.save` wrote."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.document: dict[str, Any] = json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))
        if self.document.get("format") != FORMAT:
            raise ValueError(f"compiled model of format {self.document.get('format')!r}, not {FORMAT}")
        with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
            self._arrays = {name: arrays[name] for name in arrays.files}

    def array(self, name: str) -> np.ndarray:
        found: np.ndarray = self._arrays[name]
        return found

    def text(self, name: str) -> str:
        path = self._folder / name
        if path.parent != self._folder:
            raise ValueError(f"{name!r} is not a file of the compiled model")
        return path.read_text(encoding="utf-8")
