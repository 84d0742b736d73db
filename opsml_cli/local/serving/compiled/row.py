"""The short way of a compiled model: what each number of its last block is, as a function of one input column.

Texts are tabulated: the compiled transformers themselves are asked for every category that they know. Numbers are followed
through arithmetic and imputers. A pipeline with anything else (projections, interactions, bins) has no short way."""

from __future__ import annotations

import ctypes
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from opsml_cli.domain.contract import BadRequest
from opsml_cli.local.serving.single_row import BooleanColumn, CategoryColumn, Column, Number, NumberColumn, RowCoder, SingleRow

from .evaluator.blocks import Block, Refusal
from .evaluator.predictors import After, NoProbabilitiesError, Predictor, Scored
from .evaluator.raws import Boosted

if TYPE_CHECKING:
    from .artifact import Artifact
    from .scorer import CompiledScorer

MOST_CATEGORIES = 5000
_SINGLE = 1e30  # numbers below it stay within float32, whatever rounds them
_OPERATORS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
_WHOLE = {"long": 2.0**63, "integer": 2.0**31}
_FILL, _NO_NAN, _WITHIN_SINGLE = "fill", "no nan", "within float32"


class UntraceableError(Exception):
    """The pipeline does something that the short way does not know."""


@dataclass(frozen=True, slots=True)
class _Trace:
    """A feature on its way: the input column `source`, and for a number its `steps`; `text`: it is, or was made of, a text."""

    source: int
    text: bool
    steps: tuple[tuple[str, float], ...] = ()


class _Walk:
    """Follows the features through the transformers of a document; collects the categories that tables know."""

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact
        self.categories: dict[int, dict[str, None]] = {}

    def through(self, document: Mapping[str, Any], traces: Sequence[_Trace]) -> list[_Trace]:
        kind = document["op"]
        if kind == "chain":
            for step in document["steps"]:
                traces = self.through(step, traces)
            return list(traces)
        if kind == "parallel":
            return [each for part in document["parts"] for each in self.through(part, traces)]
        if kind == "select":
            return [traces[index] for index in document["picks"]]
        known = {"fill": self._fill, "arithmetic": self._arithmetic, "check": self._check}
        if kind in known:
            return known[kind](document, traces)
        if kind in ("table", "positions"):
            return self._tables(document, traces)
        raise UntraceableError(kind)

    def _fill(self, document: Mapping[str, Any], traces: Sequence[_Trace]) -> list[_Trace]:
        if document["indicators"]:
            raise UntraceableError("indicators of missing values")
        found = []
        for trace, value, kept in zip(traces, document["values"], document["kept"], strict=True):
            if kept and trace.text:
                found.append(trace)
            elif kept:
                if not document["missing"].get("nan"):
                    raise UntraceableError("a marker of missing numbers")
                found.append(replace(trace, steps=(*trace.steps, (_FILL, float(value)))))
        return found

    def _arithmetic(self, document: Mapping[str, Any], traces: Sequence[_Trace]) -> list[_Trace]:
        found = list(traces)
        for name, values in document["steps"]:
            if name not in _OPERATORS:
                raise UntraceableError(name)
            constants = np.broadcast_to(self._artifact.array(values), (len(found),)).tolist()
            found = [
                each if each.text else replace(each, steps=(*each.steps, (_OPERATORS[name], constant)))
                for each, constant in zip(found, constants, strict=True)
            ]
        return found

    @staticmethod
    def _check(document: Mapping[str, Any], traces: Sequence[_Trace]) -> list[_Trace]:
        marks = [(_NO_NAN, 0.0)] * (not document["nan"]) + [(_WITHIN_SINGLE, 0.0)] * bool(document["single"])
        return [each if each.text else replace(each, steps=(*each.steps, *marks)) for each in traces]

    def _tables(self, document: Mapping[str, Any], traces: Sequence[_Trace]) -> list[_Trace]:
        found = []
        for column, trace in zip(document["columns"], traces, strict=True):
            if not trace.text:
                raise UntraceableError("categories that are numbers")
            self.categories.setdefault(trace.source, {}).update(dict.fromkeys(column["keys"]))
            width = column["width"] if document["op"] == "positions" else self._artifact.array(column["table"]).shape[1]
            found += [trace] * width
        return found


