"""The process of an endpoint: `python -m opsml_cli.local.serving.server ROOT ENDPOINT`.

It holds the endpoint's lock while it lives, binds before it publishes, and follows the record in the database. Two further
arguments, the number of an inherited socket and that of its place, make it a worker beside the process that started it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import hashlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsml_cli.domain import names
from opsml_cli.local import endpoint_records
from opsml_cli.local.endpoint_records import RUNNING, EndpointRecord
from opsml_cli.local.layout import Layout
from opsml_cli.local.processes import hold
from opsml_cli.local.serving.hosting.copies import sweep
from opsml_cli.local.serving.journal import Journal, JournalHandler, JournalStream
from opsml_cli.local.serving.place import Place
from opsml_cli.local.serving.workers import Seat, Word, Workers
from opsml_cli.local.store import Store

if TYPE_CHECKING:
    from uvicorn import Server

    from opsml_cli.local.serving.app import ScoringApp
    from opsml_cli.local.serving.reconciler import Duties, Reconciler

LOCK_SECONDS = 15.0  # how long a new server waits for a stopping one
DRAIN_SECONDS = 5  # for requests that are being answered when the server ends
PORTS = range(21000, 29000)  # below what the system hands out by itself, so that a port is still free after a reboot
OWN_PORT_SECONDS = 1.0
_PORT_TRIES = 64


def main(arguments: list[str]) -> int:
    """Serve until the endpoint is stopped or deleted, or the process is asked to end."""
    root, endpoint, *inherited = arguments
    store = Store(Path(root))
    place = Place(Layout(Path(root)).endpoint(endpoint))
    lock: object = None
    seat = Seat(place, int(inherited[1])) if inherited else None
    if seat is None:
        place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _lock(place, lambda: _wanted(store, endpoint) is not None)
        if lock is None:
            if _wanted(store, endpoint) is not None and not place.alive():
                _say(f"another process held {place.lock} for {LOCK_SECONDS:g} s")
            return 0
        place.forget_status()
        sweep(place.work)
    elif not seat.taken:
        return 0
    record = _wanted(store, endpoint)
    if record is None:
        return 0
    journal = Journal(place.journal)
    try:
        if seat is not None:
            _work(Path(root), record, journal, socket.socket(fileno=int(inherited[0])), seat)
        else:
            _lead(Path(root), record, journal, store)
    except Exception as error:  # the last word before the end belongs into the log
        journal.write("error", f"the server ends: {type(error).__name__}: {error}")
        _say(f"{type(error).__name__}: {error}")
        raise
    finally:
        store.close()
    return 0


def _say(word: str) -> None:
    """A last word, kept where a starting process's are looked for."""
    print(word, file=sys.__stderr__, flush=True)


def _wanted(store: Store, endpoint: str) -> EndpointRecord | None:
    with store.read() as connection:
        record = endpoint_records.read(connection, endpoint)
    return record if record is not None and record.desired == RUNNING else None


def _lock(place: Place, wanted: Callable[[], bool]) -> object:
    deadline = time.monotonic() + LOCK_SECONDS
    while wanted():
        # Where workers live one of them becomes the leader, for they hold the socket.
        lock = None if place.workers_alive() else hold(place.lock)
        if lock is not None or time.monotonic() > deadline:
            return lock
        time.sleep(0.05)
    return None


def _lead(root: Path, record: EndpointRecord, journal: Journal, store: Store) -> None:
    from opsml_cli.local.processes import start_time
    from opsml_cli.local.serving.reconciler import Duties

    listener = _bind(record, root)
    port = int(listener.getsockname()[1])
    if port != record.port:
        if record.port is not None:
            journal.write("warning", f"port {record.port} is taken by another program: serving on {port} instead")
        with store.write() as connection:
            fresh = endpoint_records.read(connection, record.name)
            if fresh is None or fresh.id != record.id:
                return
            fresh.port = port
            endpoint_records.save(connection, fresh)
        record = fresh
    journal.write("info", f"the server of endpoint {record.name} starts on 127.0.0.1:{port}, process {os.getpid()}")
    workers = Workers(root, record.name, Place(Layout(root).endpoint(record.name)), listener.fileno(), journal.write)

    def duties(serving: Callable[[], bool]) -> Duties:
        return Duties(port, workers, start_time(os.getpid()), serving)

    by_the_record = False
    try:
        by_the_record = _serve(root, record, journal, listener, duties=duties)
    finally:
        if by_the_record:  # otherwise the workers go on without this process
            workers.end(DRAIN_SECONDS)
        journal.write("info", "the server has ended")


class _Heir:
    """A worker's seat among the processes, and its way to the leader's part."""

    def __init__(self, root: Path, record: EndpointRecord, seat: Seat, listener: socket.socket, journal: Journal) -> None:
        self.number = seat.number
        self.serving: Callable[[], bool] = lambda: False
        self._root = root
        self._endpoint = record.name
        self._place = Place(Layout(root).endpoint(record.name))
        self._seat = seat
        self._listener = listener
        self._journal = journal
        self._workers: Workers | None = None

    def speak(self, word: Word) -> None:
        self._seat.speak(word)

    def succeed(self) -> Duties | None:
        from opsml_cli.local.processes import start_time, take
        from opsml_cli.local.serving.reconciler import Duties

        if (lock := take(self._place.lock)) is None:
            return None
        self._lock = lock  # held until the process ends
        handle = self._listener.fileno()
        self._workers = Workers(self._root, self._endpoint, self._place, handle, self._journal.write)
        self._journal.write("warning", f"the leading process has ended: process {os.getpid()} takes its part")
        self._seat.leave()
        return Duties(int(self._listener.getsockname()[1]), self._workers, start_time(os.getpid()), self.serving)

    def end(self, *, by_the_record: bool) -> None:
        if self._workers is None:
            self._seat.leave()
        elif by_the_record:
            self._workers.end(DRAIN_SECONDS)


