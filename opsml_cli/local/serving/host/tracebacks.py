"""Tracebacks of foreign code for the log: its own frames and those of its packages, none of opsml's."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

_OWN = str(Path(__file__).resolve().parents[3]) + os.sep  # wherever the host runs from: the bundle's copy or the package


def lines_of(error: BaseException) -> list[str]:
    """As Python prints it, with the exceptions that led to it."""
    found = traceback.TracebackException.from_exception(error)
    chain: list[traceback.TracebackException | None] = [found]
    while chain:
        each = chain.pop()
        if each is not None:
            kept = [frame for frame in each.stack if not _hidden(frame.filename)]
            each.stack = traceback.StackSummary.from_list(kept)
            chain += [each.__cause__, each.__context__]
    return "".join(found.format()).rstrip().split("\n")


def _hidden(file: str) -> bool:
    return file.startswith((_OWN, "<frozen importlib"))
