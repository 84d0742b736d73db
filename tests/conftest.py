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


@pytest.fixture
def opsml(tmp_path: Path, clean_environment: dict[str, str]) -> Opsml:
    """Runs `opsml` as a process in `tmp_path`: `opsml("data", "list", "-o", "json")` gives (exit_code, stdout, stderr).

    `env` adds to a clean environment, `stdin` is text; no stream is a terminal."""

    def run(
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        cwd: Path | None = None,
        timeout: float = 120.0,
    ) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "opsml_cli", *map(str, arguments)],
            input=(stdin or "").encode(),
            capture_output=True,
            env=clean_environment | dict(env or {}),
            cwd=cwd or tmp_path,
            timeout=timeout,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run
