"""Progress on stderr: plain lines, and on a terminal a live line below them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from opsml_cli.domain.progress import Progress, Silent

if TYPE_CHECKING:
    from opsml_cli.cli.output import Output
    from opsml_cli.domain.job import Job, Trial
    from opsml_cli.domain.pipeline import PipelineRun

_LINES_A_SECOND = 4


def progress_for(output: Output) -> Progress:
    """What suits the stream: nothing with --quiet, otherwise lines."""
    return Silent() if output.options.quiet else Lines(output)


class Lines:
    """One line for what is new, never more than a handful a second: what came too fast is left out, and said."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._phase = ""
        self._amount_told = 0.0
        self._job_state: dict[str, str] = {}
        self._trials: set[tuple[str, str]] = set()
        self._best: dict[str, float] = {}
        self._steps: dict[tuple[str, str], str] = {}
        self._recent: list[float] = []
        self._left_out = 0

    def phase(self, text: str) -> None:
        if text != self._phase:
            self._phase = text
            self._line(text)

    def amount(self, done: int, total: int | None, unit: str) -> None:
        now = time.monotonic()
        if now - self._amount_told < 5.0 or (total is not None and done >= total):
            return
        self._amount_told = now
        self._line(f"  {_amount(done, total, unit)}")

    def note(self, text: str) -> None:
        self._output.note(text)

    def warn(self, text: str) -> None:
        self._output.warn(text)

    def job(self, job: Job) -> None:
        if self._job_state.get(job.name) != job.status:
            self._job_state[job.name] = job.status
            self._line(f"job {job.name}: {job.status}", important=True)
        for trial in job.automl.leaderboard if job.automl is not None else ():
            if (job.name, trial.trial) not in self._trials and trial.state.finished:
                self._trials.add((job.name, trial.trial))
                self._line(_trial(trial, job.automl.metric if job.automl else None))

    def run(self, run: PipelineRun) -> None:
        if self._job_state.get(run.run) != run.status:
            self._job_state[run.run] = run.status
            self._line(f"run {run.run}: {run.status}", important=True)
        for step in run.steps:
            if self._steps.get((run.run, step.name), "NotStarted") != step.status:
                self._steps[run.run, step.name] = step.status
                took = f" in {step.duration_seconds:.1f}s" if step.duration_seconds is not None and step.status.finished else ""
                reused = " (reused)" if step.reused else ""
                detail = f": {step.detail}" if step.detail else ""
                self._line(f"  step {step.name}: {step.status}{took}{reused}{detail}", important=step.status.finished)

    def _line(self, text: str, *, important: bool = False) -> None:
        now = time.monotonic()
        self._recent = [moment for moment in self._recent if now - moment < 1.0]
        if len(self._recent) >= _LINES_A_SECOND and not important:
            self._left_out += 1
            return
        self._recent.append(now)
        if self._left_out:
            self._output.note(f"  … and {self._left_out} more")
            self._left_out = 0
        self._output.note(text)


def _amount(done: int, total: int | None, unit: str) -> str:
    if unit in ("bytes", "byte", "B"):
        told = f"{done / 1e6:,.0f} MB" if total is None else f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
    else:
        told = f"{done:,} {unit}" if total is None else f"{done:,} of {total:,} {unit}"
    return told if not total else f"{told} ({100 * done // total}%)"


def _trial(trial: Trial, metric: str | None) -> str:
    value = trial.metrics.get(metric) if metric else None
    figure = "" if value is None else f"  {metric} {value:.5f}"
    return f"  trial {trial.trial}  {trial.algorithm}{figure}  {trial.duration_seconds:.1f}s"
