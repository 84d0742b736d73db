"""What a job tells of its columns: kinds, fillings of missing values, and featurization switched off."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from serving_support import Quiet

from opsml_cli.domain import featurization
from opsml_cli.domain.errors import InvalidInputError, UsageError
from opsml_cli.domain.fields import FieldError
from opsml_cli.domain.job import AutoMLSpec, Limits, TableSource, Task
from opsml_cli.local.automl import encode, scoring
from opsml_cli.local.automl.engine import Tables, train

FRAME = pd.DataFrame(
    {
        "code": [1, 2, 3, 1, 2, 3] * 20,
        "size": ["1", "2", None, "4", "big", "6"] * 20,
        "when": ["2026-01-01", "2026-02-01", None, "2026-03-01", "2026-04-01", "2026-05-01"] * 20,
        "town": ["a", "b", None, "a", "a", "c"] * 20,
        "y": [0, 1, 0, 0, 1, 1] * 20,
    }
)
SPEC = AutoMLSpec(
    TableSource(path="rows"), "y", Task.CLASSIFICATION, limits=Limits(timeout_seconds=60, max_trials=1), cross_validations=2
)


def fitted(**section: Any) -> encode.Encoding:
    return encode.fit(FRAME.drop(columns=["y"]), None, {}, featurization.read(section))


def kinds(encoding: encode.Encoding) -> dict[str, str]:
    return {column["name"]: column["kind"] for column in encoding.columns}


def test_told_kinds_win() -> None:
    assert kinds(fitted()) == {"code": "number", "size": "category", "when": "datetime", "town": "category"}
    told = fitted(column_name_and_types={"code": "Categorical", "size": "Numeric", "when": "CategoricalHash", "town": "Ignore"})
    assert kinds(told) == {"code": "category", "size": "number", "when": "category"}
    assert "featurization" in told.dropped["town"]
    assert [check for check, _ in told.notes] == ["Mistyped columns"]
    numbers = scoring.Encoder(told.columns).rows([{"code": 2, "size": "big", "when": "2026-01-01"}])
    assert math.isnan(numbers[0, 1])
    assert kinds(fitted(column_name_and_types={"town": "Text"}))["town"] == "text"


def test_dates_that_are_none_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="told to hold dates, and holds 'a'"):
        fitted(column_name_and_types={"town": "DateTime"})


@pytest.mark.parametrize(
    ("column", "strategy", "value", "expected"),
    [
        ("size", "mean", None, (1 + 2 + 4 + 6) / 4),
        ("size", "median", None, 3.0),
        ("size", "constant", -1, -1.0),
        ("town", "most_frequent", None, 0.0),
        ("town", "constant", "c", 2.0),
    ],
)
def test_missing_values_are_filled_by_row_and_by_frame(column: str, strategy: str, value: Any, expected: float) -> None:
    parameters = {"strategy": strategy} | ({} if value is None else {"fill_value": value})
    found = fitted(
        column_name_and_types={"size": "Numeric"},
        transformer_params={"imputer": [{"fields": [column], "parameters": parameters}]},
    )
    encoder = scoring.Encoder(found.columns)
    place = encoder.slices[[each["name"] for each in found.columns].index(column)].start
    rows = FRAME.drop(columns=["y"]).to_dict("records")
    assert encoder.rows(rows)[2, place] == expected
    assert np.array_equal(encoder.rows(rows), encoder.frame(FRAME), equal_nan=True)


@pytest.mark.parametrize(
    ("section", "place"),
    [
        ({"mode": "sometimes"}, "featurization.mode"),
        ({"column_name_and_types": {"code": "Numbers"}}, "featurization.column_name_and_types.code"),
        ({"transformer_params": {"imputer": [{"fields": ["code"], "parameters": {"strategy": "best"}}]}}, "strategy"),
        ({"transformer_params": {"imputer": [{"fields": ["code"], "parameters": {"strategy": "constant"}}]}}, "fill_value"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_wrong_words_name_their_field(section: dict[str, Any], place: str) -> None:
    with pytest.raises(FieldError) as caught:
        featurization.read(section)
    assert place in str(caught.value)


def test_what_has_no_effect_is_named() -> None:
    read = featurization.read({"blocked_transformers": ["TfIdf"], "transformer_params": {"HashOneHotEncoder": []}})
    assert read.ignored == ("featurization.transformer_params.HashOneHotEncoder", "featurization.blocked_transformers")


@pytest.mark.parametrize(
    ("words", "blocked", "ignored"),
    [
        (["CatTargetEncoder"], {"CatTargetEncoder"}, ()),
        (["cattargetencoder", "TextTargetEncoder"], {"CatTargetEncoder", "TextTargetEncoder"}, ()),
        (["CatTargetEncoder", "WoETargetEncoder"], {"CatTargetEncoder"}, ("featurization.blocked_transformers",)),
        ([], set(), ()),
    ],
)
def test_target_encoders_can_be_blocked(words: list[str], blocked: set[str], ignored: tuple[str, ...]) -> None:
    read = featurization.read({"blocked_transformers": words})
    assert read.blocked == blocked
    assert read.ignored == ignored


def test_columns_that_are_not_there_and_fillings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    def asked(**section: Any) -> AutoMLSpec:
        return replace(SPEC, features={"featurization": section})

    with pytest.raises(UsageError, match="no column 'cod'"):
        train(asked(column_name_and_types={"cod": "Numeric"}), Tables(FRAME), tmp_path, Quiet())
    mean = {"imputer": [{"fields": ["town"], "parameters": {"strategy": "mean"}}]}
    with pytest.raises(UsageError, match="cannot be filled by mean"):
        train(asked(transformer_params=mean), Tables(FRAME), tmp_path, Quiet())


def test_featurization_off_needs_numbers(tmp_path: Path) -> None:
    off = replace(SPEC, features={"featurization": {"mode": "off"}})
    with pytest.raises(InvalidInputError, match="FeaturizationRequired"):
        train(off, Tables(FRAME), tmp_path, Quiet())
    numbers = replace(off, drop_columns=("size", "when", "town"))
    assert train(numbers, Tables(FRAME), tmp_path, Quiet()).best is not None
