"""Keeps a serving process true to its record: loads what is wanted, proves it, swaps, and writes what became of it."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Protocol

from opsml_cli.domain import names
from opsml_cli.domain.endpoint import DeploymentState
from opsml_cli.domain.errors import NotFoundError, OpsmlError
from opsml_cli.local import endpoint_keys, endpoint_records
from opsml_cli.local.endpoint_records import RUNNING, DeploymentRecord, EndpointRecord, Release
from opsml_cli.local.layout import Layout
from opsml_cli.local.serving.app import ScoringApp
from opsml_cli.local.serving.facts import together
from opsml_cli.local.serving.hosting.group import HostGroup
from opsml_cli.local.serving.journal import Journal
from opsml_cli.local.serving.loading import NotServableError, load, prove
from opsml_cli.local.serving.place import Place, ServerStatus
from opsml_cli.local.serving.routing import Live, Routing
from opsml_cli.local.serving.workers import Word, Workers
from opsml_cli.local.store import Store

POLL_SECONDS = 0.05
IDLE_SECONDS = 0.25  # between looks once nothing has changed for a while: an endpoint nobody touches costs next to nothing
_IDLE_AFTER = 10.0

_UNFINISHED = (DeploymentState.CREATING, DeploymentState.UPDATING)


@dataclass(slots=True)
class _Models:
    """Revisions in this process: loaded, being loaded, and those that failed with the reason."""

    loaded: dict[str, Live] = field(default_factory=dict)
    loading: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Duties:
    """What only the leader does: it writes to the database and speaks for all workers. `serving` tells whether the HTTP
    server answers yet."""

    port: int
    workers: Workers
    started: float | None
    serving: Callable[[], bool]


class Succession(Protocol):
    """A worker's way to speak, and to become the leader. `number` is its place: it ends when the record wants fewer."""

    number: int

    def speak(self, word: Word) -> None: ...

    def succeed(self) -> Duties | None:
        """The leader's duties when nobody has them any more; tried again and again."""
        ...


