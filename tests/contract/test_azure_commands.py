"""The flow from a table to a watched service on Azure, as commands: train, deploy, score, watch, read; and what they load."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure_live import azure_workspace
from command_line import Opsml
from emulator_support import Emulated
from jobs_live import ending_jobs, write_table
from serving_support import end_all

# Which modules a command has loaded, written where the environment says.
PROGRAM = """
import atexit, json, os, sys
def told():
    with open(os.environ["MODULES"], "w") as file:
        json.dump(sorted(sys.modules), file)
atexit.register(told)
sys.argv = ["opsml", *json.loads(os.environ["ARGUMENTS"])]
from opsml_cli.__main__ import main
main()
"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    with azure_workspace(tmp_path_factory.mktemp("azure")) as (_, found), ending_jobs(found.workspace.root):
        yield found
        end_all(found.workspace)


@pytest.fixture
def azure(emulator: Emulated) -> dict[str, str]:
    """What leads a command to the emulator's workspace."""
    return emulator.environment | {
        "OPSML_WORKSPACE": "azure",
        "OPSML_AZURE__SUBSCRIPTION_ID": emulator.subscription,
        "OPSML_AZURE__RESOURCE_GROUP": emulator.resource_group,
        "OPSML_AZURE__WORKSPACE_NAME": emulator.workspace_name,
    }


def try_it_out(environment: dict[str, str], folder: Path) -> object:
    """What the Swagger page of `people` answers when it scores a row; the page ends with Ctrl-C."""
    import httpx

    command = [sys.executable, "-m", "opsml_cli", "swagger", "people", "--ui"]
    with subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as page:
        assert page.stdout is not None
        found = re.search(rb"http://127\S+", page.stdout.readline())
        assert found is not None
        url = found[0].decode()
        row = {"age": 40, "income": 50.0, "city": "Bonn"}
        reply = httpx.post(f"{url}proxy/score", json={"Inputs": {"data": [row]}}, timeout=30)
        page.send_signal(signal.SIGINT)
        page.communicate(timeout=30)
    assert reply.status_code == 200, reply.text
    return reply.json()


# What is null because there is nothing to tell, on every workspace.
NOTHING = {
    "error",
    "canary",
    "parent",
    "detail",
    "description",
    "source",
    "target_column",
    "delimiter",
    "encoding",
    "compression",
    "script",
}


def assert_explained(document: dict[str, Any]) -> None:
    """Every null says why: Azure has no source for it."""
    silent = {key for key, value in document.items() if value is None} - NOTHING - document.get("unknown", {}).keys()
    assert not silent, f"null without a reason: {sorted(silent)}"


@pytest.mark.slow
def test_the_whole_story(opsml: Opsml, azure: dict[str, str], clean_environment: dict[str, str], tmp_path: Path) -> None:
    def run(*arguments: str, code: int = 0) -> Any:
        ran = opsml(*arguments, "-o", "json", env=azure, timeout=240)
        assert ran.exit_code == code, ran.stderr
        return json.loads(ran.stdout) if code == 0 else json.loads(ran.stderr.strip().splitlines()[-1])["error"]

    # The YAML's relative paths start from its own folder.
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    write_table(folder / "people.csv")
    (folder / "job.yml").write_text(
        "type: automl\ntask: classification\nprimary_metric: AUC_weighted\ntarget_column_name: label\n"
        "training_data: {type: mltable, path: ./people.csv}\nn_cross_validations: 2\n"
        "limits: {timeout_minutes: 1, max_trials: 1}\nfeaturization: {mode: auto}\nexperiment_name: from-yaml\n"
    )
    gate = "AUC_weighted>=1.1"
    refused = run("train", "automl", "-f", "elsewhere/job.yml", "--drop-column", "amount", "--gate", gate, code=10)
    assert refused["code"] == "gate" and gate in str(refused["cause"])
    (listed,) = run("jobs", "list")
    name = str(listed["job"])
    assert listed["best"]["metrics"]["AUC_weighted"] > 0.5 and listed["duration_seconds"] > 0
    assert_explained(listed)
    trained = run("jobs", "show", name)
    assert_explained(trained)
    assert_explained(run("models", "show", "people-label"))
    assert_explained(run("models", "list")[0])
    assert_explained(run("data", "list")[0])
    assert (trained["status"], trained["experiment"], trained["threshold"]) == ("Completed", "from-yaml", None)
    assert trained["unknown"]["threshold"]
    assert trained["model"]["name"] == "people-label" and trained["best"]["metrics"]["AUC_weighted"] > 0.5

    deployed = run("deploy", "--job", name, "--endpoint", "people", "--insights")
    assert_explained(deployed)
    assert deployed["running"] is None
    assert (deployed["deployment"], deployed["state"], deployed["traffic"]) == ("blue", "Succeeded", {"blue": 100})
    assert run("deploy", "--job", name, "--endpoint", "people", "--insights")["unchanged"] is True
    scored = run("score", "people", "--sample", "3", "--proba")
    assert scored["rows"] == 3 and set(scored["classes"]) == {"no", "yes"}
    shown = run("endpoints", "show", "people")
    assert shown["insights"] is True
    assert_explained(shown)
    assert run("endpoints", "keys", "people")["primary"].startswith("*")
    assert "paths" in run("swagger", "people")
    answered = try_it_out(clean_environment | azure, tmp_path)
    assert isinstance(answered, dict) and answered["Results"][0] in ("no", "yes")
    assert run("insights", "show", "people")["requests"] >= 1
    log = opsml("logs", "people", "--tail", "3", "-o", "jsonl", env=azure)
    assert log.exit_code == 0 and len(log.stdout.splitlines()) == 3
    assert run("score", "nowhere", "--sample", "1", code=3)["code"] == "not_found"
    assert run("endpoints", "stop", "people", code=2)["code"] == "unsupported"
    assert opsml("endpoints", "delete", "people", "--yes", env=azure).exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("jobs", "list"),
        ("endpoints", "list"),
        ("jobs", "show", "nothing-there"),
        ("endpoints", "keys", "nothing-there"),
        ("logs", "nothing-there"),
        ("insights", "show", "nothing-there"),
    ],
)
def test_reads_do_not_load_the_sdk(
    azure: dict[str, str], clean_environment: dict[str, str], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    modules = tmp_path / "modules.json"
    told = {"ARGUMENTS": json.dumps([*arguments, "-o", "json"]), "MODULES": str(modules)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=clean_environment | azure | told,
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == (3 if "nothing-there" in arguments else 0), done.stderr
    loaded = set(json.loads(modules.read_text()))
    assert "httpx" in loaded
    heavy = ("azure.ai.ml", "pandas", "sklearn", "pyarrow", "mlflow", "opsml_cli.local", "opsml_cli.emulator")
    assert not {module for module in loaded if module.startswith(heavy)}
