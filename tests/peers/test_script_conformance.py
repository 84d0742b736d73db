"""Scoring scripts are answered as Azure's own server answers them, or the difference has a name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import script_suite
from script_differences import DIFFERENCES
from script_suite import CASES, Compared

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(azureml_python: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Compared]:
    return script_suite.run(tmp_path_factory.mktemp("scripts"), azureml_python)


def test_every_case_and_request_has_a_name_of_its_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    for case in CASES:
        assert len({send.name for send in case.sends}) == len(case.sends), case.name


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_the_answers_are_those_of_azures_server_or_the_difference_is_named(found: list[Compared], name: str) -> None:
    for each in found:
        if each.case == name:
            assert bool(each.unequal) == (each.reason is not None), f"{each.send}: {each.unequal or 'no longer differs'}"


def test_every_named_difference_is_one_of_a_case(found: list[Compared]) -> None:
    assert DIFFERENCES.keys() <= {(each.case, each.send) for each in found}


def test_the_page_says_what_was_measured(found: list[Compared]) -> None:
    page = script_suite.rendered(found)
    assert script_suite.PAGE.read_text("utf-8") == page, "run: python tests/peers/script_suite.py"
