"""The command line as a process: what the fixture `opsml` of conftest.py is and gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Ran(NamedTuple):
    """How a command line ended."""

    exit_code: int
    stdout: str
    stderr: str


Opsml = Callable[..., Ran]
