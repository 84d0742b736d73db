"""What the real SDK refuses before it sends anything is told by field: what was given, what is expected, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opsml_cli.azureml import errors
from opsml_cli.domain.errors import InvalidInputError, NotFoundError, OpsmlError

# By SDK loader and file: what the message, the cause and the fix must name.
WRONG = [
    ("load_online_endpoint", "name: -bad_\nauth_mode: key\n", "name: String does not match", '"-bad_"', "correct name"),
    ("load_online_endpoint", "name: good\nauth_mode: kye\n", "auth_mode: Value 'kye'", "aml_token", "correct auth_mode"),
    ("load_component", "type: command\nname: bad name!\ncommand: echo\nenvironment: azureml:x:1\n", "name: ", '"bad name!"',
     "line 2"),
    ("load_online_deployment", "name: b\nendpoint_nam: e\ninstance_type: s\n", "endpoint_name: ", "endpoint_nam: Unknown field",
     "add endpoint_name"),
    ("load_online_deployment", "name: b\nendpoint_name: e\ninstance_type: [s]\n", "instance_type: ", '["s"]',
     "correct instance_type"),
    ("load_online_deployment", "name: b\nendpoint_name: e\ninstance_type: s\ninstance_count: few\n", "instance_count: ",
     '"few"', "correct instance_count"),
    ("load_online_deployment", "name: b\nendpoint_name: e\ninstance_type: s\ncolour: red\n", "colour: Unknown field", '"red"',
     "take colour out"),
    ("load_data", "name: x\ntype: uri_fil\npath: ./nothing\n", "type: ", "uri_file", "correct type"),
    ("load_job", "type: command\ncommand: echo\nenvironment: azureml:x:1\nresources: {instance_count: many}\n",
     "resources.instance_count: Not a valid integer", "resources.instance_count", "correct resources.instance_count"),
    ("load_job", "type: pipeline\njobs:\n  a: {type: command, environment: azureml:x:1}\n", "jobs.a", "jobs.a", "jobs.a"),
    ("load_job", "type: pipelin\n", "pipelin", "pipelin", "correct"),
    ("load_job", "type: [pipeline\n", "line 1", "line 2", "correct"),
]  # fmt: skip


def translated(act: Callable[[], Any]) -> OpsmlError:
    with pytest.raises(Exception) as caught:
        act()
    found = errors.translate(caught.value, "reading x.yml")
    assert found is not None
    return found


@pytest.mark.parametrize(("loader", "text", "message", "cause", "fix"), WRONG)
def test_a_wrong_file_is_told_by_field(tmp_path: Path, loader: str, text: str, message: str, cause: str, fix: str) -> None:
    import azure.ai.ml

    path = tmp_path / "x.yml"
    path.write_text(text)
    found = translated(lambda: getattr(azure.ai.ml, loader)(path))
    assert isinstance(found, InvalidInputError)
    assert found.message.startswith("reading x.yml: ")
    assert message in found.message
    assert cause in str(found.cause)
    assert fix in str(found.fix)
    for noise in ("IntelliSense", "aka.ms", "Schema failed", "{\n"):
        assert noise not in f"{found.message} {found.cause} {found.fix}"


def test_every_wrong_field_is_told(tmp_path: Path) -> None:
    import azure.ai.ml

    path = tmp_path / "x.yml"
    path.write_text("name: -bad_\nauth_mode: kye\ncolour: red\n")
    found = translated(lambda: azure.ai.ml.load_online_endpoint(path))
    assert all(f"{name}: " in str(found.cause) for name in ("name", "auth_mode", "colour"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    import azure.ai.ml

    found = translated(lambda: azure.ai.ml.load_job(tmp_path / "gone.yml"))
    assert isinstance(found, InvalidInputError | NotFoundError)
    assert "gone.yml" in found.message
    assert "check the path" in str(found.fix)


def test_a_pipeline_that_cannot_be_sent(tmp_path: Path, emulator: Any) -> None:
    """The SDK looks at these only when it submits."""
    import azure.ai.ml

    client = emulator.ml_client()
    path = tmp_path / "x.yml"
    step = "{type: command, command: echo, environment: azureml:x:1}"
    path.write_text(f"type: pipeline\njobs:\n  a: {step}\n")
    found = translated(lambda: client.jobs.create_or_update(azure.ai.ml.load_job(path)))
    assert isinstance(found, InvalidInputError)
    assert "jobs.a.compute: Compute not set" in found.message
    assert "correct jobs.a.compute" in str(found.fix)


def test_content_that_is_not_there(tmp_path: Path, emulator: Any) -> None:
    from azure.ai.ml.entities import Data

    client = emulator.ml_client()
    data = Data(name="gone", version="1", type="uri_file", path=str(tmp_path / "gone.csv"))
    found = translated(lambda: client.data.create_or_update(data))
    assert isinstance(found, InvalidInputError | NotFoundError)
    assert "gone.csv" in f"{found.message} {found.cause}"
    assert "check the path" in str(found.fix)
