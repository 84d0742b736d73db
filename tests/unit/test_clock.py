"""Stamps of a process that does one piece of work go on evenly, however the wall clock is set."""

from __future__ import annotations

import subprocess
import sys

JUMP = """
import datetime as module
import time
from opsml_cli.local import clock

class Wall(module.datetime):
    ahead = module.timedelta(0)
    @classmethod
    def now(cls, tz=None):
        return module.datetime.now(tz) + cls.ahead

clock.datetime = Wall
before = clock.now()
Wall.ahead = module.timedelta(days={days})
assert abs(clock.seconds_between(before, clock.now()) - {days} * 86400) < 5, "the wall clock was set"
clock.hold()
began = time.monotonic()
first = clock.now()
Wall.ahead = module.timedelta(days=-{days})
time.sleep(0.2)
found, took = clock.seconds_between(first, clock.now()), time.monotonic() - began
assert 0.2 <= found <= took + 0.002, (found, took)
"""


def test_a_clock_that_is_set_changes_no_duration() -> None:
    for days in (5, -5, 400):
        done = subprocess.run(
            [sys.executable, "-c", JUMP.format(days=days)], capture_output=True, text=True, check=False, timeout=30
        )
        assert done.returncode == 0, done.stderr
