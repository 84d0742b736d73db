"""A batch scoring script: foreign code with `init()` and `run(mini_batch)`, as Azure's batch driver runs it.

It lies in the step's private copy of its code, in a worker process that ends with the run."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.local.batch import lines

OUTPUT_VARIABLE = "AZUREML_BI_OUTPUT_PATH"


class BatchScript:
    """The script, imported and initialized. `model`: what AZUREML_MODEL_DIR names; `output`: the folder for files that it
    writes itself. InvalidInputError when it has no `run`; whatever it raises."""

    def __init__(self, code: Path, entry: str, model: Path | None, output: Path, logging_level: str) -> None:
        os.environ[OUTPUT_VARIABLE] = str(output)
        if model is not None:
            os.environ["AZUREML_MODEL_DIR"] = str(model)
        script = code / entry
        for folder in dict.fromkeys((str(code), str(script.parent))):
            sys.path.insert(0, folder)
        os.chdir(code)
        # Scripts read the level from their arguments, as Azure's samples show.
        sys.argv = [str(script), "--logging_level", logging_level]
        module = _module_of(script)
        run = getattr(module, "run", None)
        if not callable(run):
            raise InvalidInputError(f"the scoring script {entry} has no function run")
        self._run: Callable[[list[str]], Any] = run
        init = getattr(module, "init", None)
        if callable(init):
            init()

    def lines(self, files: Sequence[str]) -> tuple[bytes, int]:
        """What it makes of the files, a line a result, and how many results."""
        return lines.of_script(self._run(list(files)))


def _module_of(script: Path) -> ModuleType:
    name = "opsml_batch_script"
    spec = importlib.util.spec_from_file_location(name, script)
    if spec is None or spec.loader is None or not script.is_file():
        raise InvalidInputError(f"the scoring script {script.name} is no Python file of the code")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def mounted(place: Path, model: Path, mount: str) -> Path:
    """A private copy of the model in a new folder below `place`: under the name it was registered with, "": the folder itself
    is the model."""
    import shutil

    folder = place / ".model"
    shutil.rmtree(folder, ignore_errors=True)
    target = folder / mount if mount else folder
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(model, target)
    return folder
