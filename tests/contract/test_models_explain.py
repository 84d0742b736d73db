"""`models explain`: documents, rows that add up, and what cannot be explained."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from jobs_live import ending_jobs, register, spec, wait

from opsml_cli.domain.errors import InvalidInputError, NotFoundError
from opsml_cli.domain.explanation import ExplainModel
from opsml_cli.domain.job import JobState, TableSource, Task
from opsml_cli.domain.names import AssetRef
from opsml_cli.local.workspace import LocalWorkspace

FIELDS = {"model", "task", "class", "data_rows", "importance", "dependence", "rows"}
ROW_FIELDS = {"prediction", "class", "base", "answer", "contributions"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorkspace]:
    """`labels` tells classes, `numbers` predicts an amount."""
    folder = tmp_path_factory.mktemp("explained")
    workspace = LocalWorkspace(folder / ".opsml")
    with ending_jobs(workspace.root):
        asset = register(workspace, folder)
        begun = [
            workspace.jobs.begin_automl(made).name
            for made in (
                spec(asset, model_name="labels"),
                spec(asset, model_name="numbers", target_column="amount", task=Task.REGRESSION, drop_columns=("label",)),
            )
        ]
        for name in begun:
            done = wait(workspace, name)
            assert done.status is JobState.COMPLETED, done.error
        yield workspace
        workspace.store.close()


def test_the_document_and_rows_that_add_up(trained: LocalWorkspace, opsml) -> None:
    code, out, err = opsml("models", "explain", "labels", "--sample", "3", "-o", "json", cwd=Path(trained.root).parent)
    assert code == 0, err
    found = json.loads(out)
    assert set(found) == FIELDS
    assert (found["model"], found["task"], found["class"]) == ("labels:1", "classification", "yes")
    assert found["importance"][0]["column"] == "income"
    assert [each["column"] for each in found["dependence"]] == [each["column"] for each in found["importance"]]
    assert len(found["rows"]) == 3
    for row in found["rows"]:
        assert set(row) == ROW_FIELDS
        assert row["base"] + sum(each["contribution"] for each in row["contributions"]) == pytest.approx(row["answer"])
        assert {each["column"] for each in row["contributions"]} == {"age", "income", "city"}


def test_a_person_reads_it(trained: LocalWorkspace, opsml) -> None:
    (Path(trained.root).parent / "one.json").write_text(json.dumps([{"age": 30, "income": 80.0, "city": "Ulm"}]))
    code, out, err = opsml("models", "explain", "labels", "one.json", "-o", "table", cwd=Path(trained.root).parent)
    assert code == 0, err
    assert "what moves the probability of 'yes'" in out
    assert "row 1: yes" in out


def test_another_class_is_the_mirror(trained: LocalWorkspace) -> None:
    row = {"age": 30, "income": 80.0, "city": "Ulm"}
    yes, no = (trained.models.explain(ExplainModel(AssetRef("labels"), (row,), label=label)) for label in ("yes", "no"))
    assert yes.rows[0].answer + no.rows[0].answer == pytest.approx(1.0)
    assert no.rows[0].contributions[0].contribution == pytest.approx(-yes.rows[0].contributions[0].contribution)
    with pytest.raises(InvalidInputError, match="no class 'maybe'"):
        trained.models.explain(ExplainModel(AssetRef("labels"), label="maybe"))


def test_regression_is_told_in_the_target_s_unit(trained: LocalWorkspace) -> None:
    row = {"age": 30, "income": 80.0, "city": "Ulm"}
    found = trained.models.explain(ExplainModel(AssetRef("numbers"), (row,)))
    assert (found.task, found.label) == ("regression", None)
    assert 100 < found.rows[0].answer < 300
    assert found.rows[0].base + sum(each.contribution for each in found.rows[0].contributions) == pytest.approx(
        found.rows[0].answer
    )
    with pytest.raises(InvalidInputError, match="no classes"):
        trained.models.explain(ExplainModel(AssetRef("numbers"), label="yes"))


def test_rows_that_do_not_fit_name_the_column(trained: LocalWorkspace, opsml) -> None:
    folder = Path(trained.root).parent
    (folder / "odd.json").write_text(json.dumps([{"age": "old", "income": 80.0, "city": "Ulm"}]))
    code, _, err = opsml("models", "explain", "labels", "odd.json", "-o", "json", cwd=folder)
    assert code == 7
    assert "'age'" in json.loads(err.strip().splitlines()[-1])["error"]["message"]
    (folder / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InvalidInputError, match="column"):
        trained.models.explain(ExplainModel(AssetRef("labels"), data=TableSource(path=str(folder / "other.csv"))))
    with pytest.raises(NotFoundError):
        trained.models.explain(ExplainModel(AssetRef("nobody")))
    assert opsml("models", "explain", "labels", "odd.json", "--sample", "1", cwd=folder).exit_code == 2
