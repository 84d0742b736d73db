"""A model in one file, of the library that made it: told by its content, and wrapped into a folder in MLflow format.

Loading such a file may run what it holds, a pickle always does. That happens in a process of its own (`model_wrapper`), and
only after somebody said that the file is trusted: whoever calls `wrapped` has asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from opsml_cli.domain.child_environment import kept
from opsml_cli.domain.errors import InvalidInputError, NotFinishedError, NotFoundError

WRAP_SECONDS = 300.0
EXPECTED = (
    "a scikit-learn model (.pkl, .pickle, .joblib, .skops), a LightGBM text file, an XGBoost .json or .ubj, a CatBoost .cbm, "
    "an ONNX file, or a folder in MLflow format"
)
_PICKLES = (".pkl", ".pickle", ".joblib")
_LIBRARIES = {
    "pickle": "scikit-learn",
    "skops": "skops",
    "lightgbm": "lightgbm",
    "xgboost": "xgboost",
    "catboost": "catboost",
    "onnx": "onnx onnxruntime",
}


@dataclass(frozen=True, slots=True)
class Wrapping:
    """What the process is asked: the file, its kind, the folder to write, and rows that show what the model takes."""

    source: str
    kind: str
    folder: str
    example: tuple[Mapping[str, object], ...] = ()


def kind_of(path: Path) -> str:
    """pickle, skops, lightgbm, xgboost, catboost or onnx. NotFoundError; InvalidInputError for any other file."""
    try:
        with path.open("rb") as file:
            found = _kind(path, file)
    except FileNotFoundError:
        raise NotFoundError(f"no model file {path}", fix="check the path") from None
    except OSError as error:
        raise InvalidInputError(f"the model file {path} cannot be read: {error.strerror}") from error
    if found is None:
        raise InvalidInputError(
            f"{path.name} is no model that opsml knows",
            cause=f"expected {EXPECTED}",
            fix="or answer for it by a script: --code DIR",
        )
    return found


def _kind(path: Path, file: IO[bytes]) -> str | None:
    head = file.read(4096)
    suffix = path.suffix.lower()
    # A pickle of any protocol since 2, or compressed as joblib does.
    pickled = (b"\x80", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x5d\x00", b"\x78", b"\x04\x22\x4d\x18")
    told = {
        "catboost": head.startswith(b"CBM1"),
        "skops": head.startswith(b"PK\x03\x04") and _is_skops(path),
        "pickle": suffix in _PICKLES and head.startswith(pickled),
        "lightgbm": head.lstrip().startswith((b"tree\n", b"tree\r\n")) and b"version=" in head,
        "xgboost": head.lstrip()[:1] == b"{" and b"learner" in head,
        "onnx": suffix == ".onnx" and head[:1] == b"\x08",
    }
    return next((kind for kind, found in told.items() if found), None)


def _is_skops(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "schema.json" in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


@contextmanager
def wrapped(path: Path, example: Sequence[Mapping[str, object]] = ()) -> Iterator[Path]:
    """A temporary folder in MLflow format with the model of `path`, which is trusted. InvalidInputError says what is wrong with
    the file, which package is missing, or that an example of the input is needed."""
    kind = kind_of(path)
    with tempfile.TemporaryDirectory(prefix="opsml-wrap-") as scratch:
        folder, answer = Path(scratch, "model"), Path(scratch, "answer.json")
        request = Wrapping(str(path.absolute()), kind, str(folder), tuple(example))
        _run(path, kind, request, answer)
        yield folder


def _run(path: Path, kind: str, request: Wrapping, answer: Path) -> None:
    # What the model prints, and the library's warnings, are nobody's result.
    own = {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
    environment = {**kept(os.environ), **own}
    document = {
        "source": request.source,
        "kind": request.kind,
        "folder": request.folder,
        "example": [dict(row) for row in request.example],
        "answer": str(answer),
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "opsml_cli.content.model_wrapper"],
            input=json.dumps(document, default=str).encode(),
            capture_output=True,
            env=environment,
            cwd=path.absolute().parent,
            timeout=WRAP_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NotFinishedError(f"{path.name} was not loaded within {WRAP_SECONDS:g} s") from error
    try:
        found = json.loads(answer.read_text("utf-8"))
    except (OSError, ValueError) as error:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it printed nothing"]
        raise InvalidInputError(
            f"loading {path.name} ended its process (exit code {done.returncode})", cause=last[0][:300]
        ) from error
    if found.get("missing"):
        package, library = found["missing"], _LIBRARIES[kind]
        raise InvalidInputError(
            f"{path.name} needs the package {package}, which is not installed here",
            cause=f"the file is a {kind} model",
            fix=f"pip install {library if package in library.split() else package}",
        )
    if found.get("error"):
        raise InvalidInputError(f"{path.name}: {found['error']}", cause=found.get("cause"), fix=found.get("fix"))
