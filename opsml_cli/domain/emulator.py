"""The emulator of Azure Machine Learning's wire over a local workspace, as commands handle it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class EmulatorState:
    """Whether it runs, and how. `pid` and `url` None: it is down. `pace`: how long-running operations end; `inject`: the
    faults it rehearses. `unchanged`: it ran like this before; `trust`: the user answers for what clients register, so that
    foreign models and scoring scripts run."""

    running: bool
    pid: int | None = None
    url: str | None = None
    pace: str | None = None
    inject: tuple[str, ...] = ()
    unchanged: bool = True
    trust: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of the environment in which a script finds the emulator."""

    name: str
    value: str = field(repr=False)
    secret: bool = False


class EmulatorOperations(Protocol):
    """The emulator over one local workspace."""

    def state(self) -> EmulatorState: ...

    def up(
        self, *, pace: str | None = None, inject: Sequence[str] = (), port: int | None = None, trust: bool = False
    ) -> EmulatorState:
        """Start it; return when it answered. One that runs with other options is started again with these. Without any
        option a running one is left as it is. UsageError for an unknown pace or fault."""
        ...

    def down(self) -> bool:
        """End it; False when it was down."""
        ...

    def environment(self) -> Sequence[Variable]:
        """The variables with which an unmodified script reaches it. They hold a secret."""
        ...
