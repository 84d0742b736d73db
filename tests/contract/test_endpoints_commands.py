"""`opsml deploy`, `score` and `endpoints …` as processes: result fields, exit codes, and keys that stay secret."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from command_line import Opsml
from serving_support import deploy, end_all, foreign_folder, register_own, trained_once

from opsml_cli.domain.progress import Silent
from opsml_cli.local.workspace import LocalWorkspace

DEPLOY_FIELDS = {"endpoint", "deployment", "state", "scoring_uri", "swagger_uri", "model", "traffic", "insights", "unchanged"}


@pytest.fixture
def bank(workspace: LocalWorkspace, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorkspace]:
    """A workspace with the model `bank:1`, and `rows.csv` beside it; every server ends with the test."""
    register_own(workspace, trained_once(tmp_path_factory.getbasetemp()))
    (tmp_path / "rows.csv").write_text("age,job,balance\n41,technician,12.5\n77,retired,\n")
    yield workspace
    end_all(workspace)


def answer(ran: Any) -> Any:
    """The JSON document on stdout of a command that succeeded."""
    assert ran.exit_code == 0, ran.stderr
    return json.loads(ran.stdout)


def error(ran: Any) -> tuple[int, str]:
    """Exit code and code of the JSON error; stdout stays empty."""
    assert ran.stdout == ""
    return ran.exit_code, json.loads(ran.stderr.splitlines()[-1])["error"]["code"]


def unmeasured(document: dict[str, Any]) -> dict[str, Any]:
    """The document without what is measured anew each time: memory, and how the deployment is served."""
    assert document["serving"]["mode"] == "in-process"
    deployments = [{**each, "serving": None} for each in document["deployments"]]
    return {**document, "serving": None, "deployments": deployments}


def test_deploy_ends_with_an_endpoint_that_answers(bank: LocalWorkspace, opsml: Opsml) -> None:
    planned = answer(opsml("deploy", "bank", "--dry-run", "-o", "json"))
    assert planned["dry_run"] is True
    assert bank.online_endpoints.list() == []
    document = answer(opsml("deploy", "bank:1", "--insights", "-o", "json"))
    assert document.keys() >= DEPLOY_FIELDS
    assert (document["endpoint"], document["deployment"], document["state"]) == ("bank", "blue", "Succeeded")
    assert (document["model"], document["traffic"]) == ({"name": "bank", "version": "1"}, {"blue": 100})
    assert (document["insights"], document["unchanged"]) == (True, False)
    again = answer(opsml("deploy", "bank:1", "-o", "json"))
    assert unmeasured(again) == {**unmeasured(document), "unchanged": True}
    shown = answer(opsml("endpoints", "show", "bank", "-o", "json"))
    assert shown.keys() >= DEPLOY_FIELDS and shown["scoring_uri"] == document["scoring_uri"]
    [listed] = answer(opsml("endpoints", "list", "-o", "json"))
    assert (listed["endpoint"], listed["running"]) == ("bank", True)


@pytest.mark.slow
def test_score_reads_every_input_and_gives_its_fields(bank: LocalWorkspace, opsml: Opsml, tmp_path: Path) -> None:
    import pyarrow.csv
    import pyarrow.parquet

    deploy(bank, bank.models.list()[0])
    rows = [{"age": 41, "job": "technician", "balance": 12.5}, {"age": 77, "job": "retired", "balance": None}]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(tmp_path / "rows.csv"), tmp_path / "rows.parquet")
    expected = answer(opsml("score", "bank", "rows.csv", "--proba", "-o", "json"))
    assert expected.keys() == {"predictions", "classes", "probabilities", "rows", "deployment", "latency_ms"}
    assert (expected["rows"], expected["deployment"], expected["classes"]) == (2, "blue", ["no", "yes"])
    for source in ("rows.json", "rows.jsonl", "rows.parquet"):
        found = answer(opsml("score", "bank", source, "--proba", "-o", "json"))
        assert found["probabilities"] == expected["probabilities"], source
    piped = answer(opsml("score", "bank", "-", "-o", "json", stdin=(tmp_path / "rows.csv").read_text()))
    assert piped["predictions"] == expected["predictions"]
    assert piped.keys() == {"predictions", "rows", "deployment", "latency_ms"}
    local = answer(opsml("score", "--model", "bank", "rows.csv", "--proba", "-o", "json"))
    assert (local["probabilities"], local["deployment"]) == (expected["probabilities"], None)
    assert json.loads(opsml("score", "bank", "rows.csv", "--raw").stdout) == {"Results": expected["predictions"]}
    written = answer(opsml("score", "bank", "rows.csv", "--proba", "--out", "scores.csv", "-o", "json"))
    assert written["rows"] == 2
    assert (tmp_path / "scores.csv").read_text().splitlines()[0] == "prediction,probability_no,probability_yes"


def test_score_writes_a_row_of_output_for_each_row(bank: LocalWorkspace, opsml: Opsml, tmp_path: Path) -> None:
    deploy(bank, bank.models.list()[0])
    rows = "".join(f"k{number:03},{18 + number % 60},technician,12.5\n" for number in range(300))
    (tmp_path / "rows.csv").write_text("id,age,job,balance\n" + rows)
    expected = answer(opsml("score", "bank", "rows.csv", "-o", "json"))["predictions"]
    sized = ("--batch-rows", "7", "--parallel", "3")
    ran = opsml("score", "bank", "rows.csv", "--keep", "id", "--out", "scores.csv", *sized, "-o", "json")
    assert answer(ran)["rows"] == 300 and ran.stderr == ""
    lines = (tmp_path / "scores.csv").read_text().splitlines()
    assert lines == ["id,prediction", *(f"k{number:03},{expected[number]}" for number in range(300))]
    # Nothing is overwritten unasked, and nothing is left of what fails.
    assert error(opsml("score", "bank", "rows.csv", "--out", "scores.csv", "-o", "json")) == (5, "conflict")
    (tmp_path / "bad.csv").write_text("id,age,job,balance\n" + rows + "k300,forty,technician,1\n")
    failed = opsml("score", "bank", "bad.csv", "--out", "scores.csv", "--force", *sized)
    assert failed.exit_code == 7 and "row 300" in failed.stderr
    assert (tmp_path / "scores.csv").read_text().splitlines() == lines
    assert answer(opsml("score", "bank", "rows.csv", "--out", "scores.csv", "--force", "-o", "json"))["rows"] == 300
    # On stdout: a line a row.
    assert opsml("score", "bank", "rows.csv", "-o", "tsv", *sized).stdout.splitlines() == expected
    streamed = opsml("score", "bank", "rows.csv", "-o", "jsonl", "--proba", "--keep", "id", *sized).stdout.splitlines()
    first = json.loads(streamed[0])
    assert len(streamed) == 300 and list(first) == ["id", "prediction", "probability_no", "probability_yes"]
    assert json.loads(streamed[299])["id"] == "k299"
    (tmp_path / "none.csv").write_text("id,age,job,balance\n")
    assert answer(opsml("score", "bank", "none.csv", "-o", "json")) == {
        "predictions": [], "rows": 0, "deployment": None, "latency_ms": 0.0
    }  # fmt: skip
    assert answer(opsml("score", "bank", "none.csv", "--keep", "id", "--out", "none.parquet", "-o", "json"))["rows"] == 0
    for wrong in (("--keep", "id"), ("--force",), ("--keep", "id,", "--out", "x.csv"), ("--out", "x.xlsx")):
        assert error(opsml("score", "bank", "rows.csv", *wrong, "-o", "json")) == (2, "usage"), wrong


def test_score_can_take_rows_of_the_registered_data(bank: LocalWorkspace, opsml: Opsml, tmp_path: Path) -> None:
    from opsml_cli.domain.data import RegisterData
    from opsml_cli.local.models import ModelFacts

    (tmp_path / "data.csv").write_text("age,job,balance,y\n" + "".join(f"{18 + i},retired,{i}.5,no\n" for i in range(50)))
    asset = bank.data.register(RegisterData("people", str(tmp_path / "data.csv"), target_column="y"), Silent()).asset
    source = Path(bank.models.list()[0].path)
    from opsml_cli.domain.names import AssetRef

    facts = ModelFacts(own=True, trusted=True, data=AssetRef(asset.name, asset.version))
    with bank.models.stage(source, "other") as staged, bank.store.write() as connection:
        bank.models.adopt(connection, staged, "other", facts)
    found = answer(opsml("score", "--model", "other", "--sample", "5", "-o", "json"))
    assert found["rows"] == 5
    assert error(opsml("score", "--model", "bank", "--sample", "5", "-o", "json")) == (3, "not_found")


@pytest.mark.slow
def test_wrong_uses_end_with_their_exit_codes(bank: LocalWorkspace, opsml: Opsml, tmp_path: Path) -> None:
    json_ = ("-o", "json")
    assert error(opsml("deploy", "nobody", *json_)) == (3, "not_found")
    assert error(opsml("deploy", *json_)) == (3, "not_found")  # nothing was trained
    assert error(opsml("deploy", "bank", "--traffic", "101", *json_)) == (2, "usage")
    assert error(opsml("deploy", "bank", "--endpoint", "../x", *json_)) == (2, "usage")
    assert error(opsml("endpoints", "show", "bank", *json_)) == (3, "not_found")
    assert error(opsml("score", "bank", "rows.csv", *json_)) == (3, "not_found")
    assert error(opsml("score", "bank", *json_)) == (2, "usage")
    deploy(bank, bank.models.list()[0])
    (tmp_path / "bad.csv").write_text("age,job,balance\nforty,technician,1\n")
    assert error(opsml("score", "bank", "bad.csv", *json_)) == (7, "invalid_input")
    assert error(opsml("endpoints", "delete", "bank", *json_)) == (2, "usage")  # without --yes
    assert error(opsml("endpoints", "delete", "bank", "--deployment", "blue", "--yes", *json_)) == (5, "conflict")
    assert error(opsml("endpoints", "traffic", "bank", "blue", *json_)) == (2, "usage")
    assert error(opsml("endpoints", "rollback", "bank", *json_)) == (5, "conflict")
    assert answer(opsml("endpoints", "stop", "bank", *json_))["running"] is False
    assert error(opsml("score", "bank", "rows.csv", *json_)) == (5, "conflict")
    assert answer(opsml("endpoints", "start", "bank", *json_))["running"] is True
    assert error(opsml("deploy", "bank", "--deployment", "slow", "--wait-timeout", "0.01s", *json_)) == (8, "not_finished")
    assert answer(opsml("endpoints", "delete", "bank", "--yes", *json_))["deleted"] is True
    assert bank.online_endpoints.list() == []


@pytest.mark.slow
def test_a_foreign_folder_needs_trust_and_a_broken_one_fails(bank: LocalWorkspace, opsml: Opsml, tmp_path: Path) -> None:
    folder = foreign_folder(tmp_path / "foreign-model", body="raise ValueError('broken inside')", example=True)
    assert error(opsml("deploy", folder, "-o", "json")) == (4, "not_allowed")
    assert answer(opsml("deploy", folder, "--trust", "--dry-run", "-o", "json"))["model"] == "foreign-model:1"
    assert [model.name for model in bank.models.list()] == ["bank"]
    ran = opsml("deploy", folder, "--trust", "-o", "json")
    assert error(ran) == (9, "work_failed")
    assert "broken inside" in ran.stderr


def test_keys_are_masked_and_appear_nowhere(bank: LocalWorkspace, opsml: Opsml) -> None:
    deploy(bank, bank.models.list()[0], insights=True)
    keys = bank.online_endpoints.keys("bank")
    masked = answer(opsml("endpoints", "keys", "bank", "-o", "json"))
    assert masked.keys() == {"primary", "secondary"} and keys.primary not in masked.values()
    assert answer(opsml("endpoints", "keys", "bank", "--reveal", "-o", "json"))["primary"] == keys.primary
    told = [
        opsml("score", "bank", "rows.csv", "--debug"),
        opsml("endpoints", "show", "bank"),
        opsml("deploy", "bank", "--debug"),
        opsml("endpoints", "rotate-keys", "bank", "--yes"),
        opsml("logs", "bank"),
    ]
    fresh = bank.online_endpoints.keys("bank")
    secrets = (keys.primary, keys.secondary, fresh.primary)
    for ran in told:
        assert ran.exit_code == 0, ran.stderr
        assert not any(secret in ran.stdout + ran.stderr for secret in secrets)
    for path in bank.root.rglob("*"):
        if path.is_file() and path.parent.parent != bank.root / "secrets" and path.name != "bank.json":
            assert not any(secret.encode() in path.read_bytes() for secret in secrets), path


def test_showing_an_endpoint_loads_nothing_heavy(
    bank: LocalWorkspace, clean_environment: dict[str, str], tmp_path: Path
) -> None:
    import subprocess

    deploy(bank, bank.models.list()[0])
    code = (
        "import sys\nfrom opsml_cli.__main__ import main\nsys.argv=['opsml','endpoints','show','bank','-o','json']\n"
        "try:\n    main()\nexcept SystemExit as e:\n    assert not e.code\n"
        "heavy={'azure','mlflow','pandas','numpy','sklearn','lightgbm','httpx','rich','psutil','uvicorn','filelock','pyarrow','yaml'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=clean_environment, capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1] == "[]", done.stderr
    assert json.loads(done.stdout)["endpoint"] == "bank"
