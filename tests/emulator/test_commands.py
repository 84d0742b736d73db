"""`opsml local up|env|run|status|down` and the emulator's process, as a user meets them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from command_line import Opsml

TRAPPED = "trap 'kill $!; exit 9' TERM; sleep 30 & echo ready; wait"
SCRIPT = """\
import os
from azure.ai.ml import MLClient
from azure.identity import DefaultAzureCredential

names = [os.environ[name] for name in ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE_NAME")]
client = MLClient(DefaultAzureCredential(), *names)
print(client.workspaces.get().name, *[each.name for each in client.workspaces.list()])
"""


@pytest.fixture
def ended(opsml: Opsml) -> Iterator[None]:
    yield
    opsml("local", "down", "--yes")


def _status(opsml: Opsml) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(opsml("local", "status", "-o", "json").stdout)
    return found


@pytest.mark.usefixtures("ended")
def test_an_unmodified_script_finds_the_workspace(opsml: Opsml, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    ran = opsml("local", "run", "--", sys.executable, "script.py")
    assert (ran.exit_code, ran.stdout.split()) == (0, ["local", "local"]), ran.stderr
    assert _status(opsml)["emulator"]["running"]


@pytest.mark.usefixtures("ended")
def test_the_names_are_those_of_complete_azure_settings(opsml: Opsml) -> None:
    names = {"SUBSCRIPTION_ID": "11111111-2222-3333-4444-555555555555", "RESOURCE_GROUP": "rg", "WORKSPACE_NAME": "mine"}
    given = {f"OPSML_AZURE__{name}": value for name, value in names.items()}
    found = json.loads(opsml("local", "env", "-o", "json", env=given).stdout)
    assert found["AZURE_SUBSCRIPTION_ID"] == names["SUBSCRIPTION_ID"]
    assert found["AZUREML_WORKSPACE_NAME"] == "mine"
    # Kept, without the settings too.
    assert json.loads(opsml("local", "env", "-o", "json").stdout)["AZUREML_WORKSPACE_NAME"] == "mine"


@pytest.mark.slow
@pytest.mark.usefixtures("ended")
def test_the_port_identity_and_names_outlast_a_restart_and_options_change_it(opsml: Opsml) -> None:
    first = json.loads(opsml("local", "env", "-o", "json").stdout)
    assert _status(opsml)["emulator"]["pace"] == "fast"
    up = json.loads(opsml("local", "up", "--pace", "azure", "--inject", "throttle", "-o", "json").stdout)
    assert (up["emulator"]["pace"], up["emulator"]["inject"], up["unchanged"]) == ("azure", ["throttle"], False)
    assert json.loads(opsml("local", "up", "-o", "json").stdout)["unchanged"]
    assert json.loads(opsml("local", "env", "-o", "json").stdout) == first
    ended = json.loads(opsml("local", "down", "--yes", "-o", "json").stdout)["ended"]
    assert [each["kind"] for each in ended] == ["emulator", "service"]
    assert not _status(opsml)["emulator"]["running"]
    assert json.loads(opsml("local", "env", "-o", "json").stdout) == first


def test_wrong_options_are_refused_before_anything_starts(opsml: Opsml) -> None:
    for words in (("--pace", "slowly"), ("--inject", "floods"), ("--inject", "error:status=404"), ("--inject", "drop:x=1")):
        ran = opsml("local", "up", *words)
        assert ran.exit_code == 2, ran.stderr
    assert opsml("local", "env", "--shell", "cmd").exit_code == 2
    assert not _status(opsml)["processes"]


@pytest.mark.usefixtures("ended")
@pytest.mark.slow
def test_a_port_that_is_taken_is_a_conflict_and_leaves_the_running_one(opsml: Opsml) -> None:
    assert opsml("local", "up").exit_code == 0
    before = _status(opsml)["emulator"]
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ran = opsml("local", "up", "--port", str(port))
        assert (ran.exit_code, f"port {port}" in ran.stderr) == (5, True)
        assert _status(opsml)["emulator"] == before
    assert opsml("local", "up", "--port", str(port)).exit_code == 0
    assert _status(opsml)["emulator"]["url"] == f"https://localhost:{port}"


@pytest.mark.usefixtures("ended")
@pytest.mark.skipif(os.name == "nt", reason="shells of POSIX")
def test_streams_exit_code_and_signals_are_the_commands(
    opsml: Opsml, tmp_path: Path, clean_environment: Mapping[str, str]
) -> None:
    ran = opsml("local", "run", "--", "sh", "-c", "cat; echo told >&2; exit 7", stdin="given")
    assert (ran.exit_code, ran.stdout) == (7, "given")
    assert ran.stderr.endswith("told\n")
    missing = opsml("local", "run", "--", "no-such-command")
    assert missing.exit_code == 3
    assert "no-such-command" in missing.stderr
    process = subprocess.Popen(
        [sys.executable, "-m", "opsml_cli", "local", "run", "--", "sh", "-c", TRAPPED],
        cwd=tmp_path, env=dict(clean_environment), stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 9
    process.stdout.close()


@pytest.mark.usefixtures("ended")
@pytest.mark.skipif(os.name == "nt", reason="bash")
def test_the_environment_is_evaluated_by_a_shell(opsml: Opsml, clean_environment: Mapping[str, str], tmp_path: Path) -> None:
    text = opsml("local", "env").stdout
    done = subprocess.run(
        ["bash", "-c", f"{text}\necho $AZURE_TENANT_ID $ARM_CLOUD_METADATA_URL"],
        cwd=tmp_path, env=dict(clean_environment), capture_output=True, text=True, check=True, timeout=20,
    )  # fmt: skip
    tenant, url = done.stdout.split()
    assert tenant == "adfs"
    assert url.startswith("https://localhost:")


@pytest.mark.usefixtures("ended")
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.slow
def test_a_killed_emulator_is_seen_and_started_again_on_its_port(opsml: Opsml) -> None:
    before = json.loads(opsml("local", "up", "-o", "json").stdout)["emulator"]
    os.kill(before["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 60
    while _status(opsml)["emulator"]["running"]:
        assert time.monotonic() < deadline
    after = json.loads(opsml("local", "up", "-o", "json").stdout)["emulator"]
    assert after["url"] == before["url"]
    assert after["pid"] != before["pid"]
