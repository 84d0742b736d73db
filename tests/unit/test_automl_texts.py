"""Free text: which columns are, that their numbers tell, and that they tell nothing of the row itself."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_support import Quiet

from opsml_cli.domain.job import AutoMLSpec, Limits, TableSource, Task
from opsml_cli.local.automl import encode, metrics, scoring, texts
from opsml_cli.local.automl.engine import Tables, train
from opsml_cli.local.automl.prepare import prepare
from opsml_cli.local.automl.scoring.text import EXTRA, TextCoder, terms

GOOD = ("quick delivery and friendly service", "works exactly as described", "would buy it again any time")
BAD = ("broke after two days of use", "never arrived and nobody answers", "a complete waste of money")
FILLER = ["the", "a", "this", "that", "it", "was", "for", "with", "my", "our", "on", "in", "at", "from", "when", "then"]


def reviews(rows: int, seed: int = 0, signal: bool = True) -> pd.DataFrame:
    """Every text is another; its label follows from a phrase in it, or from nothing."""
    draw = np.random.default_rng(seed)
    made = []
    for index in range(rows):
        liked = bool(draw.random() < 0.5)
        words = [*draw.choice(FILLER, 6), f"item{index}", str(draw.choice(GOOD if liked else BAD)), *draw.choice(FILLER, 4)]
        if not signal:
            liked = bool(draw.random() < 0.5)
        made.append({"text": " ".join(words), "stars": int(draw.integers(1, 6)), "liked": "yes" if liked else "no"})
    return pd.DataFrame(made)


def spec(**changes: Any) -> AutoMLSpec:
    return AutoMLSpec(
        TableSource(path="rows"), "liked", Task.CLASSIFICATION, limits=Limits(timeout_seconds=60, max_trials=1), **changes
    )


def test_sentences_are_text_and_categories_are_not() -> None:
    frame = reviews(300)
    frame["city"] = np.random.default_rng(1).choice(["New York City Center", "San Francisco Bay Area North"], 300)
    frame["id"] = [f"user-{index}" for index in range(300)]
    found = encode.fit(frame.drop(columns=["liked"]), None, {})
    assert {column["name"]: column["kind"] for column in found.columns} == {
        "text": "text", "stars": "number", "city": "category",
    }  # fmt: skip
    assert "identifier" in found.dropped["id"]
    assert ("Free text", "'text' holds sentences: read by their words and pairs of words") in found.notes
    assert len(found.features) == scoring.Encoder(found.columns).width


def test_a_blocked_encoder_learns_nothing_of_the_target() -> None:
    asked = {"featurization": {"blocked_transformers": ["TextTargetEncoder"]}}
    assert not any(feature.learned for feature in prepare(spec(features=asked), Tables(reviews(300))).problem.features)
    assert any(feature.learned for feature in prepare(spec(), Tables(reviews(300))).problem.features)


@pytest.mark.parametrize("rare", [1, 2])
@pytest.mark.slow
def test_a_class_that_a_part_of_the_rows_lacks_is_no_obstacle(rare: int) -> None:
    frame = reviews(400)
    frame.loc[::5, "liked"] = "later"
    frame.loc[frame.index[1 : 1 + rare], "liked"] = "perhaps"
    problem = prepare(spec(validation_size=0.3), Tables(frame)).problem
    learned = [index for index, feature in enumerate(problem.features) if feature.learned]
    assert len(learned) in (0, 4)
    assert np.isfinite(problem.matrix[:, learned]).all()


@pytest.mark.slow
def test_a_phrase_decides_and_the_served_model_reads_it(tmp_path: Path) -> None:
    outcome = train(spec(cross_validations=3), Tables(reviews(400)), tmp_path, Quiet())
    assert outcome.test_metrics is not None
    assert outcome.test_metrics["AUC_weighted"] > 0.99
    model = scoring.load(str(tmp_path / "outputs" / "model" / "data" / "data"))
    chances = model.probabilities(
        model.encode([{"text": f"so {GOOD[0]} it was", "stars": 3}, {"text": f"so {BAD[1]} it was", "stars": 3}])
    )[:, model.classes.index("yes")]
    assert chances[0] > 0.8
    assert chances[1] < 0.2


@pytest.mark.parametrize("folds", [{"cross_validations": 5}, {"validation_size": 0.3}])
@pytest.mark.slow
def test_labels_without_a_reason_are_not_found_in_the_text(folds: dict[str, Any]) -> None:
    """A row's own label must not reach its numbers: every text here is another, and says nothing."""
    problem = prepare(spec(**folds), Tables(reviews(600, seed=4, signal=False))).problem
    learned = [index for index, feature in enumerate(problem.features) if ".target" in feature.name]
    assert len(learned) == 1
    for rows in (problem.scored, problem.folds[0].train):
        skill = metrics.auc(problem.target[rows] == 1, problem.matrix[rows, learned[0]])
        assert abs(skill - 0.5) < 4 * math.sqrt(1 / (3 * len(rows))), "four standard deviations of chance"


@pytest.mark.slow
def test_regression_and_many_classes(tmp_path: Path) -> None:
    frame = reviews(300)
    frame["score"] = np.where(frame["liked"] == "yes", 10.0, -10.0) + frame["stars"]
    regression = AutoMLSpec(
        TableSource(path="rows"), "score", Task.REGRESSION, limits=Limits(60, max_trials=1), drop_columns=("liked",)
    )
    outcome = train(regression, Tables(frame), tmp_path, Quiet())
    assert outcome.test_metrics is not None
    assert outcome.test_metrics["r2_score"] > 0.8
    frame["many"] = [f"class {index % 40}" for index in range(300)]
    problem = prepare(
        AutoMLSpec(TableSource(path="rows"), "many", Task.CLASSIFICATION, cross_validations=2), Tables(frame)
    ).problem
    assert not any(".target" in feature.name for feature in problem.features), "too many classes to learn directions for"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_any_text_has_its_terms(text: str) -> None:
    found = terms(text, 64)
    assert all(0 <= bucket < 64 and count > 0 for bucket, count in found.items())
    assert found == terms(text.casefold(), 64), "case does not matter"


def test_what_is_no_text_is_missing_or_refused() -> None:
    column = texts.document("t", ["one two three four", "five six seven eight", "one five"], "one two")
    coder = TextCoder(column)
    assert len(coder("one two")) == column["size"] + EXTRA
    assert all(math.isnan(value) for value in coder(None))
    assert all(math.isnan(value) for value in coder(" "))
    assert coder("!!!")[-EXTRA:] == (0.0, 3.0)
    assert coder(12) == coder("12")
    with pytest.raises(scoring.UnfitError):
        coder(["one"])
