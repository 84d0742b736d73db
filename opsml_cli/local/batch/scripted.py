"""A batch scoring script: foreign code with `init()` and `run(mini_batch)`, as Azure's batch runner runs it.

It lies in the step's private copy of its code, and this process ends with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.local.serving.host.script import module_of

OUTPUT_VARIABLE = "AZUREML_BI_OUTPUT_PATH"


class BatchScript:
    """The script, imported and initialized. InvalidInputError when it has no `run`; whatever it raises."""

    def __init__(self, entry: Path, model: Path | None, mount: str, output: Path) -> None:
        os.environ[OUTPUT_VARIABLE] = str(output)
        if model is not None:
            os.environ["AZUREML_MODEL_DIR"] = str(_mounted(entry.parent, model, mount))
        sys.path.insert(0, str(entry.parent))
        module = module_of(entry, "opsml_batch_script")
        run = getattr(module, "run", None)
        if not callable(run):
            raise InvalidInputError(f"the scoring script {entry.name} has no function run")
        self._run: Callable[[list[str]], Any] = run
        init = getattr(module, "init", None)
        if callable(init):
            init()

    def lines(self, batch: Sequence[Path]) -> Iterator[str]:
        """What it makes of the files: a line a result, the values of a data frame's row divided by spaces."""
        made = self._run([str(path) for path in batch])
        if hasattr(made, "to_csv"):
            yield from made.to_csv(sep=" ", header=False, index=False).splitlines()
        elif isinstance(made, str | bytes) or not hasattr(made, "__iter__"):
            raise InvalidInputError(f"run gave {type(made).__name__}: expected a list or a data frame")
        else:
            yield from map(str, made)


def _mounted(place: Path, model: Path, mount: str) -> Path:
    """A folder that holds the model under the name it was registered with; "": its own folder."""
    if not mount:
        return model
    folder = place / ".model"
    folder.mkdir(exist_ok=True)
    link = folder / mount
    try:
        link.symlink_to(model)
    except OSError:  # no links on this machine
        import shutil

        shutil.copytree(model, link)
    return folder
