"""Gates: what a training must reach before anybody ships it. `--gate 'AUC_weighted>=0.93' --gate 'no leakage'`.

    GATE    := METRIC (">=" | ">" | "<=" | "<") BOUND | "no leakage" | "better than deployed"
    BOUND   := NUMBER | ("baseline" | "deployed") [("+" | "-") NUMBER]

Metrics are Azure's names, or the short forms auc, f1, rmse, mae, r2. They are read from the test metrics where the job has
them, else from the best trial's validation metrics. `deployed` stands for the model that an endpoint serves now; whoever
knows it hands in its metrics.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.domain.job import AutoMLOutcome
from opsml_cli.domain.metric_names import EVERY, higher_is_better

LEAKAGE_CHECK = "Target leakage"
_SHORT = {
    "auc": "AUC_weighted",
    "f1": "f1_score_weighted",
    "ap": "average_precision_score_weighted",
    "mcc": "matthews_correlation",
    "rmse": "root_mean_squared_error",
    "mae": "mean_absolute_error",
    "r2": "r2_score",
}
_COMPARISON = re.compile(
    r"\s*([A-Za-z][A-Za-z0-9_]*)\s*(>=|<=|>|<)\s*"
    r"(?:(baseline|deployed)\s*(?:([+-])\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?))?|([+-]?[0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?))\s*\Z",
    re.ASCII | re.IGNORECASE,
)
_NO_LEAKAGE = re.compile(r"no[\s_-]+leakage\Z", re.IGNORECASE)
_BETTER = re.compile(r"better[\s_-]+than[\s_-]+(?:the[\s_-]+)?deployed(?:[\s_-]+model)?\Z", re.IGNORECASE)


class GateKind(StrEnum):
    METRIC = "metric"
    LEAKAGE = "leakage"
    BETTER = "better"


@dataclass(frozen=True, slots=True)
class Gate:
    """A parsed gate. `metric`, `comparator`, `value` for a metric; `relative` is `baseline` or `deployed` where `value` is
    counted from theirs."""

    text: str
    kind: GateKind
    metric: str = ""
    comparator: str = ""
    value: float = 0.0
    relative: str | None = None

    @property
    def needs_deployed(self) -> bool:
        return self.kind is GateKind.BETTER or self.relative == "deployed"


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What a gate said, and the figures behind it."""

    gate: str
    passed: bool
    detail: str


def parse_gate(text: str) -> Gate:
    """Read one gate; UsageError naming what is wrong with it."""
    stripped = text.strip()
    if _NO_LEAKAGE.match(stripped):
        return Gate(text, GateKind.LEAKAGE)
    if _BETTER.match(stripped):
        return Gate(text, GateKind.BETTER)
    match = _COMPARISON.match(text)
    if match is None:
        raise UsageError(
            f"{text!r} is no gate",
            cause="expected a comparison, 'no leakage' or 'better than deployed'",
            fix="for example: --gate 'AUC_weighted>=0.93' --gate 'AUC_weighted>=baseline+0.1' --gate 'no leakage'",
        )
    word, comparator, relative, sign, offset, number = match.groups()
    metric = _metric(word, text)
    value = float(number) if number is not None else float(f"{sign or '+'}{offset}") if offset is not None else 0.0
    return Gate(text, GateKind.METRIC, metric, comparator, value, relative.lower() if relative else None)


def _metric(word: str, text: str) -> str:
    if word.casefold() in _SHORT:
        return _SHORT[word.casefold()]
    for name in EVERY:
        if name.casefold() == word.casefold():
            return name
    raise UsageError(f"the gate {text!r} names no metric that opsml knows: {word!r}", cause=did_you_mean(word, EVERY))


def evaluate(gate: Gate, outcome: AutoMLOutcome, deployed: Mapping[str, float] | None = None) -> GateVerdict:
    """The verdict on what training found. `deployed` are the metrics of the model served now, None when there is none: a
    gate that compares with it passes then. A metric that the job did not measure fails its gate."""
    if gate.kind is GateKind.LEAKAGE:
        found = [check for check in outcome.guardrails if check.check == LEAKAGE_CHECK and check.status != "passed"]
        return GateVerdict(gate.text, not found, "; ".join(check.detail for check in found) or "no sign of leakage")
    measured = outcome.test_metrics or (outcome.best.metrics if outcome.best else {})
    if gate.needs_deployed and deployed is None:
        return GateVerdict(gate.text, True, "nothing is deployed yet")
    if gate.kind is GateKind.BETTER:
        metric = outcome.metric or ""
        comparator = ">" if higher_is_better(metric) else "<"
        gate = Gate(gate.text, GateKind.METRIC, metric, comparator, 0.0, "deployed")
    return _compare(gate, outcome, measured, deployed or {})


def _compare(gate: Gate, outcome: AutoMLOutcome, measured: Mapping[str, float], deployed: Mapping[str, float]) -> GateVerdict:
    if gate.metric not in measured:
        return GateVerdict(gate.text, False, f"the job did not measure {gate.metric}")
    bound = gate.value
    said = ""
    if gate.relative is not None:
        others = deployed if gate.relative == "deployed" else (outcome.baseline_metrics or {})
        if gate.metric not in others:
            return GateVerdict(gate.text, False, f"{gate.metric} of the {gate.relative} model is not known")
        bound += others[gate.metric]
        said = f" ({gate.relative} {others[gate.metric]:.5f})"
    value = measured[gate.metric]
    passed = {">=": value >= bound, ">": value > bound, "<=": value <= bound, "<": value < bound}[gate.comparator]
    where = "on the test rows" if outcome.test_metrics else "in validation"
    return GateVerdict(gate.text, passed, f"{gate.metric} is {value:.5f} {where}; wanted {gate.comparator} {bound:.5f}{said}")
