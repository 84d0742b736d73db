"""MLflow folders are answered as MLflow's own scoring server answers them, or the difference has a name."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import mlflow_suite
from mlflow_cases import CASES
from mlflow_suite import Outcome
from serving_support import train_folder

from opsml_cli.domain.contract import BadRequest, read_call
from opsml_cli.local.serving import scorers

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


def test_models_of_our_own_are_answered_alike(mlflow_python: Path, tmp_path: Path) -> None:
    """What the model's server answers and refuses, MLflow's server answers and refuses, on the same folder."""
    shutil.copytree(train_folder(tmp_path / "train"), tmp_path / "models" / "own")
    folder = tmp_path / "models" / "own"
    scorer = scorers.load(folder)
    row = {"age": 41, "job": "technician", "balance": 12.5}
    changes = [{"age": value} for value in (41, None, 41.0, "41", "x", True, [1])]
    changes += [{"balance": value} for value in (None, 5, "5", "x")] + [{"job": value} for value in (None, "new", 5)]
    with mlflow_suite.servers(mlflow_python, tmp_path / "models") as addresses:
        for change in changes:
            sent = row | change
            theirs = httpx.post(addresses["own"], json={"dataframe_records": [sent]}, trust_env=False, timeout=60)
            try:
                ours: object = scorer.score(read_call({"data": [dict(sent)]}, scorer.schema).rows, False)
            except BadRequest:
                assert theirs.status_code == 400, change
            else:
                assert theirs.json() == {"predictions": ours}, change


def test_the_page_says_what_was_measured(mlflow_python: Path, outcomes: dict[str, Outcome]) -> None:
    page = mlflow_suite.rendered(list(outcomes.values()), mlflow_suite.version_of(mlflow_python))
    assert mlflow_suite.PAGE.read_text("utf-8") == page, "run: python tests/peers/mlflow_suite.py"
