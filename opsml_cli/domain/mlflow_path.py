"""The name of a folder that MLflow takes for that folder."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path
from urllib.parse import unquote


def mlflow_path(folder: Path) -> str:
    """`folder`, or a copy of it that lasts as long as this process: MLflow decodes plain paths as if they were URIs, more than
    once, so that it cannot load anything below a folder that is called `a%20b`."""
    if unquote(str(folder)) == str(folder):
        return str(folder)
    place = Path(tempfile.mkdtemp(prefix="opsml-mlflow-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return str(shutil.copytree(folder, place / "model"))
