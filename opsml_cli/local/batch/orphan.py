"""A run that was killed leaves no process behind that goes on with its work."""

from __future__ import annotations

import os
import threading
import time

_SECONDS = 0.5


def end_with_parent() -> None:
    """End this process soon after the one that started it, whatever it does then."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS)
        os._exit(1)

    if os.name != "nt":
        threading.Thread(target=watch, daemon=True).start()
