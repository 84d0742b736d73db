"""A compiled model as the server runs it, and the proof that it may."""

from __future__ import annotations

import copy
import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from opsml_cli.domain.column_values import shown, written
from opsml_cli.domain.contract import BadRequest, Schema

from .artifact import Artifact
from .compiling import PROOF, schema_of
from .evaluator.blocks import Block, Refusal
from .evaluator.inputs import Inputs
from .evaluator.predictors import NoProbabilitiesError, predictor
from .row import short_way

if TYPE_CHECKING:
    from opsml_cli.local.serving.single_row import SingleRow

QUICK_SECONDS = 0.0005  # one row must take no longer, for the event loop
TOLERANCE = 1e-9  # of a probability or value, relative where it is above 1
SINGLE_TOLERANCE = 2e-6  # where the original computes in float32


class UnequalError(Exception):
    """The compiled form answers otherwise than its original; the text says where."""


class CompiledScorer:
    """A foreign model from its compiled form: satisfies `Scorer`. No code of the model runs."""

    quick = True
    single: SingleRow | None = None

    def __init__(self, folder: Path) -> None:
        self.artifact = artifact = Artifact(folder)
        self._document = artifact.document
        self.inputs = Inputs(self._document["columns"])
        self.predictor = predictor(self._document["predictor"], artifact, self.inputs.outputs)
        self.schema: Schema = schema_of(self._document["columns"])
        fields = ("name", "type", "required")
        self.signature = {"inputs": [{field: column[field] for field in fields} for column in self._document["columns"]]}
        known = self.predictor.classes
        self._classes = known
        self.classes: tuple[object, ...] = tuple(known) if known is not None else ()
        self.proba_only = self._document["method"] == "predict_proba"
        self.tolerance = SINGLE_TOLERANCE if self._document["single"] else TOLERANCE

    def score(self, rows: Sequence[dict[str, Any]], proba: bool) -> list[Any]:
        with np.errstate(
            all="ignore"
        ):  # numbers beyond float32 and the like: refused by name, or answered as the original does
            return self._score(rows, proba)

    def _score(self, rows: Sequence[dict[str, Any]], proba: bool) -> list[Any]:
        try:
            return self._results(self.inputs.read(rows), proba)
        except Refusal as refusal:
            raise self._refused(refusal, rows) from None

    def score_columns(self, columns: Sequence[Sequence[Any]], proba: bool) -> list[Any]:
        """As `score`, of plain values by column. ValueError for what only `score` can answer, or refuse."""
        with np.errstate(all="ignore"):
            try:
                return self._results(self.inputs.read_columns(columns), proba)
            except (Refusal, BadRequest) as refusal:
                raise ValueError from refusal

    def _results(self, block: Block, proba: bool) -> list[Any]:
        try:
            classes = self._classes
            if proba or self.proba_only:
                if classes is None:
                    raise BadRequest("this model gives no probabilities", expected="method predict")
                found: list[Any] = self.predictor.proba(block).tolist()
                return found
            if classes is not None:
                return [classes[code] for code in self.predictor.codes(block).tolist()]
            values = self.predictor.values(block)
        except NoProbabilitiesError:
            raise BadRequest("this model gives no probabilities", expected="method predict") from None
        listed = values.tolist()
        return listed if math.isfinite(values.sum()) else [_finite(value) for value in listed]

    def _refused(self, refusal: Refusal, rows: Sequence[Mapping[str, Any]]) -> BadRequest:
        name = self.inputs.names[refusal.column]
        value = rows[refusal.row].get(name)
        return BadRequest(
            f"column {name!r}, row {refusal.row}: the model refuses {written(value)}; it takes {refusal.expected}",
            row=refusal.row,
            column=name,
            value=shown(value),
            expected=refusal.expected,
        )


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def load(folder: Path) -> CompiledScorer:
    """The compiled model in `folder`, once it has answered every case of its proof as its original did.

    UnequalError otherwise."""
    scorer = CompiledScorer(folder)
    cases = json.loads((folder / PROOF).read_text(encoding="utf-8"))["cases"]
    prove(scorer, cases)
    scorer.single = short_way(scorer, scorer.artifact, cases)
    return scorer


def prove(scorer: CompiledScorer, cases: Sequence[Mapping[str, Any]]) -> int:
    """How many rows were compared; UnequalError for the first that differs. Also measures whether one row is quick."""
    compared = 0
    answered: list[dict[str, Any]] = []
    for case in cases:
        rows = copy.deepcopy(case["rows"])
        scorer.schema.check(rows)
        for alone in [rows] if len(rows) == 1 else [rows, *([row] for row in rows[:64])]:
            part = slice(0, len(rows)) if alone is rows else slice(rows.index(alone[0]), rows.index(alone[0]) + 1)
            if alone is not rows and any(value is None for value in alone[0].values()):
                continue  # alone, a missing value may be another one for the original: such rows have cases of their own
            _compare(scorer, alone, case, part)
            compared += len(alone)
        if case["error"] is None:
            answered.append(rows[0])
    if not answered:
        raise UnequalError(f"the original answers no row that was tried: {cases[0]['error'] if cases else 'none was tried'}")
    scorer.quick = _seconds(scorer, answered[:20]) < QUICK_SECONDS
    return compared


def _compare(scorer: CompiledScorer, rows: list[dict[str, Any]], case: Mapping[str, Any], part: slice) -> None:
    try:
        results = _finite(scorer.score(rows, False))
        probabilities = _finite(scorer.score(rows, True)) if case["probabilities"] is not None else None
    except BadRequest as refusal:
        if case["error"] is None:
            raise UnequalError(f"it refuses what the original answers: {refusal.message}") from refusal
        return
    if case["error"] is not None:
        raise UnequalError(f"it answers what the original refuses with {case['error'][:200]}: {_changed(case['rows'])}")
    for index, (mine, theirs) in enumerate(zip(results, case["results"][part], strict=True)):
        if not _equal(mine, theirs, scorer.tolerance):
            raise UnequalError(f"it predicts {mine!r}, the original {theirs!r}, for {_changed(rows[index : index + 1])}")
    if probabilities is not None:
        for index, (mine, theirs) in enumerate(zip(probabilities, case["probabilities"][part], strict=True)):
            if not _equal(mine, theirs, scorer.tolerance):
                raise UnequalError(
                    f"its probabilities are {mine!r}, the original's {theirs!r}, for {_changed(rows[index : index + 1])}"
                )


def _equal(mine: Any, theirs: Any, tolerance: float) -> bool:
    if isinstance(mine, list) and isinstance(theirs, list):
        return len(mine) == len(theirs) and all(_equal(a, b, tolerance) for a, b in zip(mine, theirs, strict=True))
    if type(mine) is float and type(theirs) is float:
        return abs(mine - theirs) <= tolerance * max(1.0, abs(theirs))
    return type(mine) is type(theirs) and bool(mine == theirs)


def _changed(rows: Sequence[Mapping[str, Any]]) -> str:
    text = json.dumps(rows[0] if rows else {}, default=str)
    return text if len(text) <= 400 else text[:400] + "…"


def _seconds(scorer: CompiledScorer, rows: Sequence[dict[str, Any]]) -> float:
    """What one row takes: the median of calls with one row each."""
    found = []
    for _ in range(3):
        for row in rows:
            started = time.perf_counter()
            scorer.score([row], False)
            found.append(time.perf_counter() - started)
    return statistics.median(found)
