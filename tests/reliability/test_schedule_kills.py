"""kill -9 of the local service around a due time, again and again: of every due time there is one run, and it completes.

Two rounds are slow; `-m long` has twelve more."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pipeline_support import cleaned, ended, written
from waiting import until

from opsml_cli.domain.job import JobState
from opsml_cli.domain.pipeline import PublishPipeline
from opsml_cli.domain.schedule import CreateSchedule, Frequency, RecurrenceTrigger
from opsml_cli.local.clock import parse
from opsml_cli.local.service.process import LocalService
from opsml_cli.local.workspace import LocalWorkspace

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals")
SEEDS = [pytest.param(seed, marks=pytest.mark.slow if seed < 2 else pytest.mark.long) for seed in range(14)]
TRIVIAL = "type: pipeline\njobs:\n  only: {command: 'true'}\n"
SCHEDULES = 4
_WINDOW = 0.2  # seconds on both sides of the due time


@pytest.fixture
def local(workspace: LocalWorkspace) -> Iterator[LocalWorkspace]:
    with cleaned(workspace):
        yield workspace


@pytest.mark.parametrize("seed", SEEDS)
def test_one_run_of_every_due_time(local: LocalWorkspace, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    local.pipelines.publish(PublishPipeline(str(written(tmp_path / "p", TRIVIAL)), "trivial"))
    service = LocalService(local.layout)
    moment = (datetime.now(UTC) + timedelta(seconds=1.5)).replace(microsecond=500_000)
    names = [f"s{number}" for number in range(SCHEDULES)]
    for name in names:
        trigger = RecurrenceTrigger(Frequency.HOUR, 1, start_time=moment.isoformat())
        local.schedules.create_or_update(CreateSchedule(name, trigger, pipeline="trivial"))
    for kill in range(3):
        address, _ = service.up()
        if kill == 0:
            rest = (moment - datetime.now(UTC)).total_seconds() + chance.uniform(-_WINDOW, _WINDOW)
            time.sleep(max(0.0, rest))
        else:
            time.sleep(chance.uniform(0.0, 2 * _WINDOW))
        os.kill(address.pid, signal.SIGKILL)
        until(lambda: service.running() is None)
    service.up()
    until(lambda: all(local.schedules.get(name).last_runs for name in names))
    for name in names:
        (run,) = local.schedules.get(name).last_runs
        assert parse(run.due) == moment
        assert ended(local, run.run).status is JobState.COMPLETED
        found = local.schedules.get(name)
        assert (len(found.last_runs), found.error) == (1, None)
        assert parse(found.next_runs[0]) == moment + timedelta(hours=1)
    assert len(local.jobs.list()) == SCHEDULES, "no run is hidden"
