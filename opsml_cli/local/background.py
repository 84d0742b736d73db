"""Servers that survive the terminal: started detached, one at a time, found again by their files, ended.

A server holds `lock` as long as it lives. It listens on loopback only, on the port that it had before when that is free, and
writes where once it listens."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsml_cli.content import files
from opsml_cli.domain.errors import BusyError, ConflictError, OpsmlError
from opsml_cli.local import home, leftovers, processes

if TYPE_CHECKING:
    import uvicorn

    from opsml_cli.guard import ASGIApp

_READY_SECONDS = 30.0
_REPLY_SECONDS = 3.0
_END_SECONDS = 10.0
_TICK_SECONDS = 0.03
_PATIENCE_SECONDS = 2.0
_FOLDER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Address:
    """What a running server wrote about itself. `base` is its URL without the port; `options` are those it was started
    with."""

    port: int
    pid: int
    started: float | None
    base: str = "http://127.0.0.1"
    options: Mapping[str, str] | None = None
    home: str | None = None  # the identity of the folder that it was written into: a copy of that has no server

    @property
    def url(self) -> str:
        return f"{self.base}:{self.port}"


class Place:
    """The files of one server in `folder`. Reading them costs one small file."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name

    @property
    def lock(self) -> Path:
        """Held by the server as long as it lives."""
        return self.folder / "lock"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def _address(self) -> Path:
        return self.folder / "address.json"

    def address(self) -> Address | None:
        """The last one; the server may be down by now. Its port is tried again at the next start."""
        try:
            value = json.loads(self._address.read_text(encoding="utf-8"))
            sound = isinstance(value["port"], int) and isinstance(value["pid"], int)
            return Address(**value) if sound and home.same(value.get("home"), self.folder) else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def write_address(self, address: Address) -> None:
        files.write_atomic(self._address, json.dumps(asdict(address) | {"home": home.identity(self.folder)}).encode())

    def running(self) -> Address | None:
        """Where it listens; None when it is down, whatever its files say."""
        if not processes.held(self.lock):
            return None
        address = self.address()
        # One that is just starting has the lock, and says with the id 0 that it does not listen yet.
        return address if address is not None and address.pid and processes.pid_alive(address.pid) else None


class Background:
    """One server, from outside. Any number of processes may ask for it at once: one server runs.

    `what` names it in errors; `answers` asks it over its port whether it is the process of an address."""

    def __init__(self, place: Place, module: str, what: str, answers: Callable[[Address], bool]) -> None:
        self.place = place
        self._module = module
        self._what = what
        self._answers = answers

    def up(self, arguments: Sequence[str]) -> tuple[Address, bool]:
        """Start it unless it runs; return when it answered a request. The flag: this call started it."""
        found = self.place.running()
        if found is not None and self._replies(found):
            return found, False
        self.place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        leftovers.sweep(self.place.folder)
        pid = processes.spawn_detached(self._module, arguments, output=self.place.log, folder=self.place.folder)
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            address = self.place.running()
            if address is not None and self._answers(address):
                return address, address.pid == pid
            if address is None and not processes.pid_alive(pid) and not processes.held(self.place.lock):
                break
            time.sleep(_TICK_SECONDS)
        raise OpsmlError(f"{self._what} did not start", cause=_last_line(self.place.log), fix=f"look at {self.place.log}")

    def _replies(self, found: Address) -> bool:
        """Whether it answers within seconds; False when it ended meanwhile. BusyError for one that lives and does not."""
        deadline = time.monotonic() + _REPLY_SECONDS
        while not self._answers(found):
            if self.place.running() != found:
                return False
            if time.monotonic() > deadline:
                raise BusyError(
                    f"{self._what} (pid {found.pid}) does not answer",
                    cause="it was stopped (SIGSTOP), or has too much to do",
                    fix="try again in a moment; opsml local down ends it",
                )
            time.sleep(_TICK_SECONDS)
        return True

    def down(self) -> bool:
        """End it and return when it is gone; False when it was down. One that is just starting is awaited first."""
        deadline = time.monotonic() + _READY_SECONDS
        while (address := self.place.running()) is None:
            if not processes.held(self.place.lock) or time.monotonic() > deadline:
                return False
            time.sleep(_TICK_SECONDS)
        for force in (False, True):
            processes.end_group(address.pid, address.started, force=force)
            deadline = time.monotonic() + _END_SECONDS
            while time.monotonic() < deadline:
                left = self.place.running()
                if (left is None or left.pid != address.pid) and not processes.lives(address.pid, address.started):
                    return True
                time.sleep(_TICK_SECONDS)
        raise BusyError(f"{self._what} (pid {address.pid}) does not end", fix="try again, or end that process")


