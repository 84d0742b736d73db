"""Further processes that answer on the same socket, for `--instance-count` above one (POSIX only)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

SETTLE = 0.5  # seconds between the death of a worker and its successor: a crash loop must not eat the machine


@dataclass(frozen=True, slots=True)
class Word:
    """What a worker says of itself: the generation it has taken up, the revisions it holds, those it could not load."""

    applied: int = -1
    loaded: frozenset[str] = frozenset()
    failed: dict[str, str] = field(default_factory=dict)

    def line(self) -> str:
        return json.dumps({"applied": self.applied, "loaded": sorted(self.loaded), "failed": self.failed})

    @staticmethod
    def read(line: str) -> Word:
        document = json.loads(line)
        return Word(document["applied"], frozenset(document["loaded"]), document["failed"])


class _Worker:
    def __init__(self, command: list[str], socket_handle: int, heard: Callable[[], None]) -> None:
        self.word = Word()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(socket_handle,), text=True, bufsize=1
        )
        self._heard = heard
        threading.Thread(target=self._listen, name="worker-words", daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                self.word = Word.read(line)
            except (ValueError, KeyError):
                continue
            self._heard()
        self.process.wait()
        self._heard()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        """Closing its standard input asks a worker to end."""
        if self.process.stdin is not None:
            self.process.stdin.close()


class Workers:
    """The leader's view of its workers. A dead one is replaced; all end with the leader, however that dies."""

    def __init__(self, root: Path, endpoint: str, socket_handle: int, report: Callable[[str, str], None]) -> None:
        self._command = [sys.executable, "-P", "-m", "opsml_cli.local.serving.server", str(root), endpoint, str(socket_handle)]
        self._socket = socket_handle
        self._report = report
        self._workers: list[_Worker] = []
        self.woken = threading.Event()
        if os.name != "nt":
            os.set_inheritable(socket_handle, True)

    def keep(self, count: int) -> None:
        """Have `count` workers running."""
        for worker in [each for each in self._workers if not each.alive]:
            self._workers.remove(worker)
            self._report("error", f"a worker process ended with {worker.process.returncode}; it is replaced")
            threading.Event().wait(SETTLE)
        while len(self._workers) > count:
            self._workers.pop().end()
        while len(self._workers) < count:
            self._workers.append(_Worker(self._command, self._socket, self.woken.set))

    def words(self) -> list[Word]:
        return [worker.word for worker in self._workers]

    def end(self, patience: float) -> None:
        for worker in self._workers:
            worker.end()
        for worker in self._workers:
            try:
                worker.process.wait(patience)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
