"""What a training's time counts: all of it, from the moment it was asked for."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from serving_support import Quiet

from opsml_cli.domain.job import AutoMLSpec, Job, JobKind, JobState, Limits, TableSource, Task
from opsml_cli.local.automl import portfolio
from opsml_cli.local.automl.engine import Tables, train
from opsml_cli.local.automl.prepare import prepare
from opsml_cli.local.automl.search import Clock, Plan, Search
from opsml_cli.local.clock import stamp
from opsml_cli.local.job_records import Record
from opsml_cli.local.runner import waited


def asked(seconds_ago: float, attempt: int) -> Record:
    created = stamp(datetime.now(UTC) - timedelta(seconds=seconds_ago))
    job = Job(name="a", kind=JobKind.AUTOML, status=JobState.NOT_STARTED, experiment="e", workspace="w", created_at=created)
    return replace(Record(job=job), attempt=attempt)


@pytest.mark.parametrize(
    ("seconds_ago", "attempt", "limit", "least", "most"),
    [
        (5, 1, 600, 4.9, 60),
        (5, 1, 10, 3, 3),  # enough is left to train in
        (5, 2, 600, 0, 0),
        (-500, 1, 600, 0, 0),  # the clock was set
        (86_400, 1, 600, 0, 0),
    ],
)
def test_what_came_before_the_process_counts(seconds_ago: float, attempt: int, limit: float, least: float, most: float) -> None:
    assert least <= waited(asked(seconds_ago, attempt), limit) <= most


def test_what_came_before_the_engine_counts(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"a": draw.normal(0, 1, 300), "b": draw.normal(0, 1, 300)})
    frame["y"] = np.where(frame["a"] + draw.normal(0, 1, 300) > 0, "yes", "no")
    spec = AutoMLSpec(TableSource(path="rows"), "y", Task.CLASSIFICATION, limits=Limits(timeout_seconds=3600))
    began = time.monotonic()
    outcome = train(spec, Tables(frame), tmp_path, Quiet(), began - 3590)
    assert outcome.best is not None
    assert time.monotonic() - began < 600, "an hour had almost passed before"


def test_time_is_kept_for_the_members_that_would_be_served(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"a": draw.normal(0, 1, 400), "b": draw.normal(0, 1, 400)})
    frame["y"] = np.where(frame["a"] + draw.normal(0, 1, 400) > 0, "yes", "no")
    limits = Limits(timeout_seconds=600, max_trials=6)
    prepared = prepare(AutoMLSpec(TableSource(path="rows"), "y", Task.CLASSIFICATION, limits=limits), Tables(frame))
    clock = Clock(time.monotonic(), 600, 3)
    names = portfolio.trained_here(Task.CLASSIFICATION)
    search = Search(prepared.problem, Plan(limits, names, clock, tmp_path, "x", prepared.grown, 0.1), Quiet())
    search.results = [replace(result, seconds=25.0) for result in search.run()]  # as on a slow machine
    kept = clock.end - search.deadline()
    assert search.told_members()
    assert not search.told_members(), "nothing new to look at"
    assert 0 < len(search.members) < 5
    assert clock.end - search.deadline() < kept
