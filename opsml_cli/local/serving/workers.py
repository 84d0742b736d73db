"""The processes of an endpoint with `--instance-count` above one (POSIX only): they answer on one socket, which all hold.

One of them, the leader, holds the endpoint's lock, writes to the database and replaces the others when they die. Each of the
others holds the lock of its own place and leaves word in a file; when the leader dies, one of them takes its part."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from opsml_cli.content.files import temporary_name
from opsml_cli.local.processes import held, hold
from opsml_cli.local.serving.facts import ServingFacts
from opsml_cli.local.serving.place import Place

SETTLE = 0.5  # seconds between two starts in one place: a crash loop must not eat the machine


@dataclass(frozen=True, slots=True)
class Word:
    """What a worker says of itself: the generation it has taken up, the revisions it holds, how it serves them, and those it
    could not load."""

    pid: int = 0
    applied: int = -1
    loaded: frozenset[str] = frozenset()
    failed: Mapping[str, str] = field(default_factory=dict)
    serving: Mapping[str, ServingFacts] = field(default_factory=dict)

    def line(self) -> str:
        serving = {revision: asdict(facts) for revision, facts in self.serving.items()}
        document = {"pid": self.pid, "applied": self.applied, "loaded": sorted(self.loaded), "failed": dict(self.failed)}
        return json.dumps({**document, "serving": serving})

    @staticmethod
    def read(line: str) -> Word:
        document = json.loads(line)
        serving = {revision: ServingFacts.read(facts) for revision, facts in document["serving"].items()}
        return Word(document["pid"], document["applied"], frozenset(document["loaded"]), document["failed"], serving)


class Seat:
    """A worker's own place among the processes: its lock, held while this object is kept, and its word."""

    def __init__(self, place: Place, number: int) -> None:
        self.number = number
        self._word = place.worker_word(number)
        self._lock = hold(place.worker_lock(number))
        self.taken = self._lock is not None

    def speak(self, word: Word) -> None:
        temporary = temporary_name(self._word.parent)
        with suppress(OSError):
            temporary.write_text(word.line(), "utf-8")
            temporary.replace(self._word)

    def leave(self) -> None:
        self._word.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.release()


class Workers:
    """The leader's view of the other processes, whichever leader started them."""

    def __init__(self, root: Path, endpoint: str, place: Place, socket_handle: int, report: Callable[[str, str], None]) -> None:
        self._command = [sys.executable, "-P", "-m", "opsml_cli.local.serving.server", str(root), endpoint, str(socket_handle)]
        self._socket = socket_handle
        self._place = place
        self._report = report
        self._count = 0
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._begun: dict[int, float] = {}
        if os.name != "nt":
            os.set_inheritable(socket_handle, True)

    def keep(self, count: int) -> None:
        """Have `count` workers running; those in further places end by themselves, as the record says."""
        self._count = count
        for number in range(1, count + 1):
            if not self._lives(number) and time.monotonic() - self._begun.get(number, -SETTLE) >= SETTLE:
                self._start(number)

    def _lives(self, number: int) -> bool:
        """Whether its place is taken, or is about to be."""
        child = self._children.get(number)
        if child is not None and child.poll() is not None:
            del self._children[number]
            self._report("error", f"a worker process ended with {child.returncode}")
            child = None
        return child is not None or held(self._place.worker_lock(number))

    def _start(self, number: int) -> None:
        self._begun[number] = time.monotonic()
        # What its predecessor said is not true of it.
        self._place.worker_word(number).unlink(missing_ok=True)
        self._children[number] = subprocess.Popen(
            [*self._command, str(number)], stdin=subprocess.DEVNULL, pass_fds=(self._socket,)
        )

    def words(self) -> list[Word]:
        """One a worker; that of a worker which has not spoken yet says nothing."""
        return [self._word(number) for number in range(1, self._count + 1)]

    def _word(self, number: int) -> Word:
        try:
            word = Word.read(self._place.worker_word(number).read_text("utf-8"))
        except (OSError, ValueError, KeyError, TypeError):
            return Word()
        return word if held(self._place.worker_lock(number)) else Word()

    def end(self, patience: float) -> None:
        """Wait until all have ended, as the record asked them to; kill those that do not."""
        deadline = time.monotonic() + patience
        while self._place.workers_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        for number in range(1, self._count + 1):
            if (pid := self._word(number).pid) > 0:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, 9)
        for child in self._children.values():
            child.kill()
            child.wait()
