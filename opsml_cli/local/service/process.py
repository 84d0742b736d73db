"""The process of the local service: started detached, found again, ended."""

from __future__ import annotations

from opsml_cli.domain.errors import OpsmlError
from opsml_cli.local.background import Address, Background
from opsml_cli.local.layout import Layout
from opsml_cli.local.service.client import ServiceClient
from opsml_cli.local.service.place import ServicePlace

MODULE = "opsml_cli.local.service.server"


class LocalService:
    """The service of one workspace. Any number of processes may ask for it at once: one service runs."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.place = ServicePlace(layout)
        self._background = Background(self.place, MODULE, "the local service", self._answers)

    def running(self) -> Address | None:
        """Where it listens; None when it is down, whatever its files say."""
        return self.place.running()

    def up(self) -> tuple[Address, bool]:
        """Start it unless it runs; return when it answered a request. The flag: this call started it."""
        self._layout.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.place.make_token()
        return self._background.up([str(self._layout.root)])

    def down(self) -> bool:
        """End it and return when it is gone; False when it was down."""
        return self._background.down()

    def _answers(self, address: Address) -> bool:
        """Whether it is the process of `address` that answers there."""
        try:
            status, body = ServiceClient(self._layout, timeout=5.0).request("GET", "/")
        except (OSError, OpsmlError):
            return False
        return status == 200 and isinstance(body, dict) and body.get("pid") == address.pid
