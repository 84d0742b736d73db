"""A trained model's answer to a row does not depend on the rows beside it: score, endpoint, batch, explain, mlflow.pyfunc."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytestmark = pytest.mark.slow
WORDS = ("never", "2023-01-01", "2023-03-01")
CODES = ("1E3", "7", "10001", "x")


class Project:
    """A folder with a workspace, and the command line in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *words: str) -> str:
        command = [sys.executable, "-m", "opsml_cli", *words]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def document(self, *words: str) -> Any:
        return json.loads(self.run(*words, "-o", "json"))

    def csv(self, name: str, rows: list[tuple[str, str, str, str]]) -> str:
        lines = ["when,code,x,y", *(",".join(row) for row in rows)]
        (self.folder / name).write_text("\n".join(lines) + "\n")
        return name


def drawn(index: int) -> tuple[str, str, str, str]:
    when, code = WORDS[index * 7 % 3], CODES[index * 5 % 4]
    return when, code, str(index * 11 % 13), str(int(when == "2023-03-01" or code == "1E3"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    made = Project(tmp_path_factory.mktemp("alone"))
    table = made.csv("t.csv", [drawn(index) for index in range(400)])
    # Rows whose columns look like dates and numbers as a whole.
    only = made.csv("only.csv", [row for row in map(drawn, range(400)) if row[0] != "never" and row[1] != "x"])
    made.run("train", "automl", "--data", table, "--target-column", "y", "--timeout", "10s", "--test-data", only)
    made.run("deploy", "t-y", "--endpoint", "alone")
    yield made
    made.run("local", "down", "--yes")


def test_the_test_rows_are_read_as_the_training_rows(project: Project) -> None:
    (job,) = project.document("jobs", "list")
    metrics = project.document("jobs", "show", job["job"])["test_metrics"]
    assert metrics["accuracy"] == 1.0


def test_two_files_with_the_same_row_get_the_same_answer(project: Project) -> None:
    row = ("2023-03-01", "7", "1", "1")
    alone, beside = project.csv("alone.csv", [row]), project.csv("beside.csv", [row, ("never", "x", "2", "0")])
    frame = pd.DataFrame([{"when": row[0], "code": row[1], "x": float(row[2])}])
    (project.folder / "number.json").write_text(json.dumps([{"when": row[0], "code": 7.0, "x": 1}]))
    answers = []
    for source in (alone, beside, "number.json"):
        for words in (("--model", "t-y"), ("alone",)):
            target = words if len(words) == 1 else ()
            options = words if len(words) == 2 else ()
            found = project.document("score", *target, source, "--proba", *options)
            answers.append(found["probabilities"][0])
    (model,) = [each for each in project.document("models", "list") if each["name"] == "t-y"]
    import mlflow.pyfunc

    path = project.document("models", "show", model["name"])["path"]
    loaded = mlflow.pyfunc.load_model(path)
    answers.append(loaded.predict(frame, params={"method": "predict_proba"})[0].tolist())
    for source in (alone, beside):
        explained = project.document("models", "explain", "t-y", source)["rows"][0]
        answers.append([1 - explained["answer"], explained["answer"]])
    first = answers[0]
    assert first[1] > 0.9
    assert all(answer == pytest.approx(first, abs=1e-12) for answer in answers), answers


def test_a_batch_run_reads_each_file_as_the_model_does(project: Project) -> None:
    rows = [drawn(index) for index in range(40)]
    whole = project.csv("whole.csv", rows)
    dates = [row for row in rows if row[0] != "never" and row[1] not in ("x",)]
    parts = project.folder / "parts"
    parts.mkdir()
    project.csv("parts/dates.csv", dates)
    project.csv("parts/rest.csv", [row for row in rows if row not in dates])
    project.run("batch", "deploy", "t-y", "--endpoint", "nightly")
    expected = project.document("score", "--model", "t-y", whole)["predictions"]
    assert expected == [int(row[3]) for row in rows]
    run = project.document("batch", "run", "nightly", "parts", "--out", "found")
    assert run["status"] == "Completed"
    found = sorted(path for path in (project.folder / "found").rglob("*") if path.is_file())
    lines = [line.split(",") for path in found for line in path.read_text().splitlines()]
    answered = {(words[-1], int(words[0])): int(words[1]) for words in lines if words}
    for place, row in enumerate(dates):
        assert answered[("dates.csv", place)] == int(row[3]), (row, lines[:5])
