"""Which log lines a query wants. The expression is the user's, the text anybody's: no pair of them may hang."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.insights import LogLine, LogQuery
from opsml_cli.domain.names import key

LEVELS = ("debug", "info", "warning", "error")
_SEARCHED = 4096  # characters of a line
_PATIENCE = 2.0  # seconds for one line


class LineFilter:
    """Whether a line is wanted. UsageError for an unknown level or an expression that is none, or that takes longer than
    two seconds on one line."""

    def __init__(self, query: LogQuery) -> None:
        level = (query.level or LEVELS[0]).lower()
        if level not in LEVELS:
            raise UsageError(f"{query.level!r} is no level", cause=f"expected one of {', '.join(LEVELS)}")
        self._levels = frozenset(LEVELS[LEVELS.index(level) :])
        self._deployment = key(query.deployment) if query.deployment is not None else None
        self._kind = query.kind
        self._expression: re.Pattern[str] | None = None
        if query.grep is not None:
            try:
                self._expression = re.compile(query.grep, re.MULTILINE)
            except (re.error, RecursionError, OverflowError) as error:
                raise UsageError(
                    f"{query.grep!r} is no regular expression: {error}",
                    fix="escape characters such as [ ( * + ? with a backslash to look for them as they are",
                ) from error

    def __call__(self, line: LogLine) -> bool:
        if line.level not in self._levels or (self._kind is not None and line.kind != self._kind):
            return False
        if self._deployment is not None and (line.deployment is None or key(line.deployment) != self._deployment):
            return False
        if self._expression is None:
            return True
        with _patience(self._expression.pattern):
            return self._expression.search(line.message[:_SEARCHED]) is not None


@contextmanager
def _patience(pattern: str) -> Iterator[None]:
    """End a match that backtracks for ever. Only the main thread can be interrupted; others have the length limit."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise UsageError(f"{pattern!r} takes too long on a line of the log", cause="nested repetitions such as (a+)+ do that")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
