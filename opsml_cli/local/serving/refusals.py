"""What a server refuses, in its log: the first of a kind at once, then what came since, so that a flood fills no disk."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

EVERY_SECONDS = 10.0


class Refusals:
    """`write` gets a line for the first refusal of a status, and at most one each `every` seconds after that."""

    def __init__(
        self, write: Callable[[str], None], every: float = EVERY_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._every = every
        self._clock = clock
        self._written: dict[int, float] = {}
        self._waiting: Counter[int] = Counter()

    def note(self, status: int, reason: str) -> None:
        """Called on the event loop for each refusal."""
        now, last = self._clock(), self._written.get(status)
        if last is not None and now - last < self._every:
            self._waiting[status] += 1
            return
        more = self._waiting.pop(status, 0)
        since = f" ({more} more with this status since the last such line)" if more else ""
        self._written[status] = now
        self._write(f"refused a request with {status}: {reason}{since}")
