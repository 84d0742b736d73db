"""A model folder that opsml did not make, and whose code shows that it ran."""

from __future__ import annotations

import json
from pathlib import Path

LOADER = """
import pathlib

pathlib.Path({canary!r}).write_text("ran")


class Doubling:
    def predict(self, frame, params=None):
        return [2.0 * value for value in frame["x"]]


def _load_pyfunc(path):
    return Doubling()
"""


def foreign(folder: Path, canary: Path, text: str = "") -> Path:
    """A folder in MLflow format whose code leaves a trace when it is loaded."""
    (folder / "code").mkdir(parents=True)
    module = f"strange_loader_{folder.name}"
    (folder / "code" / f"{module}.py").write_text(LOADER.format(canary=str(canary)) + text)
    (folder / "data").mkdir()
    (folder / "data" / "values.txt").write_text("1")
    columns = json.dumps([{"type": "double", "name": "x", "required": True}])
    (folder / "MLmodel").write_text(
        f"flavors:\n  python_function:\n    loader_module: {module}\n    code: code\n    data: data\n"
        f"signature:\n  inputs: '{columns}'\n"
    )
    return folder
