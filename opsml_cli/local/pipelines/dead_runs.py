"""What a run leaves behind whose process was killed: steps that never ended, their commands, half-made folders."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from opsml_cli.domain.job import JobState
from opsml_cli.local import home, leftovers, processes
from opsml_cli.local.clock import now
from opsml_cli.local.job_records import Record
from opsml_cli.local.layout import Layout
from opsml_cli.local.pipelines import records
from opsml_cli.local.pipelines.records import StepRecord
from opsml_cli.local.store import Store

if TYPE_CHECKING:
    from opsml_cli.local.jobs import LocalJobs


def settle_steps(layout: Layout, store: Store, jobs: LocalJobs, record: Record) -> Sequence[StepRecord]:
    """The steps of an ended run: what is left of their processes is ended, and what became of them is said."""
    name = record.job.name
    failed = record.job.status is JobState.FAILED
    with store.write() as connection:
        open_steps = [step for step in records.steps(connection, name) if not step.status.finished]
        for step in open_steps:
            begun = step.status is not JobState.NOT_STARTED
            status = JobState.FAILED if begun and failed else JobState.CANCELED
            detail = "the run's process died while it ran" if begun else "the run ended before it began"
            records.save_step(connection, step.with_(status=status, ended_at=now(), detail=detail))
    for step in open_steps:
        if step.process is not None and home.same(step.process.home, layout.root):
            processes.end_group(step.process.pid, step.process.started, force=True)
        folder = layout.step(name, step.name)
        leftovers.sweep(folder)
        for leftover in ("code", "inputs"):
            shutil.rmtree(folder / leftover, ignore_errors=True)
    for child in jobs.list(parent=name):
        if not child.status.finished:
            jobs.cancel(child.name)
    with store.read() as connection:
        return records.steps(connection, name)
