"""The page docs/peer-tests.md: how many of the SDK's own tests pass, and why each of the rest does not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reasons import why_failing
from sdist import PACKAGE, version

if TYPE_CHECKING:
    from run import Result

OUTCOMES = ("passed", "failed", "skipped", "not run")
# What differs from run to run.
CHANGING = ((r"localhost:\d+", "localhost"), (r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b", "…"), (r"test_\d+", "test_…"))
ESCAPES = ((r"\|", "\\\\|"), (r"<", "&lt;"))
HEAD = """# The SDK's own end-to-end tests

`{package}` {version} ships its end-to-end tests in its source distribution, without their configurations and recordings.
`python tests/peer/run.py` fetches it, gives the tests configurations of our own, and runs them live, unmodified, against the
emulator. A proxy on loopback (a test tool) makes Azure's host names answer with the emulator's routes, because these tests name
`AzureCloud`. None of their code is kept in this project. This page is written by that run.

{passed} of the {ran} tests that ran pass. {skipped} more skip themselves, on Azure as well; {not_run} are not run.
"""


def write_page(page: Path, results: Sequence[Result]) -> None:
    page.write_text(rendered(results), encoding="utf-8")


def rendered(results: Sequence[Result]) -> str:
    total = Counter(each.outcome for each in results)
    lines = [
        HEAD.format(
            package=PACKAGE,
            version=version(),
            passed=total["passed"],
            ran=total["passed"] + total["failed"],
            skipped=total["skipped"],
            not_run=total["not run"],
        ),
        "| suite | " + " | ".join(OUTCOMES) + " |",
        "|---" * (len(OUTCOMES) + 1) + "|",
    ]
    for suite in dict.fromkeys(each.suite for each in results):
        count = Counter(each.outcome for each in results if each.suite == suite)
        lines.append(f"| {suite} | " + " | ".join(str(count[outcome]) for outcome in OUTCOMES) + " |")
    for outcome, title in (("failed", "Failed"), ("skipped", "Skipped by the tests themselves"), ("not run", "Not run")):
        chosen = [each for each in results if each.outcome == outcome]
        if not chosen:
            continue
        named = [f"{each.suite}: `{each.test.rpartition('::')[2]}`" for each in chosen]
        if outcome == "skipped":  # for reasons of their authors, in their words
            lines += ["", f"## {title}", "", *(f"- {name}" for name in named)]
        else:
            lines += ["", f"## {title}", "", "| test | why |", "|---|---|"]
            lines += [f"| {name} | {_why(each)} |" for name, each in zip(named, chosen, strict=True)]
    return "\n".join(lines) + "\n"


def _why(result: Result) -> str:
    if result.outcome == "failed" and (known := why_failing(result.test)):
        return known
    first = next(iter(result.reason.splitlines()), "").removeprefix("Skipped: ")
    for pattern, replacement in CHANGING + ESCAPES:
        first = re.sub(pattern, replacement, first)
    return first if len(first) <= 200 else first[:199] + "…"
