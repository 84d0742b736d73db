"""The local service itself: `python -m opsml_cli.local.service.server ROOT`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.guard import ASGIApp, Guard, loopback_names
from opsml_cli.local.background import serve
from opsml_cli.local.layout import Layout
from opsml_cli.local.service.place import ServicePlace

if TYPE_CHECKING:
    from opsml_cli.local.service.chores import Chores


def main(arguments: Sequence[str]) -> int:
    layout = Layout(Path(arguments[0]))
    place = ServicePlace(layout)

    def make(port: int) -> ASGIApp:
        from opsml_cli.local.service.app import TokenRequired, make_app

        return Guard(TokenRequired(make_app(layout), place.make_token()), loopback_names(port))

    def beside() -> Chores:
        from opsml_cli.local.service.chores import Chores

        return Chores(layout)

    return serve(place, make, beside=beside)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
