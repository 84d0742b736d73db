"""One step's work: its inputs, whether an earlier, identical step did it already, the command or training, its outputs."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.content import files
from opsml_cli.domain.errors import OpsmlError, WorkFailedError
from opsml_cli.domain.job import AutoMLSpec, Job, JobState, TableSource
from opsml_cli.domain.names import parse_ref
from opsml_cli.local import leftovers
from opsml_cli.local.clock import now
from opsml_cli.local.job_process import mark_of
from opsml_cli.local.own_names import under_own_name
from opsml_cli.local.pipelines import records
from opsml_cli.local.pipelines.automl_step import automl_spec, literal_text
from opsml_cli.local.pipelines.bindings import Reference, Scope
from opsml_cli.local.pipelines.command_step import CommandError, child_environment, render_command, run_command
from opsml_cli.local.pipelines.definition import (
    AutoMLWork,
    CommandWork,
    Local,
    PipelineDefinition,
    Port,
    StepDefinition,
    StepInput,
)
from opsml_cli.local.pipelines.ports import Scalar
from opsml_cli.local.pipelines.records import RunRecord, StepRecord
from opsml_cli.local.pipelines.snapshot import Snapshot, digest_of, hash_path, restore
from opsml_cli.local.pipelines.values import Inputs, Value, relative

if TYPE_CHECKING:
    from opsml_cli.local.workspace import LocalWorkspace

# Part of every reuse key: raised when the way steps run changes what they produce.
_REUSE_FORMAT = 1
_POLL_SECONDS = 0.3
ARTIFACTS = ("outputs", "logs")


class Canceled(Exception):  # noqa: N818 - an end, not an error
    """The run was asked to end while the step ran."""


class StepWork:
    """Runs one step. `record` is the step's record as it was saved last."""

    def __init__(
        self,
        *,
        workspace: LocalWorkspace,
        run: RunRecord,
        definition: PipelineDefinition,
        snapshot: Snapshot,
        step: StepDefinition,
        outputs: Mapping[str, Mapping[str, Value]],
        stop: threading.Event,
        say: Callable[[str], None],
    ) -> None:
        self._workspace = workspace
        self._run = run
        self._definition = definition
        self._snapshot = snapshot
        self._step = step
        self._outputs = outputs
        self._stop = stop
        self._say = say
        self._folder = workspace.layout.step(run.run, step.name)
        self.record: StepRecord

    def run(self, record: StepRecord) -> StepRecord:
        """The completed record; WorkFailedError with the reason, or Canceled."""
        self.record = record.with_(status=JobState.PREPARING, started_at=now())
        self._save()
        values = {name: value for name, item in self._step.inputs.items() if (value := self._value(item)) is not None}
        key = self._reuse_key(values)
        if key is not None and not self._run.force_rerun and not self._definition.force_rerun:
            reused = self._reused(key)
            if reused is not None:
                return reused
        self.record = self.record.with_(status=JobState.RUNNING)
        self._save()
        work = self._step.work
        outputs = self._command(work, values) if isinstance(work, CommandWork) else self._automl(values)
        return self.record.with_(status=JobState.COMPLETED, ended_at=now(), process=None, outputs=outputs, reuse_key=key)

    def _save(self) -> None:
        with self._workspace.store.write() as connection:
            records.save_step(connection, self.record)

    # Inputs

    def _value(self, item: StepInput) -> Value | None:
        if item.local is not None:
            return Value(item.type, local=item.local.key, sha256=self._snapshot.trees[item.local.key].sha256)
        if item.asset is not None:
            inputs = Inputs(self._workspace.layout, self._workspace.store, self._workspace.data, remote=False)
            return inputs.asset(item.asset, Port(item.name, item.type))
        if item.template is None:
            return Value(item.type, literal=item.literal)
        if item.template.only is not None:
            found = self._referenced(item.template.only)
            if found is None or found.literal is None:
                return found
            return self._cast(item, found)
        return Value("string", literal=item.template.render(self._text_of))

    def _cast(self, item: StepInput, value: Value) -> Value:
        """A literal as the step's own port wants it, within its limits."""
        from opsml_cli.local.pipelines.ports import literal

        port = self._step.ports[item.name]
        try:
            return Value(port.type, literal=literal(port, value.literal))
        except ValueError as error:
            raise WorkFailedError(f"its input {error}") from error

    def _referenced(self, reference: Reference) -> Value | None:
        if reference.scope is Scope.PARENT_INPUT:
            return self._run.inputs.get(reference.name)
        if reference.scope is Scope.RUN_NAME:
            return Value("string", literal=self._run.run)
        assert reference.step is not None
        return self._outputs[reference.step][reference.name]

    def _text_of(self, reference: Reference) -> str | None:
        value = self._referenced(reference)
        return None if value is None or value.literal is None else literal_text(value.literal)

    def _path(self, name: str, value: Value) -> Path:
        """Where the content of `value` lies on this machine."""
        if value.asset is not None:
            content, asset = self._workspace.data.locate(parse_ref(value.asset))
            return under_own_name(content, asset, self._folder / "inputs" / name) if content.is_file() else content
        if value.local is not None:
            folder = self._folder / "inputs" / name
            if not folder.exists():
                with files.new_folder(folder) as temporary:
                    restore(self._workspace.layout, self._snapshot.trees[value.local], temporary)
            tree = self._snapshot.trees[value.local]
            return folder if tree.kind == "folder" else folder / tree.files[0].path
        assert value.path is not None
        return self._workspace.root / value.path

    # Reuse

    def _reuse_key(self, values: Mapping[str, Value]) -> str | None:
        """Names the work by everything that decides its outcome; None when the step says it is not deterministic."""
        identities = {name: value.identity for name, value in values.items()}
        outputs = {name: output.type for name, output in self._step.outputs.items()}
        work = self._step.work
        if isinstance(work, AutoMLWork):
            trees = {text: self._snapshot.trees[local.key].sha256 for text, local in work.locals.items()}
            assets = {str(source.asset): self._asset_hash(source) for source in self._named_tables(work)}
            model = self._model_name()
            return digest_of([_REUSE_FORMAT, "automl", work.settings, trees, assets, identities, outputs, model])
        if not work.deterministic:
            return None
        code = None if work.code is None else self._snapshot.trees[work.code.key].sha256
        environment = {name: template.text for name, template in work.environment.items()}
        return digest_of([_REUSE_FORMAT, "command", work.command.text, code, environment, identities, outputs])

    def _named_tables(self, work: AutoMLWork) -> list[TableSource]:
        found = []
        for key in ("training_data", "validation_data", "test_data"):
            table = work.settings.get(key)
            text = table.get("path") if isinstance(table, Mapping) else table
            if isinstance(text, str) and text.startswith("azureml:"):
                found.append(TableSource(asset=parse_ref(text)))
        return found

    def _asset_hash(self, source: TableSource) -> str:
        assert source.asset is not None
        return self._workspace.data.get(source.asset).sha256

    def _reused(self, key: str) -> StepRecord | None:
        with self._workspace.store.read() as connection:
            found = records.reusable(connection, key)
        for earlier in found:
            paths = [self._workspace.root / value.path for value in earlier.outputs.values() if value.path is not None]
            if all(path.exists() for path in paths) and set(earlier.outputs) == set(self._step.outputs):
                return self.record.with_(
                    status=JobState.COMPLETED,
                    ended_at=now(),
                    outputs=earlier.outputs,
                    origin=earlier.origin or earlier.run,
                    job=earlier.job,
                    reuse_key=key,
                    detail=f"reused from {earlier.origin or earlier.run}",
                )
        return None

    # Commands

    def _command(self, work: CommandWork, values: Mapping[str, Value]) -> dict[str, Value]:
        code = self._folder / "code"
        for leftover in (code, self._folder / "inputs"):
            shutil.rmtree(leftover, ignore_errors=True)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        leftovers.sweep(self._folder)
        code.mkdir(mode=0o700)
        if work.code is not None:
            restore(self._workspace.layout, self._snapshot.trees[work.code.key], code)
        final = self._folder / "outputs"
        try:
            with files.new_folder(final) as temporary:
                self._execute(work, values, code, temporary)
                hashes = {output: self._checked(temporary / output) for output in self._step.outputs}
        except CommandError as error:
            if self._stop.is_set():
                raise Canceled from error
            raise WorkFailedError(str(error)) from error
        finally:
            self._keep_artifacts(code)
            for folder in (code, self._folder / "inputs"):
                shutil.rmtree(folder, ignore_errors=True)
        root = self._workspace.layout
        return {
            name: Value(output.type, path=relative(root, final / name), sha256=hashes[name])
            for name, output in self._step.outputs.items()
        }

    def _keep_artifacts(self, code: Path) -> None:
        """What the command left in its own folders `outputs` and `logs` is kept beside its log, as Azure does."""
        kept = self._folder / "artifacts"
        shutil.rmtree(kept, ignore_errors=True)
        for name in ARTIFACTS:
            if (code / name).is_dir() and not (code / name).is_symlink():
                kept.mkdir(mode=0o700, exist_ok=True)
                (code / name).rename(kept / name)

    def _execute(self, work: CommandWork, values: Mapping[str, Value], code: Path, outputs: Path) -> None:
        for output in self._step.outputs.values():
            if output.type != "uri_file":
                (outputs / output.name).mkdir(mode=0o700)

        def text(reference: Reference) -> str | None:
            if reference.scope is Scope.OUTPUT:
                return str(outputs / reference.name)
            value = values.get(reference.name)
            if value is None:
                default = self._step.ports[reference.name].default
                return literal_text(default) if isinstance(default, str | int | float) else None
            if value.literal is not None:
                return literal_text(value.literal)
            return str(self._path(reference.name, value))

        command, variables = render_command(work.command, text)
        extra = {name: template.render(text) for name, template in work.environment.items()}
        marks = {"OPSML_RUN": self._run.run, "OPSML_STEP": self._step.name, "AZUREML_RUN_ID": self._run.run}
        environment = child_environment(os.environ, {**extra, **variables, **marks})
        run_command(
            command,
            environment,
            code,
            self._folder / "log.txt",
            timeout=work.timeout,
            begun=self._begun,
            say=lambda line: self._say(f"{self._step.name} | {line}"),
            stop=self._stop.is_set,
        )

    def _begun(self, pid: int) -> None:
        self.record = self.record.with_(process=mark_of(self._workspace.layout, pid))
        self._save()

    @staticmethod
    def _checked(path: Path) -> str:
        if not path.exists() and not path.is_symlink():
            raise CommandError(f"it ended well, and wrote no output {path.name}")
        return hash_path(path)

    # Training

    def _model_name(self) -> str | None:
        """The name that the pipeline gives the best model, in the step or in the output it fills."""
        output = self._step.outputs["best_model"]
        outer = None if output.bound is None else self._definition.outputs[output.bound].register
        return output.register or outer

    def _automl(self, values: Mapping[str, Value]) -> dict[str, Value]:
        spec = self._spec(values)
        job = self._workspace.jobs.begin_automl(spec, parent=self._run.run)
        self.record = self.record.with_(job=job.name)
        self._save()
        self._say(f"step {self._step.name}: training is job {job.name}")
        finished = self._awaited(job)
        pointer = None if finished.automl is None else finished.automl.model
        if finished.status is JobState.CANCELED:
            raise Canceled if self._stop.is_set() else WorkFailedError(f"the training {job.name} was canceled")
        if finished.status is not JobState.COMPLETED or pointer is None:
            raise WorkFailedError(f"the training {job.name} failed: {finished.error or 'it made no model'}")
        model = self._workspace.models.get(parse_ref(f"{pointer.name}:{pointer.version}"))
        path = self._workspace.layout.model(pointer.name, pointer.version)
        name = f"{pointer.name}:{pointer.version}"
        return {
            "best_model": Value(
                "mlflow_model", path=relative(self._workspace.layout, path), uri=f"azureml:{name}", sha256=model.sha256
            )
        }

    def _spec(self, values: Mapping[str, Value]) -> AutoMLSpec:
        tables: dict[str, TableSource] = {}
        for item in self._step.inputs.values():
            value = values.get(item.name)
            if item.template is not None and value is not None and value.literal is None:
                tables[item.template.text] = self._table(item.name, value)
        work = self._step.work
        assert isinstance(work, AutoMLWork)
        for number, (text, local) in enumerate(sorted(work.locals.items())):
            tables[text] = TableSource(path=str(self._path(f"table{number}", self._local(local))))

        def literal(reference: Reference) -> Scalar | None:
            value = self._referenced(reference)
            return None if value is None else value.literal

        try:
            spec = automl_spec(self._step, literal, tables)
        except ValueError as error:
            raise WorkFailedError(f"its settings: {error}") from error
        with self._workspace.store.read() as connection:
            from opsml_cli.local import job_records

            record = job_records.load(connection, self._run.run)
        experiment = spec.experiment if record is None else record.job.experiment
        return replace(spec, experiment=experiment, name=None, model_name=self._model_name() or spec.model_name)

    def _local(self, local: Local) -> Value:
        return Value("uri_folder", local=local.key, sha256=self._snapshot.trees[local.key].sha256)

    def _table(self, name: str, value: Value) -> TableSource:
        if value.asset is not None:
            return TableSource(asset=parse_ref(value.asset))
        path = self._path("table_" + "".join(c if c.isalnum() else "_" for c in name), value)
        # A step that wrote one file into a folder meant that file, unless the folder says otherwise itself.
        if path.is_dir() and not (path / "MLTable").exists():
            inside = [entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith((".", "_"))]
            if len(inside) == 1:
                return TableSource(path=str(inside[0]))
        return TableSource(path=str(path))

    def _awaited(self, job: Job) -> Job:
        canceled = False
        while not (job := self._workspace.jobs.get(job.name)).status.finished:
            if self._stop.wait(_POLL_SECONDS) and not canceled:
                canceled = True
                with suppress(OpsmlError):
                    self._workspace.jobs.cancel(job.name)
            elif canceled:
                threading.Event().wait(_POLL_SECONDS)
        return job
