"""What every test may use: a local workspace, and the command line as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from opsml_cli.local.workspace import LocalWorkspace


class Ran(NamedTuple):
    """How a command line ended."""

    exit_code: int
    stdout: str
    stderr: str


Opsml = Callable[..., Ran]


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[LocalWorkspace]:
    """An empty local workspace in `tmp_path/.opsml`; the `opsml` fixture acts on the same one."""
    found = LocalWorkspace(tmp_path / ".opsml")
    yield found
    found.store.close()


@pytest.fixture
def clean_environment(tmp_path: Path) -> dict[str, str]:
    """An environment with a home of its own, and nothing of CI, colours or settings in it."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {
        name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "OMP_NUM_THREADS", "SYSTEMROOT") if name in os.environ
    }
    return kept | {"HOME": str(home), "TERM": "xterm", "PYTHONDONTWRITEBYTECODE": os.environ.get("PYTHONDONTWRITEBYTECODE", "")}


def _runner(program: list[str], environment: Mapping[str, str], folder: Path) -> Opsml:
    def run(
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        cwd: Path | None = None,
        timeout: float = 120.0,
    ) -> Ran:
        done = subprocess.run(
            [sys.executable, *program, *map(str, arguments)],
            input=(stdin or "").encode(),
            capture_output=True,
            env={**environment, **(env or {})},
            cwd=cwd or folder,
            timeout=timeout,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def opsml(tmp_path: Path, clean_environment: dict[str, str]) -> Opsml:
    """Runs `opsml` as a process in `tmp_path`: `opsml("data", "list", "-o", "json")` gives (exit_code, stdout, stderr).

    `env` adds to a clean environment, `stdin` is text; no stream is a terminal."""
    return _runner(["-m", "opsml_cli"], clean_environment, tmp_path)


@pytest.fixture
def probe(tmp_path: Path, clean_environment: dict[str, str]) -> Opsml:
    """As `opsml`, with the commands of tests/unit/cli_probe.py: `probe("probe", "fail", "not_found")`."""
    return _runner([str(Path(__file__).parent / "unit" / "cli_probe.py")], clean_environment, tmp_path)
