"""The process of one pipeline run: `python -m opsml_cli.local.pipelines.run ROOT RUN`.

It claims the run's job, starts every step as soon as what it needs is there, and ends the job in one transaction with
its outputs. Each change of a step is durable before the next begins."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from opsml_cli.content import files
from opsml_cli.domain.errors import OpsmlError
from opsml_cli.domain.job import JobKind, JobState
from opsml_cli.local import clock, job_process, job_records
from opsml_cli.local.clock import now
from opsml_cli.local.pipelines import records
from opsml_cli.local.pipelines.definition import Output, PipelineDefinition, StepDefinition
from opsml_cli.local.pipelines.records import RunRecord, StepRecord
from opsml_cli.local.pipelines.snapshot import from_document
from opsml_cli.local.pipelines.step_work import Canceled, StepWork
from opsml_cli.local.pipelines.values import Value
from opsml_cli.local.workspace import LocalWorkspace

_TICK_SECONDS = 0.1


def main(arguments: Sequence[str]) -> int:
    """Run to the end; 0 when it completed or was not this process's to run, 9 otherwise."""
    clock.hold()
    root, name = arguments
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    workspace = LocalWorkspace(Path(root))
    lock = job_process.claim(workspace.layout, workspace.store, name)
    if lock is None:
        return 0
    try:
        return Run(workspace, name, stop).execute()
    except Exception as error:
        traceback.print_exc()
        message = error.message if isinstance(error, OpsmlError) else f"{type(error).__name__}: {error}"
        _end(workspace, name, JobState.FAILED, message, None)
        return 9


def _end(workspace: LocalWorkspace, name: str, status: JobState, error: str | None, run: RunRecord | None) -> JobState:
    """End the run and every step that has not ended, in one transaction. The state that was written."""
    with workspace.store.write() as connection:
        record = job_records.load(connection, name)
        if record is None or record.job.status.finished:
            return status if record is None else record.job.status
        if record.job.status is JobState.CANCEL_REQUESTED and status is not JobState.COMPLETED:
            status, error = JobState.CANCELED, None
        for step in records.steps(connection, name):
            if not step.status.finished:
                detail = step.detail or "the run ended before it began"
                records.save_step(connection, step.with_(status=JobState.CANCELED, ended_at=now(), process=None, detail=detail))
        if run is not None:
            records.save_run(connection, run)
        job_records.save(connection, job_process.ended(record, status, error))
    return status


