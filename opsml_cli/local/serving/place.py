"""An endpoint's folder: what its server leaves there for others to read."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from opsml_cli.content.files import temporary_name
from opsml_cli.local import home
from opsml_cli.local.processes import held

T = TypeVar("T")
_WORDS_BYTES = 65536


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """A live server's word: which process, which port, and the generation of the record that it has taken up.

    Only true while the lock is held by that process; a dead one leaves its last word behind. `home`: the identity of the
    folder that it was written into; in a copy of that folder it says nothing."""

    id: str
    pid: int
    started: float | None
    port: int
    applied: int
    workers: int = 1
    serving: dict[str, dict[str, Any]] = field(default_factory=dict)  # ServingFacts by revision
    home: str | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """The process that was started last to be the server; it may not hold the lock yet. What it says goes to the server's
    output from byte `said` on. `home` as in `ServerStatus`."""

    pid: int
    started: float | None
    said: int = 0
    home: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Paths below an endpoint's folder."""

    folder: Path

    @property
    def lock(self) -> Path:
        return self.folder / "server.lock"

    def worker_lock(self, number: int) -> Path:
        """Held by the worker `number`, counted from 1."""
        return self.folder / "workers" / f"{number}.lock"

    def worker_word(self, number: int) -> Path:
        return self.folder / "workers" / f"{number}.json"

    def workers_alive(self) -> bool:
        """Whether any process but the leader lives."""
        return any(held(path) for path in (self.folder / "workers").glob("*.lock"))

    def alive(self) -> bool:
        """Whether any process of the endpoint lives: without the leader another one is about to take its part."""
        return held(self.lock) or self.workers_alive()

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def journal(self) -> Path:
        """The server's own lines, JSON."""
        return self.logs / "server.jsonl"

    @property
    def output(self) -> Path:
        """What escapes the journal: a crash of the interpreter, lines of native libraries."""
        return self.logs / "process.log"

    @property
    def work(self) -> Path:
        """The hosts' own copies of code and models, a folder each."""
        return self.folder / "work"

    @property
    def telemetry(self) -> Path:
        return self.folder / "telemetry"

    def status(self) -> ServerStatus | None:
        return self._read("server.json", ServerStatus)

    def forget_status(self) -> None:
        """Remove a dead server's last word; for whoever has just taken the lock."""
        (self.folder / "server.json").unlink(missing_ok=True)

    def launch(self) -> Launch | None:
        return self._read("launch.json", Launch)

    def last_words(self) -> str | None:
        """What the process that was started last said of its end, at most 300 characters; None when it said nothing."""
        launch = self.launch()
        try:
            with self.output.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(launch.said if launch is not None else 0, size - _WORDS_BYTES))
                lines = [each.strip() for each in file.read().decode("utf-8", "replace").splitlines() if each.strip()]
        except OSError:
            return None
        # Below a crash of the interpreter its threads are listed.
        crash = next((each for each in lines if each.startswith("Fatal Python error")), None)
        return (crash or lines[-1])[:300] if lines else None

    def write_status(self, status: ServerStatus) -> None:
        self._write("server.json", status)

    def write_launch(self, launch: Launch) -> None:
        self._write("launch.json", launch)

    def _read(self, name: str, kind: type[T]) -> T | None:
        try:
            document = json.loads((self.folder / name).read_text("utf-8"))
            return kind(**document) if home.same(document.get("home"), self.folder) else None
        except (OSError, ValueError, TypeError, AttributeError):
            return None

    def _write(self, name: str, value: ServerStatus | Launch) -> None:
        """Whole or not at all; no fsync, for it is worth nothing after the process."""
        temporary = temporary_name(self.folder)
        temporary.write_text(json.dumps(asdict(value) | {"home": home.identity(self.folder)}), "utf-8")
        temporary.replace(self.folder / name)
