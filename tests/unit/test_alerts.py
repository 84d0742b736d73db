"""Conditions and alert rules: their words, what they say of figures, and the local service that looks at them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import until

from opsml_cli.domain.alert import AlertState, Condition, Measure, parse_alert, parse_condition, parse_objectives
from opsml_cli.domain.errors import GateError, NotFoundError, UsageError
from opsml_cli.domain.insights import Latency, LogQuery, RequestStats
from opsml_cli.local import alerts, endpoint_records
from opsml_cli.local.clock import now
from opsml_cli.local.log_stream import SERVER_FOLDER
from opsml_cli.local.workspace import LocalWorkspace
from opsml_cli.services import alerts as services

CONDITIONS = st.builds(
    Condition,
    measure=st.sampled_from(list(Measure)),
    comparator=st.sampled_from([">", ">=", "<", "<="]),
    threshold=st.decimals(0, 10**6, places=3).map(float),
    window_seconds=st.integers(1, 86400).map(float),
)


@given(CONDITIONS)
def test_what_a_condition_says_is_read_back(condition: Condition) -> None:
    assert parse_condition(str(condition)) == condition
    assert set(condition.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_")


@given(CONDITIONS, st.floats(0, 1e7))
def test_a_value_is_on_one_side(condition: Condition, value: float) -> None:
    opposite = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}[condition.comparator]
    other = Condition(condition.measure, opposite, condition.threshold, condition.window_seconds)
    assert condition.holds(value) is not other.holds(value)


def test_words() -> None:
    assert str(parse_alert("P95 > 0.1s for 5m")) == "p95>100ms for 5m"
    assert str(parse_alert("errors>1")) == "errors>1% for 5m"
    assert str(parse_alert("requests<1 for 1h")) == "requests<1 for 1h"
    assert [str(each) for each in parse_objectives("p95<50ms,errors<1% for 90s", 60)] == [
        "p95<50ms for 1m",
        "errors<1% for 1m30s",
    ]


WRONG = "p95|p95>|p95>100|p95>100%|errors>1ms|failures>1%|p96>1ms|p95>1ms for|p95>1ms for x|p95>-1ms|"


@pytest.mark.parametrize("text", WRONG.split("|"))
def test_what_is_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_condition(text)


def test_an_alert_that_fires_while_all_is_well_is_refused() -> None:
    for text in ("p95<100ms", "errors<=1%", "failures<3"):
        with pytest.raises(UsageError, match="while all is well"):
            parse_alert(text)


def test_values() -> None:
    stats = RequestStats("bank", 60.0, 200, 3, Latency(1.0, 20.0, 30.0))
    found = {text: parse_condition(f"{text}>1{unit}").value(stats) for text, unit in (
        ("p50", "ms"), ("p95", "ms"), ("p99", "ms"), ("errors", "%"), ("failures", ""), ("requests", ""), ("rate", "/s")
    )}  # fmt: skip
    assert found == {"p50": 1.0, "p95": 20.0, "p99": 30.0, "errors": 1.5, "failures": 3.0, "requests": 200.0, "rate": 200 / 60}
    nothing = RequestStats("bank", 60.0, 0, 0, Latency(None, None, None))
    assert parse_condition("p95>1ms").value(nothing) is None
    assert parse_condition("errors>1%").value(nothing) is None


@pytest.fixture
def bank(workspace: LocalWorkspace) -> Iterator[LocalWorkspace]:
    """The endpoint `bank`, without a server."""
    with workspace.store.write() as connection:
        endpoint_records.save(connection, endpoint_records.EndpointRecord("0" * 16, "bank", now(), desired="stopped"))
    try:
        yield workspace
    finally:
        workspace.service.down(jobs=False, dry_run=False)


def answered(workspace: LocalWorkspace, status: int, duration_ms: float, count: int = 1) -> None:
    """Requests that the endpoint has just answered, as its server records them."""
    folder = workspace.layout.endpoint("bank") / "telemetry"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "0001-1.jsonl").open("a") as file:
        for _ in range(count):
            file.write(json.dumps([time.time() - duration_ms / 1000.0, "blue", status, duration_ms, 10, 10, "test"]) + "\n")


def test_rules_are_made_once_and_deleted(bank: LocalWorkspace) -> None:
    rule = parse_alert("p95>100ms for 5m")
    assert not bank.alerts.create("bank", rule).unchanged
    assert bank.alerts.create("BANK", rule).unchanged
    assert [alert.name for alert in bank.alerts.list("bank")] == ["p95-gt-100-5m"]
    with pytest.raises(NotFoundError):
        bank.alerts.delete("bank", "p95-gt-200-5m")
    bank.alerts.delete("bank", "P95-gt-100-5m")
    assert not bank.alerts.list("bank")
    for call in (bank.alerts.list, lambda name: bank.alerts.create(name, rule), lambda name: bank.alerts.delete(name, "x")):
        with pytest.raises(NotFoundError):
            call("nobody")


def test_a_change_is_told_in_the_log_once(bank: LocalWorkspace) -> None:
    rule = parse_alert("p95>100ms for 10m")
    bank.alerts.create("bank", rule)
    bank.service.down(jobs=False, dry_run=False)
    bank.alerts.look()
    assert bank.alerts.list("bank")[0].state is AlertState.NO_DATA
    answered(bank, 200, 250.0)
    bank.alerts.look()
    bank.alerts.look()
    (alert,) = bank.alerts.list("bank")
    assert (alert.state, alert.value) == (AlertState.FIRING, 250.0)
    answered(bank, 200, 5.0, 200)
    bank.alerts.look()
    assert bank.alerts.list("bank")[0].state is AlertState.OK
    told = [(line.level, line.kind, line.message) for line in bank.insights.logs("bank", LogQuery(kind="alert"))]
    assert told == [
        ("warning", "alert", "alert p95>100ms for 10m fires: p95 is 250ms"),
        ("info", "alert", "alert p95>100ms for 10m is over: p95 is 5ms"),
    ]
    found = services.watched(bank, "bank", 600.0)
    assert [each.name for each in found.alerts] == ["p95-gt-100-10m"]


def test_the_log_of_alerts_keeps_two_files_of_limited_size(bank: LocalWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "LOG_BYTES", 300)
    bank.alerts.create("bank", parse_alert("errors>50% for 10m"))
    bank.service.down(jobs=False, dry_run=False)
    for number in range(6):  # each time more requests than before together
        answered(bank, 200 if number % 2 else 500, 1.0, 4**number)
        bank.alerts.look()
    folder = bank.layout.endpoint("bank") / SERVER_FOLDER
    held = {path.name: len(path.read_text().splitlines()) for path in folder.glob("alerts*")}
    assert set(held) == {alerts.LOG, alerts.OLDER}
    assert all(count <= 3 for count in held.values()), held
    told = [line.message for line in bank.insights.logs("bank", LogQuery(kind="alert"))]
    assert len(told) == sum(held.values())
    assert told[-1].startswith("alert errors>50% for 10m is over")


def test_the_local_service_looks(bank: LocalWorkspace) -> None:
    answered(bank, 500, 1.0)
    bank.alerts.create("bank", parse_alert("errors>1%"))
    until(lambda: bank.alerts.list("bank")[0].state is AlertState.FIRING, 20)


def test_the_verdict(bank: LocalWorkspace) -> None:
    with pytest.raises(UsageError, match="nothing to check"):
        services.check(bank, "bank", (), 300.0)
    found, error = services.check(bank, "bank", ("p95<50ms",), 300.0)
    assert (found.ok, found.rules[0].detail) == (False, "no requests"), "nothing proves it"
    assert isinstance(error, GateError)
    answered(bank, 200, 20.0, 9)
    answered(bank, 500, 20.0)
    assert services.check(bank, "bank", ("p95<50ms,requests>=10",), 300.0)[1] is None
    found, error = services.check(bank, "bank", ("p95<50ms", "errors<1%"), 300.0)
    assert [(each.rule, each.ok, each.detail) for each in found.rules] == [
        ("p95<50ms for 5m", True, "p95 is 20ms"),
        ("errors<1% for 5m", False, "errors is 10%"),
    ]
    assert error is not None
    assert "errors<1% for 5m: errors is 10%" in error.message
    bank.alerts.create("bank", parse_alert("failures>0"))
    assert [each.kind for each in services.check(bank, "bank", (), 300.0)[0].rules] == ["alert"]
    assert services.check(bank, "bank", (), 300.0)[1] is not None


def test_rules_go_with_their_endpoint(bank: LocalWorkspace, tmp_path: Path) -> None:
    bank.alerts.create("bank", parse_alert("errors>1%"))
    with bank.store.write() as connection:
        endpoint_records.remove(connection, "bank")
    with bank.store.read() as connection:
        assert connection.execute("SELECT COUNT(*) FROM alerts").fetchone()[0] == 0
    bank.alerts.look()
