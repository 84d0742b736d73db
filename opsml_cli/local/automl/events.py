"""What the engine takes and whom it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pandas as pd

    from opsml_cli.domain.data import DataProfile
    from opsml_cli.domain.job import Guardrail, Trial


@dataclass(frozen=True, slots=True)
class Tables:
    """Rows to learn from, and, where the job names them, rows to validate and to test on; the profile of the first."""

    train: pd.DataFrame
    validation: pd.DataFrame | None = None
    test: pd.DataFrame | None = None
    profile: DataProfile | None = None


class Events(Protocol):
    """Receives what happens in a training, in order, from several threads but never two at once."""

    def log(self, text: str) -> None:
        """One line for the job's log."""

    def phase(self, text: str) -> None:
        """A new phase has begun."""

    def guardrails(self, found: tuple[Guardrail, ...]) -> None:
        """Every data check, once, before the first trial."""

    def trial(self, trial: Trial) -> None:
        """A trial has finished; its files are durable. It is recorded when this returns."""

    def finished_trials(self) -> tuple[Trial, ...]:
        """The trials that were recorded before this process began."""

    def stop_requested(self) -> bool:
        """Whether the job is to end now. Asked often."""
