"""The process of one AutoML job: `python -m opsml_cli.local.runner ROOT JOB`.

It claims the job, trains, and ends the job in one transaction together with the model's registration. Every finished
trial is durable before the next begins, so that a killed job goes on from them. SIGTERM asks it to end: the engine is
given some seconds to come to a stop, then the process ends itself, and the record says why in either case."""

from __future__ import annotations

import faulthandler
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsml_cli.domain import names
from opsml_cli.domain.errors import OpsmlError, UsageError
from opsml_cli.domain.job import AutoMLOutcome, AutoMLSpec, Guardrail, JobState, TableSource, Trial
from opsml_cli.domain.pointer import ModelPointer
from opsml_cli.local import clock, job_process, tracking
from opsml_cli.local import job_records as records
from opsml_cli.local.clock import now, seconds_between
from opsml_cli.local.job_records import Record
from opsml_cli.local.layout import Layout
from opsml_cli.local.models import LocalModels, ModelFacts, quiet_mlflow
from opsml_cli.local.part_logs import PartLogs
from opsml_cli.local.run_history import trial_model
from opsml_cli.local.store import Store

if TYPE_CHECKING:
    from opsml_cli.local.automl.events import Tables
    from opsml_cli.local.data import LocalData

GRACE_SECONDS = 8.0
# The engine keeps its budget by itself; one that has not ended after this much more never will.
OVERDUE_FACTOR, OVERDUE_SECONDS = 1.5, 120.0


def main(arguments: Sequence[str]) -> int:
    """Run the job; 0 when it completed or was not this process's to run, 9 when it failed or was canceled."""
    clock.hold()
    root, name = arguments
    layout = Layout(Path(root))
    store = Store(layout.root)
    stop = _Stop(layout, name)
    lock = job_process.claim(layout, store, name)
    if lock is None:
        return 0
    quiet_mlflow()
    # A crash in native code tells where it was, in the job's log; so does a process that is asked with SIGUSR1.
    faulthandler.enable()
    if hasattr(faulthandler, "register"):
        faulthandler.register(signal.SIGUSR1, all_threads=True)
    return _Run(layout, store, name, stop).run()


class _Stop:
    """SIGTERM, received by a thread of its own: the main thread may be deep in foreign code for long."""

    def __init__(self, layout: Layout, name: str) -> None:
        self._layout = layout
        self._name = name
        self.asked = threading.Event()
        if os.name != "nt":
            # Blocked before any other thread begins, so that every thread inherits it and only this one receives it.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
            threading.Thread(target=self._wait, name="stop", daemon=True).start()

    def _wait(self) -> None:
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
        self.asked.set()
        threading.Event().wait(GRACE_SECONDS)
        # Whatever the main thread does has not come to an end: end without it.
        _end_process(self._layout, self._name, *STOPPED)


def waited(record: Record, limit: float) -> float:
    """Seconds since the training was asked for, which its budget counts: a file given as data was registered, this process
    began. A later process of the same training, and a clock that was set, count nothing."""
    if record.attempt > 1:
        return 0.0
    waited = seconds_between(record.job.created_at, now())
    return min(waited, _MOST_WAITED_SHARE * limit) if 0.0 <= waited <= _MOST_WAITED else 0.0


def _end_process(layout: Layout, name: str, status: JobState, error: str) -> None:
    """Record the end and leave at once, with every process that was started here, whatever the main thread does."""
    end(Store(layout.root), name, status, error)
    if os.name != "nt" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(143)


_MOST_WAITED, _MOST_WAITED_SHARE = 3600.0, 0.3

STOPPED = (JobState.FAILED, "it was asked to end (SIGTERM): the machine shut down, or somebody ended its process")


def end(store: Store, name: str, status: JobState, error: str | None) -> JobState:
    """End the job unless it has ended; Canceled in any case when that was asked. The state it is in now."""
    with store.write() as connection:
        record = records.load(connection, name)
        if record is None:
            return status
        if not record.job.status.finished:
            if record.job.status is JobState.CANCEL_REQUESTED:
                status, error = JobState.CANCELED, None
            # Ended from outside, it may go on; ended by its own failure, it would only fail again.
            record = replace(job_process.ended(record, status, error), died=(status, error) == STOPPED)
            records.save(connection, record)
        return record.job.status


