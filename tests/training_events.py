"""What tests of training listen with."""

from __future__ import annotations

from opsml_cli.domain.job import Guardrail, Trial


class Recorder:
    """Events kept in lists; `stop` ends the training after so many trials."""

    def __init__(self, known: tuple[Trial, ...] = (), stop: int | None = None) -> None:
        self.known = known
        self.stop = stop
        self.trials: list[Trial] = []
        self.checks: tuple[Guardrail, ...] = ()
        self.lines: list[str] = []

    def log(self, text: str) -> None:
        self.lines.append(text)

    def phase(self, text: str) -> None:
        self.lines.append(text)

    def guardrails(self, found: tuple[Guardrail, ...]) -> None:
        self.checks = found

    def trial(self, trial: Trial) -> None:
        self.trials.append(trial)

    def finished_trials(self) -> tuple[Trial, ...]:
        return self.known

    def stop_requested(self) -> bool:
        return self.stop is not None and len(self.trials) >= self.stop

    def check(self, name: str) -> Guardrail:
        return next(check for check in self.checks if check.check == name)
