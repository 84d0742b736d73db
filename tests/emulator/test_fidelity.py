"""At the pace `azure`: no hint of when to ask again, work that takes its time, states in between. The clock is a test's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from emulator_support import Emulated, MovedClock

VERSION = {"api-version": "2023-10-01"}


@pytest.fixture
def begun(emulate: Callable[..., Emulated]) -> tuple[Emulated, MovedClock, Any]:
    """An emulator at Azure's pace, its clock, and the first answer to a new online endpoint."""
    clock = MovedClock()
    emulator = emulate(pace="azure", clock=clock)
    with emulator.client() as client:
        region = client.get(emulator.ws).json()["location"]
        body = {"location": region, "properties": {"authMode": "Key"}}
        return emulator, clock, client.put(f"{emulator.ws}/onlineEndpoints/slow", params=VERSION, json=body)


def test_nobody_is_told_when_to_ask_again(begun: tuple[Emulated, MovedClock, Any]) -> None:
    emulator, _, first = begun
    with emulator.client(params={}) as client:
        poll = client.get(first.headers["azure-asyncoperation"])
    for answer in (first, poll):
        assert not {"retry-after", "retry-after-ms", "x-ms-retry-after-ms"} & set(answer.headers)


def test_an_endpoint_is_in_between_until_its_time_has_passed(begun: tuple[Emulated, MovedClock, Any]) -> None:
    emulator, clock, first = begun
    with emulator.client(params={}) as client:

        def poll() -> str:
            return str(client.get(first.headers["azure-asyncoperation"]).json()["status"])

        def shown() -> Any:
            return client.get(f"{emulator.ws}/onlineEndpoints/slow", params=VERSION).json()["properties"]

        assert (poll(), shown()["provisioningState"], shown()["scoringUri"]) == ("Updating", "Creating", None)
        # As on Azure, seconds do not suffice, minutes do.
        clock.move(5)
        assert poll() == "Updating"
        clock.move(600)
        assert poll() == "Succeeded"
        assert shown()["provisioningState"] == "Succeeded"
        assert shown()["scoringUri"].endswith("/score")


def test_a_signed_poll_address_that_was_changed_is_refused(begun: tuple[Emulated, MovedClock, Any]) -> None:
    emulator, _, first = begun
    address = first.headers["azure-asyncoperation"]
    assert len(address) > 1000
    with emulator.client(params={}) as client:
        assert client.get(address).status_code == 200
        assert client.get(address.replace("&s=", "&s=x")).status_code >= 400
