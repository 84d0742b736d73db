"""`opsml batch …` as a person meets it: exit codes, files, messages."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from batch_support import HEADER, Step, table
from command_line import Opsml
from serving_support import foreign_folder, register_own, trained_once
from waiting import until

from opsml_cli.domain.model import RegisterModel
from opsml_cli.local.batch.settings import Settings
from opsml_cli.local.workspace import LocalWorkspace

FILE = """
$schema: https://azuremlschemas.azureedge.net/latest/modelBatchDeployment.schema.json
name: filed
endpoint_name: nightly
type: model
model: azureml:bank@latest
settings:
  mini_batch_size: 5
  error_threshold: 0
"""


@pytest.fixture
def bank(workspace: LocalWorkspace, tmp_path_factory: pytest.TempPathFactory) -> LocalWorkspace:
    register_own(workspace, trained_once(tmp_path_factory.getbasetemp()))
    return workspace


def test_the_flow_of_a_model(bank: LocalWorkspace, opsml: Opsml, tmp_path: Path) -> None:
    table(tmp_path / "rows.csv", 30)
    planned = opsml("batch", "deploy", "bank", "--dry-run", "-o", "json")
    assert (planned.exit_code, json.loads(planned.stdout)["target"]) == (0, "bank-batch/main"), planned.stderr
    assert opsml("batch", "list", "-o", "json").stdout.strip() == "[]"
    made = opsml("batch", "deploy", "bank", "--endpoint", "nightly", "--error-threshold", "3", "-o", "json")
    assert made.exit_code == 0, made.stderr
    document = json.loads(made.stdout)
    assert (document["endpoint"], document["deployment"], document["default"]) == ("nightly", "main", "main")
    assert document["settings"]["error_threshold"] == 3
    done = opsml("batch", "run", "nightly", "rows.csv", "--out", "got", "-o", "json")
    assert done.exit_code == 0, done.stderr
    run = json.loads(done.stdout)
    assert (run["status"], run["results"], run["failed_files"]) == ("Completed", 30, 0)
    assert [Path(name).name for name in run["files"]] == ["predictions.csv"]
    assert len((tmp_path / "got" / "predictions.csv").read_text().splitlines()) == 30
    assert opsml("batch", "run", "nightly", "rows.csv", "--out", "got").exit_code == 5
    assert json.loads(opsml("jobs", "show", run["run"], "-o", "json").stdout)["status"] == "Completed"
    (tmp_path / "deployment.yml").write_text(FILE)
    filed = opsml("batch", "deploy", "-f", "deployment.yml", "--set", "settings.error_threshold=2", "--default", "-o", "json")
    assert filed.exit_code == 0, filed.stderr
    assert json.loads(filed.stdout)["settings"]["error_threshold"] == 2
    assert json.loads(opsml("batch", "show", "nightly", "-o", "json").stdout)["default"] == "filed"
    assert opsml("batch", "delete", "nightly").exit_code == 2
    assert opsml("batch", "delete", "nightly", "--yes").exit_code == 0
    assert opsml("batch", "show", "nightly").exit_code == 3


@pytest.mark.slow
def test_what_goes_wrong_is_said(bank: LocalWorkspace, opsml: Opsml, tmp_path: Path) -> None:
    assert opsml("batch", "deploy", "bank", "--endpoint", "nightly").exit_code == 0
    (tmp_path / "bad.csv").write_text(HEADER + "41,x,1\nforty,x,1\n")
    (tmp_path / "header.csv").write_text(HEADER)
    (tmp_path / "empty.csv").write_text("")
    bad = opsml("batch", "run", "nightly", "bad.csv")
    assert bad.exit_code == 9
    assert "bad.csv, row 1 (counted from 0): column 'age' is 'forty'" in bad.stderr
    for name, code, words in (("header.csv", 7, "no rows"), ("empty.csv", 7, "is empty"), ("none.csv", 3, "no file or folder"),
                              ("nobody:3", 3, "nobody")):  # fmt: skip
        refused = opsml("batch", "run", "nightly", name)
        assert (refused.exit_code, words in refused.stderr) == (code, True), refused.stderr
    assert opsml("batch", "run", "nightly").exit_code == 2
    assert opsml("batch", "run", "nightly", "bad.csv", "--no-wait", "--out", "x").exit_code == 2
    assert opsml("batch", "run", "nobody", "bad.csv").exit_code == 3
    table(tmp_path / "rows.csv", 5)
    (tmp_path / "odd").mkdir()
    table(tmp_path / "odd" / "a.csv", 3)
    (tmp_path / "odd" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\0")
    some = opsml("batch", "run", "nightly", "odd", "-o", "json")
    assert some.exit_code == 0, some.stderr
    assert json.loads(some.stdout)["failed_files"] == 1
    begun = opsml("batch", "run", "nightly", "rows.csv", "--no-wait", "-o", "json")
    run = json.loads(begun.stdout)["run"]
    until(lambda: bank.jobs.get(run).status.finished, 60.0)


def test_a_foreign_model_scores_in_a_host_of_its_own(workspace: LocalWorkspace, tmp_path: Path) -> None:
    folder = foreign_folder(tmp_path / "foreign", name="batch_loader", body="print('scoring'); return frame['age'] * 2.0")
    model = workspace.models.register(RegisterModel("foreign", str(folder), trust=True)).model
    source = tmp_path / "in"
    source.mkdir()
    table(source / "a.csv", 12_000)
    (source / "b.csv").write_text(HEADER + "x,technician,1\n")
    step = Step(workspace, f"{model.name}:{model.version}", source, tmp_path / "out", tmp_path / "code", Settings())
    code, log = step.finish()
    assert code == 0, log
    assert "scoring" in log
    assert "b.csv, row 0 (counted from 0): column 'age'" in log
    assert step.lines() == [f"{row},{(18 + row % 70) * 2.0},a.csv" for row in range(12_000)]