def serve(
    place: Place,
    make: Callable[[int], ASGIApp],
    *,
    base: str = "http://127.0.0.1",
    port: int | None = None,
    options: Mapping[str, str] | None = None,
    prepare: Callable[[], Mapping[str, Any]] = dict,
    beside: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> int:
    """Be the server: take the lock, listen, write the address, serve until told to end. The exit code.

    `make` gets the port and makes the application; `prepare` is called with the lock held and gives further settings of
    uvicorn; `port` None: the last one when it is free, else any. `beside` gives what works as long as it serves."""
    # A reader that looks whether the lock is held holds it for an instant. Who says meanwhile that it listens is the
    # server that this one would have been, even if it was ended since.
    deadline, before = time.monotonic() + _PATIENCE_SECONDS, place.address()
    while (lock := processes.hold(place.lock)) is None:
        if time.monotonic() > deadline:
            return 0
        time.sleep(0.005)
    if place.address() != before:
        lock.release()
        return 0
    if before is not None:
        # The port stays known; but nobody may take what listens there by now for the server, and send it a token.
        place.write_address(Address(before.port, 0, None, base, options))
    import uvicorn

    from opsml_cli.http_protocol import BoundedProtocol, fit_descriptors

    fit_descriptors()
    settings: dict[str, Any] = {"http": BoundedProtocol, **prepare()}
    listener = _listen([port] if port is not None else [before.port, 0] if before is not None else [0])
    found = int(listener.getsockname()[1])
    app = make(found)
    place.write_address(Address(found, os.getpid(), processes.start_time(os.getpid()), base, options))
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
        ws="none",
        timeout_keep_alive=60,
        **settings,
    )
    # uvicorn sends itself the signal once more when it has shut down: there is still a line to write then.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server = uvicorn.Server(config)
    threading.Thread(target=_end_with, args=(place.folder, server), name="folder", daemon=True).start()
    with beside():
        server.run(sockets=[listener])
    with suppress(FileNotFoundError):  # of a workspace that was removed
        place.write_address(Address(found, 0, None, base, options))
    lock.release()
    return 0


def _end_with(folder: Path, server: uvicorn.Server) -> None:
    """End the server when its workspace is removed, or moved away: nobody would find it any more."""
    here = home.identity(folder)
    while not server.should_exit:
        time.sleep(_FOLDER_SECONDS)
        if home.identity(folder) != here:
            server.should_exit = True


def check_port(port: int) -> None:
    """ConflictError when a server cannot listen on `port` of loopback."""
    try:
        _listen([port]).close()
    except OSError as error:
        raise ConflictError(f"port {port} cannot be had", cause=error.strerror, fix="choose another port, or none") from error


def _listen(ports: Sequence[int]) -> socket.socket:
    """A listening socket on the first of `ports` that can be had (0: any free one). OSError, that of the last."""
    for port in ports:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if os.name != "nt":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(128)
        except OSError:
            listener.close()
            if port == ports[-1]:
                raise
            continue
        return listener
    raise OSError("no port was asked for")


def _last_line(path: Path) -> str | None:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    return next((line.strip()[:500] for line in reversed(lines) if line.strip()), None)