class Reconciler(threading.Thread):
    """Watches the record of endpoint `id` in the workspace at `root`. `recording` is told the insights flag; `end` is
    called once when the endpoint is stopped, deleted or replaced; a worker has a `succession` in place of `duties`."""

    def __init__(
        self,
        root: Path,
        record: EndpointRecord,
        app: ScoringApp,
        journal: Journal,
        *,
        recording: Callable[[bool], None],
        end: Callable[[], None],
        duties: Duties | None,
        succession: Succession | None = None,
    ) -> None:
        super().__init__(name="reconciler", daemon=True)
        self.ready = threading.Event()  # every model that was live before is loaded, or has failed
        self._root = root
        self._layout = Layout(root)
        self._store = Store(root)
        self._place = Place(self._layout.endpoint(record.name))
        self._record = record
        self._app = app
        self._journal = journal
        self._recording = recording
        self._end = end
        self._duties = duties
        self._succession = succession
        self._models = _Models()
        self._proving: set[str] = set()
        self._proofs: queue.SimpleQueue[tuple[str, str, str | None]] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._stopping = False
        self._ending = threading.Lock()
        self._keys: tuple[bytes, ...] = ()
        self._keys_stamp: tuple[int, int] | None = None
        self._keys_lock = threading.Lock()
        self._data_version = -1
        self._changed_at = time.monotonic()
        self._published: ServerStatus | None = None
        self._said: Word | None = None

    def run(self) -> None:
        while not self._stopping:
            try:
                self._turn()
            except OpsmlError as error:
                self._again(f"the workspace database could not be read: {error.message}")
            except Exception as error:  # a full disk, say: what serves goes on
                self._again(f"the record could not be followed: {type(error).__name__}: {error}")
            self._wake.wait(IDLE_SECONDS if self._quiet() else POLL_SECONDS)
            self._wake.clear()

    def _again(self, reason: str) -> None:
        """After a moment the record is read again, whether anybody wrote or not."""
        self._journal.write("error", reason)
        self._data_version = -1
        self._wake.wait(1.0)

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        if self.ident is not None and threading.current_thread() is not self:
            self.join(5.0)

    def rekey(self) -> tuple[bytes, ...]:
        """The keys of now, read again when the file has changed. Any thread."""
        path = endpoint_keys.path(self._layout, self._record.name)
        try:
            found = path.stat()
        except OSError:
            return self._keys
        with self._keys_lock:
            if (found.st_mtime_ns, found.st_ino) != self._keys_stamp:
                try:
                    keys = endpoint_keys.read(self._layout, self._record.name)
                except (NotFoundError, ValueError, KeyError):
                    return self._keys
                self._keys = (keys.primary.encode(), keys.secondary.encode())
                self._keys_stamp = (found.st_mtime_ns, found.st_ino)
                self._app.routing = replace(self._app.routing, keys=self._keys)
            return self._keys

    def _turn(self) -> None:
        if not self._place.lock.exists():
            # Somebody removed the workspace from under the server.
            self._stopping = True
            self._end()
            return
        self.rekey()
        if self._changed():
            with self._store.read() as connection:
                record = endpoint_records.read(connection, self._record.name)
            if record is None or record.id != self._record.id or record.desired != RUNNING:
                self._stopping = True
                self._end()
                return
            self._record = record
            self._recording(record.insights)
        if self._duties is None and self._succession is not None:
            if self._succession.number > self._extra_workers():
                self._stopping = True
                self._end()
                return
            self._duties = self._succession.succeed()
        self._load_wanted()
        self._route()
        if self._duties is not None:
            self._duties.workers.keep(self._extra_workers())
            self._settle(self._duties)
            self._route()
        self._tell()

    def _changed(self) -> bool:
        """Whether anybody wrote to the database since the last look: one pragma, no query."""
        with self._store.read() as connection:
            version = int(connection.execute("PRAGMA data_version").fetchone()[0])
        if version == self._data_version:
            return False
        self._data_version = version
        self._changed_at = time.monotonic()
        return True

    def _quiet(self) -> bool:
        return not (self._models.loading or self._proving) and time.monotonic() - self._changed_at > _IDLE_AFTER

    def _wanted(self) -> dict[str, tuple[DeploymentRecord, Release]]:
        """By revision: what serves, and what waits to."""
        wanted = {}
        for deployment in self._record.deployments.values():
            if deployment.active is not None:
                wanted[deployment.active.revision] = (deployment, deployment.active)
            if deployment.state in _UNFINISHED:
                wanted[deployment.target.revision] = (deployment, deployment.target)
        return wanted

    def _load_wanted(self) -> None:
        models, wanted = self._models, self._wanted()
        for revision in [each for each in models.failed if each not in wanted]:
            models.failed.pop(revision, None)
        for revision, (deployment, release) in wanted.items():
            if revision in models.loaded or revision in models.loading or revision in models.failed:
                continue
            models.loading.add(revision)
            self._journal.write("info", f"loading {release.title}", deployment.name)
            threading.Thread(
                target=self._load, args=(deployment.name, release), name=f"load-{release.model}", daemon=True
            ).start()

    def _load(self, deployment: str, release: Release) -> None:
        def report(level: str, message: str) -> None:
            self._journal.write(level, message, deployment)

        try:
            live = load(self._root, self._record.name, deployment, release, report)
        except NotServableError as error:
            self._models.failed[release.revision] = str(error)
            report("error", f"{release.title}: {error}")
        else:
            with self._ending:
                late = self._stopping
                if not late:
                    self._models.loaded[release.revision] = live
                    report("info", f"loaded {release.title}")
            if late:
                _end(live)
        self._models.loading.discard(release.revision)
        self._wake.set()

    def end_hosts(self) -> None:
        """End all processes of foreign deployments, and remove their files; for a server that answers no more."""
        with self._ending:
            self._stopping = True
            lives = list(self._models.loaded.values())
            self._models.loaded.clear()
        ends = [threading.Thread(target=_end, args=(live,)) for live in lives]
        for each in ends:
            each.start()
        for each in ends:
            each.join()

    def _route(self) -> None:
        record, loaded = self._record, self._models.loaded
        live = {}
        candidates = {}
        for key, deployment in record.deployments.items():
            if deployment.active is not None and deployment.active.revision in loaded:
                live[key] = loaded[deployment.active.revision]
            if deployment.state in _UNFINISHED and deployment.target.revision in loaded:
                candidates[deployment.target.revision] = loaded[deployment.target.revision]
        traffic = {names.key(name): percent for name, percent in record.traffic.items()}
        mirror = {names.key(name): percent for name, percent in record.mirror.items()}
        unrecorded = frozenset(each.name for each in record.deployments.values() if not each.recorded)
        with self._keys_lock:
            self._app.routing = Routing(self._keys, live, candidates, traffic, mirror, unrecorded)
        # Only now no further request can come to them.
        wanted = self._wanted()
        for revision in [each for each in loaded if each not in wanted]:
            group = loaded.pop(revision).scorer
            if isinstance(group, HostGroup):
                group.retire()

    def _extra_workers(self) -> int:
        counts = [release.instance_count for _, release in self._wanted().values()]
        return max(counts, default=1) - 1

    def _settle(self, duties: Duties) -> None:
        """Prove what is loaded everywhere, and end attempts that have failed."""
        words = duties.workers.words()
        for deployment in list(self._record.deployments.values()):
            if deployment.state in _UNFINISHED:
                revision = deployment.target.revision
                failures = [self._models.failed, *(word.failed for word in words)]
                reason = next((failed[revision] for failed in failures if revision in failed), None)
                everywhere = revision in self._models.loaded and all(revision in word.loaded for word in words)
                if reason is not None:
                    self._finish(deployment.name, revision, reason)
                elif everywhere and duties.serving() and revision not in self._proving:
                    self._proving.add(revision)
                    live = self._models.loaded[revision]
                    threading.Thread(target=self._prove, args=(duties.port, live), daemon=True).start()
            elif deployment.state is DeploymentState.SUCCEEDED and deployment.active is not None:
                reason = self._models.failed.get(deployment.active.revision)
                if reason is not None:
                    self._finish(deployment.name, deployment.target.revision, reason)
        while not self._proofs.empty():
            name, revision, reason = self._proofs.get()
            self._proving.discard(revision)
            self._finish(name, revision, reason)

    def _prove(self, port: int, live: Live) -> None:
        reason: str | None = None
        try:
            prove(port, self._keys[0].decode(), live)
        except NotServableError as error:
            reason = str(error)
        except Exception as error:  # whatever it was, the deployment must not wait for ever
            reason = f"the first request failed: {type(error).__name__}: {error}"
        self._proofs.put((live.deployment, live.revision, reason))
        self._wake.set()

    def _finish(self, name: str, revision: str, reason: str | None) -> None:
        """Write the end of an attempt, unless the record has moved on; traffic moves in the same transaction."""
        with self._store.write() as connection:
            record = endpoint_records.read(connection, self._record.name)
            deployment = record.deployment(name) if record is not None else None
            if record is None or record.id != self._record.id or deployment is None or deployment.target.revision != revision:
                return
            deployment.state = DeploymentState.SUCCEEDED if reason is None else DeploymentState.FAILED
            deployment.detail = reason
            if reason is None:
                deployment.active = deployment.target
                if deployment.share is not None:
                    record.give(deployment.name, deployment.share)
            deployment.share = None
            deployment.settled = record.generation + 1
            endpoint_records.save(connection, record)
        self._record = record
        self._journal.write(
            "info" if reason is None else "error",
            f"deployment ready: {deployment.target.title} {_proof(deployment.target)}"
            if reason is None
            else f"deployment failed: {reason}",
            name,
        )

    def _tell(self) -> None:
        """Say which generation is in force, once every live model of it is loaded or has failed."""
        models = self._models
        actives = [each.active.revision for each in self._record.deployments.values() if each.active is not None]
        if any(revision not in models.loaded and revision not in models.failed for revision in actives):
            return
        self.ready.set()
        serving = {revision: live.facts() for revision, live in list(models.loaded.items())}
        word = Word(os.getpid(), self._record.generation, frozenset(models.loaded), dict(models.failed), serving)
        if self._duties is None:
            if word != self._said and self._succession is not None:
                self._said = word
                self._succession.speak(word)
            return
        if not self._duties.serving():
            return
        words = [word, *self._duties.workers.words()]
        facts = {
            revision: together(each.serving[revision] for each in words if revision in each.serving) for revision in serving
        }
        status = ServerStatus(
            self._record.id,
            os.getpid(),
            self._duties.started,
            self._duties.port,
            min(each.applied for each in words),
            workers=len(words),
            serving={revision: asdict(each) for revision, each in facts.items() if each is not None},
        )
        if status != self._published:
            self._place.write_status(status)
            self._published = status


def _end(live: Live) -> None:
    if isinstance(live.scorer, HostGroup):
        live.scorer.close()


def _proof(release: Release) -> str:
    return "answered a request" if release.script is None else "was loaded"
