"""The entry point of the `opsml` script. Imports as little as the command line at hand needs."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Run the command line and end the process with its exit code."""
    if "_OPSML_COMPLETE" in os.environ:
        from opsml_cli.cli.completion import answer

        sys.exit(answer(sys.argv[1:], os.environ["_OPSML_COMPLETE"]))
    # Loading modules makes much and drops nothing: with Python's own threshold the collector takes a twentieth of a start.
    gc.set_threshold(20_000, 20, 20)
    from opsml_cli.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
