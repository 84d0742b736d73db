"""Where the demo's data comes from, and the files of its retraining pipeline."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

ADDRESS = "https://automlsamplenotebookdata.blob.core.windows.net/automl-sample-notebook-data/bankmarketing_train.csv"
PIPELINE_FILES = ("pipeline.yml", "prepare.py", "evaluate.py")


def answers(address: str, seconds: float = 5.0) -> bool:
    """Whether `address` begins to answer within `seconds`, looking its name up included. Never raises."""
    return _within(seconds, lambda: _first_bytes(address, seconds))


def _first_bytes(address: str, seconds: float) -> bool:
    import httpx

    try:
        with httpx.stream("GET", address, timeout=seconds, follow_redirects=True) as reply:
            return reply.status_code == httpx.codes.OK and bool(next(reply.iter_raw(1024), b""))
    except (httpx.HTTPError, httpx.InvalidURL, OSError):
        return False


def _within(seconds: float, ask: Callable[[], bool]) -> bool:
    """What `ask` says, or False once `seconds` are over: a name lookup has no timeout of its own."""
    said: list[bool] = []
    thread = threading.Thread(target=lambda: said.append(ask()), daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(said and said[0])


def write_pipeline(folder: Path) -> None:
    """Copy the retraining pipeline's files into `folder` (made when missing), replacing those of an earlier run."""
    from importlib.resources import files

    folder.mkdir(parents=True, exist_ok=True)
    for name in PIPELINE_FILES:
        (folder / name).write_bytes(files(__package__).joinpath("pipeline", name).read_bytes())
