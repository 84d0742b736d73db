"""Waiting for operations that take Azure seconds, or a minute at most: records of endpoints, deployments, schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsml_cli.domain.errors import NotFinishedError

if TYPE_CHECKING:
    from opsml_cli.azureml.context import Answer, Context

_LONGEST = 900.0  # seconds
_FIRST, _SLOWEST = 0.05, 5.0


def finished(context: Context, answer: Answer, what: str) -> None:
    """Return when the operation that `answer` began has succeeded. Its own error when it failed; NotFinishedError after a
    quarter of an hour."""
    begun = context.clock.monotonic()
    pause = _FIRST
    while True:
        state = context.rest.operation(answer)
        if state.done:
            return
        if state.done is False:
            assert state.error is not None
            raise state.error
        if context.clock.monotonic() - begun > _LONGEST:
            raise NotFinishedError(f"{what} is not done after {_LONGEST / 60:.0f} minutes", fix="run the same command again")
        context.clock.sleep(pause)
        pause = min(pause * 1.6, _SLOWEST)
