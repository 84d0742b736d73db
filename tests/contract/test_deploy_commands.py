"""`opsml deploy` of scripts and of Azure's files as a process: exit codes, what is written down, secrets that stay secret."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Opsml
from serving_support import end_all, foreign_folder

from opsml_cli.domain.endpoint import RawRequest
from opsml_cli.local.workspace import LocalWorkspace

SCRIPT = """
import os

def init():
    global unit
    unit = os.environ.get("UNIT", "none")

def run(raw_data):
    return [raw_data, unit]
"""
SECRET = "canary-8f1c2d"


@pytest.fixture
def files(workspace: LocalWorkspace, tmp_path: Path) -> Iterator[Path]:
    """A script and the files of an endpoint and a deployment, beside the workspace."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "score.py").write_text(SCRIPT)
    (tmp_path / "endpoint.yml").write_text("name: shop\nauth_mode: key\ntraffic: {blue: 100}\n")
    (tmp_path / "deployment.yml").write_text(
        "name: blue\nendpoint_name: shop\ncode_configuration: {code: ./src, scoring_script: score.py}\n"
        "environment_variables: {UNIT: cm}\ninstance_count: 1\nliveness_probe: {period: 5}\n"
    )
    yield tmp_path
    end_all(workspace)


def send(workspace: LocalWorkspace, endpoint: str) -> object:
    reply = workspace.online_endpoints.send(endpoint, RawRequest(b"1"))
    assert reply.status == 200
    return json.loads(reply.body)


def test_azures_files_are_deployed(workspace: LocalWorkspace, files: Path, opsml: Opsml) -> None:
    both = ("deploy", "-f", "endpoint.yml", "-f", "deployment.yml")
    untrusted = opsml(*both)
    assert (untrusted.exit_code, "--trust" in untrusted.stderr) == (4, True)
    planned = opsml(*both, "--trust", "--dry-run", "-o", "json")
    assert (planned.exit_code, json.loads(planned.stdout)["script"]) == (0, "score.py")
    assert workspace.online_endpoints.list() == []
    made = opsml(*both, "--trust", "--set", "environment_variables.UNIT=mm", "-o", "json")
    assert made.exit_code == 0, made.stderr
    assert "1 of the settings has no effect on this machine: liveness_probe" in made.stderr
    found = json.loads(made.stdout)
    assert (found["script"], found["model"], found["traffic"], found["unchanged"]) == ("score.py", None, {"blue": 100}, False)
    assert send(workspace, "shop") == ["1", "mm"]
    again = opsml(*both, "--set", "environment_variables.UNIT=mm", "-o", "json")
    assert json.loads(again.stdout)["unchanged"] is True
    for words, code in (
        (("--set", "instance_count=0"), 2),
        (("--set", "instance_cout=1"), 2),
        (("--set", "traffic={blue: 90}"), 2),
        (("-f", "deployment.yml"), 2),
    ):
        assert opsml(*both, *words, "-o", "json").exit_code == code
    (files / "deployment.yml").write_text("name: blue\nendpoint_name: shop\nmodle: x\n")
    wrong = opsml("deploy", "-f", "deployment.yml", "-o", "json")
    told = json.loads(wrong.stderr.splitlines()[-1])["error"]
    assert (wrong.exit_code, told["message"]) == (7, "deployment.yml, line 3: unknown key 'modle'")
    assert told["cause"] == "did you mean 'model'?"
    (files / "deployment.yml").write_text("name: blue\nendpoint_name: shop\ntype: kubernetes\n")
    assert opsml("deploy", "-f", "deployment.yml").exit_code == 7
    assert opsml("deploy", "-f", "nowhere.yml").exit_code == 3


def test_a_secret_variable_comes_from_the_environment(workspace: LocalWorkspace, files: Path, opsml: Opsml) -> None:
    command = ("deploy", "--code", "src", "--endpoint", "shop", "--trust", "--env-var", "UNIT")
    unset = opsml(*command)
    assert (unset.exit_code, "UNIT is not set" in unset.stderr) == (2, True)
    made = opsml(*command, "-o", "json", env={"UNIT": SECRET})
    assert made.exit_code == 0, made.stderr
    assert send(workspace, "shop") == ["1", SECRET]
    shown = opsml("endpoints", "show", "shop", "-o", "json")
    logs = opsml("logs", "shop")
    assert SECRET not in made.stdout + made.stderr + shown.stdout + logs.stdout


def test_starting_an_endpoint_whose_deployment_fails_is_a_failure(workspace: LocalWorkspace, files: Path, opsml: Opsml) -> None:
    assert opsml("deploy", "--code", "src", "--endpoint", "shop", "--trust").exit_code == 0
    assert opsml("endpoints", "stop", "shop").exit_code == 0
    [code] = (workspace.layout.endpoint("shop") / "code").glob("*/score.py")
    code.chmod(0o600)
    code.write_text("changed")
    started = opsml("endpoints", "start", "shop", "-o", "json")
    told = json.loads(started.stderr.splitlines()[-1])["error"]
    assert (started.exit_code, told["code"]) == (9, "work_failed")
    assert "not those that were registered" in told["cause"]
    assert json.loads(started.stdout)["state"] == "Failed"


def test_the_command_to_try_it_works(workspace: LocalWorkspace, files: Path, opsml: Opsml) -> None:
    foreign_folder(files / "foreign")
    shown = opsml("deploy", "foreign", "--trust", "--endpoint", "foreign").stdout
    [line] = [line for line in shown.splitlines() if line.startswith("  try it")]
    words = shlex.split(line.removeprefix("  try it"))
    assert (words[0], words[2], words[3]) == ("echo", "|", "opsml")
    ran = opsml(*words[4:], stdin=words[1])
    assert ran.exit_code == 0, ran.stderr
    (files / "rows.csv").write_text("age,job,balance\n4,clerk,1.5\n")
    shown = opsml("deploy", "foreign", "--trust", "--endpoint", "foreign", "--input-example", "rows.csv").stdout
    assert "try it     opsml score foreign rows.csv" in shown
    assert opsml("score", "foreign", "rows.csv").exit_code == 0
    shown = opsml("deploy", "--code", "src", "--endpoint", "shop", "--trust")
    assert (shown.exit_code, "try it" in shown.stdout) == (0, False)  # nobody knows what a script takes
