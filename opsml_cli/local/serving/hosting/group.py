"""The hosts of one revision: each is kept running by a thread of its own, and takes one request at a time from a common queue.

Requests are handled on the event loop of the server; whoever loads and ends a group does that in other threads."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from opsml_cli.domain.contract import Column, Schema
from opsml_cli.local.serving.host.exchange import Description, HostReply, HostRequest
from opsml_cli.local.serving.host.main import HostSettings
from opsml_cli.local.serving.hosting.copies import Copy
from opsml_cli.local.serving.hosting.link import HostLink
from opsml_cli.local.serving.hosting.process import (
    HostFailedError,
    HostProcess,
    Report,
)

STEADY_SECONDS = 10.0  # a process that lived so long did not die of its start
BACKOFF = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # seconds before a start, after so many early deaths


class BusyError(Exception):
    """As many requests wait already as may."""


class UnavailableError(Exception):
    """No process of the deployment was there in time; the text says why."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """`requests` and `waiting_bytes` that may be with the group at once, answered or waiting."""

    requests: int = 256
    waiting_bytes: int = 128 * 2**20


@dataclass(frozen=True, slots=True)
class HostFacts:
    """A running host: its process, the seconds from its start to its first word, and its Python."""

    pid: int
    started: float | None
    seconds: float
    python: str


class HostGroup:
    """`start` makes a process that has not loaded yet, of a copy; `copy` makes new files for the hosts. A group takes whole
    requests where a scorer takes rows."""

    def __init__(
        self,
        copy: Callable[[], Copy],
        start: Callable[[Copy], HostProcess],
        count: int,
        report: Report,
        *,
        bounds: Bounds | None = None,
        seconds: float | None = None,
    ) -> None:
        self.description = Description()
        self.schema = Schema(())
        self.classes: tuple[object, ...] = ()
        self.words: dict[str, Any] = {}  # of the host that was loaded first
        self.seconds = seconds  # of a request; None: as the server has it
        self._copy_files = copy
        self._start = start
        self._count = count
        self._report = report
        self._bounds = bounds or Bounds()
        self._files = threading.Lock()  # while files are copied, which takes time
        # Of all threads, under a lock that is held for an instant only
        self._lock = threading.Lock()
        self._copy: Copy | None = None
        self._hosts: dict[int, HostProcess] = {}
        self._facts: dict[int, HostFacts] = {}
        self._failure: str | None = None
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unattached: list[HostProcess] = []
        # Of the event loop
        self._links: set[HostLink] = set()
        self._idle: deque[HostLink] = deque()
        self._waiting: deque[asyncio.Future[HostLink]] = deque()
        self._users = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._admitted = 0  # whose bodies have come: one that is still coming keeps nobody else waiting
        self._pending_bytes = 0
        self._retired: Callable[[], None] | None = None

    # Loading, keeping and ending

    def open(self) -> None:
        """Load in every host; HostFailedError when one of them does not."""
        opening = [_Opening() for _ in range(self._count)]
        for number, each in enumerate(opening):
            thread = threading.Thread(target=self._keep, args=(number, each), name="host", daemon=True)
            self._threads.append(thread)
            thread.start()
        for each in opening:
            each.done.wait()
        failure = next((each.failure for each in opening if each.failure), None)
        if failure is not None:
            self.close()
            raise HostFailedError(failure)

    @property
    def copy(self) -> Copy | None:
        """The files that its hosts work on."""
        return self._copy

    def facts(self) -> list[HostFacts]:
        """The hosts that answer now."""
        with self._lock:
            return [self._facts[number] for number in sorted(self._facts)]

    def close(self) -> None:
        """End the hosts and remove their files; requests that are there are lost. Any thread but the event loop's."""
        self._closing.set()
        with self._lock:
            hosts = list(self._hosts.values())
        for host in hosts:
            host.end()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(10.0)
        with self._files:
            if self._copy is not None:
                self._copy.remove()
                self._copy = None

    def retire(self) -> None:
        """End when no request that was routed here is left; returns at once. The caller has taken it off the routes."""

        def end() -> None:
            threading.Thread(target=self.close, name="host-end", daemon=True).start()

        def ask() -> None:
            self._retired = end
            self._check_retired()

        loop = self._loop
        if loop is None:
            end()
            return
        try:
            loop.call_soon_threadsafe(ask)
        except RuntimeError:  # the loop has ended, and with it every request
            end()

    def _keep(self, number: int, opening: _Opening) -> None:
        early = 0
        while not self._closing.is_set():
            begun = time.monotonic()
            try:
                host = self._load(number, begun)
            except Exception as error:
                reason = str(error) if isinstance(error, HostFailedError) else f"{type(error).__name__}: {error}"
                if not opening.done.is_set():
                    opening.failure = reason
                    opening.done.set()
                    return
                if self._closing.is_set():
                    return
                self._failure = reason
                self._report("error", f"the process does not start again: {reason}")
            else:
                self._failure = None
                opening.done.set()
                host.wait()
                self._down(number, host)
                if self._closing.is_set():
                    return
                self._report("error", f"{host.last_words()}; another one is started")
            early = 0 if time.monotonic() - begun > STEADY_SECONDS else early + 1
            self._closing.wait(BACKOFF[min(early, len(BACKOFF) - 1)])

    def _load(self, number: int, begun: float) -> HostProcess:
        with self._files:
            if self._copy is not None and not self._hosts:
                # What the last process wrote beside itself may be what it died of.
                self._copy.remove()
                self._copy = None
            if self._copy is None:
                self._copy = self._copy_files()
            copy = self._copy
            with self._lock:
                if self._closing.is_set():
                    raise HostFailedError("it was ended while it was loaded")
                host = self._hosts[number] = self._start(copy)
        try:
            description, words = host.load(self._settings(copy, number))
        except BaseException:
            with self._lock:
                self._hosts.pop(number, None)
            raise
        facts = HostFacts(host.pid, host.started, round(time.monotonic() - begun, 3), str(words.get("python", "")))
        with self._lock:
            self.description = description
            self.schema = Schema(Column(**_column(each)) for each in description.columns)
            self.classes = description.classes
            self._facts[number] = facts
            self.words = words if "not_compiled" in words or not self.words else self.words
            host.channel.setblocking(False)
            if self._loop is None:
                self._unattached.append(host)
            else:
                with suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._attach, host)
        return host

    def _settings(self, copy: Copy, number: int) -> HostSettings:
        """The first host may compile the model, when it is loaded first."""
        if number == 0 and not self.words and copy.settings.compiled is not None:
            return copy.settings
        return replace(copy.settings, compiled=None)

    def _down(self, number: int, host: HostProcess) -> None:
        with self._lock:
            self._facts.pop(number, None)
            self._hosts.pop(number, None)
            if host in self._unattached:
                self._unattached.remove(host)
        with suppress(OSError):  # what the model started, and hid from us, may hold the other end
            host.channel.shutdown(socket.SHUT_RDWR)
        host.channel.close()  # the event loop has a descriptor of its own

    # Requests, on the event loop

    def enter(self) -> None:
        """A request was routed here; `leave` when it is over."""
        if self._loop is None:
            self._take_loop()
        self._users += 1

    def leave(self) -> None:
        self._users -= 1
        self._check_retired()

    async def answer(self, request: HostRequest, seconds: float) -> HostReply:
        """The reply of a host. BusyError at once; UnavailableError when none was free within `seconds`; HostTimeoutError when
        it took longer than `seconds` to answer, HostGoneError when it ended meanwhile."""
        size = len(request.body)
        if self._admitted >= self._bounds.requests or self._pending_bytes > self._bounds.waiting_bytes:
            raise BusyError
        loop = self._loop or self._take_loop()
        self._admitted += 1
        self._pending_bytes += size
        try:
            link = await self._free_link(loop, loop.time() + seconds)
            return await link.ask(request, loop, loop.time() + seconds)
        finally:
            self._admitted -= 1
            self._pending_bytes -= size

    async def _free_link(self, loop: asyncio.AbstractEventLoop, deadline: float) -> HostLink:
        while self._idle:
            link = self._idle.popleft()
            if link.alive:
                return link
        waiting: asyncio.Future[HostLink] = loop.create_future()
        self._waiting.append(waiting)
        timer = loop.call_at(deadline, self._waited, waiting)
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                self._released(waiting.result())
            raise
        finally:
            timer.cancel()

    def _waited(self, waiting: asyncio.Future[HostLink]) -> None:
        if waiting.done():
            return
        with suppress(ValueError):
            self._waiting.remove(waiting)
        if any(link.alive for link in self._links):
            waiting.set_exception(UnavailableError("it was busy with other requests all the time"))
        else:
            waiting.set_exception(UnavailableError(self._failure or "its process is being started again"))

    def _released(self, link: HostLink) -> None:
        """A host is free: the first that waits takes it."""
        if not link.alive:
            return
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(link)
                return
        self._idle.append(link)

    def _gone(self, link: HostLink) -> None:
        self._links.discard(link)
        with suppress(ValueError):
            self._idle.remove(link)

    def _take_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        with self._lock:
            self._loop = loop
            hosts, self._unattached = self._unattached, []
        for host in hosts:
            self._attach(host)
        return loop

    def _attach(self, host: HostProcess) -> None:
        link = HostLink(host, self._released, self._gone)
        self._links.add(link)
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._connect(loop, link))
        # A task that nobody holds may be collected.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, loop: asyncio.AbstractEventLoop, link: HostLink) -> None:
        try:
            # A descriptor of its own, so that neither side closes what the other still uses.
            await loop.create_unix_connection(lambda: link, sock=link.host.channel.dup())
        except (OSError, ValueError):
            link.kill()
            self._gone(link)

    def _check_retired(self) -> None:
        if self._retired is not None and self._users == 0:
            end, self._retired = self._retired, None
            end()


class _Opening:
    """How the first start of one host went."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.failure: str | None = None


def _column(values: dict[str, Any]) -> dict[str, Any]:
    """A column as it came through JSON: its tuples are lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
