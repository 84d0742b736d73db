"""How long work tells what it is doing. The command line renders it; tests record it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from opsml_cli.domain.job import Job
    from opsml_cli.domain.pipeline import PipelineRun


class Progress(Protocol):
    """Receives what happens while work runs. Every call returns at once and never raises."""

    def phase(self, text: str) -> None:
        """A new phase has begun; one short line."""

    def amount(self, done: int, total: int | None, unit: str) -> None:
        """`done` of `total` (None: unknown) `unit`s of the current phase."""

    def note(self, text: str) -> None:
        """Something the reader should know; one line, kept."""

    def warn(self, text: str) -> None:
        """Something the reader should act on; one line, kept."""

    def job(self, job: Job) -> None:
        """A job as it is now."""

    def run(self, run: PipelineRun) -> None:
        """A pipeline run as it is now."""


class Silent:
    """A Progress that tells nobody."""

    def phase(self, text: str) -> None: ...
    def amount(self, done: int, total: int | None, unit: str) -> None: ...
    def note(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def job(self, job: Job) -> None: ...
    def run(self, run: PipelineRun) -> None: ...
