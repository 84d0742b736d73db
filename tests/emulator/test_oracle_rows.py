"""Every row of the recorded answers has a test that bears its number."""

from __future__ import annotations

import re
from pathlib import Path

ROWS = range(1, 77)
# Those whose recording is of October 2023 or newer, and was read: their tests are no expectations.
RECENT = {1, 2, 4, 5, 6, 8, 9, *range(11, 14), *range(15, 23), 24, 25, 26, 28, 30, *range(37, 41), 48, 58, 59, 70, 71, 73, 76}
_TEST = re.compile(r"^    def test_rows?_((?:\d+_|and_|to_)+)\w+\(.*?(?=^    def |^class |\Z)", re.MULTILINE | re.DOTALL)


def by_row() -> dict[int, list[str]]:
    """The text of the tests of each row."""
    found: dict[int, list[str]] = {}
    for path in sorted(Path(__file__).parent.glob("test_oracle*.py")):
        for test in _TEST.finditer(path.read_text()):
            numbers = {int(each) for each in re.findall(r"\d+", test[1])}
            if "to_" in test[1]:
                numbers |= set(range(min(numbers), max(numbers) + 1))
            for number in numbers:
                found.setdefault(number, []).append(test.group())
    return found


def test_every_row_has_a_test() -> None:
    assert sorted(by_row()) == list(ROWS)


def test_what_is_an_expectation_says_so_and_nothing_else_does() -> None:
    doubted = {row for row, tests in by_row().items() if any("# Expectation" in test for test in tests)}
    assert doubted == set(ROWS) - RECENT
