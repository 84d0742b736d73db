"""Bodies of requests are read strictly: wrong types and unknown enum values are 400 and name the member."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsml_cli.emulator.bodies import Body, duration_seconds, duration_text
from opsml_cli.emulator.wire import WireError


def test_null_is_not_there_and_unknown_members_are_ignored() -> None:
    body = Body({"mode": None, "other": {"deep": 1}})
    assert "mode" not in body
    assert body.text("mode") is None
    assert body.section("missing") is None


def test_enumerations_have_their_own_spelling() -> None:
    assert Body({"mode": "oFF"}).choice("mode", ("Auto", "Off")) == "Off"


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ({"mode": "Sometimes"}, lambda body: body.choice("mode", ("Auto", "Off"))),
        ({"mode": 3}, lambda body: body.text("mode")),
        ({}, lambda body: body.text("mode", required=True)),
        ({"mode": " "}, lambda body: body.text("mode", required=True)),
        ({"mode": "text"}, lambda body: body.section("mode")),
        ({"mode": True}, lambda body: body.integer("mode")),
        ({"mode": 0}, lambda body: body.integer("mode", least=1)),
        ({"mode": "5 minutes"}, lambda body: body.seconds("mode")),
        ({"mode": {"a": 1}}, lambda body: body.texts("mode")),
        ({"mode": ["a", 1]}, lambda body: body.words("mode")),
        ({"mode": float("inf")}, lambda body: body.number("mode")),
    ],
)
def test_a_refusal_names_the_member(value: dict[str, object], read: object) -> None:
    with pytest.raises(WireError) as caught:
        read(Body(value, "properties"))  # type: ignore[operator]
    assert caught.value.status == 400
    assert caught.value.message.startswith("properties.mode")
    assert caught.value.inner[0] == "BadArgument"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT10M", 600), ("P1DT1H", 90000), ("PT1.5S", 1.5), ("PT0S", 0), ("P", None), ("PT", None), ("10M", None)],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert duration_seconds(text) == seconds


@given(st.integers(0, 10**9).map(lambda value: value / 1000))
def test_a_written_duration_reads_back(seconds: float) -> None:
    assert duration_seconds(duration_text(seconds)) == pytest.approx(seconds, abs=1e-6)
