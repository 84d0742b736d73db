"""The commands of docs/requests.md are run, and print what the page shows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from telemetry_live import PRIMARY, scoring_server

PAGE = Path(__file__).parents[2] / "docs/requests.md"
BLOCKS = re.findall(r"^```console\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
# A command goes on to the line that ends its quoted body.
COMMANDS = [
    pytest.param(command, shown, id=f"{block}.{number}")
    for block, text in enumerate(BLOCKS)
    for number, (command, shown) in enumerate(re.findall(r"^\$ ((?:[^'\n]|'[^']*')*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE))
]


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    if shutil.which("curl") is None or shutil.which("sh") is None:
        pytest.skip("curl or a shell is not installed")
    with scoring_server() as (address, _):
        yield {**os.environ, "URL": f"{address}/score", "KEY": PRIMARY, "NO_PROXY": "*"}


@pytest.mark.parametrize(("command", "shown"), COMMANDS)
def test_a_command_prints_what_the_page_shows(environment: dict[str, str], command: str, shown: str) -> None:
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.replace("\r", "").strip() == shown.strip()


def test_every_command_of_the_page_is_run() -> None:
    assert len(COMMANDS) == PAGE.read_text("utf-8").count("\n$ curl") > 10
