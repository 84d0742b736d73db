"""services/wait.py: polling with an injected clock."""

from __future__ import annotations

import pytest

from opsml_cli.domain.errors import NotFinishedError
from opsml_cli.services.wait import wait_for


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def still(value: int) -> NotFinishedError:
    return NotFinishedError(f"still at {value}")


def test_returns_at_once_what_is_finished_already() -> None:
    clock = FakeClock()
    seen: list[int] = []
    assert wait_for(lambda: 7, lambda v: True, timeout=0, clock=clock, on_update=seen.append, still_running=still) == 7
    assert clock.pauses == []
    assert seen == [7]


def test_tells_each_change_once() -> None:
    values = iter([1, 1, 2, 2, 2, 3])
    seen: list[int] = []
    last = wait_for(
        lambda: next(values), lambda v: v == 3, timeout=None, clock=FakeClock(), on_update=seen.append, still_running=still
    )
    assert last == 3
    assert seen == [1, 2, 3]


def test_pauses_grow_to_the_slowest_and_are_short_again_after_a_change() -> None:
    clock = FakeClock()
    values = iter([1] * 10 + [2, 3])
    wait_for(
        lambda: next(values),
        lambda v: v == 3,
        timeout=None,
        clock=clock,
        on_update=lambda v: None,
        still_running=still,
        interval=0.1,
        slowest=1.0,
    )
    assert clock.pauses[0] == 0.1
    assert clock.pauses[8] == 1.0
    assert clock.pauses[10] == 0.1


def test_times_out_with_the_last_value_and_never_later() -> None:
    clock = FakeClock()
    with pytest.raises(NotFinishedError, match="still at 1"):
        wait_for(lambda: 1, lambda v: False, timeout=2.5, clock=clock, on_update=lambda v: None, still_running=still)
    assert sum(clock.pauses) == pytest.approx(2.5)


def test_finished_at_the_last_moment_counts() -> None:
    clock = FakeClock()
    done = wait_for(
        lambda: clock.now >= 102.5,
        bool,
        timeout=2.5,
        clock=clock,
        on_update=lambda v: None,
        still_running=lambda v: NotFinishedError("late"),
    )
    assert done is True


def test_an_interrupt_passes_through() -> None:
    class Interrupted(FakeClock):
        def sleep(self, seconds: float) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wait_for(lambda: 1, lambda v: False, timeout=None, clock=Interrupted(), on_update=lambda v: None, still_running=still)
