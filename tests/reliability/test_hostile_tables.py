"""Whatever the table: training ends in a model that can be scored, or in an error that says what is wrong. Never in a
traceback, never late."""

from __future__ import annotations

import faulthandler
import json
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hostile_tables import TARGET, Hostile, hostile_row, tables
from hypothesis import HealthCheck, event, given, settings
from serving_support import Quiet

from opsml_cli.domain.contract import BadRequest, read_call
from opsml_cli.domain.errors import OpsmlError
from opsml_cli.domain.job import AutoMLOutcome, AutoMLSpec, Limits, TableSource
from opsml_cli.local.automl.engine import train
from opsml_cli.local.automl.events import Tables
from opsml_cli.local.automl_request import resolve
from opsml_cli.local.serving.scorers import OwnScorer
from opsml_cli.local.workspace import LocalWorkspace

pytestmark = pytest.mark.slow

# A refusal of the words (2), of the data (7), or of the work (9).
REFUSALS = (2, 7, 9)
OVERHEAD_SECONDS = 30.0  # on a shared machine; the budgets' own tests are stricter


def learned(table: Hostile, folder: Path) -> AutoMLOutcome:
    """What `opsml train automl FILE` does, in this process: register, check, read, train."""
    path = folder / f"table.{table.form}"
    path.write_text(table.text(), encoding="utf-8")
    workspace = LocalWorkspace(folder / ".opsml")
    spec = resolve(replace(table.spec, data=TableSource(path=str(path))), workspace.data, dry_run=False).spec
    assert spec.data.asset is not None
    asset = workspace.data.locate(spec.data.asset)[1]
    return train(spec, Tables(workspace.data.frame(spec.data.asset), profile=asset.profile), folder / "job", Quiet())


def scored(scorer: OwnScorer, rows: list[dict[str, object]]) -> object:
    """The reply's content, as a server makes it. BadRequest."""
    proba = bool(scorer.classes)
    body = {"Inputs": {"data": rows}, "GlobalParameters": {"method": "predict_proba" if proba else "predict"}}
    call = read_call(json.loads(json.dumps(body)), scorer.schema)
    return call.reply(scorer.score(call.rows, call.proba))


def check(table: Hostile, folder: Path) -> str:
    """How it ended, in a word; AssertionError, or whatever else was raised, when it did not end as it must."""
    started = time.monotonic()
    try:
        outcome = learned(table, folder)
    except OpsmlError as error:
        assert error.message and "\n" not in error.message and error.exit_code in REFUSALS
        return f"refused with {error.exit_code}"
    finally:
        assert time.monotonic() - started < table.spec.limits.timeout_seconds * 1.1 + OVERHEAD_SECONDS
    assert outcome.best is not None
    model = OwnScorer(folder / "job" / "outputs" / "model" / "data" / "data")
    for content in (folder / "job" / "outputs").glob("*.json"):
        json.loads(content.read_text(encoding="utf-8"))
    names = [column.name for column in model.schema.columns]
    draw = random.Random(len(names))
    for rows in ([hostile_row(names, draw)] for _ in range(20)):
        _scored_or_refused(model, rows)
    _scored_or_refused(model, [hostile_row(names, draw) for _ in range(30)])
    example = scored(model, [model.schema.example()] * 2)
    assert json.loads(json.dumps(example, allow_nan=False))
    return "a model"


def _scored_or_refused(model: OwnScorer, rows: list[dict[str, object]]) -> None:
    try:
        reply = scored(model, rows)
    except BadRequest as error:
        json.loads(error.body())
        return
    results = reply["Results"]  # type: ignore[index]
    assert len(results) == len(rows) and np.isfinite(np.asarray(results, dtype=np.float64)).all()


@settings(max_examples=100, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck))
@given(table=tables())
def test_a_hundred_hostile_tables_end_in_a_model_or_a_clear_error(table: Hostile) -> None:
    faulthandler.dump_traceback_later(120, exit=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            event(check(table, Path(folder)))
    finally:
        faulthandler.cancel_dump_traceback_later()


def _train(frame: pd.DataFrame, folder: Path, seconds: float, **wishes: Any) -> AutoMLOutcome:
    """As `learned`, of a frame; the budget is kept."""
    path = folder / "table.parquet"
    frame.to_parquet(path)
    workspace = LocalWorkspace(folder / ".opsml")
    asked = AutoMLSpec(TableSource(path=str(path)), TARGET, limits=Limits(seconds), **wishes)
    spec = resolve(asked, workspace.data, dry_run=False).spec
    assert spec.data.asset is not None
    profile = workspace.data.locate(spec.data.asset)[1].profile
    table = workspace.data.frame(spec.data.asset)
    started = time.monotonic()
    outcome = train(spec, Tables(table, profile=profile), folder / "job", Quiet())
    assert time.monotonic() - started < seconds * 1.1 + OVERHEAD_SECONDS
    assert outcome.best is not None
    return outcome


def test_ten_thousand_columns_keep_the_budget(tmp_path: Path) -> None:
    draw = np.random.default_rng(4)
    frame = pd.DataFrame(draw.normal(size=(300, 9_999)), columns=[f"gene {place}" for place in range(9_999)])
    frame[TARGET] = np.where(frame["gene 5"] + frame["gene 77"] + draw.normal(size=300) * 0.3 > 0, "ill", "well")
    outcome = _train(frame, tmp_path, 60.0)
    assert outcome.best is not None and outcome.best.metrics["AUC_weighted"] > 0.6


def test_two_hundred_classes_keep_the_budget(tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    place = draw.normal(size=(200, 2)) * 10
    label = draw.integers(0, 200, 4000)
    frame = pd.DataFrame(place[label] + draw.normal(size=(4000, 2)) * 0.3, columns=["east", "north"])
    frame[TARGET] = [f"station {each}" for each in label]
    outcome = _train(frame, tmp_path, 30.0, metric="accuracy")
    assert outcome.best is not None and outcome.best.metrics["accuracy"] > 0.5
