"""The life of an endpoint's server process: started, followed until it has taken up a change, ended, cleared away."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress

from opsml_cli.domain.child_environment import kept
from opsml_cli.domain.endpoint import Serving
from opsml_cli.domain.errors import BusyError, WorkFailedError
from opsml_cli.local import endpoint_records
from opsml_cli.local.endpoint_records import RUNNING, EndpointRecord
from opsml_cli.local.layout import Layout
from opsml_cli.local.processes import hold, lives, memory, pid_alive
from opsml_cli.local.serving.facts import ServingFacts
from opsml_cli.local.serving.place import Launch, Place
from opsml_cli.local.store import Store

SERVER = "opsml_cli.local.serving.server"
START_SECONDS = 120.0  # for a server to be ready with the models it had
STOP_SECONDS = 15.0
TAKE_UP_SECONDS = 10.0  # for a live server to follow a change


class EndpointServers:
    """The server processes of a workspace's endpoints, one an endpoint."""

    def __init__(self, layout: Layout, store: Store) -> None:
        self._layout = layout
        self._store = store

    def place(self, record: EndpointRecord) -> Place:
        """The server's files."""
        return Place(self._layout.endpoint(record.name))

    def running(self, record: EndpointRecord) -> bool:
        """Whether a live process serves it."""
        return self.place(record).alive()

    def applied(self, record: EndpointRecord) -> int:
        """The generation that the live server has taken up; -1 before its first word."""
        status = self.place(record).status()
        if status is None or status.id != record.id or not pid_alive(status.pid):
            return -1
        return status.applied

    def serving(self, record: EndpointRecord) -> dict[str, Serving]:
        """How the live processes serve each revision, and what memory they have now."""
        status = self.place(record).status()
        if status is None or status.id != record.id:
            return {}
        found = {}
        for revision, document in status.serving.items():
            facts = ServingFacts.read(document)
            sizes = [size for pid in facts.pids if (size := memory(pid)) is not None]
            found[revision] = Serving(
                facts.mode, facts.reason, sum(sizes) if sizes else None, facts.seconds, facts.python, facts.pids
            )
        return found

    def starting(self, record: EndpointRecord) -> bool:
        """Whether the process that was started last still lives; it may not hold the lock yet."""
        launch = self.place(record).launch()
        return launch is not None and lives(launch.pid, launch.started)

    def ensure(self, record: EndpointRecord) -> None:
        """Start the server unless it runs or is about to; returns at once."""
        from opsml_cli.local.processes import spawn_detached, start_time

        if self.running(record) or self.starting(record):
            return
        place = self.place(record)
        place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Threads of native libraries sleep between requests instead of spinning.
        environment = {"OMP_WAIT_POLICY": "PASSIVE", **kept(os.environ)}
        said = place.output.stat().st_size if place.output.exists() else 0
        pid = spawn_detached(SERVER, [str(self._layout.root), record.name], output=place.output, environment=environment)
        place.write_launch(Launch(pid, start_time(pid), said))

    def note(self, record: EndpointRecord, reason: str, deployment: str) -> None:
        """A line in the server's log of a deployment that no server tries."""
        from opsml_cli.local.serving.journal import Journal

        Journal(self.place(record).journal).write("error", f"deployment failed: {reason}", deployment)

    def await_applied(self, record: EndpointRecord, timeout: float = TAKE_UP_SECONDS) -> None:
        """Wait until the server, if it lives, has taken up this generation."""
        deadline = time.monotonic() + timeout
        place = self.place(record)
        while True:
            if self.running(record):
                if self.applied(record) >= record.generation:
                    return
            elif not self.starting(record):
                if record.desired == RUNNING and timeout == START_SECONDS:
                    raise WorkFailedError(
                        f"the server of endpoint {record.name!r} ended while it started",
                        cause=place.last_words(),
                        fix=f"opsml logs {record.name}",
                    )
                return
            if time.monotonic() > deadline:
                raise BusyError(
                    f"the server of endpoint {record.name!r} has not taken up the change within {timeout:g} s; it still will",
                    fix=f"opsml endpoints show {record.name}",
                )
            time.sleep(0.01)

    def await_end(self, record: EndpointRecord) -> None:
        """Wait for the server to follow the record into its end; kill it when it does not."""
        from opsml_cli.local.processes import end_group

        place = self.place(record)
        status = place.status()
        deadline = time.monotonic() + STOP_SECONDS
        forced = False
        while self.running(record) or self.starting(record):
            if time.monotonic() > deadline and not forced:
                forced, deadline = True, time.monotonic() + STOP_SECONDS
                for each in (status, place.launch()):
                    if each is not None:
                        end_group(each.pid, each.started, force=True)
            elif time.monotonic() > deadline:
                raise BusyError(f"the server of endpoint {record.name!r} does not end", fix="run the same command again")
            time.sleep(0.02)

    def clear_leftovers(self, name: str) -> None:
        """Remove the folder that an endpoint left which is no longer in the database."""
        folder = self._layout.endpoint(name)
        if not folder.exists():
            return
        with self._store.read() as connection:
            if endpoint_records.read(connection, name) is not None:
                return
        deadline = time.monotonic() + STOP_SECONDS
        while (lock := hold(Place(folder).lock)) is None:
            if time.monotonic() > deadline:
                raise BusyError(
                    f"the server of a deleted endpoint {name!r} has not ended yet", fix="run the same command again"
                )
            time.sleep(0.05)
        with suppress(OSError):
            shutil.rmtree(folder)
        lock.release()
