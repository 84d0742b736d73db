"""The tuned threshold is the best of all that could be chosen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsml_cli.domain.errors import UsageError
from opsml_cli.local.automl.threshold import Aim, parse, tune


def value(aim: Aim, hits: np.ndarray, called: np.ndarray) -> float:
    true, false = float((hits & called).sum()), float((~hits & called).sum())
    missed = float((hits & ~called).sum())
    if aim.kind == "f1":
        return 2 * true / max(1.0, 2 * true + false + missed)
    if aim.kind == "balanced_accuracy":
        return true / max(1.0, hits.sum()) - false / max(1.0, (~hits).sum())
    return -(aim.false_positive * false + aim.false_negative * missed)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 9)), min_size=2, max_size=40).filter(
        lambda rows: 0 < sum(hit for hit, _ in rows) < len(rows)
    ),
    st.sampled_from([Aim("f1"), Aim("balanced_accuracy"), Aim("cost", 1, 5), Aim("cost", 10, 1)]),
)
def test_no_other_threshold_is_better(rows: list[tuple[bool, int]], aim: Aim) -> None:
    hits = np.array([hit for hit, _ in rows])
    scores = np.array([score / 10 for _, score in rows])
    chosen = tune(aim, hits, scores)
    assert 0 < chosen <= 1
    best = max(value(aim, hits, scores >= cut) for cut in [*np.linspace(0.05, 0.95, 10), 1.0])
    assert value(aim, hits, scores >= chosen) == pytest.approx(best)


@pytest.mark.parametrize(
    "text", ["", "f2", "cost", "cost:1", "cost:1,2,3", "cost:a,b", "cost:-1,2", "cost:0,0", "f1:2", "cost:nan,1"]
)
def test_what_is_no_aim_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


def test_aims_are_read() -> None:
    assert parse("F1") == Aim("f1")
    assert parse("cost:1,5.5") == Aim("cost", 1.0, 5.5)
