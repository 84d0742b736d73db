"""The SDK's own end-to-end tests against the emulator: what passes goes on passing, and what does not has its reason."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from reasons import why_failing
from run import CHECKOUT, run
from sdist import Unreachable, version
from suites import SUITES

PAGE = CHECKOUT / "docs" / "peer-tests.md"


@pytest.mark.long
@pytest.mark.parametrize("suite", SUITES)
def test_the_suite(suite: str) -> None:
    try:
        results = run([suite])
    except Unreachable as error:
        pytest.skip(str(error))
    assert any(each.outcome == "passed" for each in results), f"nothing passed: {results}"
    unexplained = [
        f"{each.test}: {each.reason[:300]}" for each in results if each.outcome == "failed" and not why_failing(each.test)
    ]
    assert not unexplained, "\n".join(unexplained)
    passing = [each.test for each in results if each.outcome == "passed" and why_failing(each.test)]
    assert not passing, f"these pass now: take their reasons away: {passing}"


def test_the_page_is_of_the_version_that_is_installed() -> None:
    assert f"`azure-ai-ml` {version()} " in PAGE.read_text(encoding="utf-8")
