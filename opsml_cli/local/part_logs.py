"""What each part of a training said: its log divided among the runs that Azure's clients see as its children.

The setup has everything until the first trial ends; a trial what was said since the one before it ended; what comes after the
last trial belongs to the choosing and explaining of the model. A part's log is complete when the part is seen to have ended."""

from __future__ import annotations

import os
from pathlib import Path

from opsml_cli.local.layout import Layout

SETUP = "setup"


def part_log(layout: Layout, job: str, part: int | None) -> Path:
    """The log of a part: None is the setup, else the number of the trial, one more than the last one's for the rest."""
    return layout.job(job) / "logs" / "parts" / f"{SETUP if part is None else part}.log"


class PartLogs:
    """The logs of one training's parts, for the process that runs it."""

    def __init__(self, layout: Layout, job: str) -> None:
        self._layout = layout
        self._job = job
        self._ended = 0
        self._open = True

    def resume(self, trials: int) -> None:
        """Go on behind `trials` ended ones, of a process before this one."""
        self._ended = trials

    def write(self, line: str) -> None:
        """One line, with its end, for the part that goes on."""
        if self._open:
            self._append(self._ended or None, line)

    def trial(self, line: str) -> None:
        """The last line of a trial, to be written before the trial is seen to have ended. What the first one's search said
        before is the setup's."""
        if self._open:
            self._append(self._ended, line)
            self._ended += 1

    def close(self) -> None:
        """From now on nothing is added: the training is about to be seen to have ended."""
        self._open = False

    def _append(self, part: int | None, line: str) -> None:
        path = part_log(self._layout, self._job, part)
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line.encode("utf-8", "backslashreplace"))
        finally:
            os.close(file)
