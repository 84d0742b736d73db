"""The entry point of the `opsml` script. Imports as little as the command line at hand needs."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and end the process with its exit code."""
    if "_OPSML_COMPLETE" in os.environ:
        from opsml_cli.cli.completion import answer

        sys.exit(answer(sys.argv[1:], os.environ["_OPSML_COMPLETE"]))
    from opsml_cli.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
