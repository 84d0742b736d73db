"""The debug log: a file, with secrets masked, in the user's state folder. Written with --debug, or when something
unexpected happened."""

from __future__ import annotations

import os
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.cli.masking import Masking

if TYPE_CHECKING:
    import logging

_KEPT = 20


def folder() -> Path:
    """Where debug logs lie."""
    import platformdirs

    return Path(platformdirs.user_log_dir("opsml", appauthor=False))


def new_log() -> Path | None:
    """A new, empty log file, readable by its owner alone; None when it cannot be made."""
    try:
        place = folder()
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in sorted(place.glob("opsml-*.log"))[: -_KEPT + 1]:
            old.unlink(missing_ok=True)
        path = place / f"opsml-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.log"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    except OSError:
        return None
    return path


def record_failure(path: Path, error: BaseException, masking: Masking, argv: list[str]) -> None:
    """Append the traceback of `error`."""
    story = "".join(traceback.format_exception(error))
    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(masking.mask(f"opsml {' '.join(argv)}\n{story}"))
    except OSError:
        return


def start_logging(path: Path, masking: Masking) -> logging.Handler:
    """Send everything that libraries log to `path`, masked."""
    import logging

    class Masked(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return masking.mask(super().format(record))

    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(Masked("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.DEBUG)
    return handler
