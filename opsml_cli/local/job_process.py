"""The process behind a job: starting it, its claim on the job, and what becomes of the job when it dies.

A job's process holds `jobs/<job>/lock` from its first moment to its last, so a free lock means: not yet, or no more.
Which of the two is told by marks (pid with start time) that are in the record before they are needed: the launcher's
when the row is inserted, the process's own once it was spawned. A reader that finds neither lock nor living mark turns
the job to Failed in one transaction, if the record is still the one it looked at; so a job that is just being started,
or being continued by somebody else, is never taken for dead.

For any kind of job: insert the record with `launcher=this_process(layout)`, then `launch(...)`; in the new process
`claim(...)`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain import names
from opsml_cli.domain.child_environment import kept
from opsml_cli.domain.job import JobState
from opsml_cli.local import home, processes
from opsml_cli.local import job_records as records
from opsml_cli.local.clock import now, parse, seconds_between
from opsml_cli.local.job_records import ProcessMark, Record
from opsml_cli.local.layout import Layout
from opsml_cli.local.store import Store

if TYPE_CHECKING:
    from filelock import FileLock

_TAIL_BYTES = 4096
_PATIENCE_SECONDS = 2.0


def lock_path(layout: Layout, name: str) -> Path:
    return layout.job(name) / "lock"


def log_path(layout: Layout, name: str) -> Path:
    """Everything a job says, its process's own output included: one file, appended to."""
    return layout.job(name) / "logs" / "job.log"


def this_process(layout: Layout) -> ProcessMark:
    return mark_of(layout, os.getpid())


def mark_of(layout: Layout, pid: int) -> ProcessMark:
    """The mark of a process that works for this workspace."""
    return ProcessMark(pid, processes.start_time(pid), home.identity(layout.root))


def launch(layout: Layout, store: Store, name: str, module: str, arguments: Sequence[str]) -> None:
    """Spawn `python -m module arguments…` detached for the inserted job `name`, and record its mark.

    When it cannot be spawned the job ends Failed with the reason, and the error is raised."""
    layout.job(name).mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        # A training logs to the user's MLflow server too, where one is named; a pipeline's steps are none of its business.
        environment = kept(os.environ, also=("MLFLOW_",) if module.endswith(".runner") else ())
        log, folder = log_path(layout, name), layout.job(name)
        pid = processes.spawn_detached(module, arguments, output=log, environment=environment, folder=folder)
    except OSError as error:
        with store.write() as connection:
            record = records.load(connection, name)
            if record is not None and not record.job.status.finished:
                records.save(connection, ended(record, JobState.FAILED, f"its process could not be started: {error}"))
        raise
    mark = mark_of(layout, pid)
    with store.write() as connection:
        record = records.load(connection, name)
        # A quick process has claimed, or even ended, the job already and left its own mark.
        if record is not None and record.process is None and not record.job.status.finished:
            records.save(connection, replace(record, process=mark))


def claim(layout: Layout, store: Store, name: str) -> FileLock | None:
    """Called by the job's own process first of all: take the lock, and the job from NotStarted to Preparing.

    None when there is nothing to do: another process has the job, or it has ended (canceled before it began). The caller
    keeps the lock as long as it lives."""
    # A reader that looks whether the lock is held holds it for an instant.
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (lock := processes.hold(lock_path(layout, name))) is None:
        if time.monotonic() > deadline:
            return None
        time.sleep(0.005)
    with store.write() as connection:
        record = records.load(connection, name)
        if record is not None and record.job.status is JobState.CANCEL_REQUESTED:
            records.save(connection, ended(record, JobState.CANCELED))
        elif record is not None and record.job.status is JobState.NOT_STARTED:
            started = replace(record, process=this_process(layout)).with_job(status=JobState.PREPARING, started_at=now())
            records.save(connection, started)
            return lock
    lock.release()
    return None


def ended(record: Record, status: JobState, error: str | None = None) -> Record:
    """The record as finished now."""
    stamp = now()
    start = record.job.started_at or record.job.created_at
    return record.with_job(
        status=status, error=error, ended_at=stamp, duration_seconds=max(0.0, round(seconds_between(start, stamp), 3))
    )


def settle(layout: Layout, store: Store, record: Record) -> Record:
    """The record as it truly is: a job whose process is gone becomes Failed (Canceled when that was asked)."""
    if record.job.status.finished or (record.launcher is None and record.process is None) or _alive(layout, record):
        return record
    name = record.job.name
    with store.write() as connection:
        current = records.load(connection, name)
        if current is None:
            return record
        if current.job.status.finished or (current.attempt, current.process) != (record.attempt, record.process):
            return current
        if current.job.status is JobState.CANCEL_REQUESTED:
            final = ended(current, JobState.CANCELED)
        else:
            final = replace(ended(current, JobState.FAILED, _why_dead(layout, current)), died=True)
        records.save(connection, final)
    return final


def terminate(layout: Layout, record: Record, *, force: bool = False) -> bool:
    """Signal the job's process group, if it is still that process, and this workspace's."""
    mark = record.process
    if mark is None or not home.same(mark.home, layout.root):
        return False
    return processes.end_group(mark.pid, mark.started, force=force)


def _alive(layout: Layout, record: Record) -> bool:
    # The lock first: between it and the marks the process may only have gone from starting to holding, or ended, and
    # an end is seen by the transaction in `settle`.
    if processes.held(lock_path(layout, record.job.name)):
        return True
    if record.job.status not in (JobState.NOT_STARTED, JobState.CANCEL_REQUESTED):
        return False
    mark = record.process or record.launcher
    return mark is not None and home.same(mark.home, layout.root) and processes.lives(mark.pid, mark.started)


def _why_dead(layout: Layout, record: Record) -> str:
    import psutil

    mark = record.process
    if mark is None:
        reason = "the command that started it was killed before its process began"
    elif psutil.boot_time() > parse(record.job.started_at or record.job.created_at).timestamp():
        reason = "the machine was restarted while it ran"
    else:
        reason = f"its process (pid {mark.pid}) died without a word: killed, or out of memory"
    last = last_log_line(layout, record.job.name)
    return f"{reason}; last log line: {last}" if last else reason


def last_log_line(layout: Layout, name: str) -> str | None:
    """The last line of the job's log that says something."""
    try:
        with log_path(layout, names.asset_name(name, "job name")).open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return None
    return next((line.strip() for line in reversed(lines) if line.strip()), None)
