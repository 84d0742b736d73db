"""The first file that a host's interpreter runs: `PYTHON BUNDLE CHANNEL LIFE`, where it is the bundle's `__main__.py`."""

from __future__ import annotations

import datetime
import enum
import sys


def _be_a_newer_python() -> None:
    """The domain's modules use two names that Python 3.10, which a model may need, does not have."""

    class StrEnum(str, enum.Enum):  # noqa: UP042
        __str__ = str.__str__
        __format__ = str.__format__  # type: ignore[assignment]

    setattr(enum, "StrEnum", StrEnum)  # noqa: B010
    setattr(datetime, "UTC", datetime.timezone.utc)  # noqa: B010, UP017


if __name__ == "__main__":
    if not hasattr(enum, "StrEnum"):
        _be_a_newer_python()
    from opsml_cli.local.serving.host import main

    # The bundle's packages find their own modules; the model finds what is installed for it, and nothing of opsml's.
    sys.path.pop(0)
    code = main.main(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    raise SystemExit(code)