def _tables(spec: AutoMLSpec, data: LocalData) -> Tables:
    """The job's rows. All are typed by the training data's profile: what other rows look like changes nothing."""
    from opsml_cli.domain.data import ColumnType
    from opsml_cli.local.automl.events import Tables

    assert spec.data.asset is not None
    profile = data.locate(spec.data.asset)[1].profile
    types = {column.name: column.type for column in profile.columns} if profile is not None else {}
    # Whole numbers in training may be broken ones in other rows; a column without a value says nothing.
    wider = {ColumnType.INTEGER: ColumnType.NUMBER, ColumnType.EMPTY: ColumnType.STRING}
    types = {name: wider.get(kind, kind) for name, kind in types.items()}

    def frame(source: TableSource | None) -> Any:
        return None if source is None or source.asset is None else data.frame(source.asset, types=types)

    return Tables(
        train=data.frame(spec.data.asset),
        validation=frame(spec.validation_data),
        test=frame(spec.test_data),
        profile=profile,
    )


class _Run:
    """One training. Also the engine's Events."""

    def __init__(self, layout: Layout, store: Store, name: str, stop: _Stop) -> None:
        self._layout = layout
        self._store = store
        self._name = name
        self._stop = stop
        self._folder = layout.job(name)
        self._metric: str | None = None
        self._log = os.open(job_process.log_path(layout, name), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._parts = PartLogs(layout, name)

    def run(self) -> int:
        try:
            self._train()
        except OpsmlError as error:
            self._end(JobState.FAILED, " ".join(part for part in (f"{error.message}.", error.cause) if part).rstrip("."))
        except MemoryError:
            self._end(JobState.FAILED, "not enough memory: train on fewer rows, or on a larger machine")
        except Exception as error:  # the process ends here, and the record must say why
            for line in traceback.format_exc().splitlines():
                self.log(line)
            self._end(JobState.FAILED, f"{type(error).__name__}: {error}")
        with self._store.read() as connection:
            record = records.load(connection, self._name)
        return 0 if record is not None and record.job.status is JobState.COMPLETED else 9

    def _train(self) -> None:
        from opsml_cli.domain.automl_document import from_document
        from opsml_cli.local.automl import engine
        from opsml_cli.local.data import LocalData

        record = self._change()
        spec = from_document(record.job.spec)
        limit = spec.limits.timeout_seconds
        started = time.monotonic() - waited(record, limit)
        self._metric = spec.metric
        tried = len(self.finished_trials())
        self._parts.resume(tried)
        self.log(f"job {record.job.name}: {spec.task} of {spec.target_column!r} in {spec.data}, metric {spec.metric}")
        if tried:
            self.log(f"the process before this one died; going on after {tried} finished trials")
        # The outputs of a process that died are not known to be whole.
        shutil.rmtree(self._folder / "outputs", ignore_errors=True)
        self.phase("reading the data")
        tables = _tables(spec, LocalData(self._layout, self._store))
        self._change(JobState.RUNNING)
        overdue = threading.Timer(OVERDUE_FACTOR * limit + OVERDUE_SECONDS, self._overdue, (limit,))
        overdue.daemon = True
        overdue.start()
        outcome = engine.train(spec, tables, self._folder, self, started)
        overdue.cancel()
        if self._stop.asked.is_set():
            self._end(*STOPPED)
            return
        self._complete(spec, outcome)

    def _overdue(self, limit: float) -> None:
        self.log("far past its time limit; this is where it stands:")
        faulthandler.dump_traceback(self._log)
        _end_process(self._layout, self._name, JobState.FAILED, f"it did not end long after its time limit of {limit:g} s")

    def _complete(self, spec: AutoMLSpec, outcome: AutoMLOutcome) -> None:
        """Register the model and end the job: one transaction, so that neither is seen without the other."""
        from opsml_cli.content import files

        self.phase("registering the model")
        files.sync_tree(self._folder / "outputs")
        models = LocalModels(self._layout, self._store)
        name = self._model_name(spec, outcome)
        facts = ModelFacts(
            own=True,
            trusted=True,
            algorithm=outcome.best.algorithm if outcome.best else None,
            task=outcome.task.value if outcome.task else None,
            # Rows that no trial has seen speak truer than those that chose the model.
            metrics=outcome.test_metrics or (outcome.best.metrics if outcome.best else None),
            threshold=outcome.threshold,
            job=self._name,
            data=spec.data.asset,
            description=spec.description,
            tags=spec.tags,
        )
        self._parts.close()
        with models.stage(self._folder / "outputs" / "model", name) as staged, self._store.write() as connection:
            record = records.load(connection, self._name)
            assert record is not None
            if record.job.status is not JobState.RUNNING:
                model = None
            else:
                model = models.adopt(connection, staged, name, facts)
                pointer = ModelPointer(model.name, model.version, model.path)
                done = record.with_job(automl=replace(outcome, model=pointer))
                records.save(connection, job_process.ended(done, JobState.COMPLETED))
        if model is None:
            self._end(*STOPPED)
        else:
            self.log(f"completed: model {model.name}:{model.version}")
            # The job has ended: a slow server keeps nobody waiting.
            tracking.log(self._change().job, self._folder / "outputs", os.environ, self.log)

    def _model_name(self, spec: AutoMLSpec, outcome: AutoMLOutcome) -> str:
        assert spec.model_name is not None
        if not spec.model_of_trial or outcome.best is None:
            return spec.model_name
        with self._store.read() as connection:
            trials = [each.trial for each in records.trials(connection, self._name)]
        try:
            return names.asset_name(trial_model(self._name, trials.index(outcome.best.trial)))
        except UsageError:  # of a job whose own name is as long as a name may be
            return spec.model_name

    def _change(self, status: JobState | None = None, **changes: object) -> Record:
        """Change the running record; a wish to cancel is never overwritten."""
        with self._store.write() as connection:
            record = records.load(connection, self._name)
            assert record is not None
            if status is not None and record.job.status in (JobState.PREPARING, JobState.RUNNING):
                changes["status"] = status
            if changes:
                record = record.with_job(**changes)
                records.save(connection, record)
        return record

    def _end(self, status: JobState, error: str | None) -> None:
        self._parts.write(f"{now()} {status.value.lower()}{f': {error}' if error else ''}\n")
        self._parts.close()
        final = end(self._store, self._name, status, error)
        self.log(f"{final.value.lower()}: {error}" if final is JobState.FAILED else final.value.lower())

    # What the engine tells.

    def log(self, text: str) -> None:
        for line in text.splitlines() or [""]:
            stamped = f"{now()} {line}\n"
            self._parts.write(stamped)
            self._say(stamped)

    def _say(self, stamped: str) -> None:
        os.write(self._log, stamped.encode("utf-8", "backslashreplace"))

    def phase(self, text: str) -> None:
        self.log(f"-- {text}")

    def guardrails(self, found: tuple[Guardrail, ...]) -> None:
        record = self._change()
        self._change(automl=replace(record.job.automl or AutoMLOutcome(), guardrails=found))
        for guardrail in found:
            self.log(f"check {guardrail.check}: {guardrail.status}: {guardrail.detail}")

    def trial(self, trial: Trial) -> None:
        score = trial.metrics.get(self._metric or "")
        shown = f"{self._metric} {score:.5f}" if score is not None else trial.detail or trial.state.value
        shown = " ".join(f"trial {trial.trial} {trial.algorithm}: {shown}, {trial.duration_seconds:.1f} s".splitlines())
        line = f"{now()} {shown}\n"
        self._parts.trial(line)
        with self._store.write() as connection:
            records.add_trial(connection, self._name, trial)
        self._say(line)

    def finished_trials(self) -> tuple[Trial, ...]:
        with self._store.read() as connection:
            return records.trials(connection, self._name)

    def stop_requested(self) -> bool:
        return self._stop.asked.is_set()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
