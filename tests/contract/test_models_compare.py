"""`models compare`: paired verdicts of real models, and what cannot be compared."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from jobs_live import ending_jobs, register, spec, wait, write_table

from opsml_cli.domain.comparison import CompareModels
from opsml_cli.domain.errors import InvalidInputError, NotFoundError, UsageError
from opsml_cli.domain.job import JobState, TableSource, Task
from opsml_cli.domain.names import AssetRef
from opsml_cli.local.workspace import LocalWorkspace

FIELDS = {"a", "b", "metric", "rows", "difference", "interval", "verdict", "metrics", "distinct_rows", "trained_on"}
# Two trainings of some size go before.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorkspace]:
    """`good` and `blind` (it may not see the income) tell classes, `numbers` and `dull` predict an amount."""
    folder = tmp_path_factory.mktemp("compared")
    workspace = LocalWorkspace(folder / ".opsml")
    write_table(folder / "fresh.csv", 300, seed=8)
    with ending_jobs(workspace.root):
        asset = register(workspace, folder)
        amount = {"target_column": "amount", "task": Task.REGRESSION}
        begun = [
            workspace.jobs.begin_automl(made).name
            for made in (
                spec(asset, model_name="good"),
                spec(asset, model_name="blind", drop_columns=("amount", "income")),
                spec(asset, model_name="numbers", drop_columns=("label",), **amount),
                spec(asset, model_name="dull", drop_columns=("label", "income"), **amount),
            )
        ]
        for name in begun:
            done = wait(workspace, name)
            assert done.status is JobState.COMPLETED, done.error
        yield workspace
        workspace.store.close()


def asked(workspace: LocalWorkspace, a: str, b: str, **changes: object) -> CompareModels:
    fresh = TableSource(path=str(Path(workspace.root).parent / "fresh.csv"))
    return CompareModels(AssetRef(a), AssetRef(b), changes.pop("data", fresh), **changes)  # type: ignore[arg-type]


def test_the_model_that_sees_more_is_better_and_the_other_worse(trained: LocalWorkspace) -> None:
    found = trained.models.compare(asked(trained, "good", "blind"))
    back = trained.models.compare(asked(trained, "blind", "good"))
    assert (found.verdict, back.verdict) == ("better", "worse")
    assert found.difference == pytest.approx(found.metrics["a"]["AUC_weighted"] - found.metrics["b"]["AUC_weighted"])
    assert found.interval[0] < found.difference < found.interval[1]
    assert back.difference == pytest.approx(-found.difference)
    assert (found.rows, found.trained_on) == (300, ())
    assert trained.models.compare(asked(trained, "good", "blind")) == found, "one seed, one answer"


def test_less_error_is_better(trained: LocalWorkspace) -> None:
    found = trained.models.compare(asked(trained, "numbers", "dull"))
    assert found.metric == "normalized_root_mean_squared_error"
    assert found.difference < 0
    assert found.verdict == "better"


def test_a_model_ties_with_itself(trained: LocalWorkspace) -> None:
    found = trained.models.compare(asked(trained, "good", "good", metric="log_loss"))
    assert (found.difference, found.interval, found.verdict) == (0, (0, 0), "tie")


def test_copies_of_rows_do_not_narrow_the_interval(trained: LocalWorkspace, tmp_path: Path) -> None:
    header, *lines = (Path(trained.root).parent / "fresh.csv").read_text().splitlines()
    copied = [line for line in lines for _ in range(5)]
    random.Random(1).shuffle(copied)
    (tmp_path / "copied.csv").write_text("\n".join([header, *copied]) + "\n")
    once = trained.models.compare(asked(trained, "good", "blind"))
    often = trained.models.compare(asked(trained, "good", "blind", data=TableSource(path=str(tmp_path / "copied.csv"))))
    assert (often.rows, often.distinct_rows) == (1500, once.distinct_rows)
    width = (often.interval[1] - often.interval[0]) / (once.interval[1] - once.interval[0])
    assert 0.8 < width < 1.25


def test_gates_and_the_document(trained: LocalWorkspace, opsml) -> None:
    folder = Path(trained.root).parent
    words = ("models", "compare", "blind", "good", "--data", "fresh.csv", "-o", "json")
    code, out, err = opsml(*words, cwd=folder)
    assert code == 0, err
    assert set(json.loads(out)) >= FIELDS
    code, out, err = opsml(*words, "--gate", "not-worse", cwd=folder)
    assert code == 10
    assert json.loads(out)["verdict"] == "worse"
    assert json.loads(err.strip().splitlines()[-1])["error"]["code"] == "gate"
    assert opsml(*words, "--gate", "best", cwd=folder).exit_code == 2
    assert opsml("models", "compare", "good", "blind", "--data", "fresh.csv", "--gate", "better", cwd=folder).exit_code == 0
    assert opsml("models", "compare", "good", "good", "--data", "fresh.csv", "--gate", "not-worse", cwd=folder).exit_code == 0
    assert opsml("models", "compare", "good", "good", "--data", "fresh.csv", "--gate", "better", cwd=folder).exit_code == 10


def test_the_training_data_is_told(trained: LocalWorkspace, opsml) -> None:
    code, out, err = opsml(
        "models", "compare", "good", "blind", "--data", "people", "-o", "json", cwd=Path(trained.root).parent
    )
    assert code == 0
    assert json.loads(out)["trained_on"] == ["good:1", "blind:1"]
    assert "good:1 has learned from this very data" in err


def test_what_cannot_be_compared_says_why(trained: LocalWorkspace, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="same question"):
        trained.models.compare(asked(trained, "good", "numbers"))
    with pytest.raises(NotFoundError):
        trained.models.compare(asked(trained, "good", "nobody"))
    with pytest.raises(UsageError, match="no metric"):
        trained.models.compare(asked(trained, "good", "blind", metric="r2_score"))
    with pytest.raises(InvalidInputError, match="no column"):
        trained.models.compare(asked(trained, "good", "blind", target_column="lable"))
    table = tmp_path / "strange.csv"
    table.write_text("age,income,city,label\n" + "40,50.5,Bonn,maybe\n" * 20)
    with pytest.raises(InvalidInputError, match="'maybe'"):
        trained.models.compare(asked(trained, "good", "blind", data=TableSource(path=str(table))))
    table.write_text("age,city,label\n" + "40,Bonn,yes\n" * 20)
    with pytest.raises(InvalidInputError, match="income"):
        trained.models.compare(asked(trained, "good", "blind", data=TableSource(path=str(table))))
