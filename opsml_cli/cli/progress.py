"""Progress on stderr: plain lines; on a terminal, what goes on now stands below them and is drawn anew."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opsml_cli.cli.text import escape_line
from opsml_cli.domain.durations import format_duration
from opsml_cli.domain.progress import Progress, Silent

if TYPE_CHECKING:
    from opsml_cli.cli.output import Output
    from opsml_cli.domain.job import Job, Trial
    from opsml_cli.domain.pipeline import PipelineRun, Step

_LINES_A_SECOND = 2
_SHOWN_TRIALS = 5


def progress_for(output: Output) -> Progress:
    """What suits the stream: nothing with --quiet, a live picture on a terminal that may have colours, otherwise lines."""
    from opsml_cli.cli.output import coloured

    if output.options.quiet:
        return Silent()
    stream = output.stderr
    if stream is not None and stream.isatty() and output.ci is None and coloured(stream, output.options, output.environment):
        return Live(output)
    return Lines(output)


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
        if not run.status.finished:
            self._run_state(run)
        for step in run.steps:
            if self._steps.get((run.run, step.name), "NotStarted") != step.status:
                self._steps[run.run, step.name] = step.status
                took = f" in {step.duration_seconds:.1f}s" if step.duration_seconds is not None and step.status.finished else ""
                reused = " (reused)" if step.reused else ""
                detail = f": {step.detail}" if step.detail else ""
                self._line(f"  step {step.name}: {step.status}{took}{reused}{detail}", important=step.status.finished)
        self._run_state(run)

    def _run_state(self, run: PipelineRun) -> None:
        if self._job_state.get(run.run) != run.status:
            self._job_state[run.run] = run.status
            self._line(f"run {run.run}: {run.status}", important=True)

    def _line(self, text: str, *, important: bool = False) -> None:
        now = time.monotonic()
        self._recent = [moment for moment in self._recent if now - moment < 1.0]
        if len(self._recent) >= _LINES_A_SECOND and not important:
            self._left_out += 1
            return
        self._recent.append(now)
        more = f"  (and {self._left_out} more)" if self._left_out else ""
        self._left_out = 0
        self._output.note(text + more)


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


class Live:
    """A picture of the work, drawn by rich below what was written; it goes away when something else is written, and when
    the command ends."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lines = Lines(output)
        self._phase = ""
        self._amount = ""
        self._began = time.monotonic()
        self._job: Job | None = None
        self._run: PipelineRun | None = None
        self._live: Any = None
        output.before_writing = self._stop

    def phase(self, text: str) -> None:
        if text != self._phase:
            self._phase, self._amount, self._began = text, "", time.monotonic()
        self._draw()

    def amount(self, done: int, total: int | None, unit: str) -> None:
        self._amount = _amount(done, total, unit)
        self._draw()

    def note(self, text: str) -> None:
        self._output.note(text)

    def warn(self, text: str) -> None:
        self._output.warn(text)

    def job(self, job: Job) -> None:
        if self._job is None or self._job.name != job.name:
            self._began = time.monotonic()
        self._job = job
        if job.status.finished:
            self._lines.job(job)
        else:
            self._draw()

    def run(self, run: PipelineRun) -> None:
        if self._run is None or self._run.run != run.run:
            self._began = time.monotonic()
        self._run = run
        if run.status.finished:
            self._lines.run(run)
        else:
            self._draw()

    def _draw(self) -> None:
        if self._live is None:
            from rich.console import Console
            from rich.live import Live as RichLive

            console = Console(file=self._output.stderr, force_terminal=True, highlight=False, emoji=False)
            self._live = RichLive(
                get_renderable=self._picture, console=console, transient=True, refresh_per_second=8,
                redirect_stdout=False, redirect_stderr=False,
            )  # fmt: skip
            self._live.start()

    def _stop(self) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()

    def _picture(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        elapsed = time.monotonic() - self._began
        mark = "|/-\\"[int(elapsed * 8) % 4]
        parts: list[Any] = []
        if self._run is not None:
            parts += [Text(escape_line(_step_line(step))) for step in self._run.steps]
            told = f"run {self._run.run}: {self._run.status}"
        elif self._job is not None:
            parts += self._board(self._job)
            told = f"job {self._job.name}: {self._job.status}"
        else:
            told = self._phase
        more = f"  {self._amount}" if self._amount else ""
        parts.append(Text(escape_line(f"{mark} {told}{more}  {format_duration(elapsed)}"), style="cyan", no_wrap=True))
        return Group(*parts)

    @staticmethod
    def _board(job: Job) -> list[Any]:
        from rich.text import Text

        outcome = job.automl
        if outcome is None:
            return []
        best = [trial for trial in outcome.leaderboard if trial.state.finished][:_SHOWN_TRIALS]
        return [Text(escape_line(_trial(trial, outcome.metric)), no_wrap=True) for trial in best]


def _step_line(step: Step) -> str:
    took = f"  {format_duration(step.duration_seconds)}" if step.duration_seconds is not None else ""
    reused = "  reused" if step.reused else ""
    return f"  {step.status:<12} {step.name}{took}{reused}"
