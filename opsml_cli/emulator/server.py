"""The emulator's process: `python -m opsml_cli.emulator.server ROOT [OPTIONS]`, the options one JSON object."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opsml_cli.emulator.process import BASE, Options, place_of
from opsml_cli.guard import ASGIApp
from opsml_cli.local.background import serve
from opsml_cli.local.layout import Layout


def main(arguments: Sequence[str]) -> int:
    layout = Layout(Path(arguments[0]))
    options = Options.read(json.loads(arguments[1])) if len(arguments) > 1 else Options()

    def make(port: int) -> ASGIApp:
        from opsml_cli.emulator.app import make_app

        return make_app(layout.root, port, pace=options.pace, inject=options.inject, trust=options.trust)

    def prepare() -> Mapping[str, Any]:
        from opsml_cli.emulator.listening import settings

        return settings(layout, datetime.now(UTC))

    return serve(place_of(layout), make, base=BASE, port=options.port, options=options.document(), prepare=prepare)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