def _work(root: Path, record: EndpointRecord, journal: Journal, listener: socket.socket, seat: Seat) -> None:
    heir = _Heir(root, record, seat, listener, journal)
    by_the_record = False
    try:
        by_the_record = _serve(root, record, journal, listener, heir=heir)
    finally:
        heir.end(by_the_record=by_the_record)


def _serve(
    root: Path,
    record: EndpointRecord,
    journal: Journal,
    listener: socket.socket,
    *,
    duties: Callable[[Callable[[], bool]], Any] | None = None,
    heir: _Heir | None = None,
) -> bool:
    """Answer on `listener` until the record says otherwise, or the process is asked to end; whether it was the record."""
    from opsml_cli.local.serving.app import ScoringApp
    from opsml_cli.local.serving.reconciler import Reconciler
    from opsml_cli.local.telemetry import Recorder

    _redirect(journal)
    signal.signal(signal.SIGTERM, _interrupt)
    recorder = Recorder(Place(Layout(root).endpoint(record.name)).telemetry, record.insights)
    following: list[Reconciler] = []
    servers: list[Server] = []
    ended = threading.Event()

    def end() -> None:
        ended.set()
        for server in servers:
            server.should_exit = True

    def rekey() -> tuple[bytes, ...]:
        return following[0].rekey()

    def started() -> bool:
        return bool(servers) and servers[0].started

    if heir is not None:
        heir.serving = started
    app = ScoringApp(
        record.name,
        sink=recorder,
        report=lambda deployment, message: journal.write("error", message, deployment),
        warn=lambda message: journal.write("warning", message),
        rekey=rekey,
    )
    reconciler = Reconciler(
        root,
        record,
        app,
        journal,
        recording=lambda on: recorder.enable() if on else recorder.disable(),
        end=end,
        duties=duties(started) if duties is not None else None,
        succession=heir,
    )
    following.append(reconciler)
    server = _server(app, int(listener.getsockname()[1]))
    reconciler.start()
    # Until the models that were live are live again, clients wait in the socket's queue.
    while not (reconciler.ready.wait(0.05) or ended.is_set()):
        pass
    servers.append(server)
    _favour_requests()
    if not ended.is_set():
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    reconciler.stop()
    reconciler.end_hosts()
    recorder.close()
    return ended.is_set()


def _favour_requests() -> None:
    """What is loaded stays: looking at all of it again and again would stop every request for milliseconds. And no other
    thread keeps the event loop waiting as long as Python lets it by default (5 ms)."""
    from opsml_cli.http_protocol import fit_descriptors

    sys.setswitchinterval(0.0005)
    fit_descriptors()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _interrupt(*_: object) -> None:
    """uvicorn ends by itself on SIGTERM, and then sends it once more: files and hosts are cleared away after that."""
    raise KeyboardInterrupt


def _server(app: ScoringApp, port: int) -> Server:
    import uvicorn

    from opsml_cli.guard import Guard, loopback_names
    from opsml_cli.local.serving.direct import protocol_of
    from opsml_cli.local.serving.lane import ScoringLane

    guard = Guard(app, loopback_names(port), app.refused)
    config = uvicorn.Config(
        guard,
        http=protocol_of(ScoringLane(app, guard), app.refused, app.limits.body_bytes),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        backlog=1024,
    )
    return uvicorn.Server(config)


def _redirect(journal: Journal) -> None:
    """Prints, warnings and logging of whatever runs here go to the journal; crashes of the interpreter to process.log."""
    faulthandler.enable()
    sys.stdout = JournalStream(journal, "info", sys.stdout)
    sys.stderr = JournalStream(journal, "warning", sys.stderr)
    logging.getLogger().addHandler(JournalHandler(journal))


def _bind(record: EndpointRecord, root: Path) -> socket.socket:
    """A listening socket on loopback: the port that the endpoint had, or one that depends on its name only, or any."""
    seed = f"{root}\0{names.key(record.name)}".encode()
    first = int.from_bytes(hashlib.sha256(seed).digest()[:4], "big")
    span = len(PORTS)
    wished = [PORTS[(first + step) % span] for step in range(_PORT_TRIES)]
    # A killed server's workers let go of the port an instant later: its own port is worth a short wait.
    own = [record.port] * int(OWN_PORT_SECONDS / 0.1) if record.port is not None else []
    for port in [*own, *wished, 0]:
        # By this protocol asyncio knows connections whose small packets must not wait for others.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        # On Windows this option would let two servers share a port.
        if os.name != "nt":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(1024)
        except OSError:
            listener.close()
            if port == 0:
                raise
            if port == record.port:
                time.sleep(0.1)
            continue
        return listener
    raise AssertionError("port 0 always answers")


if __name__ == "__main__":
    code = main(sys.argv[1:])
    # A thread that still scores may take long; nothing that matters is left to do.
    os._exit(code)
