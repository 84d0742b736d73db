"""The files of runs where Azure's clients look for them: artifacts, logs and named outputs.

A run's artifacts are what the artifact store shows below `ExperimentRun/dcid.{run}/`; its named outputs what the default
datastore shows below `azureml/{run}/{output}/`. Both are views of the jobs' own folders, as they are at this moment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from opsml_cli.content import files
from opsml_cli.domain.errors import NotFoundError
from opsml_cli.domain.job import JobState
from opsml_cli.local.job_process import log_path
from opsml_cli.local.layout import Layout
from opsml_cli.local.part_logs import part_log
from opsml_cli.local.pipelines.definition import COMMAND_STEP
from opsml_cli.local.pipelines.values import Value
from opsml_cli.local.run_history import Run, RunHistory, RunKind

STD_LOG = "user_logs/std_log.txt"
AUTOML_LOG = "logs/azureml/azureml_automl.log"
PIPELINE_LOG = "logs/azureml/executionlogs.txt"
MODEL_ARTIFACT = "outputs/mlflow-model"
BEST_MODEL = "best_model"
_PARTS = (RunKind.SETUP, RunKind.TRIAL, RunKind.EXPLAIN)
_ARTIFACTS = re.compile(r"ExperimentRun/dcid\.([^/]+)(?:/|\Z)")
_OUTPUTS = re.compile(r"azureml/([^/]+)/([^/]+)(?:/|\Z)")


@dataclass(frozen=True, slots=True)
class RunOutput:
    """A named output of a finished run: its type as Azure's YAML has it, and the file or folder that it is. `owner` and
    `owner_output`: the run that made it and how that run calls it; a training's best model was made by its best child."""

    name: str
    type: str
    path: Path
    owner: str
    owner_output: str


class RunFiles:
    """The files of one local workspace's runs."""

    def __init__(self, layout: Layout, history: RunHistory) -> None:
        self._layout = layout
        self._history = history

    def artifacts_below(self, prefix: str) -> Mapping[str, Path]:
        """Objects of the artifact store by their paths, which all begin with `prefix`. A prefix that names no run has none."""
        match = _ARTIFACTS.match(prefix)
        run = None if match is None else self._found(match[1])
        if match is None or run is None:
            return {}
        root = f"ExperimentRun/dcid.{match[1]}/"
        found = {root + name: path for name, path in self.artifacts(run).items()}
        return {name: path for name, path in found.items() if name.startswith(prefix)}

    def outputs_below(self, prefix: str) -> Mapping[str, Path]:
        """Objects of the default datastore that are outputs of runs; `prefix` names run and output."""
        match = _OUTPUTS.match(prefix)
        run = None if match is None else self._found(match[1])
        output = None if match is None or run is None else self.outputs(run).get(match[2])
        if match is None or output is None:
            return {}
        root = f"azureml/{match[1]}/{match[2]}"
        if output.path.is_file():
            found = {root: output.path}
        else:
            found = {f"{root}/{name}": path for name, path in tree(output.path).items()}
        return {name: path for name, path in found.items() if name.startswith(prefix)}

    def logs(self, run: Run) -> Mapping[str, Path]:
        """Log files by their path among the run's artifacts. Each line of a training is in one of its parts' logs."""
        if run.kind is RunKind.FEATURIZE:
            return {}  # it is done within the setup here
        log = log_path(self._layout, run.job.name)
        step = self._step(run)
        if step is not None and (step / "log.txt").is_file():
            log = step / "log.txt"
        elif step is not None and not run.status.finished:
            return {}  # the command has not begun
        if run.kind in _PARTS:
            log = part_log(self._layout, run.job.name, self._part(run))
        name = PIPELINE_LOG if run.kind is RunKind.PIPELINE else AUTOML_LOG if run.kind in _PARTS else STD_LOG
        return {name: log} if log.is_file() else {}

    def artifacts(self, run: Run) -> Mapping[str, Path]:
        """Every artifact by its path: logs, what a command left in its folders `outputs` and `logs`, the best trial's model,
        a training's reports."""
        found = dict(self.logs(run))
        folder = self._layout.job(run.job.name)
        step = self._step(run)
        if step is not None:
            found |= tree(step / "artifacts")
        elif run.kind is RunKind.AUTOML:
            reports = tree(folder / "outputs")
            found |= {f"outputs/{name}": path for name, path in reports.items() if not name.startswith("model/")}
        elif run.kind is RunKind.TRIAL and run.best:
            found |= {f"{MODEL_ARTIFACT}/{name}": path for name, path in tree(self._model(run)).items()}
        return found

    def outputs(self, run: Run) -> Mapping[str, RunOutput]:
        """The named outputs of a completed run."""
        if run.status is not JobState.COMPLETED:
            return {}
        if run.kind in (RunKind.PIPELINE, RunKind.COMMAND):
            return self._valued(run.id, self._history.pipeline_outputs(run))
        if run.kind is RunKind.STEP and run.step is not None:
            return self._valued(run.id, run.step.outputs)
        best = self._history.best_child(run) if run.kind is RunKind.AUTOML else run if run.best else None
        if best is None:
            return {}
        name = run.model_output if run is best else BEST_MODEL
        return {name: RunOutput(name, "mlflow_model", self._model(best), best.id, best.model_output)}

    def _part(self, run: Run) -> int | None:
        """The number of a training's part among its logs."""
        if run.kind is RunKind.EXPLAIN:
            return len(self._history.trials(self._history.of_job(run.job)))
        return run.number

    def _step(self, run: Run) -> Path | None:
        """The folder of the step that the run is; None for what runs no command of its own."""
        if run.kind is RunKind.COMMAND:
            return self._layout.step(run.job.name, COMMAND_STEP)
        if run.kind is RunKind.STEP and run.step is not None:
            return self._layout.step(run.step.origin or run.job.name, run.step.name)
        return None

    def _valued(self, run: str, values: Mapping[str, Value]) -> dict[str, RunOutput]:
        root = self._layout.root
        return {
            name: RunOutput(name, value.type, root / value.path, run, name)
            for name, value in values.items()
            if value.path is not None
        }

    def _model(self, run: Run) -> Path:
        """The model folder of a completed training."""
        pointer = None if run.job.automl is None else run.job.automl.model
        mine = self._layout.job(run.job.name) / "outputs" / "model"
        return mine if pointer is None or mine.is_dir() else self._layout.model(pointer.name, pointer.version)

    def _found(self, run: str) -> Run | None:
        try:
            return self._history.get(run)
        except NotFoundError:
            return None


def tree(path: Path) -> dict[str, Path]:
    """The files below the folder `path`, by their paths from there."""
    return {
        item.relative_to(path).as_posix(): item
        for item in sorted(path.rglob("*"))
        if item.is_file() and not item.is_symlink() and not item.name.startswith(files.TEMPORARY)
    }
