"""Groups stay together, and the past predicts the future."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_support import Quiet

from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.domain.job import AutoMLSpec, Limits, TableSource, Task
from opsml_cli.local.automl import splits
from opsml_cli.local.automl.engine import Tables, train
from opsml_cli.local.automl.prepare import prepare

SPEC = AutoMLSpec(TableSource(path="rows"), "y", Task.CLASSIFICATION, limits=Limits(timeout_seconds=60, max_trials=1))


def frame(rows: int = 300, groups: int = 30) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "a": draw.normal(size=rows),
            "patient": draw.integers(0, groups, rows),
            "day": pd.to_datetime("2026-01-01") + pd.to_timedelta(draw.permutation(rows), unit="D"),
            "y": draw.choice(["no", "yes"], rows),
        }
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=60, max_size=200).filter(lambda each: len(set(each)) > 1), st.integers(2, 6))
def test_no_group_is_on_both_sides(groups: list[int], count: int) -> None:
    table = pd.DataFrame({"patient": groups})
    values = np.arange(len(groups)) % 2
    spec = replace(SPEC, group_column="patient", cross_validations=count)
    made = splits.folds(spec, table, values, Task.CLASSIFICATION)
    assert len(made) == min(count, len(set(groups)))
    named = np.array(groups)
    for fold in made:
        assert not set(named[fold.train]) & set(named[fold.valid])
        assert len(fold.train) + len(fold.valid) == len(groups)
    assert sorted(np.concatenate([fold.valid for fold in made]).tolist()) == list(range(len(groups)))


def test_folds_of_equal_groups_are_of_equal_size() -> None:
    table = pd.DataFrame({"patient": np.repeat(np.arange(20), 10)})
    made = splits.folds(replace(SPEC, group_column="patient"), table, np.arange(200) % 2, Task.CLASSIFICATION)
    assert [len(fold.valid) for fold in made] == [40] * 5


@settings(max_examples=40, deadline=None)
@given(st.permutations(list(range(80))), st.integers(2, 6))
def test_every_fold_learns_from_the_past_alone(times: list[int], count: int) -> None:
    table = pd.DataFrame({"day": times})
    values = np.array([time % 2 for time in times])
    spec = replace(SPEC, time_column="day", cross_validations=count)
    when = np.array(times)
    for fold in splits.folds(spec, table, values, Task.CLASSIFICATION):
        assert when[fold.train].max() < when[fold.valid].min()
    learn, test = splits.hold_out(spec, table, values, Task.CLASSIFICATION)
    assert when[learn].max() < when[test].min()
    assert len(test) == 16


def test_trainings_by_group_and_time(tmp_path: Path) -> None:
    grouped = prepare(replace(SPEC, group_column="patient"), Tables(frame()))
    assert grouped.excluded["patient"] == "it names the groups"
    assert grouped.held is not None
    held = set(grouped.held.frame["patient"])
    assert not held & set(grouped.frame["patient"].iloc[_learned(grouped)])
    for name, column in (("by_group", {"group_column": "patient"}), ("by_time", {"time_column": "day"})):
        outcome = train(replace(SPEC, **column), Tables(frame()), tmp_path / name, Quiet())
        assert outcome.test_metrics is not None
        assert abs(outcome.test_metrics["AUC_weighted"] - 0.5) < 0.25, "there is nothing to find"


def _learned(prepared) -> list[int]:
    keys = set(map(tuple, prepared.held.frame[["a"]].to_numpy().tolist()))
    return [index for index, row in enumerate(prepared.frame[["a"]].to_numpy().tolist()) if tuple(row) not in keys]


def test_what_cannot_be_split_says_why() -> None:
    with pytest.raises(InvalidInputError, match="one group only"):
        prepare(replace(SPEC, group_column="patient"), Tables(frame(groups=1)))
    odd = frame().astype({"day": object})
    odd.loc[3, "day"] = "soon"
    with pytest.raises(InvalidInputError, match="no time"):
        prepare(replace(SPEC, time_column="day"), Tables(odd))
    gaps = frame()
    gaps.loc[3, "day"] = pd.NaT
    with pytest.raises(InvalidInputError, match="missing"):
        prepare(replace(SPEC, time_column="day"), Tables(gaps))
