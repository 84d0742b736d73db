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
    outcome = train(spec, Tables(frame), tmp_path, Quiet(), began - 3595)
    assert outcome.best is not None
    assert time.monotonic() - began < 600, "an hour had almost passed before"


def searched(folder: Path) -> Search:
    """A search of 600 seconds that has ended after six trials."""
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"a": draw.normal(0, 1, 400), "b": draw.normal(0, 1, 400)})
    frame["y"] = np.where(frame["a"] + draw.normal(0, 1, 400) > 0, "yes", "no")
    limits = Limits(timeout_seconds=600, max_trials=6)
    prepared = prepare(AutoMLSpec(TableSource(path="rows"), "y", Task.CLASSIFICATION, limits=limits), Tables(frame))
    clock = Clock(time.monotonic(), 600, 3)
    names = portfolio.trained_here(Task.CLASSIFICATION)
    search = Search(prepared.problem, Plan(limits, names, clock, folder, "x", prepared.grown, 0.1), Quiet())
    search.run()
    return search


def kept(search: Search) -> float:
    return search._plan.clock.end - search.deadline()


def test_time_is_kept_for_the_members_that_would_be_served(tmp_path: Path) -> None:
    search = searched(tmp_path)
    search.results = [replace(result, seconds=25.0) for result in search.results]  # as on a slow machine
    before = kept(search)
    assert search.told_members()
    assert not search.told_members(), "nothing new to look at"
    assert 0 < len(search.members) < 5
    assert kept(search) < before


def test_no_time_is_kept_for_what_cannot_be_fitted_again(tmp_path: Path) -> None:
    search = searched(tmp_path)
    slow, *others = search.results
    search.members = [replace(each, seconds=5.0) for each in others[:2]]
    of_others = kept(search)
    search.members = [replace(slow, seconds=300.0), *search.members]
    assert kept(search) == pytest.approx(of_others, abs=0.5)
    search.members = search.members[:1]
    assert kept(search) == pytest.approx(0.0, abs=0.5)


def test_no_time_is_kept_for_what_others_cannot_make_up_for(tmp_path: Path) -> None:
    search = searched(tmp_path)
    slow, *others = search.results
    metric = search._problem.metric
    slow = replace(slow, seconds=300.0, metrics={**slow.metrics, metric: 0.999})
    search.members = [slow, replace(others[0], seconds=5.0, metrics={**others[0].metrics, metric: 0.8})]
    assert kept(search) == pytest.approx(0.0, abs=0.5)


def test_what_is_too_large_to_serve_is_not_waited_for(tmp_path: Path) -> None:
    search = searched(tmp_path)
    large, *others = search.results
    metric = search._problem.metric
    others = [replace(each, seconds=5.0, metrics={**each.metrics, metric: 0.9}) for each in others]
    search.results = others
    of_others = kept(search)
    search.results = [replace(large, seconds=100.0, metrics={**large.metrics, metric: 0.901}), *others]
    search._costs[large.trial] = (2.0, 0.1)
    assert kept(search) == pytest.approx(of_others, abs=0.5)
    search._costs[large.trial] = (0.5, 0.1)
    assert kept(search) > of_others + 60.0
    # Where it is better by far it is served all the same.
    search.results[0] = replace(search.results[0], metrics={**large.metrics, metric: 0.99})
    search._costs[large.trial] = (2.0, 0.1)
    assert kept(search) > of_others + 60.0


def test_time_is_kept_for_answering_with_a_large_model_and_writing_it(tmp_path: Path) -> None:
    search = searched(tmp_path)
    before = kept(search)
    search._plan = replace(search._plan, answered=1_000_000)
    search._costs.clear()
    assert kept(search) > before + 1.0
    clock = search._plan.clock
    end = clock.end
    clock.expect(1.0)
    assert clock.end == end, "as much was kept before"
    clock.expect(20.0)
    assert clock.end == pytest.approx(end - 18.5, abs=0.01)
    clock.expect(1e6)
    assert clock.end == pytest.approx(clock.started + 0.6 * clock.total, abs=0.01)
