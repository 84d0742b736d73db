"""`opsml endpoints invoke`: a body as it is, the reply as it came, and exit codes for what is no success."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Opsml
from serving_support import end_all

from opsml_cli.local.workspace import LocalWorkspace

SCRIPT = """
def init():
    pass

def run(raw_data, request_headers):
    if raw_data == "raise":
        raise ValueError("not this")
    return {"media": request_headers.get("Content-Type"), "length": len(raw_data), "text": raw_data[:9]}
"""


@pytest.fixture
def texts(workspace: LocalWorkspace, tmp_path: Path, opsml: Opsml) -> Iterator[Path]:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "score.py").write_text(SCRIPT)
    made = opsml("deploy", "--code", "src", "--scoring-script", "score.py", "--endpoint", "texts", "--trust")
    assert made.exit_code == 0, made.stderr
    yield tmp_path
    end_all(workspace)


def test_a_request_goes_out_as_it_is_and_the_reply_comes_as_it_is(texts: Path, opsml: Opsml) -> None:
    (texts / "request.txt").write_bytes("Größe\n".encode())
    shown = opsml(
        "endpoints", "invoke", "texts", "--request-file", "request.txt", "--content-type", "text/plain", "-o", "table"
    )
    assert shown.exit_code == 0, shown.stderr
    assert json.loads(shown.stdout) == {"media": "text/plain", "length": 6, "text": "Größe\n"}
    found = json.loads(opsml("endpoints", "invoke", "texts", "--request-file", "request.txt", "-o", "json").stdout)
    assert (found["status"], found["deployment"], found["out"]) == (200, "blue", None)
    assert json.loads(found["body"])["media"] == "application/json"
    named = opsml("endpoints", "invoke", "texts", "--request-file", "request.txt", "--deployment", "green")
    assert named.exit_code == 3


def test_a_reply_goes_into_a_file_that_is_not_replaced(texts: Path, opsml: Opsml) -> None:
    (texts / "request.txt").write_text("x" * 300_000)
    words = ("endpoints", "invoke", "texts", "--request-file", "request.txt", "--out", "reply.json")
    assert opsml(*words).exit_code == 0
    assert json.loads((texts / "reply.json").read_bytes())["length"] == 300_000
    (texts / "reply.json").write_text("mine")
    assert opsml(*words).exit_code == 5
    assert (texts / "reply.json").read_text() == "mine"
    assert opsml(*words, "--force").exit_code == 0
    assert json.loads((texts / "reply.json").read_bytes())["length"] == 300_000


def test_what_is_no_success_is_printed_and_has_its_exit_code(texts: Path, opsml: Opsml) -> None:
    (texts / "request.txt").write_text("raise")
    failed = opsml("endpoints", "invoke", "texts", "--request-file", "request.txt", "-o", "json")
    assert failed.exit_code == 9
    assert json.loads(failed.stdout)["status"] == 500
    assert opsml("endpoints", "invoke", "texts", "--request-file", "absent").exit_code == 3
    assert opsml("endpoints", "invoke", "nothing", "--request-file", "request.txt").exit_code == 3
    assert opsml("endpoints", "invoke", "texts").exit_code == 2


def test_a_script_without_a_model_has_no_rows_to_draw_from(texts: Path, opsml: Opsml) -> None:
    for words in (("score", "texts", "--sample", "2"), ("bench", "texts", "--duration", "1s")):
        found = opsml(*words)
        assert found.exit_code == 3
        assert "has no registered model" in found.stderr
        assert "opsml endpoints invoke texts" in found.stderr
