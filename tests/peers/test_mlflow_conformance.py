"""MLflow folders are answered as MLflow's own scoring server answers them, or the difference has a name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import mlflow_suite
from mlflow_cases import CASES
from mlflow_suite import Outcome

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(mlflow_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("mlflow") / "models"
    mlflow_suite.make_models(mlflow_python, place)
    return place


@pytest.fixture(scope="module")
def outcomes(mlflow_python: Path, folder: Path) -> dict[str, Outcome]:
    return {each.case.label: each for each in mlflow_suite.run(mlflow_python, folder)}


def test_every_case_has_a_name_of_its_own() -> None:
    assert len({case.label for case in CASES}) == len(CASES)


@pytest.mark.parametrize("label", [case.label for case in CASES])
def test_the_answer_is_that_of_mlflow_or_the_difference_is_named(outcomes: dict[str, Outcome], label: str) -> None:
    outcome = outcomes[label]
    shown = f"MLflow: {outcome.theirs}\nopsml: {outcome.ours}"
    if outcome.case.difference:
        assert not outcome.equal, f"no longer differs: {shown}"
    else:
        assert outcome.equal, shown


def test_no_input_is_answered_with_500_but_where_the_result_is_no_json(outcomes: dict[str, Outcome]) -> None:
    broken = {label for label, each in outcomes.items() if each.ours[0] >= 500}
    assert broken <= {f"returns: returns {kind}" for kind in ("decimal", "set", "complex", "generator", "multi_index")}


def test_the_page_says_what_was_measured(mlflow_python: Path, outcomes: dict[str, Outcome]) -> None:
    page = mlflow_suite.rendered(list(outcomes.values()), mlflow_suite.version_of(mlflow_python))
    assert mlflow_suite.PAGE.read_text("utf-8") == page, "run: python tests/peers/mlflow_suite.py"
