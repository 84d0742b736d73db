"""A loaded model made into data, where its structure is known: what the front may answer from without this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from opsml_cli.local.serving.host.pyfunc import PyfuncResponder


def write(responder: PyfuncResponder, model: Path, target: Path) -> str | None:
    """Write the compiled form of `responder`, which was loaded from `model`, into `target`. Why not; None when it was written,
    and is to be proven where it will answer."""
    try:
        from opsml_cli.local.serving.compiled.compiling import compile_model
        from opsml_cli.local.serving.compiled.original import MlflowOriginal
    except ImportError as error:
        return f"{error.name or error} is not installed in the model's environment"
    if responder.signature.params:
        return "its signature has parameters"
    try:
        original: Any = MlflowOriginal(model, responder.model)
        return compile_model(original, target).reason
    except Exception as error:  # whatever it is, the model itself answers
        return f"{type(error).__name__} while it was compiled: {error}"