def short_way(scorer: CompiledScorer, artifact: Artifact, cases: Sequence[Mapping[str, Any]]) -> SingleRow | None:
    """None for a model without one, and for one whose short way differs from its general one on a row of `cases`."""
    try:
        made = _made(scorer, artifact, cases)
    except UntraceableError:
        return None
    return made if _agree(made, scorer, cases) else None


def _made(scorer: CompiledScorer, artifact: Artifact, cases: Sequence[Mapping[str, Any]]) -> SingleRow:
    document = artifact.document
    columns = document["columns"]
    traces = [_Trace(index, column["type"] == "string") for index, column in enumerate(columns)]
    walk = _Walk(artifact)
    last = scorer.predictor
    if document["predictor"]["op"] == "after":
        traces = walk.through(document["predictor"]["first"], traces)
    base = next((dict(case["rows"][0]) for case in cases if case["error"] is None), None)
    if base is None:
        raise UntraceableError("no row that it answers")
    places: dict[int, int] = {}  # of each output among those of its column
    order, outputs = [], [[] for _ in columns]  # type: tuple[list[tuple[int, int]], list[list[int]]]
    for place, trace in enumerate(traces):
        places[place] = len(outputs[trace.source])
        outputs[trace.source].append(place)
        order.append((trace.source, places[place]))
    if isinstance(last, After):
        if [(feature.kind, feature.place) for feature in last.outputs] != [("n", place) for place in range(len(traces))]:
            raise UntraceableError("texts behind the transformers")
    elif any(trace.text for trace in traces):
        raise UntraceableError("a model that reads texts")
    coded = [
        _tabulated(scorer, base, column, walk.categories.get(index, {}), outputs[index])
        if column["type"] == "string"
        else _number(column, [traces[place].steps for place in outputs[index]])
        for index, column in enumerate(columns)
    ]
    coder = RowCoder(coded, order)
    final = last.then if isinstance(last, After) else last
    labels = [each for each in final.classes or () if isinstance(each, str)]
    complete = len(labels) == len(final.classes or ())
    known = _Probability(final, coder) if _is_probability(final) else None
    return SingleRow(coder, known or _General(scorer, final, coder), labels if complete and not scorer.proba_only else ())


def _tabulated(
    scorer: CompiledScorer,
    base: Mapping[str, Any],
    column: Mapping[str, Any],
    known: Mapping[str, None],
    outputs: Sequence[int],
) -> Column:
    """What every category becomes, by the transformers themselves, each in a row of its own."""
    if len(known) > MOST_CATEGORIES or not isinstance(scorer.predictor, After):
        raise UntraceableError("too many categories")
    tables: list[dict[str | None, float]] = [{} for _ in outputs]
    for value in (*known, None):
        try:
            numbers = scorer.predictor.run(scorer.inputs.read([{**base, column["name"]: value}])).numbers[0]
        except Refusal:
            continue
        for table, place in zip(tables, outputs, strict=True):
            table[value] = float(numbers[place])
    # A column that nothing reads takes what its categories would be: nobody knows them.
    if not tables:
        raise UntraceableError("a text that nothing reads")
    return CategoryColumn(column["name"], tuple(tables))


