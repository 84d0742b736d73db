"""The pytest plugin under which the SDK's own tests run: their missing fixtures, shorter waits, and a report to a file.

It is loaded with `-p peer_plugin` in the process that run.py starts; the environment says where the emulator stands."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from devtools_testutils.proxy_fixtures import EnvironmentVariables, VariableRecorder

pytest_plugins = ("pytest_mock",)

# The tests sleep up to a minute for Azure's index or its trainings; here the index does not lag.
LONGEST_SLEEP = float(os.environ.get("PEER_LONGEST_SLEEP", "1"))
# A test of an Azure service may hang for its own 20-40 minutes; nothing here takes that long.
TEST_SECONDS = int(os.environ.get("PEER_TEST_SECONDS", "180"))
_sleep = time.sleep


def _shorter(seconds: float) -> None:
    _sleep(min(seconds, LONGEST_SLEEP))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "timeout: of pytest-timeout; this plugin has its own")
    config.addinivalue_line("markers", "mlc: of the SDK's tests")
    time.sleep = _shorter


@pytest.fixture(scope="session")
def test_proxy() -> None:
    """The recorder's proxy: nothing is recorded."""


@pytest.fixture
def recorded_test() -> None:
    """The recording of one test: nothing is recorded."""


@pytest.fixture
def variable_recorder() -> VariableRecorder:
    return VariableRecorder()


@pytest.fixture
def environment_variables() -> EnvironmentVariables:
    return EnvironmentVariables({name: value for name, value in os.environ.items() if name.startswith("ML_")})


class _Late(Exception):
    pass


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A limit for each test, told as its failure."""

    def late(_: int, __: FrameType | None) -> None:
        raise _Late(f"not done within {TEST_SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(TEST_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


_report = threading.Lock()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """One line for each phase that decides a test's result."""
    if report.when != "call" and report.outcome == "passed":
        return
    if isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2])
    else:
        crash: Any = getattr(report.longrepr, "reprcrash", None)
        reason = crash.message if crash else report.longreprtext
    line = {"test": report.nodeid, "when": report.when, "outcome": report.outcome, "reason": reason[:4000],
            "seconds": round(report.duration, 2)}  # fmt: skip
    with _report, Path(os.environ["PEER_REPORT"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
