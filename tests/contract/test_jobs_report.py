"""`jobs report` of real trainings: the terminal, the document, the page."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jobs_live import ending_jobs, register, spec, wait

from opsml_cli.domain.errors import ContractError, NotFoundError
from opsml_cli.domain.job import JobState, Task
from opsml_cli.local.workspace import LocalWorkspace

FIELDS = {
    "job", "status", "task", "metric", "model", "best", "test_metrics", "baseline_metrics", "intervals", "threshold",
    "guardrails", "leaderboard", "duration_seconds", "rows", "validation_metrics", "curves", "confusion", "importance",
    "predictions", "dependence", "dependence_of",
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalWorkspace, str, str]]:
    """A workspace, a job with two classes and one with numbers."""
    folder = tmp_path_factory.mktemp("reported")
    workspace = LocalWorkspace(folder / ".opsml")
    with ending_jobs(workspace.root):
        asset = register(workspace, folder)
        classes = workspace.jobs.begin_automl(spec(asset, test_size=0.3, threshold_for="f1")).name
        numbers = workspace.jobs.begin_automl(
            spec(asset, target_column="amount", drop_columns=("label",), task=Task.REGRESSION, test_size=0.3)
        ).name
        for name in (classes, numbers):
            done = wait(workspace, name)
            assert done.status is JobState.COMPLETED, done.error
        yield workspace, classes, numbers
        workspace.store.close()


def command(workspace: LocalWorkspace, opsml, *words: object):
    return opsml(*words, cwd=Path(workspace.root).parent)


def test_the_document_has_every_figure_and_they_agree(trained, opsml) -> None:
    workspace, job, _ = trained
    code, out, err = command(workspace, opsml, "jobs", "report", job, "-o", "json")
    assert code == 0, err
    found = json.loads(out)
    assert set(found) >= FIELDS
    assert found["rows"] == "test"
    counts = found["confusion"]["counts"]
    assert sum(map(sum, counts)) == 60
    [curves] = found["curves"]
    assert curves["label"] == "yes"
    last = curves["gain"][-1]
    assert (last["share"], last["gain"], last["lift"]) == pytest.approx((1, 1, 1))
    # The confusion is at the threshold: a point of the ROC curve.
    positive = found["confusion"]["labels"].index("yes")
    recall = counts[positive][positive] / sum(counts[positive])
    assert any(point["y"] == pytest.approx(recall) for point in curves["roc"])
    assert sum(each["share"] for each in found["importance"]) == pytest.approx(1)
    assert found["dependence_of"] == "yes"
    first = found["dependence"][0]
    assert first["column"] == found["importance"][0]["column"] == "income"
    assert first["answers"][-1] > first["answers"][0] + 0.2, "the more income, the more probable"


def test_the_terminal_shows_the_figures(trained, opsml) -> None:
    workspace, job, _ = trained
    code, out, err = command(workspace, opsml, "jobs", "report", job)
    assert code == 0, err
    for word in (
        "METRICS on test rows",
        "BASELINE",
        "CHECKS",
        "CLASS yes",
        "CONFUSION",
        "IMPORTANCE",
        "DEPENDENCE  the mean probability of 'yes'",
        "LEADERBOARD",
        "threshold",
    ):
        assert word in out
    assert "\x1b" not in out


def test_a_leaking_column_is_told_with_the_figures_with_it_and_without(tmp_path: Path, opsml) -> None:
    draw = random.Random(3)
    lines = ["age,after,label"]
    for _ in range(300):
        age = draw.randint(18, 90)
        label = age + draw.gauss(0, 25) > 55
        lines.append(f"{age},{(label != (draw.random() < 0.06)) + draw.gauss(0, 0.1):.3f},{'yes' if label else 'no'}")
    (tmp_path / "calls.csv").write_text("\n".join(lines) + "\n")
    asked = ("train", "automl", "--data", "calls.csv", "--target-column", "label", "--timeout", "20s", "--max-trials", "1")
    code, out, err = opsml(*asked, "--cv", "2", "-o", "json")
    assert code == 0, err
    job = json.loads(out)["job"]
    said = next(x for x in json.loads(opsml("jobs", "report", job, "-o", "json").stdout)["guardrails"] if "leak" in x["check"])
    figures = re.search(r"'after' alone reaches AUC (0\.\d{3}).* AUC (0\.\d{3}) with, (0\.\d{3}) without", said["detail"])
    assert said["status"] == "warning" and figures is not None, said
    alone, together, honest = map(float, figures.groups())
    assert together > honest + 0.05 and alone > 0.9
    assert f"{together:.3f} with, {honest:.3f} without" in opsml("jobs", "report", job).stdout
    assert opsml("jobs", "report", job, "--save", "page.html").exit_code == 0
    assert f"{together:.3f} with, {honest:.3f} without" in (tmp_path / "page.html").read_text()


def test_a_regression_shows_its_residuals(trained, opsml) -> None:
    workspace, _, job = trained
    code, out, _ = command(workspace, opsml, "jobs", "report", job)
    assert code == 0
    assert "RESIDUALS (true - predicted) of 60 rows" in out
    code, _, _ = command(workspace, opsml, "jobs", "report", job, "--save", "numbers.html")
    assert code == 0
    assert "Predicted and true values" in (Path(workspace.root).parent / "numbers.html").read_text()


def test_save_writes_the_page_whole_and_says_so(trained, opsml) -> None:
    workspace, job, _ = trained
    folder = Path(workspace.root).parent
    code, out, err = command(workspace, opsml, "jobs", "report", job, "--save", "page.html", "-o", "json")
    assert code == 0, err
    saved = json.loads(out)
    assert set(saved) >= {"job", "path", "size_bytes"}
    assert (folder / "page.html").stat().st_size == saved["size_bytes"]
    code, out, err = command(workspace, opsml, "jobs", "report", job, "--save", "no/such/folder.html")
    assert (code, out) == (3, "")


def test_what_has_no_report_says_why(trained, opsml) -> None:
    workspace, job, _ = trained
    with pytest.raises(NotFoundError):
        workspace.jobs.report("nobody")
    curves = workspace.layout.job(job) / "outputs" / "curves.json"
    content = curves.read_bytes()
    try:
        curves.write_text('{"rows": "test", "classes": {"yes": {"roc": 1}}}')
        with pytest.raises(ContractError, match="damaged"):
            workspace.jobs.report(job)
        curves.unlink()
        with pytest.raises(NotFoundError, match=r"curves\.json"):
            workspace.jobs.report(job)
    finally:
        curves.write_bytes(content)