def _number(column: Mapping[str, Any], outputs: Sequence[Sequence[tuple[str, float]]]) -> Column:
    kind, nullable = column["type"], column["null"] != "refused"
    if kind == "boolean":
        if any(step[0] in _OPERATORS.values() for steps in outputs for step in steps) or len(outputs) > 1 or nullable:
            raise UntraceableError("a boolean that is computed with")
        return BooleanColumn(column["name"], None)
    if kind not in ("double", *_WHOLE):
        raise UntraceableError(kind)
    bound, numbers = _WHOLE.get(kind, 1e300), []
    for steps in outputs:
        if any(name == _WITHIN_SINGLE for name, _ in steps):
            bound = min(bound, _SINGLE)
        missing = _value(math.nan, steps)
        nullable = nullable and missing is not None
        plain = tuple(step for step in steps if step[0] in _OPERATORS.values())
        numbers.append(Number(plain, math.nan if missing is None else missing))
    for steps in outputs:
        if any(_value(each, steps) is None for each in (bound, -bound)):
            raise UntraceableError("numbers that may overflow")
    return NumberColumn(column["name"], tuple(numbers), whole=kind in _WHOLE, nullable=nullable, bound=bound)


def _value(value: float, steps: Sequence[tuple[str, float]]) -> float | None:
    """What `steps` make of a number; None where a check refuses it."""
    for name, constant in steps:
        if name == _FILL:
            value = constant if math.isnan(value) else value
        elif (name == _NO_NAN and math.isnan(value)) or (name == _WITHIN_SINGLE and abs(value) > 3e38):
            return None
        elif name == "+":
            value += constant
        elif name == "-":
            value -= constant
        elif name == "*":
            value *= constant
        elif name == "/":
            if constant == 0.0:
                return None
            value /= constant
        if math.isinf(value):
            return None
    return value


def _is_probability(final: Predictor) -> bool:
    return (
        isinstance(final, Scored)
        and isinstance(final.raw, Boosted)
        and final.raw.plain
        and (final.link, final.decide) == ("pair", "probable")
    )


class _Probability:
    """One booster that gives the second class's probability."""

    def __init__(self, final: Any, coder: RowCoder) -> None:
        self._first, self._second = final.classes
        self._row = final.raw.booster.row
        self._matrix = coder.matrix
        self._pointer = ctypes.c_void_p(coder.matrix.ctypes.data)
        self._lock = final.raw.lock

    def _share(self) -> float:
        with self._lock:
            return float(self._row(self._pointer)[0])

    def label(self) -> object:
        share = self._share()
        return self._second if share > 1 - share else self._first

    def probabilities(self) -> list[float]:
        share = self._share()
        return [1 - share, share]


class _General:
    """Any last step, asked for the coded row."""

    def __init__(self, scorer: CompiledScorer, final: Predictor, coder: RowCoder) -> None:
        self._final = final
        self._block = Block(1, coder.matrix)
        self._proba_only = scorer.proba_only

    def label(self) -> object:
        if self._proba_only:
            return self.probabilities()
        try:
            with np.errstate(all="ignore"):  # as in the general way
                value = self._value()
        except (Refusal, NoProbabilitiesError) as refusal:
            raise LookupError from refusal
        if isinstance(value, list) or (isinstance(value, float) and not math.isfinite(value)):
            raise LookupError
        return value

    def _value(self) -> object:
        if self._final.classes is not None:
            return self._final.classes[int(self._final.codes(self._block)[0])]
        found: object = self._final.values(self._block).tolist()[0]
        return found

    def probabilities(self) -> list[float]:
        if self._final.classes is None:
            raise LookupError("a regression model has no probabilities")
        try:
            with np.errstate(all="ignore"):
                row: list[float] = self._final.proba(self._block)[0].tolist()
        except (Refusal, NoProbabilitiesError) as refusal:
            raise LookupError from refusal
        return row


def _agree(made: SingleRow, scorer: CompiledScorer, cases: Sequence[Mapping[str, Any]]) -> bool:
    """Whether both ways say the same of every row that the short one answers."""
    for case in cases:
        for row in case["rows"]:
            for options, proba in ((None, False), ({"method": "predict_proba"}, True)):
                body = json.dumps({"input_data": [row], "params": options}).encode()
                answer = made.answer(body)
                if answer is None:
                    continue
                try:
                    rows = [dict(row)]
                    scorer.schema.check(rows)
                    if json.loads(answer) != scorer.score(rows, proba):
                        return False
                except BadRequest:
                    return False
    return True
