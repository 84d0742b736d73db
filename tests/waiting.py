"""How tests wait: for a condition, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.15  # asking takes time from what is waited for


def until(read: Callable[[], T | None], seconds: float = 60.0, what: str = "it") -> T:
    """What `read` gives once it is something; fails the test after `seconds`."""
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while not (found := read()):
        assert time.monotonic() < deadline, f"{what} did not come true in {seconds:g} s"
        time.sleep(pause)
        pause = min(1.4 * pause, _LONGEST_PAUSE)
    return found
