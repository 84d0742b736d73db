"""The local service itself: `python -m opsml_cli.local.service.server ROOT`.

It holds `service/lock` as long as it lives; a second one sees that and ends. It listens on loopback only, on the port it
had before when that is free, and says where once it listens."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from opsml_cli.guard import Guard, loopback_names
from opsml_cli.local import processes
from opsml_cli.local.layout import Layout
from opsml_cli.local.service.place import Address, ServicePlace

_PATIENCE_SECONDS = 2.0


def main(arguments: Sequence[str]) -> int:
    layout = Layout(Path(arguments[0]))
    place = ServicePlace(layout)
    # A reader that looks whether the lock is held holds it for an instant. Who says meanwhile that it listens is the
    # service that this one would have been, even if it was ended since.
    deadline, before = time.monotonic() + _PATIENCE_SECONDS, place.address()
    while (lock := processes.hold(place.lock)) is None:
        if time.monotonic() > deadline:
            return 0
        time.sleep(0.005)
    if place.address() != before:
        lock.release()
        return 0
    last = place.address()
    if last is not None:
        # The port stays known; but nobody may take what listens there by now for the service, and send it the token.
        place.write_address(Address(last.port, 0, None))
    import uvicorn

    from opsml_cli.local.service.app import TokenRequired, make_app

    listener = _listen(last)
    port = int(listener.getsockname()[1])
    app = Guard(TokenRequired(make_app(layout), place.make_token()), loopback_names(port))
    place.write_address(Address(port, os.getpid(), processes.start_time(os.getpid())))
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
        h11_max_incomplete_event_size=65_536,
    )
    # uvicorn sends itself the signal once more when it has shut down: there is still a line to write then.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listener])
    place.write_address(Address(port, 0, None))
    lock.release()
    return 0


def _listen(last: Address | None) -> socket.socket:
    for port in ([last.port] if last is not None else []) + [0]:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name != "nt":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(128)
        except OSError:
            listener.close()
            continue
        return listener
    raise OSError("no port of this machine is free")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
