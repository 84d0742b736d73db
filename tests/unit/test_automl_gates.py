"""Gates are parsed or refused, and judged on the test metrics."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.gates import GateKind, evaluate, parse_gate
from opsml_cli.domain.job import AutoMLOutcome, BestTrial, Guardrail
from opsml_cli.domain.metric_names import EVERY

OUTCOME = AutoMLOutcome(
    metric="AUC_weighted",
    best=BestTrial("3", "LightGBM", {"AUC_weighted": 0.99}),
    guardrails=(Guardrail("Target leakage", "warning", "'duration' alone reaches AUC 0.812"),),
    test_metrics={"AUC_weighted": 0.95, "log_loss": 0.17},
    baseline_metrics={"AUC_weighted": 0.5},
)


@given(
    st.sampled_from(EVERY),
    st.sampled_from([">=", "<=", ">", "<"]),
    st.decimals(min_value=-1000, max_value=1000, places=4, allow_nan=False),
    st.sampled_from(["", " ", "  "]),
)
def test_comparisons_are_read_back(metric: str, comparator: str, value: object, gap: str) -> None:
    gate = parse_gate(f"{gap}{metric.lower()}{gap}{comparator}{gap}{value}{gap}")
    assert (gate.kind, gate.metric, gate.comparator, gate.value) == (GateKind.METRIC, metric, comparator, float(str(value)))


@given(st.text(max_size=60))
def test_any_text_is_a_gate_or_a_usage_error(text: str) -> None:
    try:
        gate = parse_gate(text)
    except UsageError:
        return
    assert gate.text == text


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("AUC_weighted>=0.95", True),
        ("AUC_weighted > 0.95", False),
        ("auc>=0.951", False),
        ("log_loss<0.2", True),
        ("log_loss<0.1", False),
        ("AUC_weighted>=baseline+0.45", True),
        ("AUC_weighted>=baseline + 0.46", False),
        ("no leakage", False),
        ("No-Leakage", False),
        ("accuracy>=0.5", False),
    ],
)
def test_gates_are_judged_on_the_test_metrics(text: str, passed: bool) -> None:
    verdict = evaluate(parse_gate(text), OUTCOME, None)
    assert verdict.passed is passed
    assert verdict.detail


def test_the_deployed_model_is_what_better_is_measured_against() -> None:
    assert evaluate(parse_gate("better than the deployed model"), OUTCOME, None).passed
    assert evaluate(parse_gate("better than deployed"), OUTCOME, {"AUC_weighted": 0.94}).passed
    assert not evaluate(parse_gate("better than deployed"), OUTCOME, {"AUC_weighted": 0.96}).passed
    assert not evaluate(parse_gate("AUC_weighted>=deployed-0.005"), OUTCOME, {"AUC_weighted": 0.96}).passed
    assert evaluate(parse_gate("AUC_weighted>=deployed-0.02"), OUTCOME, {"AUC_weighted": 0.96}).passed


@pytest.mark.parametrize("text", ["", "AUC", "AUC>=", "AUC_weighted=0.9", "AUC_weightd>=0.9", "AUC_weighted>=0.9x", "no leaks"])
def test_what_is_no_gate_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_gate(text)