class Run:
    """One run of a pipeline in this process."""

    def __init__(self, workspace: LocalWorkspace, name: str, stop: threading.Event) -> None:
        self._workspace = workspace
        self._stop = stop
        self._say_lock = threading.Lock()
        with workspace.store.read() as connection:
            run = records.load_run(connection, name)
            steps = records.steps(connection, name)
            job = job_records.load(connection, name)
            assert run is not None and job is not None
            text = records.snapshot(connection, run.snapshot)
        assert text is not None
        self._run = run
        self._kind = job.job.kind
        self._snapshot = from_document(text)
        self._definition: PipelineDefinition = self._snapshot.definition()
        self._steps: dict[str, StepRecord] = {step.name: step for step in steps}

    def execute(self) -> int:
        self._say(f"run {self._run.run}: {len(self._definition.steps)} steps")
        for note in self._definition.notes:
            self._say(f"note: {note}")
        with self._workspace.store.write() as connection:
            record = job_records.load(connection, self._run.run)
            if record is not None and record.job.status is JobState.PREPARING:
                job_records.save(connection, record.with_job(status=JobState.RUNNING))
        failed = self._run_steps()
        if failed is None and not self._stop.is_set():
            try:
                return self._complete()
            except OpsmlError as error:
                failed = f"an output could not be registered: {error.message}"
        status = self._finish(JobState.FAILED, failed or "it was asked to end (SIGTERM)", None)
        self._say(f"run {self._run.run}: {status}" + (f": {failed}" if failed else ""))
        return 9

    def _run_steps(self) -> str | None:
        """Run what can be run; the reason when a step failed."""
        waiting = {step.name: step for step in self._definition.steps}
        running: dict[Future[StepRecord], str] = {}
        failed: str | None = None
        with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 1), thread_name_prefix="step") as pool:
            while waiting or running:
                halted = self._stop.is_set() or (failed is not None and not self._definition.continue_on_failure)
                if halted:
                    self._stop.set() if failed is not None else None
                    waiting.clear()
                for step in list(waiting.values()):
                    states = [self._steps[need].status for need in step.needs]
                    if any(state.finished and state is not JobState.COMPLETED for state in states):
                        del waiting[step.name]
                        lost = next(
                            need for need, state in zip(step.needs, states, strict=True) if state is not JobState.COMPLETED
                        )
                        self._save(self._steps[step.name].with_(
                            status=JobState.CANCELED, ended_at=now(), detail=f"it needs {lost}, which did not complete"
                        ))  # fmt: skip
                    elif all(state is JobState.COMPLETED for state in states):
                        del waiting[step.name]
                        running[pool.submit(self._run_step, step)] = step.name
                if not running:
                    continue
                done, _ = wait(running, timeout=_TICK_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    del running[future]
                    step_record = future.result()
                    self._steps[step_record.name] = step_record
                    if step_record.status is JobState.FAILED and failed is None:
                        failed = f"{self._place(step_record.name)} failed: {step_record.detail}"
        return failed

    def _place(self, step: str) -> str:
        """What failed, to whoever reads the run's error: a command job has no steps for its user."""
        return "the command" if self._kind is JobKind.COMMAND else f"step {step}"

    def _run_step(self, step: StepDefinition) -> StepRecord:
        """In a thread of its own, with connections of its own."""
        workspace = LocalWorkspace(self._workspace.root)
        record = self._steps[step.name]
        work = StepWork(
            workspace=workspace,
            run=self._run,
            definition=self._definition,
            snapshot=self._snapshot,
            step=step,
            outputs=self._outputs(),
            stop=self._stop,
            say=self._say,
        )
        try:
            record = work.run(record)
            verdict = "reused" if record.origin else "completed"
            self._say(f"step {step.name}: {verdict}")
        except Canceled:
            record = work.record.with_(status=JobState.CANCELED, ended_at=now(), process=None, detail="canceled")
            self._say(f"step {step.name}: canceled")
        except Exception as error:
            if not isinstance(error, OpsmlError):
                traceback.print_exc()
            message = error.message if isinstance(error, OpsmlError) else f"{type(error).__name__}: {error}"
            record = work.record.with_(status=JobState.FAILED, ended_at=now(), process=None, detail=message)
            self._say(f"step {step.name}: failed: {message}")
        try:
            self._save(record, workspace)
        finally:
            workspace.store.close()
        return record

    def _outputs(self) -> Mapping[str, Mapping[str, Value]]:
        return {name: step.outputs for name, step in self._steps.items() if step.status is JobState.COMPLETED}

    def _save(self, record: StepRecord, workspace: LocalWorkspace | None = None) -> None:
        with (workspace or self._workspace).store.write() as connection:
            records.save_step(connection, record)
        self._steps[record.name] = record

    def _complete(self) -> int:
        """Register what is to be registered, and end as Completed."""
        outputs: dict[str, Value] = {}
        for step in self._definition.steps:
            for output in step.outputs.values():
                value = self._steps[step.name].outputs[output.name]
                if output.bound is not None:
                    outer = self._definition.outputs[output.bound]
                    value = replace(value, type=outer.type, uri=f"azureml://jobs/{self._run.run}/outputs/{outer.name}")
                    outputs[outer.name] = self._registered(outer, value)
                if output.register is not None and step.type == "command":
                    self._registered(output, value)
        self._gather(outputs)
        run = replace(self._run, outputs=outputs)
        status = self._finish(JobState.COMPLETED, None, run)
        self._say(f"run {self._run.run}: {status}")
        return 0 if status is JobState.COMPLETED else 9

    def _gather(self, outputs: Mapping[str, Value]) -> None:
        """The outputs of the run in one folder, for `jobs download`; the content is there once."""
        if not outputs:
            return
        with files.new_folder(self._workspace.layout.job(self._run.run) / "outputs") as temporary:
            for name, value in outputs.items():
                if value.path is not None:
                    _linked(self._workspace.root / value.path, temporary / name)

    def _registered(self, output: Output, value: Value) -> Value:
        """`value` under the asset name that its output asks for."""
        from opsml_cli.domain.data import DataType, RegisterData
        from opsml_cli.domain.model import RegisterModel
        from opsml_cli.domain.progress import Silent

        if output.register is None or value.asset is not None or value.path is None:
            return value
        path = str(self._workspace.root / value.path)
        if output.type in {kind.value for kind in DataType}:
            spec = RegisterData(output.register, path, version=output.version, type=DataType(output.type))
            asset = self._workspace.data.register(spec, Silent()).asset
            name = f"{asset.name}:{asset.version}"
        else:
            model = self._workspace.models.register(RegisterModel(output.register, path, version=output.version)).model
            name = f"{model.name}:{model.version}"
        self._say(f"output {output.name}: registered as {name}")
        return replace(value, uri=f"azureml:{name}")

    def _finish(self, status: JobState, error: str | None, run: RunRecord | None) -> JobState:
        return _end(self._workspace, self._run.run, status, error, run)

    def _say(self, line: str) -> None:
        """One line of the run's log, which is this process's output."""
        with self._say_lock:
            sys.stdout.write(f"{now()} {line}\n")
            sys.stdout.flush()


def _linked(source: Path, target: Path) -> None:
    """`source` at `target`, its files by hard links where the file system has them."""

    def link(one: str, other: str) -> None:
        try:
            os.link(one, other)
        except OSError:
            shutil.copyfile(one, other)

    if source.is_dir():
        shutil.copytree(source, target, copy_function=link)
    else:
        link(str(source), str(target))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
